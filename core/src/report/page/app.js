// The page as an app in a chat (MCP Apps, 2026-01-26): it has its host read the page of the capture that the
// tool has answered about, and shows the words of the answer where there is no more to be had.

class Host {
  constructor() {
    this.asked = new Map();
    this.listeners = new Map();
    this.last = 0;
    window.addEventListener("message", ({ source, data }) => {
      if (source === window.parent && data?.jsonrpc === "2.0") this.hear(data);
    });
  }

  send(message) {
    window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }

  ask(method, params) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject });
      this.send({ id, method, params });
    });
  }

  tell(method, params = {}) {
    this.send({ method, params });
  }

  // The next notification of this name.
  next(method) {
    return new Promise((resolve) => this.listeners.set(method, resolve));
  }

  hear({ id, method, params, result, error }) {
    // What a host asks, such as whether the page is still there, is answered with nothing.
    if (method && id !== undefined) return this.send({ id, result: {} });
    if (method) return this.listeners.get(method)?.(params);
    const { resolve, reject } = this.asked.get(id) ?? {};
    this.asked.delete(id);
    if (error) reject?.(new Error(error.message));
    else resolve?.(result);
  }
}

async function startInHost() {
  const host = new Host();
  const answered = host.next("ui/notifications/tool-result");
  await host.ask("ui/initialize", {
    protocolVersion: "2026-01-26",
    appInfo: { name: "lagtape", version: "1" },
    appCapabilities: {},
  });
  host.tell("ui/notifications/initialized");
  const height = () => Math.ceil(document.body.getBoundingClientRect().height);
  new ResizeObserver(() => host.tell("ui/notifications/size-changed", { height: height() })).observe(document.body);
  const answer = await answered;
  const packed = await sessionsBehind(host, answer).catch(() => []);
  if (packed.length) await start(packed);
  else showWords(answer);
}

// The sessions of the page that the answer names.
async function sessionsBehind(host, { structuredContent }) {
  const { contents } = await host.ask("resources/read", { uri: structuredContent.page });
  const page = new DOMParser().parseFromString(contents[0].text, "text/html");
  return [...page.querySelectorAll("script.session")].map(({ textContent }) => textContent);
}

function showWords({ structuredContent, content = [] }) {
  const said = content.filter(({ type }) => type === "text").map(({ text }) => text).join("\n");
  byId("failure").hidden = false;
  byId("failure").textContent = plain(structuredContent?.summary ?? said);
  document.documentElement.dataset.ready = "words";
}

startInHost();
