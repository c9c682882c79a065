// The wind tunnel: a knob at a time, each of its settings computed beforehand.

function showTunnel(session, view) {
  const { tunnel } = session;
  byId("tunnel").hidden = !tunnel;
  if (!tunnel) return;
  const rest = tunnel.knobs.length ? "Only the listener can be changed" : "There is nothing to turn";
  const one = tunnel.knobs.length ? "One knob at a time, everything else as recorded. " : "";
  byId("tunnel-model").textContent = tunnel.why_not
    ? `${rest}: ${tunnel.why_not}.`
    : `${one}${tunnel.model ? `The model ${tunnel.model}.` : ""} `
      + `The line in the charts is the likeliest of ${tunnel.runs} run${tunnel.runs === 1 ? "" : "s"}, the band all of them.`;
  const sliders = tunnel.knobs.map((knob) => sliderOf(session, view, knob));
  byId("knobs").replaceChildren(...sliders.map(({ box }) => box));
  const given = givenButton(tunnel.given);
  const turn = (knob, setting) => {
    if (setting?.outcomes) setting.outcomes.step = tunnel.step_s;
    given.press(setting !== null && setting === tunnel.given);
    view.turn(setting);
    compare(session, setting && { knob, setting });
  };
  const restAll = () => sliders.forEach((slider) => slider.rest());
  const reset = () => {
    restAll();
    turn(null, null);
  };
  given.onclick(() => {
    restAll();
    turn({ name: "scenario" }, tunnel.given);
  });
  byId("tunnel-reset").onclick = reset;
  byId("tunnel-reset").hidden = !sliders.length && !tunnel.given;
  for (const slider of sliders) {
    slider.input.addEventListener("input", () => {
      if (session.turnTogether?.(sliders)) return;
      sliders.filter((other) => other !== slider).forEach((other) => other.rest());
      turn(slider.knob, slider.setting());
    });
  }
  if (tunnel.given) turn({ name: "scenario" }, tunnel.given);
  else compare(session, null);
}

// What a slider changes is drawn beside it once more.
function turnedPanels({ tunnel }, panels) {
  const isTurned = (panel) => !panel.box.classList.contains("other") && ["lead", "age"].includes(panel.definition.id);
  const turned = tunnel?.knobs.length || tunnel?.given ? panels.filter(isTurned).map((panel) => panel.again("turned")) : [];
  byId("tunnel-charts").replaceChildren(...turned.map(({ box }) => box));
  return turned;
}

// The button of the scenario that was given, if there is one.
function givenButton(setting) {
  const place = byId("tunnel-given");
  place.hidden = !setting;
  if (!setting) return { press() {}, onclick() {} };
  const button = element("button", { type: "button", "aria-pressed": "false" }, `With ${plain(setting.label)}`);
  place.replaceChildren(button);
  return {
    press: (isPressed) => button.setAttribute("aria-pressed", String(isPressed)),
    onclick: (handler) => button.addEventListener("click", handler),
  };
}

// A slider with a place for what was recorded, between the settings where it belongs.
function sliderOf(session, view, knob) {
  const recorded = { value: knob.recorded, label: "as recorded", recorded: true };
  const places = [...knob.settings.filter(({ value }) => value !== knob.recorded), recorded].sort((a, b) => a.value - b.value);
  const home = places.indexOf(recorded);
  const id = `knob-${knob.name}`;
  const input = element("input", { type: "range", id, min: 0, max: places.length - 1, step: 1, value: home });
  const shown = element("output", { for: id });
  const tell = () => {
    const place = places[input.value];
    shown.textContent = place.recorded ? `as recorded${knob.recorded_label ? `, ${knob.recorded_label}` : ""}` : place.label;
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", tell);
  tell();
  const box = element("div", {}, element("label", { for: id }, `${knob.name}: `, shown),
    input, element("p", { class: "help" }, knob.help));
  const rest = () => {
    input.value = home;
    tell();
  };
  return { knob, box, input, rest, setting: () => (places[input.value].recorded ? null : places[input.value]) };
}

const TIERS = {
  exact: "exact: what a live client would have got",
  horizon: "exact until the server would have learned of it; after that the recorded slices",
  model: "the model's answer",
  refused: "no answer",
};

// What was recorded beside what would have been.
function compare(session, turned) {
  const lag = session.analysis.lag;
  const was = {
    lag: session.analysis.verdict.lag, bad_s: session.analysis.verdict.bad_s,
    lead_p5_s: session.analysis.leads.arrival?.p5, lead_p50_s: session.analysis.leads.arrival?.p50,
    staleness_p95_s: lag?.ticks.staleness_s?.p95, staleness_max_s: lag?.ticks.staleness_s?.max,
    stale_ticks: lag?.ticks.stale_ticks,
  };
  const outcomes = turned?.setting.outcomes ?? [];
  const word = (lags) => (lags === null || lags === undefined ? "no verdict" : lags ? "LAG" : "healthy");
  const rows = [
    ["verdict", "lag", word], ["bad audio", "bad_s", seconds], ["lead p5", "lead_p5_s", seconds], ["lead p50", "lead_p50_s", seconds],
    ["age p95", "staleness_p95_s", seconds], ["age at most", "staleness_max_s", seconds], ["stale reports", "stale_ticks", String],
  ].map(([name, key, write]) => element("tr", {}, element("th", { scope: "row" }, name),
    element("td", {}, write(was[key])), ...outcomes.map((outcome) => element("td", {}, write(outcome[key])))));
  const share = (outcome) => (outcomes.length > 1 ? `in ${figure(outcome.share * 100)} %` : "would have been");
  const head = element("tr", {}, element("td"), element("th", { scope: "col" }, "recorded"),
    ...outcomes.map((outcome) => element("th", { scope: "col" }, share(outcome))));
  const says = !turned ? "Nothing is changed."
    : `${turned.knob.name} ${plain(turned.setting.label)}`.trim() + `: ${TIERS[turned.setting.tier] ?? turned.setting.tier}${turned.setting.refusal ? `. ${turned.setting.refusal}` : ""}`;
  byId("tunnel-result").replaceChildren(element("caption", {}, says), element("thead", {}, head), element("tbody", {}, ...rows));
}
