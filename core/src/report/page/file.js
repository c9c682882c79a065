// The page as a file: its sessions stand in it.

start([...document.querySelectorAll("script.session")].map(({ textContent }) => textContent));
