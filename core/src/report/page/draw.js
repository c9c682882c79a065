// A panel: a heading, a canvas over the common time axis, and a table that says the same.

const LEFT = 58, RIGHT = 8, AXIS = 16;

function inks() {
  const style = getComputedStyle(document.documentElement);
  const ink = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "ink", "faint", "grid", "ahead", "behind", "second", "stale", "shade", "shade-edge", "line", "halo"];
  return Object.fromEntries(names.map((name) => [name, ink(name)]));
}

class Panel {
  // `paint(panel)` draws within the frame; `rows(from, to)` gives the table's header and rows.
  constructor(view, definition) {
    const { id, title, help, height, paint, rows } = definition;
    Object.assign(this, { view, definition, height, paint, rows });
    this.canvas = element("canvas", { id: `chart-${id}`, role: "img", "aria-label": `${title}: ${help}` });
    this.box = element("div", { class: "panel" },
      element("h3", {}, `${title} `, element("span", {}, help)), this.canvas);
    if (rows) {
      this.table = element("table");
      this.details = element("details", { ontoggle: () => this.tabulate() },
        element("summary", {}, "as a table"), element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}, as a table` }, this.table));
      this.box.append(this.details);
    }
  }

  // The same chart once more, at another place and without its table.
  again(suffix) {
    const { id, help } = this.definition;
    const [what] = help.split(".");
    return new Panel(this.view, { ...this.definition, id: `${id}-${suffix}`, help: what, rows: null });
  }

  // The chart of one of two captures that are compared, with its name: its twin has the same scale.
  compared(name, twin, isOther) {
    this.twin = twin;
    this.canvas.setAttribute("aria-label", `${name}: ${this.canvas.getAttribute("aria-label")}`);
    this.box.querySelector("h3").prepend(element("b", {}, `${name}: `));
    if (isOther) {
      this.canvas.id += "-beside";
      this.box.classList.add("other");
    }
    return this;
  }

  // Pixels between the frame's sides.
  get plotWidth() {
    return Math.max(1, this.width - LEFT - RIGHT);
  }

  x(t) {
    return LEFT + ((t - this.view.from) / this.view.span) * this.plotWidth;
  }

  time(x) {
    return this.view.from + ((x - LEFT) / this.plotWidth) * this.view.span;
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth || this.box.clientWidth || 600;
    this.canvas.style.height = `${this.height}px`;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(ratio, ratio);
    this.pen.font = "11px system-ui, sans-serif";
    this.inks = inks();
    this.paint(this);
    this.tabulate();
  }

  tabulate() {
    if (!this.details?.open) return;
    const [header, ...rows] = this.rows(this.view.from, this.view.to);
    this.table.replaceChildren(
      element("thead", {}, element("tr", {}, ...header.map((cell) => element("th", { scope: "col" }, cell)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))));
  }

  // The scale of values from `low` to `high`, with lines at round ones.
  scale(low, high, { log = false, unit = "", write = (value) => `${tidy(value)}${unit}` } = {}) {
    [low, high] = this.withTwin(low, high);
    const top = 4, bottom = this.height - AXIS;
    const of = log ? (value) => Math.log10(Math.max(value, low)) : (value) => value;
    const [from, to] = [of(low), of(high)];
    this.y = (value) => bottom - ((of(value) - from) / (to - from || 1)) * (bottom - top);
    const { pen, inks: ink } = this;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.lineWidth = 1;
    for (const value of log ? decades(low, high) : rounded(low, high, Math.max(3, (bottom - top) / 28))) {
      const y = Math.round(this.y(value)) + 0.5;
      this.line(LEFT, y, this.width - RIGHT, y, ink.grid);
      pen.fillStyle = ink.faint;
      pen.fillText(write(value), LEFT - 5, Math.min(Math.max(y, 6), this.height - AXIS));
    }
  }

  // A range of values together with that of the twin. The twin is outgrown if it was drawn with another one.
  withTwin(low, high) {
    const { twin } = this;
    this.wanted = [low, high];
    this.isOutgrown = false;
    if (!twin?.wanted) return (this.used = this.wanted);
    this.used = [Math.min(low, twin.wanted[0]), Math.max(high, twin.wanted[1])];
    twin.isOutgrown = twin.used.some((value, at) => value !== this.used[at]);
    return this.used;
  }

  timeAxis() {
    const { pen, inks: ink, view } = this;
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    const marks = rounded(view.from, view.to, this.plotWidth / 90);
    for (const t of marks) {
      const x = Math.round(this.x(t)) + 0.5;
      this.line(x, this.height - AXIS, x, this.height - AXIS + 4, ink.faint);
      pen.fillStyle = ink.faint;
      pen.fillText(`${tidy(t)} s`, Math.min(Math.max(x, LEFT + 12), this.width - 24), this.height - 3);
    }
    this.line(LEFT, this.height - AXIS + 0.5, this.width - RIGHT, this.height - AXIS + 0.5, ink.faint);
  }

  line(x0, y0, x1, y1, ink, width = 1, dash = []) {
    const { pen } = this;
    pen.strokeStyle = ink;
    pen.lineWidth = width;
    pen.setLineDash(dash);
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
    pen.setLineDash([]);
  }

  // A value all along, with its name.
  level(value, name, ink, dash = [5, 3]) {
    const y = this.y(value);
    this.line(LEFT, y, this.width - RIGHT, y, ink, 1.2, dash);
    this.pen.fillStyle = ink;
    this.pen.textAlign = "right";
    this.pen.textBaseline = y < 14 ? "top" : "bottom";
    this.pen.fillText(name, this.width - RIGHT - 3, y < 14 ? y + 2 : y - 1);
  }

  // Spells of lag, shaded and hatched, so that they print without colour too; over a picture only framed.
  shade(spells, { framed = false } = {}) {
    const bottom = this.height - AXIS;
    for (const { from_s, to_s, alarm } of spells) {
      if (!alarm || to_s < this.view.from || from_s > this.view.to) continue;
      const x = Math.max(this.x(from_s), LEFT);
      const width = Math.max(Math.min(this.x(to_s), this.width - RIGHT) - x, 2);
      this.pen.fillStyle = this.inks["shade-edge"];
      this.pen.fillRect(x, 0, width, 3);
      if (framed) {
        for (const side of [x, x + width]) this.line(side, 0, side, bottom, this.inks.behind, 1.5, [6, 4]);
        continue;
      }
      this.pen.fillStyle = this.inks.shade;
      this.pen.fillRect(x, 0, width, bottom);
      this.hatch(x, 0, width, bottom, this.inks["shade-edge"], 9);
    }
  }

  hatch(x, y, width, height, ink, apart = 6) {
    const { pen } = this;
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width, height);
    pen.clip();
    pen.strokeStyle = ink;
    pen.lineWidth = 0.5;
    pen.beginPath();
    for (let at = x - height; at < x + width; at += apart) {
      pen.moveTo(at, y + height);
      pen.lineTo(at + height, y);
    }
    pen.stroke();
    pen.restore();
  }

  // Lowest and highest value of each pixel column, so that the worst is never lost: a bar from one to the
  // other, and a line from column to column where they are at most `joined` seconds apart. `inkOf` takes
  // both values and the last row of a column.
  extents(times, values, inkOf, { joined = 0, least = 1.5 } = {}) {
    const { pen } = this;
    const columns = extentsOf(times, values, this.view, this.plotWidth);
    // Few points are drawn larger.
    const wide = columns.length * 6 < this.plotWidth ? 3 : 1.5;
    const apart = Math.max(1, (joined / this.view.span) * this.plotWidth);
    // One path for each ink: many small strokes cost far more than a long one.
    const paths = new Map();
    let before = null;
    for (const { column, low, high, first, last } of columns) {
      const x = LEFT + column;
      const [top, bottom] = [this.y(high), this.y(low)];
      const ink = inkOf(low, high, last);
      if (!paths.has(ink)) paths.set(ink, { bars: new Path2D(), lines: new Path2D() });
      const { bars, lines } = paths.get(ink);
      bars.rect(x - wide / 2, top - (least + wide - 1.5) / 2, wide, Math.max(bottom - top, 0) + least + wide - 1.5);
      if (joined && before && column - before.column <= apart) {
        lines.moveTo(LEFT + before.column, this.y(values[before.last]));
        lines.lineTo(x, this.y(values[first]));
      }
      before = { column, last };
    }
    pen.save();
    pen.beginPath();
    pen.rect(LEFT - 1, 0, this.plotWidth + 2, this.height - AXIS + 1);
    pen.clip();
    pen.lineWidth = 1;
    for (const [ink, { bars, lines }] of paths) {
      pen.fillStyle = pen.strokeStyle = ink;
      pen.stroke(lines);
      pen.fill(bars);
    }
    pen.restore();
  }
}

// For each pixel column with a value: lowest and highest value, first and last row.
function extentsOf(times, values, view, width) {
  const columns = [];
  const until = firstAt(times, view.to + view.span / width);
  let current = null;
  for (let row = firstAt(times, view.from); row < until; row++) {
    const value = values[row];
    if (!Number.isFinite(value)) continue;
    const column = Math.floor(((times[row] - view.from) / view.span) * width);
    if (current?.column === column) {
      if (value < current.low) current.low = value;
      if (value > current.high) current.high = value;
      current.last = row;
    } else columns.push((current = { column, low: value, high: value, first: row, last: row }));
  }
  return columns;
}

// Lowest and highest of the values in a stretch of time.
function reach(times, values, from, to) {
  let [low, high] = [Infinity, -Infinity];
  const until = firstAt(times, to);
  for (let row = firstAt(times, from); row < until; row++) {
    if (values[row] < low) low = values[row];
    if (values[row] > high) high = values[row];
  }
  return [low, high];
}

// Round values from low to high, about as many as asked for.
function rounded(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= rough);
  const values = [];
  for (let at = Math.ceil(low / step); at * step <= high && values.length < 200; at++) values.push(at * step);
  return values;
}

function decades(low, high) {
  const values = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high; power++) values.push(10 ** power);
  return values;
}

const tidy = (value) => sign(String(Number(value.toPrecision(6))));
