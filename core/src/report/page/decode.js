"use strict";

// A session as it stands in the page: base64 of what deflate made of the length of its head, the head in
// JSON, columns of whole numbers, and sounds as WAV files.

async function unpack(base64) {
  const { head, bytes } = await opened(base64);
  let end = bytes.length;
  for (const sound of head.sounds.toReversed()) {
    sound.wav = bytes.slice(end - sound.len, end);
    end -= sound.len;
  }
  return sessionOf(head, readColumns(head.columns, bytes));
}

// The head, and the bytes behind it.
async function opened(base64) {
  const bytes = await inflated(base64);
  const headLen = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + headLen)));
  return { head, bytes: bytes.subarray(4 + headLen) };
}

// The bytes of which deflate and base64 made this text.
async function inflated(base64) {
  const deflated = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The tables, each an object of its columns. Values are written byte by byte, as differences whose sign
// is their lowest bit.
function readColumns(places, bytes) {
  const tables = {};
  let offset = 0;
  for (const { name, rows, width, per_unit } of places) {
    const values = new Float64Array(rows);
    let before = 0;
    for (let row = 0; row < rows; row++) {
      let folded = 0;
      for (let byte = width - 1; byte >= 0; byte--) folded = folded * 256 + bytes[offset + byte * rows + row];
      before += folded % 2 ? -(folded + 1) / 2 : folded / 2;
      values[row] = before / per_unit;
    }
    offset += width * rows;
    const [table, column] = name.split(".");
    (tables[table] ??= {})[column] = values;
  }
  return tables;
}

function sessionOf(head, { message, slice, tick, load }) {
  const at = (rows) => rows.map((row) => message.t_s[row]);
  slice.t_s = at(slice.row);
  tick.t_s = at(tick.row);
  slice.start_s = slice.start.map((start) => start / head.sample_rate);
  slice.length_s = slice.frames.map((frames) => frames / head.sample_rate);
  message.order = sorted(message);
  sortBy(slice);
  sortBy(tick);
  const [texts, loops] = [new Map(head.texts), head.analysis.epochs];
  return { ...head, message, slice, tick, load, texts, loops };
}

// Rows in the order of their times, or nothing where they stand in it already, as nearly always.
function sorted({ t_s }) {
  let ordered = true;
  for (let row = 1; row < t_s.length && ordered; row++) ordered = t_s[row] >= t_s[row - 1];
  return ordered ? null : Uint32Array.from(t_s.keys()).sort((a, b) => t_s[a] - t_s[b]);
}

function sortBy(table) {
  const order = sorted(table);
  if (!order) return;
  for (const [name, values] of Object.entries(table)) table[name] = Float64Array.from(order, (row) => values[row]);
}

// The first row at or after a time.
function firstAt(times, t) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The row nearest to a time, or -1.
function nearest(times, t) {
  const after = firstAt(times, t);
  if (after === 0) return times.length ? 0 : -1;
  if (after === times.length) return after - 1;
  return times[after] - t < t - times[after - 1] ? after : after - 1;
}
