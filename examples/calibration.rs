//! Prints the calibration tables of docs/WHATIF.md: how often the intervals of the closed-loop model hold
//! what came, and how often outcomes come as often as their shares say. The sessions are those of
//! tests/it/what_if_oracle, whose constants the model is not told, and questions are drawn for each.
//! `cargo run --release --example calibration -- 20 scored` asks of 20 odd seeds with each client; `mended`
//! takes even ones, by which the model may be mended, and says how far the rest lies outside. Pairs of the
//! real server come from the folder that `LAGTAPE_GOLDEN` names, where it is set: each recording of one
//! arm beside each of the other.

#[expect(dead_code, reason = "the rows of the oracle are printed by another example")]
#[path = "../tests/it/what_if_oracle/sessions.rs"]
mod sessions;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

use lagtape::capture::{Records, import_session_log};
use lagtape::lag::{Figures, LagReport, ReportArgs};
use lagtape::peer::client::Dialect;
use lagtape::peer::link::LinkOptions;
use lagtape::peer::rng::{Rng, Stream};
use lagtape::scenario::answer::{AskOptions, RecordingBuilder};
use lagtape::scenario::knobs::PolicyChange;
use lagtape::scenario::model::{Change, DEFAULT_MEMBERS, ModelOutcome, Spread};
use lagtape::scenario::open_loop::Scratch;
use lagtape::scenario::{Scenario, parse};
use lagtape::time::{Nanos, Span};
use serde_json::Value;
use sessions::{Hidden, read};

/// What is asked of simulated sessions, and of which.
const KINDS: [&str; 9] = [
    "seek",
    "pause",
    "rate",
    "lead floor",
    "link thinner, from a moment on",
    "link wider, thin from a moment on",
    "link wider, thin from the beginning",
    "seek, thin from a moment on",
    "seek and link wider, thin from a moment on",
];
const PAIRS: &str = "pairs of the real server";
const FIGURES: [&str; 7] = [
    "lead min",
    "lead p5",
    "lead p50",
    "lead p95",
    "staleness p95",
    "stale ticks",
    "slices behind",
];

/// A question, for the model and for the simulator.
struct Asked {
    hidden: Hidden,
    /// The other session, where the link itself is another one.
    other: Hidden,
    ops: Vec<String>,
    floor_s: Option<f64>,
    /// From when on, in seconds from the initial buffer, how many bytes a second.
    down: Option<(f64, f64)>,
}

/// A figure of an outcome beside what came.
struct Held {
    kind: &'static str,
    figure: &'static str,
    /// By how much it lies outside of the interval; negative inside.
    outside: f64,
}

/// What was judged.
#[derive(Default)]
struct Judged {
    held: Vec<Held>,
    /// The share of each outcome, and whether it came.
    shares: Vec<(f64, bool)>,
    refused: BTreeMap<(&'static str, String), usize>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.first().and_then(|count| count.parse().ok()).unwrap_or(20);
    let scored = arguments.get(1).is_none_or(|which| which == "scored");
    let mut judged = Judged::default();
    for seed in (0..count).map(|seed| 2 * seed + u64::from(scored)) {
        for dialect in [Dialect::Modern, Dialect::Legacy] {
            for (number, kind) in KINDS.into_iter().enumerate() {
                match ask(seed, dialect, number) {
                    Ok((outcomes, came)) => judged.judge(kind, &outcomes, &came),
                    Err(why) => *judged.refused.entry((kind, why)).or_default() += 1,
                }
            }
        }
    }
    ask_pairs(&mut judged);
    judged.print_held();
    judged.print_shares();
    for ((kind, why), count) in &judged.refused {
        println!("refused, {kind}: {count} × {why}");
    }
    if !scored {
        judged.print_outside();
    }
}

/// The outcomes of a question, and what came.
fn ask(seed: u64, dialect: Dialect, kind: usize) -> Result<(Vec<ModelOutcome>, LagReport), String> {
    let Asked { hidden, other, ops, floor_s, down } = asked(seed, dialect, kind);
    let factual = hidden.run(&Change::default(), Nanos(0));
    let (trace, _) = read(&factual.capture);
    let mut scenario = floor(floor_s);
    for op in &ops {
        parse::add_op(&mut scenario, op).unwrap();
    }
    if let Some((at_s, bytes_per_s)) = down {
        // Where the link is thin from a moment of its own on, the other one is from then on as well.
        let at_s = (hidden.changes_at_s() - trace.origin.seconds()).max(at_s);
        parse::add_op(&mut scenario, &format!("{at_s}s:down={bytes_per_s}B/s")).unwrap();
    }
    let outcomes = asked_of(&factual.capture, &scenario)?;
    let thinner = down.filter(|(at_s, _)| *at_s > 0.0).map(|(at_s, bytes_per_s)| {
        let link = LinkOptions { bytes_per_s: Some(bytes_per_s), ..LinkOptions::default() };
        (Span((at_s * 1e9) as u64), link)
    });
    let scripted: Vec<_> = ops.iter().map(|op| op.parse().unwrap()).collect();
    let change = Change {
        ops: (!scripted.is_empty()).then_some(scripted),
        policy: PolicyChange::of(&floor(floor_s).conditions),
        down: thinner.into_iter().collect(),
        ..Change::default()
    };
    Ok((outcomes, other.run(&change, trace.origin).report()))
}

fn floor(floor_s: Option<f64>) -> Scenario {
    let mut scenario = Scenario::default();
    if let Some(floor_s) = floor_s {
        parse::assign(&mut scenario, "lead-floor", &floor_s.to_string()).unwrap();
    }
    scenario
}

fn asked_of(capture: &[u8], scenario: &Scenario) -> Result<Vec<ModelOutcome>, String> {
    let mut builder = RecordingBuilder::default();
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record().unwrap() {
        builder.handle(&record);
    }
    let recording = builder.finish().map_err(|why| why.to_string())?;
    let options = AskOptions { members: DEFAULT_MEMBERS, heard: false, ..AskOptions::default() };
    let answer = recording.prepare(options).answer(scenario, &mut Scratch::default());
    // Reasons that differ in figures only are one.
    let reason = |why: String| why.chars().take_while(|c| !c.is_ascii_digit()).collect::<String>();
    answer.map(|answer| answer.outcomes).map_err(|why| reason(why.to_string()))
}

fn asked(seed: u64, dialect: Dialect, kind: usize) -> Asked {
    let mut rng = Rng::new(100 * seed + kind as u64, Stream::Names);
    let mut drawn = |least: f64, most: f64| least + (most - least) * rng.unit();
    let hidden = || Hidden::of(seed, dialect);
    let demand = if kind >= 4 { hidden().demand() } else { 0.0 };
    let at_s = drawn(4.0, 8.0);
    let thin = demand * drawn(0.4, 0.9);
    let wider = thin * drawn(1.2, 4.0);
    let from_s = drawn(3.0, 5.0);
    let seek = format!("{at_s:.3}:seek={:.2}", drawn(0.0, 20.0));
    let session = |bytes_per_s: f64, from_s: f64| hidden().thin(bytes_per_s, from_s);
    let (hidden_plain, other) = (hidden(), hidden());
    let plain = Asked { hidden: hidden_plain, other, ops: vec![], floor_s: None, down: None };
    let down = Some((0.0, wider));
    match kind {
        0 => Asked { ops: vec![seek], ..plain },
        1 => {
            let resume = format!("{:.3}:resume", at_s + drawn(0.5, 4.0));
            Asked { ops: vec![format!("{at_s:.3}:pause"), resume], ..plain }
        }
        2 => Asked { ops: vec![format!("{at_s:.3}:rate={:.3}", drawn(0.95, 1.05))], ..plain },
        3 => Asked { floor_s: Some(drawn(0.3, 1.0)), ..plain },
        4 => Asked { down: Some((at_s, thin)), ..plain },
        5 | 6 => {
            let from_s = if kind == 5 { from_s } else { 0.0 };
            let (hidden, other) = (session(thin, from_s), session(wider, from_s));
            Asked { hidden, other, down, ..plain }
        }
        7 => {
            let (hidden, other) = (session(thin, from_s), session(thin, from_s));
            Asked { hidden, other, ops: vec![seek], ..plain }
        }
        _ => {
            let (hidden, other) = (session(thin, from_s), session(wider, from_s));
            Asked { hidden, other, ops: vec![seek], down, ..plain }
        }
    }
}

/// Asks each recording of the one arm of each pair what came in the other.
fn ask_pairs(judged: &mut Judged) {
    let Some(golden) = std::env::var_os("LAGTAPE_GOLDEN") else { return };
    let all = ["pairs", "pairs2"].map(|name| std::fs::read_dir(Path::new(&golden).join(name)));
    let all = all.into_iter().flatten().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<_> = all.filter(|path| path.join("pair.json").exists()).collect();
    folders.sort();
    for folder in folders {
        let text = std::fs::read_to_string(folder.join("pair.json")).unwrap();
        let pair: Value = serde_json::from_str(&text).unwrap();
        let sessions = pair["sessions"].as_object().unwrap();
        for (factual, _) in sessions.iter().filter(|(name, _)| name.starts_with("factual")) {
            let capture = capture_of(&folder.join(factual));
            let outcomes = asked_of(&capture, &intervention(&pair)).unwrap();
            for (_, came) in sessions.iter().filter(|(name, _)| name.starts_with("counterfactual"))
            {
                judged.judge(PAIRS, &outcomes, &reported(&came["full_window_report"]));
            }
        }
    }
}

/// The capture of a recorded session.
fn capture_of(folder: &Path) -> Vec<u8> {
    let session = std::fs::read_to_string(folder.join("session.json")).unwrap();
    let packed = std::fs::read(folder.join("frames.jsonl.zst")).unwrap();
    let lines = zstd::decode_all(&packed[..]).unwrap();
    let mut capture = Vec::new();
    import_session_log(&session, BufReader::new(&lines[..]), None, &mut capture).unwrap();
    capture
}

fn intervention(pair: &Value) -> Scenario {
    let mut scenario = Scenario::default();
    for op in pair["intervention"].as_array().unwrap() {
        let at_s = &op["at_s"];
        let word = match op["op"].as_str().unwrap() {
            "link_rate" => format!("{at_s}s:down={}B/s", op["bytes_per_s"]),
            "seek" => format!("{at_s}:seek={}", op["to_s"]),
            "rate" => format!("{at_s}:rate={}", op["rate"]),
            other => format!("{at_s}:{other}"),
        };
        parse::add_op(&mut scenario, &word).unwrap();
    }
    scenario
}

/// A report as the original implementation wrote it down, as far as it is looked at.
fn reported(report: &Value) -> LagReport {
    let mut lag = LagReport::of(1.0, [].iter(), [].iter(), 2.0, &ReportArgs::default());
    let figures = |of: &Value| {
        let at = |which: &str| of[which].as_f64().unwrap_or(f64::NAN);
        let (min, p5, p50) = (at("min"), at("p5"), at("p50"));
        Some(Figures { min, p5, p50, p95: at("p95"), max: at("max"), mean: at("mean") })
    };
    let count = |of: &Value| of.as_u64().unwrap_or_default() as usize;
    lag.slices.lead_s = figures(&report["slices"]["lead_s"]);
    lag.slices.behind_playhead = count(&report["slices"]["behind_playhead"]);
    lag.ticks.staleness_s = figures(&report["ticks"]["staleness_s"]);
    lag.ticks.stale_ticks = count(&report["ticks"]["stale_ticks"]);
    lag
}

/// How far an outcome is from what came, in what still counts as the same.
fn distance(outcome: &ModelOutcome, came: &LagReport) -> f64 {
    let lead_s = |lag: &LagReport| lag.slices.lead_s.map_or(0.0, |lead_s| lead_s.p50);
    let stale_s = |lag: &LagReport| lag.ticks.stale_ticks as f64 / 60.0;
    let lead = (lead_s(&outcome.lag) - lead_s(came)).abs() / 0.02;
    lead.max((stale_s(&outcome.lag) - stale_s(came)).abs())
}

impl Judged {
    /// What came belongs to the outcome that it is nearest to.
    fn judge(&mut self, kind: &'static str, outcomes: &[ModelOutcome], came: &LagReport) {
        let near =
            |a: &ModelOutcome, b: &ModelOutcome| distance(a, came).total_cmp(&distance(b, came));
        let Some(nearest) = outcomes.iter().min_by(|a, b| near(a, b)) else { return };
        self.shares.extend(outcomes.iter().map(|one| (one.share, std::ptr::eq(one, nearest))));
        let Some(lead_s) = came.slices.lead_s else { return };
        let spreads: [(Spread, f64); 7] = [
            (nearest.lead_min_s, lead_s.min),
            (nearest.lead_p5_s, lead_s.p5),
            (nearest.lead_p50_s, lead_s.p50),
            (nearest.lead_p95_s, lead_s.p95),
            (nearest.staleness_p95_s, came.ticks.staleness_s.map_or(f64::NAN, |s| s.p95)),
            (nearest.stale_ticks, came.ticks.stale_ticks as f64),
            (nearest.behind_playhead, came.slices.behind_playhead as f64),
        ];
        for (figure, (spread, came)) in FIGURES.into_iter().zip(spreads) {
            let outside = (spread.p5 - came).max(came - spread.p95);
            self.held.push(Held { kind, figure, outside });
        }
    }

    /// By how much figures of that kind lie outside, in their order.
    fn outside(&self, kind: Option<&str>, figure: Option<&str>) -> Vec<f64> {
        let is_of = |held: &&Held| {
            kind.is_none_or(|kind| held.kind == kind)
                && figure.is_none_or(|figure| held.figure == figure)
        };
        let mut outside: Vec<f64> = self.held.iter().filter(is_of).map(|one| one.outside).collect();
        outside.sort_by(f64::total_cmp);
        outside
    }

    fn print_held(&self) {
        println!("| of 100 intervals so many hold what came | {} | all |", FIGURES.join(" | "));
        println!("|---|{}", "---|".repeat(FIGURES.len() + 1));
        for kind in KINDS.into_iter().chain([PAIRS]).map(Some).chain([None]) {
            let of = |figure: Option<&str>| {
                let outside = self.outside(kind, figure);
                let within = outside.iter().filter(|outside| **outside <= 0.0).count();
                format!("{:.0}", 100.0 * within as f64 / outside.len().max(1) as f64)
            };
            let row = FIGURES.map(|figure| of(Some(figure)));
            println!("| {} | {} | {} |", kind.unwrap_or("all"), row.join(" | "), of(None));
        }
    }

    /// How far half, nine of ten and all but one of twenty lie outside at most.
    fn print_outside(&self) {
        for (kind, figure) in KINDS.iter().flat_map(|kind| FIGURES.map(|figure| (kind, figure))) {
            let outside = self.outside(Some(kind), Some(figure));
            let at = |q: f64| outside.get((q * outside.len() as f64) as usize).unwrap_or(&f64::NAN);
            let [half, nine, most] = [0.5, 0.9, 0.95].map(at);
            println!("outside, {kind}, {figure}: {half:.4}, {nine:.4}, {most:.4}");
        }
    }

    fn print_shares(&self) {
        println!("\n| outcomes with a share of | so many | mean share | came |");
        println!("|---|---|---|---|");
        for (least, most) in [(0, 10), (10, 30), (30, 70), (70, 95), (95, 100)] {
            let is_of = |(share, _): &&(f64, bool)| {
                let percent = share * 100.0;
                f64::from(least) < percent && percent <= f64::from(most)
            };
            let own: Vec<_> = self.shares.iter().filter(is_of).collect();
            let count = own.len().max(1) as f64;
            let mean = 100.0 * own.iter().map(|(share, _)| share).sum::<f64>() / count;
            let came = 100.0 * own.iter().filter(|(_, came)| *came).count() as f64 / count;
            println!("| {least} to {most} % | {} | {mean:.0} % | {came:.0} % |", own.len());
        }
    }
}
