//! When the messages of a HAR file were sent and came.
//!
//! Chromium's developer tools write seconds since 1970, Playwright milliseconds, or seconds since the
//! browser began; others write whole seconds, or one time for all. The unit follows from the size of
//! the numbers, or from the client's clock. Where the times cannot be right, the `client_time` of the
//! reports replaces them, or their positions do; messages between two reports are spread over the time
//! between them.

use std::collections::BTreeMap;

use crate::capture::Direction;
use crate::engine::timing::TimeEvidence;
use crate::time::Nanos;

/// Steps of a report's position that can be told from a lap or a seek.
const LONGEST_POSITION_STEP_S: f64 = 1.0;
/// Messages that have to be spread over more than this carry no verdict.
const LONGEST_SPREAD_S: f64 = 0.5;
/// No session takes longer than this from its connection to its first report.
const LONGEST_LEAD_IN_S: f64 = 60.0;
/// Microseconds in a second; times are kept in whole ones.
const US: f64 = 1e6;

/// Units, with the least number of them that is a time since 1970, and how many microseconds one has.
const UNITS: [(&str, f64, f64); 4] = [
    ("seconds", 1e9, 1e6),
    ("milliseconds", 1e12, 1e3),
    ("microseconds", 1e15, 1.0),
    ("nanoseconds", 1e18, 1e-3),
];
/// Times since 1970 end at so many times the least.
const EPOCH_SPAN: f64 = 5.0;

/// One message, as far as its time goes.
pub(super) struct Moment {
    pub direction: Direction,
    pub time: Option<f64>,
    /// What the client reported with it.
    pub report: Option<Report>,
}

/// The clocks of a report.
#[derive(Clone, Copy)]
pub(super) struct Report {
    pub client_time_s: Option<f64>,
    pub position_s: Option<f64>,
}

/// The times of a session.
pub(super) struct Times {
    pub start_utc: Option<String>,
    /// Since the start, one for each message.
    pub at: Vec<Nanos>,
    /// What was assumed, for the capture's metadata.
    pub notes: BTreeMap<String, String>,
}

impl Times {
    /// `loop_s` is the length of the loop, where it is known and stays.
    pub fn of(moments: &[Moment], started: Option<&str>, loop_s: Option<f64>) -> Times {
        let mut notes = BTreeMap::new();
        let unit = relative_unit(moments);
        let written = moments.iter().map(|moment| moment.time.filter(|time| time.is_finite()));
        let read: Vec<_> = written.map(|time| time.map(|time| microseconds(time, unit))).collect();
        let name = read.iter().flatten().next().map_or("seconds", |(_, name)| *name);
        if name != "seconds" {
            notes.insert("time.unit".to_owned(), name.to_owned());
        }
        let us: Vec<_> = read.iter().map(|time| time.map(|(us, _)| us)).collect();
        let mut times = Times::as_written(&us, started);
        times.notes = notes;
        if let Some(was) = times.wrong(moments, &us) {
            times.correct(moments, &was, loop_s);
        }
        times
    }

    /// Starts with the handshake or, where a HAR dates that later, with the first message. A message
    /// without a time has that of the one before it.
    fn as_written(us: &[Option<f64>], started: Option<&str>) -> Times {
        let first_us = us.iter().flatten().copied().reduce(f64::min).unwrap_or(0.0);
        let started = started.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let handshake_us = started
            .map(|at| at.as_microsecond() as f64)
            .filter(|started_us| *started_us <= first_us);
        let start_us = handshake_us.unwrap_or(first_us);
        let since_1970 = start_us >= 1e9 * US;
        let dated = jiff::Timestamp::from_microsecond(start_us as i64).ok().filter(|_| since_1970);
        let mut last = Nanos(0);
        let at = us.iter().map(|us| {
            if let Some(us) = us {
                let since_us = (us - start_us).max(0.0) as u64;
                last = Nanos(since_us.saturating_mul(1_000));
            }
            last
        });
        Times {
            at: at.collect(),
            start_utc: dated.or(started).map(|start| start.to_string()),
            notes: BTreeMap::new(),
        }
    }

    /// Why the times cannot be right, if they cannot.
    fn wrong(&self, moments: &[Moment], us: &[Option<f64>]) -> Option<String> {
        let mut evidence = TimeEvidence::default();
        for (t, moment) in self.at.iter().zip(moments) {
            evidence.note_time(*t, moment.direction);
            if let Some(client_time_s) = moment.report.and_then(|report| report.client_time_s) {
                evidence.note_client_time(*t, client_time_s);
            }
        }
        let without = us.iter().filter(|us| us.is_none()).count();
        if without * 100 > us.len() {
            return Some(format!("{without} of {} messages have no time", us.len()));
        }
        evidence.doubt().or_else(|| {
            let (_, step_s) = evidence.client_step()?;
            Some(format!("the clock was set while recording, by {step_s:.1} s"))
        })
    }

    /// Takes the times from the client's reports. Where these cannot carry it, the times stay, and the
    /// capture says that they are wrong.
    fn correct(&mut self, moments: &[Moment], was: &str, loop_s: Option<f64>) {
        self.notes.insert("time.was".to_owned(), was.to_owned());
        let by_client = anchors(moments, |report| Some(report.client_time_s));
        let by_position = || loop_s.and_then(|loop_s| positions(moments, loop_s));
        let (anchors, by) = match (by_client, by_position()) {
            (Some(anchors), _) => (anchors, "client_time"),
            (None, Some(anchors)) => (anchors, "playback_pos"),
            (None, None) => {
                let doubt = format!("{was}, and the client's reports tell no better");
                self.notes.insert("time.doubt".to_owned(), doubt);
                return;
            }
        };
        let (at, resolution_s) = spread(&anchors, &self.at);
        self.at = at;
        if resolution_s > LONGEST_SPREAD_S {
            let doubt =
                format!("{was}, and the client's reports are up to {resolution_s:.1} s apart");
            self.notes.insert("time.doubt".to_owned(), doubt);
        }
        self.notes.insert("time.corrected_by".to_owned(), by.to_owned());
        self.notes.insert("time.resolution_s".to_owned(), format!("{resolution_s:.3}"));
    }
}

/// Microseconds, and the unit that they were read in. Times that are not since 1970 have `relative`.
fn microseconds(time: f64, relative: usize) -> (f64, &'static str) {
    let since_1970 =
        |&(_, least, _): &(&str, f64, f64)| (least..least * EPOCH_SPAN).contains(&time);
    let (name, _, us) = UNITS.into_iter().find(since_1970).unwrap_or(UNITS[relative]);
    ((time * us).round(), name)
}

/// The unit in which times since no known moment pass as the client's clock does; seconds where the
/// client has none.
fn relative_unit(moments: &[Moment]) -> usize {
    let ticks =
        || moments.iter().filter_map(|moment| Some((moment.time?, moment.report?.client_time_s?)));
    let (Some(first), Some(last)) = (ticks().next(), ticks().next_back()) else { return 0 };
    let (written, client_s) = (last.0 - first.0, last.1 - first.1);
    if !(written > 0.0 && client_s > 0.0) {
        return 0;
    }
    let misfit = |unit: usize| (written * UNITS[unit].2 / US / client_s).ln().abs();
    (0..UNITS.len()).min_by(|a, b| misfit(*a).total_cmp(&misfit(*b))).unwrap_or(0)
}

/// Reports with a clock that never runs back: their place among the messages, and their time. `clock_s`
/// has none where a report has none, and nothing where the clock is of no use.
fn anchors(
    moments: &[Moment],
    mut clock_s: impl FnMut(Report) -> Option<Option<f64>>,
) -> Option<Vec<(usize, f64)>> {
    let mut anchors: Vec<(usize, f64)> = Vec::new();
    for (place, moment) in moments.iter().enumerate() {
        let Some(report) = moment.report else { continue };
        let Some(at_s) = clock_s(report)?.filter(|at_s| at_s.is_finite()) else { continue };
        if anchors.last().is_some_and(|(_, last_s)| at_s < *last_s) {
            return None;
        }
        anchors.push((place, at_s));
    }
    let passed_s = anchors.last()?.1 - anchors.first()?.1;
    (passed_s > 0.0).then_some(anchors)
}

/// A clock made of positions, which go on by less than [`LONGEST_POSITION_STEP_S`] from report to
/// report. A player that stood still or jumped has none.
fn positions(moments: &[Moment], loop_s: f64) -> Option<Vec<(usize, f64)>> {
    let (mut last_s, mut passed_s, mut held) = (None, 0.0, 0);
    anchors(moments, |report| {
        let position_s = report.position_s.filter(|position_s| position_s.is_finite());
        let Some(position_s) = position_s else { return Some(None) };
        let step_s = (position_s - last_s.unwrap_or(position_s)).rem_euclid(loop_s);
        held = if last_s == Some(position_s) { held + 1 } else { 0 };
        last_s = Some(position_s);
        passed_s += step_s;
        (step_s < LONGEST_POSITION_STEP_S && held < 4).then_some(Some(passed_s))
    })
}

/// Times of all messages by those of the reports, and the longest time over which messages had to be
/// spread. The written times of what comes before the first report are kept.
fn spread(anchors: &[(usize, f64)], written: &[Nanos]) -> (Vec<Nanos>, f64) {
    let mut at = vec![Nanos(0); written.len()];
    let mut longest_s: f64 = 0.0;
    let (first_place, first_s) = anchors[0];
    let lead_in_s = written[first_place].seconds_since(written[0]);
    let lead_in_s = if lead_in_s < LONGEST_LEAD_IN_S { lead_in_s.max(0.0) } else { 0.0 };
    for place in 0..first_place {
        let since_s = written[place].seconds_since(written[0]);
        at[place] = nanos(since_s.clamp(0.0, lead_in_s));
    }
    let ends = anchors.iter().skip(1).copied().chain([(written.len(), f64::INFINITY)]);
    for (&(from, from_s), (to, to_s)) in anchors.iter().zip(ends) {
        let begin_s = lead_in_s + from_s - first_s;
        let passed_s = if to_s.is_finite() { to_s - from_s } else { 0.0 };
        if to - from > 1 {
            longest_s = longest_s.max(passed_s);
        }
        for (nth, at) in at[from..to].iter_mut().enumerate() {
            *at = nanos(begin_s + passed_s * nth as f64 / (to - from) as f64);
        }
    }
    (at, longest_s)
}

fn nanos(seconds: f64) -> Nanos {
    Nanos(((seconds * US).round() as u64).saturating_mul(1_000))
}
