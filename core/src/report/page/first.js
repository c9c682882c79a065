// The first screen: the verdict, what was found, how sure that is, what to do.

// Findings that are listed before the rest is only counted.
const MOST_FINDINGS = 50;

function firstScreen(session, view) {
  const { analysis } = session;
  const [word, kind] = verdictOf(session);
  byId("name").textContent = plain(session.name);
  byId("badge").textContent = word;
  byId("badge").className = `badge ${kind}`;
  byId("opening").textContent = session.opening.replace(/^(LAG {2}|healthy: |no verdict: )/, "");
  byId("facts").textContent = factsOf(session).join(" · ");
  const named = causes(analysis.findings, view);
  byId("findings").replaceChildren(...named, ...spellsHeard(session, view, named.length));
  byId("sure").replaceChildren(...doubts(session).map((text) => element("p", {}, plain(text))));
  byId("next").replaceChildren(...session.next.map((command) => element("li", {}, element("code", {}, plain(command)))));
  byId("text").textContent = session.text;
  byId("copied").textContent = "";
  byId("copy").onclick = () => copy(session.text);
}

// The verdict in a word or two, and the class of its colour.
function verdictOf({ analysis: { verdict } }) {
  if (verdict.lag === true) return ["LAG", "lag"];
  return verdict.lag === false ? ["HEALTHY", "healthy"] : ["NO VERDICT", "unknown"];
}

// A way into the charts.
function wayTo(view, spell, words) {
  const onclick = () => {
    showSpell(view, spell);
    byId("panels").focus();
  };
  const times = `${moment(spell.from_s, 200)} – ${moment(spell.to_s, 200)} s`;
  return element("button", { type: "button", class: "spell", onclick }, `${times}: ${plain(words)}`);
}

// Named causes, each with its chain, what proves it and what helps.
function causes(findings, view) {
  return findings.slice(0, MOST_FINDINGS).map((finding) => {
    const { chain = [], proof } = finding;
    const lines = [
      `${finding.class}, ${figure(finding.confidence * 100)} % of what it should show was seen, ${seconds(finding.bad_s)} heard bad`,
      chain.map(({ what }) => what).join(" → "),
      proof && `Without it (${proof.without}) ${seconds(proof.left.s)} of ${seconds(proof.heard.s)} of bad audio would be left, in the middle of ${proof.runs} runs of the model.`,
      finding.mitigation,
    ].filter(Boolean);
    return element("li", {}, wayTo(view, finding, finding.sentence),
      ...lines.map((line) => element("p", { class: "help" }, plain(line))),
      finding.next ? element("code", {}, plain(finding.next)) : "");
  });
}

// What was heard, spell by spell; where causes are named, under them.
function spellsHeard(session, view, named) {
  const alarms = session.spells.filter((spell) => spell.alarm);
  if (!alarms.length) return named ? [] : [element("li", { class: "none" }, "No spell of lag.")];
  const items = alarms.slice(0, MOST_FINDINGS).map((spell) => element("li", {}, wayTo(view, spell, spell.words)));
  const more = alarms.length - items.length;
  return more > 0 ? [...items, element("li", { class: "none" }, `and ${more} more, which the charts show`)] : items;
}

function factsOf({ analysis, loops, to_s }) {
  const loop = loops.at(-1);
  const client = { headless: "headless client", foreign: "foreign client" }[analysis.session.client] ?? "unknown client";
  const from = analysis.session.begins_s > 0 ? `${analysis.session.begins_s.toFixed(1)} – ` : "";
  return [from + seconds(to_s), loop && `${seconds(loop.loop_s)} loop, ${(analysis.session.sample_rate ?? 0) / 1e3} kHz, ${["mono", "stereo"][loop.channels - 1] ?? `${loop.channels} channels`}`, client,
    analysis.damage ? "damaged" : analysis.complete ? "complete" : "incomplete",
    `${analysis.slices} slices, ${analysis.ticks} reports, ${analysis.swaps} swaps`, analysis.session.start_utc].filter(Boolean).map(plain);
}

function doubts(session) {
  const { analysis } = session;
  return [
    analysis.ending?.sentence && `Ending: ${analysis.ending.sentence}`,
    analysis.playhead?.why && `Playhead: ${analysis.playhead.why}`,
    analysis.damage && `Damage: ${analysis.damage.reason}`,
    !session.loops.length && "No stream began, so there is no loop to draw; the messages that there are stand below.",
    session.one_of > 1 && `So long a session is shown with the worst of every ${session.one_of} slices and reports.`,
    session.texts_left_out > 0 && `${session.texts_left_out} texts of messages are left out; lagtape cat shows them.`,
    ...analysis.warnings.map(({ count, message }) => (count > 1 ? `${count} × ${message}` : message)),
  ].filter(Boolean);
}
