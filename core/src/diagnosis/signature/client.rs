//! The client: when it reports, when it applies, and how its audio clock runs.

use crate::capture::Marker;
use crate::diagnosis::class::Class;
use crate::diagnosis::suspect::Suspect;
use crate::diagnosis::view::{ReportRow, Stretch, View, folded, quantile};
use crate::engine::{GAP_S, GAP_TIMES};
use crate::playhead::JUMP_S;

/// Gaps belong to one backlog when at most so many reports and seconds lie between them: a throttled
/// client reports once a round, a hitch is followed by the usual cadence.
const BACKLOG_REPORTS: usize = 3;
const BACKLOG_JOIN_S: f64 = 0.3;
/// A backlog has so many rounds at least; of rounds that no client reports as seldom by itself two will do.
const BACKLOG_ROUNDS: usize = 3;
const LONG_ROUNDS: usize = 2;
/// Where so many slices are expected and none is there, …
const EXPECTED_SLICES: f64 = 4.0;
/// … so many have waited that come at once.
const BACKLOG_SLICES: usize = 5;
/// Reports this far apart are those of a throttled client, in seconds; none reports so seldom by itself.
const THROTTLED_S: f64 = 0.4;
/// An acknowledgement that stays where it is for this long while slices come says that none is
/// applied, in seconds: longer than the slowest cadence of a known client, four times.
const UNAPPLIED_S: f64 = 0.35;
/// A clock that is off by more than this is skewed: ten times what crystals are off by.
const SKEW: f64 = 1e-3;
/// The skew is so many of its own standard errors at least. What was watched for less than 5 s holds few
/// independent delays, so that their spread is not well known: it takes more of them.
const SKEW_ERRORS: f64 = 4.0;
const EARLY_ERRORS: f64 = 12.0;
const EARLY_S: f64 = 5.0;
/// Nothing is said of a clock that was watched for less, in seconds.
const WATCHED_S: f64 = 1.8;
/// A player starts within this time, in seconds.
const START_S: f64 = 0.5;
/// A position moves in steps from this length on, in seconds: callbacks of an audio device take 3 to
/// 25 ms, and steps shorter than this vanish in the lead's reserve of 50 ms.
const STEP_S: f64 = 0.04;
/// Share of increments that are whole steps, within this share of a step.
const STEP_SHARE: f64 = 0.9;
const STEP_WITHIN: f64 = 0.05;

pub fn suspects(view: &View, clock: Option<&AudioClock>) -> Vec<Suspect> {
    let gaps = report_gaps(view);
    let mut suspects = blocked(view, &gaps);
    let has_backlog = suspects.iter().any(|it| it.class == Class::ClientBacklog);
    if !has_backlog {
        suspects.extend(unapplied(view));
    }
    if let Some(clock) = clock {
        suspects.extend(skewed(view, clock));
        suspects.extend(stair_step(view, clock));
    }
    suspects
}

/// Stretches without a report over which the playhead went on.
fn report_gaps(view: &View) -> Vec<(Stretch, usize)> {
    let usual_s = view.usual.report_s;
    let least_s = if usual_s >= THROTTLED_S { THROTTLED_S } else { GAP_S.max(GAP_TIMES * usual_s) };
    let mut gaps = Vec::new();
    for (at, pair) in view.reports.windows(2).enumerate() {
        let stretch = Stretch { from_s: pair[0].t_s, to_s: pair[1].t_s };
        let went_on = match (pair[0].position_s, pair[1].position_s) {
            (Some(from), Some(to)) => {
                let off_s = folded(to - from - stretch.len_s(), view.loop_s(stretch.to_s));
                off_s.abs() <= JUMP_S + 0.05 * stretch.len_s()
            }
            _ => true,
        };
        let is_swap = view.buffers.iter().skip(1).any(|buffer| stretch.contains(buffer.t_s));
        if stretch.len_s() > least_s && went_on && !is_swap && !is_unrecorded(view, stretch) {
            gaps.push((stretch, at));
        }
    }
    gaps
}

/// Neither a report nor a slice is there, and no slice came late because of it: as where records are
/// lost. While a client with its recorder stands still, slices wait and come at once after it.
fn is_unrecorded(view: &View, stretch: Stretch) -> bool {
    let Stretch { from_s, to_s } = stretch;
    let interval_s = view.usual.interval_s;
    let is_expected = interval_s > 0.0 && stretch.len_s() >= EXPECTED_SLICES * interval_s;
    let inner = Stretch { from_s: from_s + 0.05, to_s: to_s - 0.05 };
    let after = Stretch { from_s: to_s - 0.05, to_s: to_s + 2.0 * interval_s };
    is_expected
        && !view.is_idle(stretch)
        && view.slices_in(inner).is_empty()
        && view.slices_in(after).len() < BACKLOG_SLICES
}

/// Gaps in a row are a backlog, single ones hitches.
fn blocked(view: &View, gaps: &[(Stretch, usize)]) -> Vec<Suspect> {
    let mut chains: Vec<Vec<(Stretch, usize)>> = Vec::new();
    for &gap in gaps {
        match chains.last_mut().and_then(|chain| Some((*chain.last()?, chain))) {
            Some((before, chain))
                if gap.0.from_s - before.0.to_s <= BACKLOG_JOIN_S
                    && gap.1 - before.1 <= BACKLOG_REPORTS =>
            {
                chain.push(gap);
            }
            _ => chains.push(vec![gap]),
        }
    }
    let is_long = |chain: &[(Stretch, usize)]| {
        chain.len() >= LONG_ROUNDS && chain.iter().all(|(gap, _)| gap.len_s() >= THROTTLED_S)
    };
    let is_backlog =
        |chain: &Vec<(Stretch, usize)>| chain.len() >= BACKLOG_ROUNDS || is_long(chain);
    let (backlogs, hitches): (Vec<_>, Vec<_>) = chains.into_iter().partition(is_backlog);
    let mut suspects: Vec<_> = backlogs.iter().filter_map(|chain| backlog(view, chain)).collect();
    suspects.extend(hitch(view, &hitches.concat()));
    suspects
}

fn backlog(view: &View, chain: &[(Stretch, usize)]) -> Option<Suspect> {
    let (first, last) = (chain.first()?, chain.last()?);
    // A client whose first reports are late was from the beginning on.
    let from_s = if first.1 == 0 { view.from_s } else { first.0.from_s };
    let stretch = Stretch { from_s, to_s: last.0.to_s };
    let round_s = quantile(chain.iter().map(|(gap, _)| gap.len_s()), 0.5);
    let slices = view.slices_in(stretch).len();
    let sentence = format!(
        "The client reported only every {round_s:.2} s for {:.1} s, {slices} slices came in between: its \
         main thread applies what came in bursts.",
        stretch.len_s()
    );
    let records = chain.iter().map(|&(_, at)| view.reports[at].seq);
    let figures = [("round_s", round_s), ("rounds", chain.len() as f64)];
    Some(
        Suspect::new(Class::ClientBacklog, stretch, 0.9, sentence)
            .link("The client's main thread is throttled", &figures, records)
            .link("Slices wait until it applies them", &[("slices", slices as f64)], [])
            .apart(Class::BandwidthDeficit, "reports and acknowledgements came in bursts")
            .apart(Class::ClientSendHitch, "the usual cadence did not come back in between"),
    )
}

fn hitch(view: &View, gaps: &[(Stretch, usize)]) -> Option<Suspect> {
    let (first, last) = (gaps.first()?, gaps.last()?);
    let stretch = Stretch { from_s: first.0.from_s, to_s: last.0.to_s };
    let longest_s = gaps.iter().map(|(gap, _)| gap.len_s()).fold(0.0, f64::max);
    let every_s =
        (gaps.len() > 1).then(|| (last.0.from_s - first.0.from_s) / (gaps.len() - 1) as f64);
    let again =
        every_s.map_or(String::new(), |s| format!(", {} times, every {s:.1} s", gaps.len()));
    let sentence = format!(
        "The client did not report for up to {longest_s:.2} s{again}, although its playhead went on and \
         slices came.",
    );
    let records = gaps.iter().map(|&(_, at)| view.reports[at].seq);
    let figures = [
        ("longest_s", longest_s),
        ("gaps", gaps.len() as f64),
        ("every_s", every_s.unwrap_or(0.0)),
    ];
    let slices: usize = gaps.iter().map(|(gap, _)| view.slices_in(*gap).len()).sum();
    let suspect = Suspect::new(Class::ClientSendHitch, stretch, 0.85, sentence)
        .link("The client's main thread is blocked", &figures, records)
        .link("Slices that come wait to be applied", &[("slices", slices as f64)], [])
        .apart(Class::ClientBacklog, "the usual cadence came back in between")
        .apart(Class::GenerationStall, "slices went on coming");
    Some(if longest_s < 0.4 { suspect.against("it was short", 0.3) } else { suspect })
}

/// Reports come, and what they acknowledge stands still.
fn unapplied(view: &View) -> Option<Suspect> {
    let acknowledged = |report: &ReportRow| report.acknowledged.filter(|&bytes| bytes > 0.0);
    let mut rounds: Vec<Stretch> = Vec::new();
    let mut since: Option<&ReportRow> = None;
    for report in &view.reports {
        let Some(bytes) = acknowledged(report) else { continue };
        let same = since.is_some_and(|since| acknowledged(since) == Some(bytes));
        if !same {
            since = Some(report);
            continue;
        }
        let from_s = since.map_or(report.t_s, |since| since.t_s);
        let stretch = Stretch { from_s, to_s: report.t_s };
        if stretch.len_s() >= UNAPPLIED_S && view.slices_in(stretch).len() >= 4 {
            match rounds.last_mut().filter(|round| round.from_s == from_s) {
                Some(round) => round.to_s = report.t_s,
                None => rounds.push(stretch),
            }
        }
    }
    let (first, last) = (rounds.first()?, rounds.last()?);
    if rounds.len() < BACKLOG_ROUNDS {
        return None;
    }
    let stretch = Stretch { from_s: first.from_s, to_s: last.to_s };
    let round_s = quantile(rounds.iter().map(Stretch::len_s), 0.5);
    let sentence = format!(
        "What the client acknowledged stood still for {round_s:.2} s at a time, {} times, while slices \
         came and it reported: it applies them in bursts.",
        rounds.len()
    );
    let figures = [("round_s", round_s), ("rounds", rounds.len() as f64)];
    Some(
        Suspect::new(Class::ClientBacklog, stretch, 0.75, sentence)
            .link("Acknowledgements come in bursts", &figures, [])
            .apart(Class::BandwidthDeficit, "slices came smoothly, acknowledgements did not"),
    )
}

/// How the reported position goes against the time of the records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AudioClock {
    /// How much faster it runs, as a share, and the standard error of that.
    pub skew: f64,
    pub error: f64,
    /// How long it was watched, in seconds.
    pub over_s: f64,
    /// How far it lies from a straight line, between its 5th and its 95th percentile, in seconds.
    pub spread_s: f64,
    /// The shortest usual increment, in seconds.
    pub step_s: f64,
    /// Share of increments that are whole steps.
    pub in_steps: f64,
}

/// The audio clock as its positions show it; `None` without enough of them.
pub fn audio_clock(view: &View) -> Option<AudioClock> {
    // A listener who changes the rate does so later; what a client is started with is its clock's.
    let changes = |(t_s, op): &(f64, Marker)| matches!(op, Marker::Rate { .. }) && *t_s > START_S;
    let runs = if view.ops.iter().any(changes) { Vec::new() } else { runs(view) };
    let points = runs.iter().map(Vec::len).sum::<usize>();
    let over_s: f64 = runs.iter().filter_map(|run| Some(run.last()?.t_s - run.first()?.t_s)).sum();
    if points < 15 || over_s < WATCHED_S {
        return None;
    }
    let (skew, squares, residuals) = common_slope(&runs);
    let spread_s =
        quantile(residuals.iter().copied(), 0.95) - quantile(residuals.iter().copied(), 0.05);
    let variance = residuals.iter().map(|r| r * r).sum::<f64>() / points as f64;
    // Delays of neighbouring reports are alike: half a second counts as one.
    let independent = (over_s / 0.5).min(points as f64).max(2.0);
    let error = (variance * points as f64 / independent / squares.max(1e-9)).sqrt();
    let increments = || runs.iter().flatten().map(|point| point.increment_s);
    let step_s = quantile(increments().filter(|&s| s > 1e-6), 0.1);
    let is_whole = |s: &f64| {
        let steps = s / step_s.max(1e-9);
        (steps - steps.round()).abs() <= STEP_WITHIN
    };
    let in_steps = increments().filter(is_whole).count() as f64 / points as f64;
    Some(AudioClock { skew, error, over_s, spread_s, step_s, in_steps })
}

/// A report within a run of them.
struct ClockPoint {
    t_s: f64,
    /// How far the position is ahead of the records' clock since the run began.
    ahead_s: f64,
    increment_s: f64,
}

/// Runs of reports over which the playhead went on. A jump, a pause, another buffer and the loop's end,
/// where a client may skip some of it, each begin another run.
fn runs(view: &View) -> Vec<Vec<ClockPoint>> {
    let mut runs: Vec<Vec<ClockPoint>> = vec![Vec::new()];
    for pair in view.reports.windows(2) {
        let (Some(from), Some(to)) = (pair[0].position_s, pair[1].position_s) else { continue };
        let stretch = Stretch { from_s: pair[0].t_s, to_s: pair[1].t_s };
        let off_s = to - from - stretch.len_s();
        let is_pause = view.pauses.iter().any(|pause| pause.overlap_s(&stretch) > 0.0);
        let is_start = stretch.from_s < view.from_s + START_S;
        let goes_on = to >= from && off_s.abs() <= JUMP_S && !is_pause && !is_start;
        match runs.last_mut().filter(|_| goes_on) {
            Some(run) => {
                let ahead_s = run.last().map_or(0.0, |last| last.ahead_s) + off_s;
                run.push(ClockPoint { t_s: stretch.to_s, ahead_s, increment_s: to - from });
            }
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| run.len() > 1);
    runs
}

/// The slope that all runs have in common, the squares of times that it rests on, and what is left.
fn common_slope(runs: &[Vec<ClockPoint>]) -> (f64, f64, Vec<f64>) {
    let centred = |run: &Vec<ClockPoint>| {
        let n = run.len() as f64;
        let t_s = run.iter().map(|point| point.t_s).sum::<f64>() / n;
        let ahead_s = run.iter().map(|point| point.ahead_s).sum::<f64>() / n;
        run.iter().map(|it| (it.t_s - t_s, it.ahead_s - ahead_s)).collect::<Vec<_>>()
    };
    let points: Vec<(f64, f64)> = runs.iter().flat_map(centred).collect();
    let squares = points.iter().map(|(x, _)| x * x).sum::<f64>();
    let products = points.iter().map(|(x, y)| x * y).sum::<f64>();
    let slope = if squares > 0.0 { products / squares } else { 0.0 };
    (slope, squares, points.iter().map(|(x, y)| y - slope * x).collect())
}

fn skewed(view: &View, clock: &AudioClock) -> Option<Suspect> {
    let AudioClock { skew, error, over_s, .. } = *clock;
    let errors = if over_s < EARLY_S { EARLY_ERRORS } else { SKEW_ERRORS };
    if skew.abs() < SKEW || skew.abs() < errors * error {
        return None;
    }
    let stretch = Stretch { from_s: view.from_s, to_s: view.to_s };
    let (ppm, error_ppm) = (skew * 1e6, 2.0 * error * 1e6);
    let sentence = format!(
        "The client's playhead ran at {:.4}× against the clock of the records ({ppm:+.0} ± {error_ppm:.0} \
         ppm over {over_s:.0} s).",
        1.0 + skew
    );
    let figures = [("skew_ppm", ppm), ("interval_ppm", error_ppm), ("over_s", over_s)];
    let records = [view.reports.first(), view.reports.last()];
    Some(
        Suspect::new(Class::ClockSkew, stretch, 0.9, sentence)
            .link(
                "The audio clock is off",
                &figures,
                records.into_iter().flatten().map(|report| report.seq),
            )
            .link("The position drifts between two reports", &[], [])
            .apart(Class::StalePlayhead, "the reports themselves drift, and leads do not"),
    )
}

fn stair_step(view: &View, clock: &AudioClock) -> Option<Suspect> {
    let AudioClock { step_s, in_steps, spread_s, .. } = *clock;
    if step_s < STEP_S || in_steps < STEP_SHARE || spread_s < 0.5 * step_s {
        return None;
    }
    let stretch = Stretch { from_s: view.from_s, to_s: view.to_s };
    let sentence = format!(
        "The reported position moved in steps of {:.0} ms, so that leads swing by ± {:.0} ms.",
        step_s * 1e3,
        step_s * 500.0
    );
    let figures = [("step_s", step_s), ("in_steps_share", in_steps), ("spread_s", spread_s)];
    let records = view.reports.iter().take(2).map(|report| report.seq);
    Some(
        Suspect::new(Class::StairStepPlayhead, stretch, 0.9, sentence)
            .link("The position is that of the last audio callback", &figures, records)
            .apart(Class::ClockSkew, "steps do not add up to a drift"),
    )
}
