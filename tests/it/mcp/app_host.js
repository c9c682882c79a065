// A host of MCP Apps: shows an app in a frame, hands it a tool's result and reads resources for it.

import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

window.showApp = async (html, result, resources, sandbox) => {
  const frame = document.createElement("iframe");
  frame.sandbox = sandbox;
  frame.style = "width: 900px; height: 1200px";
  document.body.replaceChildren(frame);
  const shown = { frame, height: 0, read: [] };
  const bridge = new AppBridge(null, { name: "test", version: "1" }, resources ? { serverResources: {} } : {});
  if (resources) {
    bridge.onreadresource = async ({ uri }) => {
      shown.read.push(uri);
      return resources[uri];
    };
  }
  bridge.onsizechange = ({ height }) => (shown.height = height);
  const initialized = new Promise((done) => (bridge.oninitialized = done));
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = html;
  await initialized;
  await bridge.sendToolInput({ arguments: {} });
  await bridge.sendToolResult(result);
  window.shown = shown;
  return "shown";
};

document.documentElement.dataset.ready = "yes";
