//! Prints the calibration table of docs/WHATIF.md: how often the intervals of the closed-loop model hold
//! what came, and how often outcomes come as often as their shares say. The sessions are those of
//! tests/it/what_if_oracle, whose constants the model is not told, and questions are drawn for each.
//! `cargo run --release --example calibration -- 40 scored` asks of 40 sessions of each client with odd
//! seeds; `mended` takes even ones, by which the model may be mended.

#[path = "../tests/it/what_if_oracle/sessions.rs"]
mod sessions;

use std::collections::BTreeMap;

use lagtape::capture::Records;
use lagtape::lag::LagReport;
use lagtape::peer::client::Dialect;
use lagtape::peer::link::LinkOptions;
use lagtape::peer::rng::{Rng, Stream};
use lagtape::scenario::answer::{AskOptions, RecordingBuilder, ScenarioAnswer};
use lagtape::scenario::model::{Change, DEFAULT_MEMBERS, ModelOutcome, Spread, Trace};
use lagtape::scenario::open_loop::Scratch;
use lagtape::scenario::{Scenario, parse};
use lagtape::time::{Nanos, Span};
use sessions::{Hidden, read};

/// What is asked, and the kinds of sessions that it is asked of.
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
    /// Half of the interval.
    half: f64,
    error_s: f64,
    came: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.first().and_then(|count| count.parse().ok()).unwrap_or(40);
    let odd = arguments.get(1).is_none_or(|which| which == "scored");
    let (mut held, mut shares, mut refused) = (Vec::new(), Vec::new(), BTreeMap::new());
    for seed in (0..count).map(|seed| 2 * seed + u64::from(odd)) {
        for dialect in [Dialect::Modern, Dialect::Legacy] {
            for (number, kind) in KINDS.into_iter().enumerate().filter(|(n, _)| {
                std::env::var("KINDS").map_or(true, |k| k.contains(&n.to_string()))
            }) {
                match ask(seed, dialect, number) {
                    Ok((answer, error_s, actual)) => {
                        if std::env::var_os("SHOW").is_some() {
                            let l = |r: &LagReport| {
                                r.slices
                                    .lead_s
                                    .map(|l| {
                                        format!(
                                            "{:.3} {:.3} {:.3} {:.3}",
                                            l.min, l.p5, l.p50, l.p95
                                        )
                                    })
                                    .unwrap_or_default()
                            };
                            println!(
                                "{number} {seed} {dialect:?} err {error_s:.3} {} behind {} n {} CAME {} behind {} n {} share {:.2}",
                                l(&answer.lag),
                                answer.lag.slices.behind_playhead,
                                answer.lag.slices.count,
                                l(&actual),
                                actual.slices.behind_playhead,
                                actual.slices.count,
                                answer.outcomes.first().map_or(0.0, |o| o.share)
                            );
                        }
                        judge(kind, &answer, error_s, &actual, &mut held, &mut shares)
                    }
                    Err(why) => *refused.entry((kind, why)).or_insert(0) += 1,
                }
            }
        }
    }
    print_held(&held);
    print_shares(&mut shares);
    for ((kind, why), count) in refused {
        println!("refused, {kind}: {count} × {why}");
    }
}

fn ask(
    seed: u64,
    dialect: Dialect,
    kind: usize,
) -> Result<(ScenarioAnswer, f64, LagReport), String> {
    let Asked { hidden, other, ops, floor_s, down } = asked(seed, dialect, kind);
    let factual = hidden.run(&Change::default(), Nanos(0));
    let (trace, _) = read(&factual.capture);
    let mut scenario = Scenario::default();
    for op in &ops {
        parse::add_op(&mut scenario, op).unwrap();
    }
    if let Some(floor_s) = floor_s {
        parse::assign(&mut scenario, "lead-floor", &floor_s.to_string()).unwrap();
    }
    if let Some((at_s, bytes_per_s)) = down {
        // Where the link is thin from a moment of its own on, the other one is from then on as well.
        let at_s = (hidden.changes_at_s() - trace.origin.seconds()).max(at_s);
        parse::add_op(&mut scenario, &format!("{at_s}s:down={bytes_per_s}B/s")).unwrap();
    }
    let mut builder = RecordingBuilder::default();
    let mut records = Records::new(&factual.capture[..]);
    while let Some(record) = records.next_record().unwrap() {
        builder.handle(&record);
    }
    let recording = builder.finish().map_err(|why| why.to_string())?;
    let error_s = match recording.relinked() {
        Ok(Some((_, relinked))) => relinked.fit.factual_error.lead_error_p95_s,
        _ => 0.0,
    };
    let options = AskOptions { members: DEFAULT_MEMBERS, heard: false, ..AskOptions::default() };
    let answer = recording.prepare(options).answer(&scenario, &mut Scratch::default());
    let answer = answer.map_err(|why| cut(&why.to_string()))?;
    let change = simulated(&trace, &ops, floor_s, down);
    Ok((answer, error_s, other.run(&change, trace.origin).report()))
}

/// Reasons that differ in figures only are one.
fn cut(why: &str) -> String {
    why.chars().take_while(|c| !c.is_ascii_digit()).collect()
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
    let plain =
        || Asked { hidden: hidden(), other: hidden(), ops: vec![], floor_s: None, down: None };
    let thin_from = |from_s: f64| Asked {
        hidden: hidden().thin(thin, from_s),
        other: hidden().thin(thin, from_s),
        ..plain()
    };
    match kind {
        0 => Asked { ops: vec![seek], ..plain() },
        1 => {
            let ends_s = at_s + drawn(0.5, 4.0);
            Asked {
                ops: vec![format!("{at_s:.3}:pause"), format!("{ends_s:.3}:resume")],
                ..plain()
            }
        }
        2 => Asked { ops: vec![format!("{at_s:.3}:rate={:.3}", drawn(0.95, 1.05))], ..plain() },
        3 => Asked { floor_s: Some(drawn(0.3, 1.0)), ..plain() },
        4 => Asked { down: Some((at_s, thin)), ..plain() },
        5 => Asked {
            other: hidden().thin(wider, from_s),
            down: Some((0.0, wider)),
            ..thin_from(from_s)
        },
        6 => Asked { other: hidden().thin(wider, 0.0), down: Some((0.0, wider)), ..thin_from(0.0) },
        7 => Asked { ops: vec![seek], ..thin_from(from_s) },
        _ => Asked {
            other: hidden().thin(wider, from_s),
            ops: vec![seek],
            down: Some((0.0, wider)),
            ..thin_from(from_s)
        },
    }
}

/// The change for the simulator; where the sessions themselves have other links, their ops.
fn simulated(
    _trace: &Trace,
    ops: &[String],
    floor_s: Option<f64>,
    down: Option<(f64, f64)>,
) -> Change {
    let mut scenario = Scenario::default();
    if let Some(floor_s) = floor_s {
        parse::assign(&mut scenario, "lead-floor", &floor_s.to_string()).unwrap();
    }
    let policy = lagtape::scenario::knobs::PolicyChange::of(&scenario.conditions);
    let ops: Vec<_> = ops.iter().map(|op| op.parse().unwrap()).collect();
    let thinner = down.filter(|(at_s, _)| *at_s > 0.0).map(|(at_s, bytes_per_s)| {
        let link = LinkOptions { bytes_per_s: Some(bytes_per_s), ..LinkOptions::default() };
        (Span((at_s * 1e9) as u64), link)
    });
    Change {
        ops: (!ops.is_empty()).then_some(ops),
        policy,
        down: thinner.into_iter().collect(),
        ..Change::default()
    }
}

/// What came belongs to the outcome that it is nearest to.
fn judge(
    kind: &'static str,
    answer: &ScenarioAnswer,
    error_s: f64,
    actual: &LagReport,
    held: &mut Vec<Held>,
    shares: &mut Vec<(f64, bool)>,
) {
    let distance = |outcome: &ModelOutcome| {
        let lead = |report: &LagReport| report.slices.lead_s.map_or(0.0, |lead_s| lead_s.p50);
        let stale = |report: &LagReport| report.ticks.stale_ticks as f64 / 60.0;
        let own = (lead(&outcome.lag) - lead(actual)).abs() / 0.02;
        own.max((stale(&outcome.lag) - stale(actual)).abs())
    };
    let nearest = (0..answer.outcomes.len())
        .min_by(|&a, &b| distance(&answer.outcomes[a]).total_cmp(&distance(&answer.outcomes[b])));
    let Some(nearest) = nearest else { return };
    for (number, outcome) in answer.outcomes.iter().enumerate() {
        shares.push((outcome.share, number == nearest));
    }
    let outcome = &answer.outcomes[nearest];
    let Some(lead_s) = actual.slices.lead_s else { return };
    let staleness_s = actual.ticks.staleness_s.map_or(f64::NAN, |staleness_s| staleness_s.p95);
    let figures: [(&'static str, Spread, f64); 7] = [
        ("lead min", outcome.lead_min_s, lead_s.min),
        ("lead p5", outcome.lead_p5_s, lead_s.p5),
        ("lead p50", outcome.lead_p50_s, lead_s.p50),
        ("lead p95", outcome.lead_p95_s, lead_s.p95),
        ("staleness p95", outcome.staleness_p95_s, staleness_s),
        ("stale ticks", outcome.stale_ticks, actual.ticks.stale_ticks as f64),
        ("slices behind", outcome.behind_playhead, actual.slices.behind_playhead as f64),
    ];
    for (figure, spread, came) in figures {
        let outside = (spread.p5 - came).max(came - spread.p95);
        held.push(Held {
            error_s,
            came,
            kind,
            figure,
            outside,
            half: (spread.p95 - spread.p5) / 2.0,
        });
    }
}

fn print_held(held: &[Held]) {
    let figures: Vec<&str> = held.iter().take(7).map(|held| held.figure).collect();
    println!("| of 100 intervals so many hold what came | {} | all |", figures.join(" | "));
    println!("|---|{}", "---|".repeat(figures.len() + 1));
    for kind in KINDS.into_iter().chain(["all"]) {
        let own: Vec<&Held> = held.iter().filter(|one| kind == "all" || one.kind == kind).collect();
        let of = |figure: Option<&str>| {
            let some: Vec<_> =
                own.iter().filter(|one| figure.is_none_or(|f| one.figure == f)).collect();
            let within = some.iter().filter(|one| one.outside <= 0.0).count();
            format!("{:.0}", 100.0 * within as f64 / some.len().max(1) as f64)
        };
        let row: Vec<String> = figures.iter().map(|figure| of(Some(figure))).collect();
        println!("| {kind} | {} | {} |", row.join(" | "), of(None));
    }
    if std::env::var_os("OUTSIDE").is_some() {
        print_outside(held, &figures);
    }
}

/// By how much nine of ten and half of the figures lie outside, for whoever mends the intervals.
fn print_outside(held: &[Held], figures: &[&str]) {
    for kind in KINDS.into_iter().chain(["all"]) {
        for figure in figures {
            let mut own: Vec<f64> = held
                .iter()
                .filter(|one| (kind == "all" || one.kind == kind) && one.figure == *figure)
                .map(|one| one.outside)
                .collect();
            own.sort_by(f64::total_cmp);
            let at = |q: f64| own.get((q * own.len() as f64) as usize).copied().unwrap_or(f64::NAN);
            let mut half: Vec<f64> = held
                .iter()
                .filter(|one| one.kind == kind && one.figure == *figure)
                .map(|one| one.half)
                .collect();
            half.sort_by(f64::total_cmp);
            let mut ratio: Vec<f64> = held
                .iter()
                .filter(|one| one.kind == kind && one.figure == *figure)
                .map(|one| {
                    if figure.contains("lead")
                        || figure.contains("stal") && !figure.contains("tick")
                    {
                        one.outside / one.error_s.max(0.001)
                    } else {
                        one.outside / one.came.max(1.0)
                    }
                })
                .collect();
            ratio.sort_by(f64::total_cmp);
            print!(
                "ratio 80 {:.2} 90 {:.2} ",
                ratio.get(ratio.len() * 8 / 10).copied().unwrap_or(0.0),
                ratio.get(ratio.len() * 9 / 10).copied().unwrap_or(0.0)
            );
            println!(
                "{kind}, {figure}: 80 % {:.4}, 90 % {:.4}, 95 % {:.4} half {:.4}",
                at(0.8),
                at(0.9),
                at(0.95),
                half.get(half.len() / 2).copied().unwrap_or(0.0)
            );
        }
    }
}

fn print_shares(shares: &mut [(f64, bool)]) {
    println!("\n| outcomes with a share of | so many | mean share | came |");
    println!("|---|---|---|---|");
    for (least, most) in [(0.0, 0.1), (0.1, 0.3), (0.3, 0.7), (0.7, 0.95), (0.95, 1.01)] {
        let own: Vec<_> =
            shares.iter().filter(|(share, _)| (least..most).contains(share)).collect();
        let count = own.len().max(1) as f64;
        let mean = own.iter().map(|(share, _)| share).sum::<f64>() / count;
        let came = own.iter().filter(|(_, came)| *came).count() as f64 / count;
        println!(
            "| {:.0} to {:.0} % | {} | {:.0} % | {:.0} % |",
            least * 100.0,
            f64::min(most, 1.0) * 100.0,
            own.len(),
            mean * 100.0,
            came * 100.0
        );
    }
}
