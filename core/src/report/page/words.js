// Numbers as people read them: about three digits, a real minus sign, a unit.

const sign = (text) => text.replace("-", "−").replace(/^−(0(\.0*)?)$/, "$1");

function figure(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return sign(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2));
}

const seconds = (value) => (Number.isFinite(value) ? `${figure(value)} s` : "–");

// A moment, as exactly as the view can show it.
function moment(t, span) {
  return sign(t.toFixed(span > 100 ? 1 : span > 5 ? 2 : 3));
}

function bytesOf(value) {
  if (!(value >= 1000)) return `${figure(value).replace(/\.\d+$/, "")} B`;
  const power = Math.min(4, Math.floor(Math.log10(value) / 3));
  return `${figure(value / 1000 ** power)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

// Texts of a peer are only ever set as text; what could reorder or hide the rest of a line is shown as
// what it is.
const plain = (text) =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (char) =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);
