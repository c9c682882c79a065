// What of a session is seen: a stretch of time, a cursor, a selection. Everything that draws listens here,
// and the fragment of the address says the same, so that a link shows the same spot.

class View {
  // `beside` is the number of the capture whose charts stand beside those of the one that is shown, null
  // for none, and undefined where there is no other.
  constructor(whole, beside) {
    this.whole = whole;
    this.beside = beside;
    [this.from, this.to] = whole;
    this.cursor = null;
    // The session that the cursor is in, where two are compared.
    this.pointed = null;
    this.selection = null;
    this.colour = "lead";
    this.setting = null;
    this.listeners = [];
  }

  get span() {
    return this.to - this.from;
  }

  // Shortest stretch that is shown, in seconds.
  static LEAST = 0.005;

  listen(listener) {
    this.listeners.push(listener);
  }

  // What changed: "range", "cursor", "selection", "colour", "setting".
  changed(what) {
    for (const listener of this.listeners) listener(what);
  }

  show(from, to) {
    const [least, most] = this.whole;
    const span = Math.min(Math.max(to - from, View.LEAST), most - least);
    if (!Number.isFinite(span + from)) return;
    this.from = Math.min(Math.max(from, least), most - span);
    this.to = this.from + span;
    this.changed("range");
  }

  showAll() {
    this.show(...this.whole);
  }

  // Zooms by a factor around a time; the middle unless one is given.
  zoom(factor, around = (this.from + this.to) / 2) {
    this.show(around - (around - this.from) * factor, around + (this.to - around) * factor);
  }

  pan(share) {
    const step = this.span * share;
    this.show(this.from + step, this.to + step);
  }

  point(t, session = this.pointed) {
    this.cursor = t;
    this.pointed = session;
    this.changed("cursor");
  }

  select(from, to) {
    this.selection = from === null ? null : [Math.min(from, to), Math.max(from, to)];
    this.changed("selection");
  }

  paint(colour) {
    this.colour = colour === "age" ? "age" : "lead";
    this.changed("colour");
  }

  turn(setting) {
    this.setting = setting;
    this.changed("setting");
  }

  fragment(tab) {
    const parts = { tab, from: this.from.toFixed(4), to: this.to.toFixed(4), by: this.colour };
    if (this.cursor !== null) parts.at = this.cursor.toFixed(4);
    if (this.beside !== undefined) parts.beside = this.beside ?? "none";
    if (this.selection) parts.selected = this.selection.map((t) => t.toFixed(4)).join("~");
    return `#${Object.entries(parts).map(([key, value]) => `${key}=${value}`).join("&")}`;
  }

  restore(fragment) {
    const parts = new URLSearchParams(fragment.slice(1));
    const number = (key) => (parts.has(key) ? Number(parts.get(key)) : NaN);
    this.paint(parts.get("by"));
    const selected = (parts.get("selected") ?? "").split("~").map(Number);
    if (selected.length === 2 && selected.every(Number.isFinite)) this.select(...selected);
    if (Number.isFinite(number("from") + number("to"))) this.show(number("from"), number("to"));
    if (Number.isFinite(number("at"))) this.point(number("at"));
  }
}
