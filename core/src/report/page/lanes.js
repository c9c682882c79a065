// The lanes: what each shows of a session, on the canvas and in a table.

// Rows of a table, at most.
const TABLE_ROWS = 40;

// The visible time in equal parts: when each begins, and lowest, middle and highest of each series in it.
function table(view, series, from, to) {
  const header = ["from s", ...series.flatMap(({ name }) => [`${name} lowest`, "median", "highest", "count"])];
  const part = (to - from) / TABLE_ROWS;
  const rows = Array.from({ length: TABLE_ROWS }, (_, number) => {
    const begins = from + number * part;
    const cells = series.flatMap(({ times, values, write = figure }) => {
      const some = values.slice(firstAt(times, begins), firstAt(times, begins + part)).filter(Number.isFinite).sort();
      return some.length ? [write(some[0]), write(some[some.length >> 1]), write(some.at(-1)), some.length] : ["", "", "", "0"];
    });
    return [moment(begins, view.span), ...cells];
  });
  return [header, ...rows.map((row) => row.map(String))];
}

// `curves` are what would have been, which the lanes of another capture do not have.
function lanes(session, view, curves = () => view.setting?.outcomes ?? []) {
  const { slice, tick, load } = session;
  const listened = session.listens_from_s ?? -Infinity;
  const heardLead = slice.lead_s.map((lead, row) => (slice.t_s[row] >= listened ? lead : NaN));
  const floor = session.tunnel?.knobs.find((knob) => knob.name === "lead-floor")?.recorded;
  const loadTimes = load.down.map((_, part) => session.load_from_s + part * session.load_part_s);
  const rate = (bytes) => bytes.map((value) => value / session.load_part_s);
  const kilo = (bytes) => bytes.map((value) => value / 1e3);
  const [down, up] = [rate(load.down), rate(load.up)];
  const [kiloDown, kiloUp] = [kilo(down), kilo(up)];
  const flight = tick.in_flight.map((bytes) => (bytes < 0 ? NaN : bytes));
  const kiloFlight = kilo(flight);
  const all = [];
  const lane = (definition) => {
    const paint = (panel) => {
      definition.paint(panel);
      panel.timeAxis();
    };
    all.push(new Panel(view, { ...definition, paint }));
  };

  lane({
    id: "lead", title: "Lead", height: 130,
    help: `how far ahead of the listener each slice landed, in seconds; below zero it came too late. ${summary(heardLead, seconds)}`,
    rows: (from, to) => table(view, [{ name: "lead", times: slice.t_s, values: heardLead }], from, to),
    paint(panel) {
      const [low, high] = reach(slice.t_s, heardLead, view.from, view.to);
      const would = curves().flatMap((outcome) => outcome.curve.map(([, lead]) => lead)).filter(Number.isFinite);
      panel.scale(Math.min(-0.1, low, ...would) * 1.05, Math.max(0.3, high, floor * 1.1 || 0, ...would) * 1.05);
      panel.shade(session.spells);
      const ink = panel.inks;
      panel.extents(slice.t_s, heardLead, (lowest) => (lowest < 0 ? ink.behind : ink.ahead), { least: 2.5 });
      panel.line(LEFT, panel.y(0), panel.width - RIGHT, panel.y(0), ink.ink, 1.2);
      if (Number.isFinite(floor)) panel.level(floor, "lead floor", ink.second);
      drawCurves(panel, curves(), 1);
    },
  });
  lane({
    id: "age", title: "Age of what was heard", height: 110,
    help: `how old the audio under the listener was, in seconds, at every report. ${summary(tick.staleness_s, seconds)} Ages that are excused, as those of a server at rest, may go beyond the frame.`,
    rows: (from, to) => table(view, [{ name: "age", times: tick.t_s, values: tick.staleness_s }], from, to),
    paint(panel) {
      const limit = session.stale_threshold_s;
      const would = curves().map((outcome) => outcome.staleness_max_s).filter(Number.isFinite);
      panel.scale(0, Math.max(oldestShown(session, view), ...would.map((age) => age * 1.05)));
      panel.shade(session.spells);
      panel.extents(tick.t_s, tick.staleness_s, ageInk(session, panel.inks), { joined: 1 });
      if (!session.is_tape) panel.level(limit, "stale above", panel.inks.stale);
      drawCurves(panel, curves(), 2);
    },
  });
  const cadence = [
    { name: "slices", times: slice.t_s, values: slice.interval_s.map((s) => (s > 0 ? s * 1e3 : NaN)) },
    { name: "reports", times: tick.t_s, values: tick.interval_s.map((s) => (s > 0 ? s * 1e3 : NaN)) },
  ];
  lane({
    id: "cadence", title: "Cadence", height: 100,
    help: "milliseconds since the slice before (bars with a line) and since the report before (points); on a scale of tens, so that gaps stand out",
    rows: (from, to) => table(view, cadence, from, to),
    paint(panel) {
      const highest = Math.max(...cadence.map(({ times, values }) => reach(times, values, view.from, view.to)[1]));
      panel.scale(1, Math.max(1000, highest * 1.3), { log: true, unit: " ms" });
      panel.shade(session.spells);
      panel.extents(cadence[1].times, cadence[1].values, () => panel.inks.second, { least: 2 });
      panel.extents(cadence[0].times, cadence[0].values, () => panel.inks.ahead, { joined: 1 });
    },
  });
  const times = [
    { name: "tick", times: slice.t_s, values: slice.tick_ms },
    { name: "decode", times: slice.t_s, values: slice.dec_ms },
  ];
  lane({
    id: "server", title: "Server", height: 80,
    help: "milliseconds that the server took for the generation (line) and for decoding (points), as slices declare them",
    rows: (from, to) => table(view, times, from, to),
    paint(panel) {
      const highest = Math.max(...times.map(({ times, values }) => reach(times, values, view.from, view.to)[1]));
      panel.scale(0, Math.max(10, highest * 1.1), { unit: " ms" });
      panel.shade(session.spells);
      panel.extents(times[0].times, times[0].values, () => panel.inks.ahead, { joined: 1 });
      panel.extents(times[1].times, times[1].values, () => panel.inks.second, { least: 2.5 });
    },
  });
  const acknowledges = flight.some(Number.isFinite);
  lane({
    id: "flight", title: "Bytes in flight", height: acknowledges ? 70 : 30,
    help: acknowledges ? `slices that were sent and not acknowledged, in kB. ${summary(flight, bytesOf)}` : "unknown: this client acknowledges nothing",
    rows: (from, to) => table(view, [{ name: "in flight", times: tick.t_s, values: flight, write: bytesOf }], from, to),
    paint(panel) {
      if (!acknowledges) return;
      panel.scale(0, Math.max(1, reach(tick.t_s, kiloFlight, view.from, view.to)[1] * 1.1), { write: kilobytes });
      panel.shade(session.spells);
      panel.extents(tick.t_s, kiloFlight, () => panel.inks.ahead, { joined: 1 });
    },
  });
  lane({
    id: "link", title: "Link", height: 80,
    help: "kB a second from the server (line) and from the client (points), handshake and audio together",
    rows: (from, to) => table(view, [
      { name: "down B/s", times: loadTimes, values: down, write: bytesOf },
      { name: "up B/s", times: loadTimes, values: up, write: bytesOf },
    ], from, to),
    paint(panel) {
      const highest = Math.max(reach(loadTimes, kiloDown, view.from, view.to)[1], reach(loadTimes, kiloUp, view.from, view.to)[1]);
      panel.scale(0, Math.max(1, highest * 1.1), { write: (value) => `${kilobytes(value)}/s` });
      panel.shade(session.spells);
      panel.extents(loadTimes, kiloUp, () => panel.inks.second, { least: 2 });
      panel.extents(loadTimes, kiloDown, () => panel.inks.ahead, { joined: 1 });
    },
  });
  all.push(eventLane(session, view));
  return all;
}

// What was old and counts has the colour of what is stale; what was old and is excused is pale.
function ageInk({ tick, stale_threshold_s, is_tape, ...session }, ink) {
  return (_, oldest, row) => {
    if (isBad(session, tick.t_s[row])) return ink.stale;
    return oldest > stale_threshold_s && !is_tape ? ink.faint : ink.ahead;
  };
}

// How old audio is that has to fit into a chart: all that is seen, but for what is excused and far older
// than everything else.
function oldestShown({ analysis, tick, stale_threshold_s }, view) {
  const [, highest] = reach(tick.t_s, tick.staleness_s, view.from, view.to);
  const bad = Math.max(stale_threshold_s * 2, (analysis.heard?.oldest_s ?? 0) * 1.05);
  return Math.max(stale_threshold_s * 1.15, Math.min(highest * 1.05, bad));
}

// Kilobytes, or megabytes where there are many.
const kilobytes = (value) => (value >= 1000 ? `${tidy(value / 1e3)} MB` : `${tidy(value)} kB`);

// The lowest, the median and the highest of the whole session, for those who do not see the canvas.
function summary(values, write) {
  const some = values.filter(Number.isFinite).sort();
  if (!some.length) return "Nothing to show.";
  return `Lowest ${write(some[0])}, median ${write(some[some.length >> 1])}, highest ${write(some.at(-1))}.`;
}

// What would have been: the likeliest outcome as a line, all of them as a band.
function drawCurves(panel, outcomes, field) {
  if (!outcomes.length) return;
  const { pen, inks: ink } = panel;
  const value = (outcome, step) => outcome.curve[step]?.[field];
  pen.fillStyle = ink.second;
  pen.globalAlpha = 0.25;
  outcomes[0].curve.forEach(([to], step) => {
    const values = outcomes.map((outcome) => value(outcome, step)).filter(Number.isFinite);
    if (values.length < 2) return;
    const [x, width] = [panel.x(to), Math.max(2, panel.plotWidth * (outcomes.step / panel.view.span || 0.004))];
    const [top, bottom] = [panel.y(Math.max(...values)), panel.y(Math.min(...values))];
    pen.fillRect(x - width, top - 1, width, bottom - top + 2);
  });
  pen.globalAlpha = 1;
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, panel.plotWidth, panel.height - AXIS);
  pen.clip();
  pen.strokeStyle = ink.second;
  pen.lineWidth = 2;
  pen.beginPath();
  let is_down = false;
  for (const row of outcomes[0].curve) {
    if (!Number.isFinite(row[field])) {
      is_down = false;
      continue;
    }
    const [x, y] = [panel.x(row[0]), panel.y(row[field])];
    if (is_down) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    is_down = true;
  }
  pen.stroke();
  pen.restore();
}

// Kinds of messages that come all the time, and so are no events.
const STEADY = new Set(["slice", "params", "params_update", "ping", "pong"]);
// What an event is, by its kind: where it stands, its mark, and whether it is bad.
const ROWS_OF_EVENTS = ["listener", "client", "server", "trouble"];

function eventPlace(kind, side, text) {
  const isTrouble = kind === "close" ? !/^100[01]\b/.test(text) : /^(unusable|gap|error|connection lost)$/.test(kind);
  if (isTrouble) return 3;
  if (side === 2) return 0;
  return side === 0 ? 1 : 2;
}

function eventLane(session, view) {
  const { message, slice } = session;
  const events = [];
  for (let at = 0; at < message.t_s.length; at++) {
    const row = message.order ? message.order[at] : at;
    const kind = session.kinds[message.kind[row]];
    if (!STEADY.has(kind)) events.push({ t_s: message.t_s[row], kind, place: eventPlace(kind, message.side[row], session.texts.get(row)), row });
  }
  session.events = events;
  const times = Float64Array.from(events, (event) => event.t_s);
  const silences = [];
  slice.interval_s.forEach((interval, row) => {
    if (interval >= 1) silences.push([slice.t_s[row] - interval, slice.t_s[row]]);
  });
  return new Panel(view, {
    id: "events", title: "Events", height: 96,
    help: "of the listener, the client and the server, and trouble; hatched: no slice for a second or more",
    rows: (from, to) => [["s", "of", "what", "text"], ...events.slice(firstAt(times, from), firstAt(times, to)).slice(0, 200)
      .map((event) => [moment(event.t_s, view.span), ROWS_OF_EVENTS[event.place], plain(event.kind), plain(session.texts.get(event.row) ?? "").slice(0, 120)])],
    paint(panel) {
      const { pen, inks: ink } = panel;
      const apart = (panel.height - AXIS) / 4;
      panel.shade(session.spells);
      for (const [from, to] of silences) {
        if (to < view.from || from > view.to) continue;
        const x = Math.max(LEFT, panel.x(from));
        panel.hatch(x, 0, Math.min(panel.x(to), panel.width - RIGHT) - x, panel.height - AXIS, ink.faint);
      }
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      ROWS_OF_EVENTS.forEach((name, place) => {
        pen.fillStyle = ink.faint;
        pen.fillText(name, LEFT - 5, (place + 0.5) * apart);
      });
      const free = [-Infinity, -Infinity, -Infinity, -Infinity];
      pen.textAlign = "left";
      for (let at = firstAt(times, view.from); at < events.length && times[at] <= view.to; at++) {
        const { t_s, kind, place } = events[at];
        const [x, y] = [panel.x(t_s), (place + 0.5) * apart];
        pen.fillStyle = place === 3 ? ink.behind : place === 0 ? ink.stale : ink.ahead;
        mark(pen, place, x, y);
        if (x < free[place]) continue;
        const name = plain(kind).slice(0, 24);
        const { width } = pen.measureText(name);
        // At the right edge there is room to the left alone.
        const isLast = x + 6 + width > panel.width;
        if (isLast && x - 6 - width < free[place]) continue;
        pen.fillStyle = ink.ink;
        pen.fillText(name, isLast ? x - 6 - width : x + 6, y);
        free[place] = x + 14 + width;
      }
      panel.timeAxis();
    },
  });
}

// A mark of its own form for each row: triangle, circle, square, cross.
function mark(pen, place, x, y) {
  pen.beginPath();
  if (place === 0) {
    pen.moveTo(x - 4, y + 4);
    pen.lineTo(x + 4, y + 4);
    pen.lineTo(x, y - 4);
  } else if (place === 1) pen.arc(x, y, 3.5, 0, 7);
  else if (place === 2) pen.rect(x - 3, y - 3, 6, 6);
  else {
    pen.rect(x - 1, y - 5, 2, 10);
    pen.rect(x - 5, y - 1, 10, 2);
  }
  pen.fill();
}
