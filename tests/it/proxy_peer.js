// Both ends of a connection, as ws for Node.js makes them, with compression wherever it may be.
//
// Usage: proxy_peer.js serve            prints its port, echoes one connection, prints what it got
//        proxy_peer.js talk URL         sends messages of many sorts and hears them come back
// Both end with one JSON object; messages are told by type and SHA-256.
const crypto = require("node:crypto");
const { WebSocket, WebSocketServer } = require("ws");

const deflate = { threshold: 0 };
const told = (data, isBinary) =>
  (isBinary ? "b" : "t") + crypto.createHash("sha256").update(data).digest("hex");
const names = (socket) => Object.keys(socket._extensions ?? {});

function serve() {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: deflate });
  server.on("listening", () => console.log(server.address().port));
  server.on("connection", (socket) => {
    const received = [];
    socket.on("message", (data, isBinary) => {
      received.push(told(data, isBinary));
      socket.send(data, { binary: isBinary });
    });
    socket.on("close", (code, reason) => {
      const extensions = names(socket);
      console.log(JSON.stringify({ received, close: [code, reason.toString()], extensions }));
      server.close();
    });
  });
}

function* messages() {
  for (const length of [0, 1, 125, 126, 3000, 65535, 65536, 2000000]) {
    yield crypto.randomBytes(length);
    yield Buffer.alloc(length, "lag ");
    yield crypto.randomBytes(length).toString("base64");
    yield "täpe ".repeat(length / 5);
  }
}

function talk(url) {
  const socket = new WebSocket(url, { perMessageDeflate: deflate });
  const all = [...messages()];
  const sent = all.map((message) => told(Buffer.from(message), typeof message !== "string"));
  const received = [];
  socket.on("open", () => {
    for (const message of all) {
      const half = Math.floor(message.length / 2);
      socket.send(message.slice(0, half), { fin: false });
      socket.send(message.slice(half), { fin: true });
      socket.ping("still there?");
    }
  });
  socket.on("message", (data, isBinary) => {
    received.push(told(data, isBinary));
    if (received.length === all.length) {
      console.log(JSON.stringify({ sent, received, extensions: names(socket) }));
      socket.close(4000, "done");
    }
  });
}

process.argv[2] === "serve" ? serve() : talk(process.argv[3]);
