// Puts a session on the page, and lets people at it.

const sessions = [];
let shown = null;

async function start(packed) {
  try {
    for (const base64 of packed) sessions.push(await unpack(base64));
    listTabs();
    const asked = Number(new URLSearchParams(location.hash.slice(1)).get("tab") ?? 0);
    byId("main").hidden = false;
    show(sessions[asked] ? asked : 0, location.hash);
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  const failure = byId("failure");
  failure.hidden = false;
  const why = typeof DecompressionStream === "undefined" ? "it needs a browser from 2023 or later" : error.message;
  failure.textContent = `This page cannot be shown: ${why}.`;
  throw error;
}

function listTabs() {
  byId("tabs").hidden = sessions.length < 2;
  byId("tabs").replaceChildren(...sessions.map((session, number) =>
    element("button", { type: "button", role: "tab", id: `tab-${number}`, title: plain(session.name), onclick: () => show(number, "") }, titleOf(session))));
}

// The name of a capture without its folder, unless another one has the same.
function titleOf({ name }) {
  const last = (path) => path.split(/[/\\]/).at(-1);
  const isOnly = sessions.filter((other) => last(other.name) === last(name)).length < 2;
  return plain(isOnly ? last(name) : name);
}

function show(number, fragment) {
  const session = sessions[number];
  const beside = besideOf(number, fragment);
  const other = sessions[beside ?? -1];
  const view = new View(wholeOf([session, other ?? session]), beside);
  shown?.over.abort();
  shown = { number, session, view, over: new AbortController() };
  document.querySelectorAll("#tabs button").forEach((tab, at) => tab.setAttribute("aria-selected", String(at === number)));
  firstScreen(session, view);
  byId("around").hidden = true;
  const overview = overviewPanel(session, view);
  const panels = panelsOf(session, view, other);
  byId("overview").replaceChildren(overview.box);
  const names = other ? [session, other].map(nameOfColumn) : [];
  byId("panels").classList.toggle("pair", Boolean(other));
  byId("panels").replaceChildren(...byId("panels").querySelectorAll(":scope > .cursor, :scope > .selection"), ...names, ...panels.map((panel) => panel.box));
  shown.panels = panels;
  showTunnel(session, view);
  const turned = turnedPanels(session, panels);
  showSounds(session, view);
  follow(view, panels, overview, session, turned);
  handle(view, panels, overview, session);
  overview.draw();
  drawAll(panels);
  turned.forEach((panel) => panel.draw());
  if (session.loops.length && session.to_s > 0) view.show(Math.max(view.whole[0], Math.min(0, session.to_s)), view.whole[1]);
  if (fragment) view.restore(fragment);
  document.dispatchEvent(new Event("shown"));
}

// Which capture stands beside one: what the fragment says, or else the other one of two.
function besideOf(number, fragment) {
  const asked = new URLSearchParams(fragment.slice(1)).get("beside");
  if (sessions.length < 2) return undefined;
  if (asked === null) return sessions.length === 2 && !sessions[number].turnTogether ? 1 - number : null;
  return asked !== "none" && sessions[asked] && Number(asked) !== number ? Number(asked) : null;
}

// The charts of a capture, each with that of another one beside or below it, on the same time axis: both
// count from their initial buffers.
function panelsOf(session, view, other) {
  const of = (one, ...curves) => [loopPanel(one, view), ...lanes(one, view, ...curves)].map((panel) => Object.assign(panel, { session: one }));
  const own = of(session);
  if (!other) return own;
  const others = of(other, () => []);
  return own.flatMap((panel, at) => [panel.compared(titleOf(session), others[at], false), others[at].compared(titleOf(other), panel, true)]);
}

// What stands above the charts of one of two captures: its name and what came of it.
function nameOfColumn(session) {
  const { verdict, leads } = session.analysis;
  const [word, kind] = verdictOf(session);
  const figures = [
    verdict.bad_s > 0 && `${seconds(verdict.bad_s)} bad`,
    leads.arrival && `lead p5 ${seconds(leads.arrival.p5)}`,
    session.analysis.heard && `oldest heard ${seconds(session.analysis.heard.oldest_s)}`,
  ].filter(Boolean);
  return element("p", { class: "column", title: plain(session.name) }, element("b", {}, titleOf(session)), " ",
    element("span", { class: `badge ${kind}` }, word), ` ${figures.join(" · ")}`);
}

// Which capture stands beside, to be chosen where there are several.
function chooseBeside(number, view, on) {
  byId("beside-label").hidden = sessions.length < 2;
  const options = sessions.map((session, at) => element("option", { value: at, hidden: at === number }, titleOf(session)));
  byId("beside").replaceChildren(element("option", { value: "" }, "nothing"), ...options);
  byId("beside").value = view.beside ?? "";
  on(byId("beside"), "change", ({ target }) => {
    view.beside = target.value === "" ? null : Number(target.value);
    show(number, view.fragment(number));
  });
}

// The time that there is to see, which is never nothing.
function wholeOf(sessions) {
  const from_s = Math.min(...sessions.map((session) => session.from_s));
  const to_s = Math.max(...sessions.map((session) => session.to_s));
  const apart = to_s - from_s;
  return apart > View.LEAST ? [from_s, to_s] : [from_s - 0.5, to_s + 0.5];
}

// Draws all charts; where one of two that are compared needs more room for its values, both have it.
function drawAll(panels) {
  for (const panel of panels) panel.draw();
  for (const panel of panels) if (panel.isOutgrown) panel.draw();
}

// Redraws what a change of the view concerns, once a frame.
function follow(view, panels, overview, session, turned) {
  const due = new Set();
  view.listen((what) => {
    if (!due.size) {
      requestAnimationFrame(() => {
        if (shown.view !== view) return;
        const all = ["range", "colour", "setting", "size"].some((reason) => due.has(reason));
        if (all) drawAll([...panels, ...turned]);
        if (due.has("range") || due.has("size")) overview.draw();
        due.clear();
        overlays(view, panels);
        byId("readout").textContent = readout(view.pointed ?? session, view);
        byId("colour").value = view.colour;
        remember(view);
      });
    }
    due.add(what);
  });
}

function overlays(view, panels) {
  const [own, other] = panels;
  const isPair = view.beside !== undefined && view.beside !== null && other.box.offsetLeft > own.box.offsetLeft;
  const place = (box, panel, stretch) => {
    const [from, to] = stretch ?? [Infinity, -Infinity];
    const [left, right] = [from, to].map((t) => Math.min(Math.max(panel.x(t), LEFT), panel.width - RIGHT));
    box.hidden = to < view.from || from > view.to;
    box.style.left = `${panel.box.offsetLeft + left}px`;
    if (box.className === "selection") box.style.width = `${Math.max(1, right - left)}px`;
  };
  const cursor = view.cursor === null ? null : [view.cursor, view.cursor];
  place(byId("cursor"), own, cursor);
  place(byId("selection"), own, view.selection);
  place(byId("cursor-beside"), other, isPair ? cursor : null);
  place(byId("selection-beside"), other, isPair ? view.selection : null);
}

// Browsers let a page change its address only so often.
function remember(view) {
  clearTimeout(remember.later);
  remember.later = setTimeout(() => {
    try {
      history.replaceState(null, "", view.fragment(shown.number));
    } catch {
      // A page inside another one may have no address of its own.
    }
  }, 250);
}

function handle(view, panels, overview, session) {
  const { signal } = shown.over;
  const on = (target, event, handler, options = {}) => target.addEventListener(event, handler, { signal, ...options });
  const spells = session.spells.filter((spell) => spell.alarm);
  const area = byId("panels");
  let began = null;
  // A drag counts in the chart that it began in.
  const panelAt = (event) => began?.panel ?? panels.find(({ canvas }) => canvas === event.target) ?? panels[0];
  const timeAt = (event) => panelAt(event).time(event.clientX - panelAt(event).canvas.getBoundingClientRect().left);
  const actions = {
    all: () => view.showAll(),
    in: () => view.zoom(0.5, view.cursor ?? undefined),
    out: () => view.zoom(2, view.cursor ?? undefined),
    left: () => view.pan(-0.2),
    right: () => view.pan(0.2),
    selection: () => view.selection && view.show(...view.selection),
    next: () => goTo(spells.find(({ from_s }) => from_s > middle(view) + 1e-6)),
    previous: () => goTo(spells.findLast(({ to_s }) => to_s < middle(view) - 1e-6)),
  };
  const goTo = (spell) => spell && showSpell(view, spell);
  document.querySelectorAll("#tools [data-do]").forEach((button) => on(button, "click", actions[button.dataset.do]));
  on(byId("colour"), "change", (event) => view.paint(event.target.value));
  chooseBeside(shown.number, view, on);

  const isChart = (event) => event.target.tagName === "CANVAS";
  on(area, "pointerdown", (event) => {
    if (event.button === 0 && isChart(event)) began = { t: timeAt(event), x: event.clientX, panel: panelAt(event) };
  });
  on(area, "pointermove", (event) => {
    if (!isChart(event) && !began) return;
    const t = timeAt(event);
    if (began && Math.abs(event.clientX - began.x) > 4) {
      began.dragged = true;
      view.select(began.t, t);
    }
    view.point(Math.min(Math.max(t, view.from), view.to), panelAt(event).session);
  });
  on(window, "pointerup", (event) => {
    if (began && !began.dragged) {
      view.point(began.t);
      showAround(began.panel.session, view, began.t);
      seekSounds(began.t);
    } else if (began) {
      view.point(null);
    }
    began = null;
  });
  on(area, "pointerleave", () => !began && view.point(null));
  on(area, "dblclick", (event) => isChart(event) && (view.selection ? actions.selection() : actions.all()));
  on(area, "wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    if (event.shiftKey) view.pan(Math.sign(event.deltaY || event.deltaX) * 0.1);
    else view.zoom(1.2 ** Math.sign(event.deltaY), timeAt(event));
  }, { passive: false });
  on(area, "keydown", (event) => {
    if (event.target === area && key(event, view, session, actions)) event.preventDefault();
  });
  brush(overview, view, on);
  const redraw = () => {
    drawAll(panels);
    overview.draw();
    overlays(view, panels);
  };
  const resized = new ResizeObserver(() => view.changed("size"));
  resized.observe(area);
  signal.addEventListener("abort", () => resized.disconnect());
  on(matchMedia("(prefers-color-scheme: dark)"), "change", redraw);
  on(window, "beforeprint", redraw);
  on(window, "afterprint", redraw);
  on(window, "hashchange", () => view.restore(location.hash));
}

const middle = (view) => (view.from + view.to) / 2;

function showSpell(view, { from_s, to_s }) {
  seekSounds(from_s);
  const margin = Math.max(0.5, (to_s - from_s) * 0.4);
  view.show(from_s - margin, to_s + margin);
  view.select(from_s, to_s);
}

function key(event, view, session, actions) {
  const { message } = session;
  const step = (by) => {
    const times = message.order ? (messageAt(session, 0), message.inOrder) : message.t_s;
    const at = view.cursor === null ? firstAt(times, middle(view)) : nearest(times, view.cursor) + by;
    const t = times[Math.min(Math.max(at, 0), times.length - 1)];
    if (t < view.from || t > view.to) view.show(t - view.span / 2, t + view.span / 2);
    view.point(t);
    if (!byId("around").hidden) showAround(session, view, t);
  };
  const keys = {
    ArrowLeft: () => (event.shiftKey ? step(-1) : actions.left()),
    ArrowRight: () => (event.shiftKey ? step(1) : actions.right()),
    "+": actions.in, "=": actions.in, "-": actions.out, "0": actions.all, Home: actions.all,
    n: actions.next, p: actions.previous,
    c: () => view.paint(view.colour === "lead" ? "age" : "lead"),
    Enter: () => (view.selection && view.cursor === null ? actions.selection() : showAround(session, view, view.cursor ?? middle(view))),
    Escape: () => {
      view.select(null);
      view.point(null);
    },
  };
  if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return false;
  keys[event.key]();
  return true;
}

// Dragging in the strip of the whole session chooses what is seen.
function brush(overview, view, on) {
  let from = null;
  const timeAt = (event) => overview.time(event.clientX - overview.canvas.getBoundingClientRect().left);
  on(overview.canvas, "pointerdown", (event) => {
    from = timeAt(event);
    overview.canvas.setPointerCapture(event.pointerId);
  });
  on(overview.canvas, "pointermove", (event) => {
    const to = timeAt(event);
    if (from !== null && Math.abs(to - from) > view.span * 1e-3) view.show(Math.min(from, to), Math.max(from, to));
  });
  on(overview.canvas, "pointerup", (event) => {
    const to = timeAt(event);
    // A click moves what is seen there.
    if (Math.abs(overview.x(to) - overview.x(from)) < 3) view.show(to - view.span / 2, to + view.span / 2);
    from = null;
  });
}

async function copy(text) {
  const block = `\`\`\`\n${text.trimEnd()}\n\`\`\`\n`;
  try {
    await navigator.clipboard.writeText(block);
  } catch {
    // A page from disk may have no clipboard of that kind.
    const area = element("textarea");
    area.value = block;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  byId("copied").textContent = "copied";
}

// Players, and the cursor that follows them. What is heard begins where the records do, and all times count
// from the initial buffer.
function showSounds(session, view) {
  byId("sound").hidden = !session.sounds.length && !session.missing.length;
  byId("missing").replaceChildren(...session.missing.map((why) => element("p", {}, `There is no sound of ${plain(why)}.`)));
  shown.players = session.sounds.map(({ label, is_heard, from_s, wav }) => {
    const player = element("audio", { controls: true, "aria-label": plain(label) });
    player.src = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
    if (is_heard) player.addEventListener("timeupdate", () => !player.paused && view.point(from_s + player.currentTime));
    return { player, is_heard, from_s, label };
  });
  byId("players").replaceChildren(...shown.players.map(({ player, label }) => element("p", {}, `${plain(label)} `, player)));
  const heard = shown.players.filter(({ is_heard }) => is_heard);
  if (heard.length > 1) byId("players").append(element("button", { type: "button", id: "switch", onclick: () => switchSounds(heard) }, "Switch between the two"));
  const alarms = session.spells.filter(({ alarm, bad_s }) => alarm && bad_s > 0).slice(0, heard.length ? MOST_FINDINGS : 0);
  const hear = alarms.map((spell) => element("button", { type: "button", onclick: () => {
    showSpell(view, spell);
    heard[0].player.play();
  } }, `Hear ${moment(spell.from_s, 200)} – ${moment(spell.to_s, 200)} s`));
  if (hear.length) byId("players").append(element("p", {}, "Bad: ", ...hear));
}

// What was heard and what would have been, from the same moment on: the one that plays falls silent.
function switchSounds(heard) {
  const [from, to] = heard[0].player.paused ? [heard[1], heard[0]] : heard;
  to.player.currentTime = Math.max(0, from.from_s + from.player.currentTime - to.from_s);
  from.player.pause();
  to.player.play();
}

function seekSounds(t) {
  for (const { player, is_heard, from_s } of shown.players ?? []) {
    if (is_heard && player.readyState > 0) player.currentTime = Math.max(0, t - from_s);
  }
}
