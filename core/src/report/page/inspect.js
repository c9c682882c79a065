// What the cursor tells, and the messages around it.

// Messages of the table on either side.
const AROUND = 25;

// The row of the message nearest to a time.
function messageAt(session, t) {
  const { message } = session;
  if (!message.order) return nearest(message.t_s, t);
  message.inOrder ??= Float64Array.from(message.order, (row) => message.t_s[row]);
  const place = nearest(message.inOrder, t);
  return place < 0 ? -1 : message.order[place];
}

function readout(session, view) {
  const t = view.cursor;
  if (view.selection && t === null) return selected(session, view);
  if (t === null) return "Point at a chart, or press an arrow with Shift: the numbers there stand here.";
  const { slice, tick, message } = session;
  const parts = [`${moment(t, view.span)} s`];
  const row = messageAt(session, t);
  if (row >= 0) parts.push(`record ${message.seq[row]} (${plain(session.kinds[message.kind[row]])})`);
  const heard = nearest(tick.t_s, t);
  if (heard >= 0) {
    parts.push(`listener at ${seconds(tick.playhead_s[heard])}`, `age ${seconds(tick.staleness_s[heard])}`);
    if (tick.in_flight[heard] >= 0) parts.push(`in flight ${bytesOf(tick.in_flight[heard])}`);
  }
  const landed = lastSlice(session, view, t);
  if (landed >= 0) {
    parts.push(`last slice ${seconds(Math.max(0, t - slice.t_s[landed]))} ago`,
      `at ${seconds(slice.start_s[landed])}`, `lead ${seconds(slice.lead_s[landed])}`,
      `after ${figure(slice.interval_s[landed] * 1e3)} ms`, `tick ${figure(slice.tick_ms[landed])} ms`,
      `decode ${figure(slice.dec_ms[landed])} ms`);
  }
  const spell = session.spells.find(({ from_s, to_s }) => from_s <= t && t <= to_s);
  if (spell) parts.push(spell.words);
  return parts.join(" · ");
}

// The slice that came last, or the one that the pointer means.
function lastSlice({ slice }, view, t) {
  const near = nearest(slice.t_s, t);
  const isMeant = near >= 0 && Math.abs(slice.t_s[near] - t) < view.span / 300;
  return isMeant ? near : firstAt(slice.t_s, t) - 1;
}

function selected(session, view) {
  const [from, to] = view.selection;
  const { slice, tick } = session;
  const [lowest] = reach(slice.t_s, slice.lead_s, from, to);
  const [, oldest] = reach(tick.t_s, tick.staleness_s, from, to);
  const count = (times) => firstAt(times, to) - firstAt(times, from);
  return [`${moment(from, view.span)} – ${moment(to, view.span)} s, ${seconds(to - from)}`,
    `${count(slice.t_s)} slices`, `lowest lead ${seconds(lowest)}`,
    `${count(tick.t_s)} reports`, `oldest heard ${seconds(oldest)}`].join(" · ");
}

// Opens the table of messages around a time; returns whether there is one.
function showAround(session, view, t) {
  const { message } = session;
  const at = messageAt(session, t);
  if (at < 0) return false;
  const order = message.order ?? { indexOf: (row) => row, at: null };
  const place = order.indexOf(at);
  const from = Math.max(0, place - AROUND), to = Math.min(message.t_s.length, place + AROUND + 1);
  session.places ??= placesOf(session);
  const rows = [];
  for (let number = from; number < to; number++) {
    const row = message.order ? message.order[number] : number;
    rows.push(messageRow(session, row, row === at));
  }
  byId("around").hidden = false;
  const of = sessions.length > 1 ? ` in ${titleOf(session)}` : "";
  byId("around-title").textContent = `Messages around ${moment(message.t_s[at], 1)} s${of}`;
  byId("around").querySelector("tbody").replaceChildren(...rows);
  const list = byId("around").querySelector(".scroll");
  const row = list.querySelector("tr.at");
  list.scrollTop = row.offsetTop - (list.clientHeight - row.offsetHeight) / 2;
  return true;
}

// Slices and reports by the rows of their messages.
function placesOf({ slice, tick }) {
  const places = new Map();
  slice.row.forEach((row, number) => places.set(row, { slice: number }));
  tick.row.forEach((row, number) => places.set(row, { tick: number }));
  return places;
}

function messageRow(session, row, isAt) {
  const { message, slice, tick } = session;
  const place = session.places.get(row) ?? {};
  const lead = slice.lead_s[place.slice];
  const details = place.slice !== undefined
    ? `${seconds(slice.start_s[place.slice])} – ${seconds(slice.start_s[place.slice] + slice.length_s[place.slice])}, lead ${seconds(lead)}, tick ${figure(slice.tick_ms[place.slice])} ms, decode ${figure(slice.dec_ms[place.slice])} ms, generation ${slice.generations[place.slice]}`
    : place.tick !== undefined
      ? `listener at ${seconds(tick.playhead_s[place.tick])}, age ${seconds(tick.staleness_s[place.tick])}${tick.in_flight[place.tick] >= 0 ? `, in flight ${bytesOf(tick.in_flight[place.tick])}` : ""}`
      : plain(session.texts.get(row) ?? "");
  const isBad = lead < 0 || tick.staleness_s[place.tick] > session.stale_threshold_s;
  return element("tr", { class: `${isAt ? "at" : ""} ${isBad ? "bad" : ""}`.trim() },
    element("td", {}, sign(message.t_s[row].toFixed(4))),
    element("td", {}, String(message.seq[row])),
    element("td", {}, ["client", "server", "recorder"][message.side[row]]),
    element("td", {}, plain(session.kinds[message.kind[row]])),
    element("td", {}, message.side[row] < 2 ? bytesOf(message.bytes[row]) : ""),
    element("td", { class: "words" }, details));
}
