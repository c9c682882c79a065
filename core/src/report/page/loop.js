// The loop picture: where in the loop audio was written and where the listener was, over time.
//
// Every pixel is a moment and a place in the loop. Its shade is the age of the audio there; a slice is a
// rectangle where and when it landed, and the playhead's line crosses what was heard.

function loopPanel(session, view) {
  const help = session.is_tape
    ? "place on the tape against time; the line is the listener, the step above it the frontier of what was written. Blue slices landed ahead, orange ones behind; hatched: not written yet."
    : "place in the loop against time; the line is the listener, and what it crosses was heard. Blue slices landed ahead, orange ones behind; the stronger the shade of the ground, the older the audio, hatched where the source itself still was.";
  const blank = session.loops.some((loop) => isOlder(session, loop)) ? " Blank is what the capture does not know: it begins later." : "";
  const { slice, tick } = session;
  return new Panel(view, {
    id: "loop", title: session.is_tape ? "The tape" : "The loop", help: help + blank, height: 320,
    rows: (from, to) => table(view, [
      { name: "slice from", times: slice.t_s, values: slice.start_s },
      { name: "listener", times: tick.t_s, values: tick.playhead_s },
    ], from, to),
    paint(panel) {
      const top = visibleTop(session, view);
      panel.scale(0, top, { unit: " s" });
      if (session.loops.length) {
        const picture = paintLoop(session, view, panel, top);
        panel.pen.imageSmoothingEnabled = false;
        panel.pen.drawImage(picture, LEFT, panel.y(top), panel.plotWidth, panel.y(0) - panel.y(top));
      }
      panel.shade(session.spells, { framed: true });
      if (session.is_tape) frontier(session, view, panel);
      listener(session, view, panel);
      panel.timeAxis();
    },
  });
}

// How much of the loop is shown: all of it, of a tape what was reached so far.
function visibleTop(session, view) {
  const whole = Math.max(0.1, ...session.loops.map((loop) => loop.loop_s));
  if (!session.is_tape) return whole;
  const { slice, tick } = session;
  const written = reach(slice.t_s, slice.start_s, -Infinity, view.to)[1] + Math.max(0, slice.length_s[0] ?? 0);
  const heard = reach(tick.t_s, tick.playhead_s, -Infinity, view.to)[1];
  const reached = Math.max(written, heard) * 1.08;
  return reached > 0 ? Math.min(whole, reached) : whole;
}

function paintLoop(session, view, panel, top) {
  const [width, height] = [Math.ceil(panel.plotWidth), Math.ceil(panel.y(0) - panel.y(top))];
  const picture = Object.assign(document.createElement("canvas"), { width, height });
  const pen = picture.getContext("2d");
  const image = pen.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const shades = shadesOf(panel.inks);
  const perPixel = view.span / width;
  for (const loop of session.loops) paintEpoch(session, view, loop, { pixels, width, height, top, shades, perPixel });
  pen.putImageData(image, 0, 0);
  return picture;
}

// Whether a source buffer came before the capture begins, so that nobody knows what was written in it.
function isOlder(session, loop) {
  return loop.from_s < (session.analysis.session.begins_s ?? -Infinity);
}

// What the last write of a row was.
const SLICE = 0, RAW = 1, UNKNOWN = 2;

// One source buffer: walks the slices that are seen, with the time of the last write of each row.
function paintEpoch(session, view, loop, target) {
  const { slice } = session;
  const { pixels, width, height, top, shades, perPixel } = target;
  const from = Math.max(0, Math.floor((loop.from_s - view.from) / perPixel));
  const to = Math.min(width, Math.ceil((loop.to_s - view.from) / perPixel));
  if (to <= from) return;
  const row = (place) => Math.floor((place / top) * height);
  const rows = Math.min(height, Math.ceil((loop.loop_s / top) * height));
  const written = new Float64Array(rows).fill(loop.from_s);
  const wrote = new Uint8Array(rows).fill(isOlder(session, loop) ? UNKNOWN : RAW);
  // The lead of the slice that is drawn in a row, until which column.
  const leads = new Float64Array(rows);
  const until = new Int32Array(rows).fill(-1);
  const limit = session.stale_threshold_s;
  const wide = Math.min(12, Math.max(2, Math.round(0.6 * medianInterval(slice) / perPixel)));
  const first = firstAt(slice.t_s, loop.from_s);
  const last = firstAt(slice.t_s, loop.to_s + 1e-6);
  let next = Math.min(Math.max(first, firstAt(slice.t_s, view.from)), last);
  writtenBefore();
  for (let column = from; column < to; column++) {
    const t = view.from + (column + 1) * perPixel;
    for (; next < last && slice.t_s[next] < t; next++) {
      // Of those before what is seen, only what they wrote is.
      const landed = Math.floor((slice.t_s[next] - view.from) / perPixel);
      eachPart(next, (begins, ends) => land(begins, ends, landed));
    }
    const byLead = view.colour === "lead";
    for (let at = 0, place = (height - 1) * width + column; at < rows; at++, place -= width) {
      const hatched = wrote[at] === RAW && (at + column) % 6 === 0;
      if (byLead && until[at] > column) pixels[place] = shades.lead(leads[at]);
      else if (wrote[at] === UNKNOWN) pixels[place] = shades.blank;
      else if (session.is_tape) pixels[place] = shades.tape(wrote[at] === RAW, hatched);
      else pixels[place] = hatched ? shades.raw : shades.age((t - written[at]) / limit);
    }
  }

  // The rows of a slice, from its beginning on and, where it goes beyond the end of the loop, from 0 on.
  function eachPart(number, take) {
    const ends = slice.start_s[number] + slice.length_s[number];
    take(slice.start_s[number], Math.min(ends, loop.loop_s));
    if (ends > loop.loop_s && !session.is_tape) take(0, Math.min(ends - loop.loop_s, loop.loop_s));
  }

  // Of the slices before what is seen the last one of each row counts: they are walked backwards until no
  // row is without one.
  function writtenBefore() {
    let left = rows;
    for (let number = next - 1; number >= first && left > 0; number--) {
      // What is still drawn at the left edge lands as if it were seen.
      if (slice.t_s[number] > view.from - wide * perPixel) {
        next = number;
        continue;
      }
      eachPart(number, (begins, ends) => {
        const [begin, end] = rowsOf(begins, ends);
        for (let at = begin; at < end; at++) {
          if (wrote[at] === SLICE) continue;
          written[at] = slice.t_s[number];
          wrote[at] = SLICE;
          left -= 1;
        }
      });
    }
  }

  function rowsOf(begins, ends) {
    return [Math.max(0, row(begins)), Math.min(rows, Math.max(row(begins) + 1, row(ends)))];
  }

  function land(begins, ends, column) {
    const [begin, end] = rowsOf(begins, ends);
    const lead = slice.lead_s[next];
    for (let at = begin; at < end; at++) {
      written[at] = slice.t_s[next];
      wrote[at] = SLICE;
      // Of several in one column the one furthest behind is seen.
      if (until[at] <= column || lead < leads[at]) leads[at] = lead;
      until[at] = column + wide;
    }
  }
}

function medianInterval(slice) {
  slice.median_s ??= slice.interval_s.filter((interval) => interval > 0).sort().at(slice.interval_s.length >> 1) ?? 0.05;
  return slice.median_s;
}

// Colours as the pixels of an image have them: red in the lowest byte.
function shadesOf(ink) {
  const parts = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const pack = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const mix = (one, other, share) => one.map((value, part) => Math.round(value + (other[part] - value) * share));
  const STEPS = 64;
  const [paper, dark, ahead, behind] = [ink.paper, ink.ink, ink.ahead, ink.behind].map(parts);
  const ages = Array.from({ length: STEPS + 1 }, (_, step) => pack(mix(paper, dark, 0.7 * (step / STEPS))));
  const leads = Array.from({ length: STEPS + 1 }, (_, step) => pack(mix(ahead, paper, 0.45 * (step / STEPS))));
  const [late, raw] = [pack(behind), pack(mix(paper, dark, 0.85))];
  const [blank, dotted, written] = [pack(paper), pack(mix(paper, dark, 0.25)), pack(mix(paper, ahead, 0.22))];
  return {
    lead: (lead) => (lead < 0 ? late : leads[Math.min(STEPS, Math.round((lead / 1) * STEPS))]),
    // A tape does not grow old: it is written or not.
    tape: (isBlank, hatched) => (isBlank ? (hatched ? dotted : blank) : written),
    raw,
    blank,
    // By how many stale thresholds: half the scale is what is not stale yet.
    age: (thresholds) => ages[thresholds >= 2 ? STEPS : thresholds > 0 ? Math.round((thresholds / 2) * STEPS) : 0],
  };
}

// The playhead's line: thin over its halo, thick and of another colour where what it crosses was bad.
function listener(session, view, panel) {
  const { tick } = session;
  const { pen, inks: ink } = panel;
  const from = Math.max(0, firstAt(tick.t_s, view.from) - 1);
  const to = Math.min(tick.t_s.length, firstAt(tick.t_s, view.to) + 1);
  const every = Math.max(1, Math.floor((to - from) / (4 * panel.plotWidth)));
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, panel.plotWidth, panel.height - AXIS);
  pen.clip();
  const path = new Path2D(), bad = new Path2D();
  let before = null;
  for (let row = from; row < to; row += every) {
    const [t, place] = [tick.t_s[row], tick.playhead_s[row]];
    const point = [panel.x(t), panel.y(place)];
    const goesOn = before && Math.abs(place - before.place - (t - before.t)) < 0.25 + 0.2 * (t - before.t);
    if (goesOn) path.lineTo(...point);
    else path.moveTo(...point);
    if (goesOn && isBad(session, t)) {
      bad.moveTo(...before.point);
      bad.lineTo(...point);
    }
    before = { t, place, point };
  }
  pen.lineJoin = "round";
  for (const [line, colour, width] of [[path, ink.halo, 4], [path, ink.line, 1.6], [bad, ink.halo, 6], [bad, ink.stale, 3.5]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.stroke(line);
  }
  pen.restore();
}

// Spells stand in the order of their times and apart from each other.
function isBad(session, t) {
  const bad = (session.badSpells ??= session.spells.filter((spell) => spell.bad_s > 0));
  session.badFrom ??= Float64Array.from(bad, (spell) => spell.from_s);
  const after = firstAt(session.badFrom, t);
  return session.badFrom[after] === t || (after > 0 && t <= bad[after - 1].to_s);
}

// The end of the newest audio of a tape.
function frontier(session, view, panel) {
  const { slice } = session;
  const { pen, inks: ink } = panel;
  const line = new Path2D();
  let highest = 0;
  for (let row = 0; row < slice.t_s.length && slice.t_s[row] <= view.to; row++) {
    const x = Math.max(LEFT, panel.x(slice.t_s[row]));
    line.lineTo(x, panel.y(highest));
    highest = Math.max(highest, slice.start_s[row] + slice.length_s[row]);
    line.lineTo(x, panel.y(highest));
  }
  line.lineTo(panel.width - RIGHT, panel.y(highest));
  pen.strokeStyle = ink.second;
  pen.lineWidth = 2;
  pen.stroke(line);
}

// The whole session in a strip, with the part that is seen.
function overviewPanel(session, view) {
  const { tick } = session;
  const whole = { from: view.whole[0], to: view.whole[1], span: view.whole[1] - view.whole[0] };
  return new Panel(whole, {
    id: "overview", title: "The whole session", help: "age of what was heard, spells of lag shaded; drag here to choose what the charts below show",
    height: 60,
    paint(panel) {
      panel.scale(0, oldestShown(session, whole), { unit: " s" });
      panel.shade(session.spells);
      panel.extents(tick.t_s, tick.staleness_s, ageInk(session, panel.inks), { joined: 1 });
      panel.timeAxis();
      panel.pen.strokeStyle = panel.inks.ink;
      panel.pen.lineWidth = 2;
      panel.pen.strokeRect(panel.x(view.from), 1, Math.max(2, panel.x(view.to) - panel.x(view.from)), panel.height - AXIS - 1);
    },
  });
}
