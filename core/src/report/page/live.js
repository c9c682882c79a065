// The page of sessions that go on: the server sends what is new of each, and what is shown is drawn anew.

// Milliseconds between two drawings at least; and drawing takes at most a fifth of the time.
const LEAST_PAUSE = 400, PAUSES = 4;
// A session that goes on and says nothing for so many milliseconds is said to be quiet.
const QUIET = 10_000;

// Sessions by the server's numbers, in the order of their tabs: the rows so far and the newest head.
const known = new Map();
const live = { taking: Promise.resolve(), drawing: null, took: 0, held: false };

function startLive() {
  // What was looked at before a reload, until it is there again.
  live.fragment = location.hash;
  byId("knobs").before(element("p", {}, element("label", {}, element("input", { type: "checkbox", id: "together" }), " Turn several knobs at once; the engine answers")));
  remembered();
  const events = new EventSource("events");
  events.addEventListener("part", ({ data }) => {
    live.taking = live.taking.then(() => take(data)).catch(fail);
  });
  events.addEventListener("gone", ({ data }) => {
    live.taking = live.taking.then(() => forget(Number(data)));
  });
  events.addEventListener("open", () => {
    live.isLost = false;
    tellState();
  });
  events.addEventListener("error", () => {
    live.isLost = true;
    tellState();
  });
  byId("follow").addEventListener("change", drawSoon);
  byId("follow-span").addEventListener("change", () => {
    byId("follow").checked = true;
    drawSoon();
  });
  // Whoever drags, presses a button or marks a text would lose it to a new drawing.
  addEventListener("pointerdown", () => (live.held = true), true);
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, () => {
      live.held = false;
      drawSoon();
    }, true);
  }
  setInterval(tellState, 1000);
  document.addEventListener("selectionchange", drawSoon);
  document.addEventListener("visibilitychange", drawSoon);
}

async function take(base64) {
  const { head: part, bytes } = await opened(base64);
  const before = known.get(part.session) ?? { tables: {}, texts: [] };
  const added = readColumns(part.columns, bytes);
  const tables = { load: added.load };
  for (const [name, from] of Object.entries(part.from)) tables[name] = joined(before.tables[name], added[name], from);
  const texts = part.from.message ? [...before.texts, ...part.texts] : part.texts;
  const { kinds, texts_left_out, one_of, is_live } = part;
  const head = { ...part.head, kinds, texts, texts_left_out, one_of };
  // What goes on is not complete, although nothing is missing.
  head.analysis.complete &&= !is_live;
  live.cameAt = performance.now();
  const isNew = !known.has(part.session);
  known.set(part.session, { tables, texts, head, is_live, isStale: true });
  if (isNew) listSessions();
  tellState();
  drawSoon();
}

// The first rows of a table, and those that came to them.
function joined(before, added, from) {
  return Object.fromEntries(Object.entries(added).map(([name, values]) => {
    const all = new Float64Array(from + values.length);
    if (from) all.set(before[name].subarray(0, from));
    all.set(values, from);
    return [name, all];
  }));
}

function forget(number) {
  known.delete(number);
  sessions.length = 0;
  live.tab = undefined;
  listSessions();
  drawSoon();
}

// A tab each. Whoever follows sees the newest as soon as the one before is over.
function listSessions() {
  const numbers = [...known.keys()];
  numbers.forEach((number, tab) => (sessions[tab] ??= stand(number)));
  listTabs();
  document.querySelectorAll("#tabs button").forEach((button, tab) => {
    button.setAttribute("aria-selected", String(tab === shown?.number));
    button.addEventListener("click", () => choose(tab));
  });
  const isOver = shown && !known.get(live.number)?.is_live;
  if (live.tab === undefined) choose(Math.min(Number(new URLSearchParams(live.fragment.slice(1)).get("tab") ?? 0), numbers.length - 1));
  else if (isOver && byId("follow").checked) choose(numbers.length - 1);
}

function choose(tab) {
  live.tab = tab;
  live.number = [...known.keys()][tab];
  byId("save").hidden = live.number === undefined;
  byId("save").href = `save?session=${live.number}`;
  drawSoon();
}

// A session as the page draws it.
function stand(number) {
  const { tables, head } = known.get(number);
  const { message, slice, tick, load } = tables;
  const session = sessionOf(head, { message: { ...message }, slice: { ...slice }, tick: { ...tick }, load });
  session.turnTogether = (sliders) => byId("together").checked && turnTogether(session, sliders);
  return session;
}

// Asks the server what all knobs that are turned would have done together; the last question counts.
function turnTogether(session, sliders) {
  const turned = sliders.map((slider) => ({ knob: slider.knob, setting: slider.setting() })).filter(({ setting }) => setting);
  live.asked?.abort();
  live.asked = new AbortController();
  const { view } = shown;
  const tell = (setting) => {
    view.turn(setting);
    const label = turned.map(({ knob, setting }) => `${knob.name} ${setting.label}`).join(", ");
    compare(session, setting && { knob: { name: "" }, setting: { ...setting, label } });
  };
  if (!turned.length) {
    tell(null);
    return true;
  }
  const body = JSON.stringify(Object.fromEntries(turned.map(({ knob, setting }) => [knob.name, setting.value])));
  fetch(`scenario?session=${live.number}`, { method: "POST", body, signal: live.asked.signal })
    .then(async (answer) => (answer.ok ? answer.json() : { tier: "refused", refusal: await answer.text(), outcomes: [] }))
    .then((setting) => {
      setting.outcomes.step = session.tunnel.step_s;
      tell(setting);
    })
    .catch((error) => {
      if (error.name !== "AbortError") tell({ tier: "refused", refusal: "Nobody answers any more.", outcomes: [] });
    });
  return true;
}

// Draws as soon as nobody is disturbed and there was a pause.
function drawSoon() {
  if (live.drawing !== null) return;
  const pause = Math.max(LEAST_PAUSE, PAUSES * live.took) - (performance.now() - (live.drawn ?? -Infinity));
  live.drawing = setTimeout(() => {
    live.drawing = null;
    const isReading = document.getSelection()?.type === "Range";
    byId("live-state").title = isReading ? "Nothing is drawn while a text is marked." : "";
    if (live.held || document.hidden || isReading || !known.has(live.number)) return;
    const began = performance.now();
    redraw();
    live.drawn = performance.now();
    live.took = live.drawn - began;
  }, Math.max(0, pause));
}

function redraw() {
  const session = known.get(live.number);
  const isOther = live.shows !== live.number;
  if (session.isStale) sessions[live.tab] = stand(live.number);
  if (session.isStale || isOther) {
    const back = isOther ? () => {} : keep();
    const fragment = isOther ? live.fragment : shown.view.fragment(live.tab);
    byId("main").hidden = false;
    show(live.tab, fragment);
    back();
    byId("together").closest("p").hidden = !shown.session.tunnel?.knobs.length;
    shown.view.listen((what) => what === "range" && followsStill(shown.view));
  }
  session.isStale = false;
  live.shows = live.number;
  live.fragment = "";
  followNewest(shown.view);
  document.documentElement.dataset.ready = "yes";
}

// What a new drawing would take from a reader; the answer gives it back.
function keep() {
  const open = [...document.querySelectorAll("#panels details")].map((details) => details.open);
  const hidesMessages = byId("around").hidden;
  const active = document.activeElement;
  const home = active?.closest("[id]");
  const place = home && [...home.querySelectorAll(active.tagName)].indexOf(active);
  const top = scrollY;
  return () => {
    document.querySelectorAll("#panels details").forEach((details, at) => (details.open = open[at] ?? false));
    byId("around").hidden = hidesMessages;
    if (active && !active.isConnected) {
      byId(home.id)?.querySelectorAll(active.tagName)[place]?.focus({ preventScroll: true });
    }
    scrollTo({ top, behavior: "instant" });
  };
}

// Shows the newest part, unless somebody looks elsewhere.
function followNewest(view) {
  const [least, most] = view.whole;
  if (byId("follow").checked) {
    live.followed = [Math.max(least, most - Number(byId("follow-span").value)), most];
    view.show(...live.followed);
  }
  remembered(true);
}

// Whoever zooms or pans no longer follows.
function followsStill({ from, to }) {
  const [begin, end] = live.followed ?? [];
  if (Math.abs(from - begin) < 1e-6 && Math.abs(to - end) < 1e-6) return;
  byId("follow").checked = false;
  remembered(true);
}

// Whether somebody follows, and how much, outlives a reload where the browser lets it.
function remembered(isChanged = false) {
  const [follow, span] = [byId("follow"), byId("follow-span")];
  try {
    if (isChanged) sessionStorage.setItem("follow", JSON.stringify([follow.checked, span.value]));
    else [follow.checked, span.value] = JSON.parse(sessionStorage.getItem("follow")) ?? [true, "30"];
  } catch {
    // Then the page follows, as at first.
  }
}

function tellState() {
  const all = [...known.values()];
  const going = all.filter(({ is_live }) => is_live).length;
  const state = live.isLost ? "Nobody answers any more; what came before stays, and the page tries again"
    : !all.length ? "Waiting for a session"
    : !going ? "Over"
    : performance.now() - live.cameAt > QUIET ? "Live, but nothing has come for a while"
    : all.length > 1 ? `${going} of ${all.length} sessions live` : "Live";
  // What is said again would be read out again.
  if (byId("live-state").textContent !== state) byId("live-state").textContent = state;
  byId("live-state").className = going && !live.isLost ? "live" : "";
  const lags = all.some(({ head, is_live }) => is_live && head.analysis.verdict.lag);
  document.title = `${lags ? "LAG · " : ""}watch · lagtape`;
}

startLive();
