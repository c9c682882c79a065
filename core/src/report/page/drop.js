// The page onto which files are dropped: the core, as WebAssembly, makes of each what lagtape makes of it.

// Files beyond this do not fit into the core's memory with what it makes of them.
const MOST_BYTES = 1e9;

const core = { module: null, queue: Promise.resolve(), files: 0 };

async function startDrop() {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || byId("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    takeAll(event.dataTransfer.files);
  });
  byId("choose").addEventListener("click", () => byId("files").click());
  byId("files").addEventListener("change", ({ target }) => {
    takeAll(target.files);
    target.value = "";
  });
  document.addEventListener("shown", () => offer(shown.session));
  try {
    core.module = await WebAssembly.compile(await inflated(byId("core").textContent));
    core.worker = URL.createObjectURL(new Blob([`(${worker})()`], { type: "text/javascript" }));
    document.documentElement.dataset.ready = "empty";
  } catch (error) {
    fail(error);
  }
}

// Files are read one after another, in the order in which they came.
function takeAll(files) {
  byId("refused").replaceChildren();
  for (const file of files) core.queue = core.queue.then(() => takeFile(file)).catch((error) => refuse(error.message));
  return core.queue;
}

async function takeFile(file) {
  if (file.size > MOST_BYTES) return refuse(`${file.name} has ${bytesOf(file.size)}, more than a page can take; use lagtape report`);
  const id = ++core.files;
  tell(`Reading ${file.name} …`);
  const bytes = await file.arrayBuffer().catch(() => null);
  if (!bytes) return refuse(`${file.name} cannot be read; a folder has to be opened first`);
  await ask({ name: file.name, bytes }, async ({ refused, assumed, number, packed, json, page }) => {
    if (refused) return refuse(refused);
    if (packed) return takeSession(`${id} ${number}`, await unpack(packed), { json, page });
    tell([`Computing what would have been in ${file.name} …`, ...assumed].join("\n"));
  });
  tell("Drop another file to see both.");
}

// A session as soon as it can be drawn, and again with its wind tunnel and the page as a file.
function takeSession(id, session, made) {
  const at = sessions.findIndex((other) => other.id === id);
  session.id = id;
  session.made = made;
  const tab = at < 0 ? sessions.length : at;
  sessions[tab] = session;
  listTabs();
  byId("drop").classList.add("has-session");
  byId("main").hidden = false;
  if (at < 0) show(tab, location.hash.includes("from=") && sessions.length === 1 ? location.hash : "");
  else if (shown.number === tab || shown.view.beside === tab) show(shown.number, shown.view.fragment(shown.number));
  document.documentElement.dataset.ready = made.page === undefined ? "drawn" : "yes";
}

// What can be saved of the session that is shown.
function offer({ made, name }) {
  document.title = `${plain(name)} · lagtape`;
  for (const [id, text, type, ending] of [["save", made?.page, "text/html", "html"], ["save-json", made?.json, "application/json", "json"]]) {
    const link = byId(id);
    link.hidden = text === undefined;
    if (link.href) URL.revokeObjectURL(link.href);
    if (text !== undefined) link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `${name.replace(/\.[^.]*$/, "").replace(/[^\w.-]+/g, "-")}.${ending}`;
  }
}

function tell(state) {
  byId("drop-state").textContent = plainLines(state);
}

function refuse(sentence) {
  byId("refused").append(element("li", {}, `${plainLines(sentence)}.`));
  document.documentElement.dataset.ready = "refused";
}

const plainLines = (text) => text.split("\n").map(plain).join("\n");

// Has a file read in a worker of its own, and hears what comes of it; one that breaks off says so.
function ask(message, hear) {
  return new Promise((resolve) => {
    const reader = new Worker(core.worker);
    let heard = Promise.resolve();
    const end = () => {
      reader.terminate();
      heard.then(resolve, (error) => {
        refuse(error.message);
        resolve();
      });
    };
    reader.onmessage = ({ data }) => {
      if (data.ended) return end();
      heard = heard.then(() => hear(data));
    };
    reader.onerror = ({ message }) => {
      heard = heard.then(() => refuse(message));
      end();
    };
    reader.postMessage({ ...message, module: core.module }, [message.bytes]);
  });
}

// The worker's whole script: it knows nothing of the page.
function worker() {
  onmessage = async ({ data: { module, name, bytes } }) => {
    const { exports } = await WebAssembly.instantiate(module, {});
    const put = (room, bytes) => {
      // Memory that has grown is another buffer.
      const at = room(bytes.length);
      new Uint8Array(exports.memory.buffer, at, bytes.length).set(bytes);
    };
    const text = (at, len) => new TextDecoder().decode(new Uint8Array(exports.memory.buffer, at, len));
    const said = () => text(exports.said(), exports.said_len());
    // What a call says, or nothing where it could not do it, which the page is told.
    const asked = (call, ...args) => {
      if (call(...args)) return said();
      postMessage({ refused: said() });
    };
    try {
      put(exports.set_name, new TextEncoder().encode(name));
      put(exports.set_file, new Uint8Array(bytes));
      const count = exports.read_file();
      if (!count) postMessage({ refused: said() });
      const assumed = count ? said().split("\n").filter(Boolean) : [];
      for (let number = 0; number < count; number++) {
        const drawn = asked(exports.page_session, number, 0);
        if (drawn === undefined) continue;
        const json = asked(exports.analysis_json, number);
        postMessage({ number, packed: drawn, json });
        postMessage({ assumed });
        const packed = asked(exports.page_session, number, 1);
        const page = asked(exports.page_file, number);
        if (packed !== undefined) postMessage({ number, packed, json, page });
      }
    } catch (error) {
      const why = text(exports.panicked(), exports.panicked_len()) || error.message;
      postMessage({ refused: `${name} cannot be shown: lagtape broke off, which is a bug of it (${why})` });
    }
    postMessage({ ended: true });
  };
}

startDrop();
