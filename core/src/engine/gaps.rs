//! Gaps in the client's reports, longer than its cadence allows.
//!
//! A player that stood still, jumped or got another buffer in the meantime may have had nothing to
//! say, so that only a gap over which the playhead went on counts.

use crate::time::Nanos;

/// Shortest gap, in seconds: the slowest usual client reports every 0.08 s, a busy machine delays
/// one report by 0.1 s, and blocked clients begin at 0.25 s.
pub const GAP_S: f64 = 0.25;
/// A gap is this many times the usual time between two reports, for clients that report seldom.
pub const GAP_TIMES: f64 = 4.0;
/// Weight of the newest interval in the usual one: about the last 20 count.
const NEWEST_WEIGHT: f64 = 0.05;
/// How far a playhead that went on may lie from where it should be, in seconds and as a share of
/// the gap.
const WENT_ON: (f64, f64) = (0.25, 0.05);
/// Gaps that are kept; further ones are counted.
pub const MAX_GAPS: usize = 1000;

/// Two reports of the client with too much time between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportGap {
    /// The report before it.
    pub from: Nanos,
    pub to: Nanos,
}

/// Follows the client's reports.
#[derive(Debug, Clone, Default)]
pub(super) struct ReportWatch {
    /// The last report and its position, unless what followed it is unknown.
    before: Option<(Nanos, Option<f64>)>,
    last: Option<Nanos>,
    usual_s: Option<f64>,
    gaps: Vec<ReportGap>,
    total: u64,
}

impl ReportWatch {
    /// Takes a report of a position in a loop of this length.
    pub fn report(&mut self, t: Nanos, position_s: Option<f64>, loop_s: f64) {
        self.last = self.last.max(Some(t));
        let Some((from, before_s)) = self.before.replace((t, position_s)) else { return };
        let interval_s = t.seconds_since(from);
        let usual_s = self.usual_s.unwrap_or(interval_s);
        let weight = if self.usual_s.is_some() { NEWEST_WEIGHT } else { 1.0 };
        self.usual_s = Some(usual_s + weight * (interval_s - usual_s));
        let is_long = interval_s > GAP_S.max(GAP_TIMES * usual_s);
        let positions = before_s.zip(position_s);
        if is_long && positions.is_none_or(|(a, b)| went_on(a, b, interval_s, loop_s)) {
            self.total += 1;
            if self.gaps.len() < MAX_GAPS {
                self.gaps.push(ReportGap { from, to: t });
            }
        }
    }

    /// What comes before the next report is no gap: records are missing, or the player was stopped,
    /// moved or given another buffer.
    pub fn doubt(&mut self) {
        self.before = None;
    }

    /// The last report.
    pub fn last(&self) -> Option<Nanos> {
        self.last
    }

    pub fn gaps(&self) -> &[ReportGap] {
        &self.gaps
    }

    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Whether a playhead that was at `from_s` and is at `to_s` played all the time in between.
fn went_on(from_s: f64, to_s: f64, elapsed_s: f64, loop_s: f64) -> bool {
    let apart_s = |expected_s: f64| {
        let ahead_s = (to_s - expected_s).rem_euclid(loop_s.max(f64::MIN_POSITIVE));
        ahead_s.min(loop_s - ahead_s)
    };
    let from_moving_s = apart_s(from_s + elapsed_s);
    let allowed_s = WENT_ON.0.max(WENT_ON.1 * elapsed_s);
    from_moving_s <= allowed_s && from_moving_s <= apart_s(from_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gaps between reports at these times and positions, in a loop of 10 s.
    #[track_caller]
    fn check(reports: &[(f64, f64)], expected: &[(f64, f64)]) {
        let mut watch = ReportWatch::default();
        for (t_s, position_s) in reports {
            watch.report(Nanos((t_s * 1e9) as u64), Some(*position_s), 10.0);
        }
        let found: Vec<_> =
            watch.gaps().iter().map(|gap| (gap.from.seconds(), gap.to.seconds())).collect();
        assert_eq!(found, expected);
    }

    /// A client that reports this often for a second, then after a gap from somewhere.
    fn after(interval_s: f64, gap_s: f64, advance_s: f64) -> [Vec<(f64, f64)>; 1] {
        let count = (1.0 / interval_s) as u32;
        let mut reports: Vec<_> =
            (0..=count).map(|i| f64::from(i) * interval_s).map(|t_s| (t_s, t_s)).collect();
        let (t_s, position_s) = reports[count as usize];
        reports.push((t_s + gap_s, (position_s + advance_s).rem_euclid(10.0)));
        [reports]
    }

    #[test]
    fn only_a_playhead_that_went_on_has_a_gap() {
        let [went_on] = after(0.125, 2.0, 2.0);
        check(&went_on, &[(1.0, 3.0)]);
        let [over_the_end] = after(0.125, 9.5, 9.5);
        check(&over_the_end, &[(1.0, 10.5)]);
        let [paused] = after(0.125, 2.0, 0.0);
        check(&paused, &[]);
        let [jumped] = after(0.125, 2.0, 5.0);
        check(&jumped, &[]);
        let [paused_for_a_lap] = after(0.125, 9.75, 0.0);
        check(&paused_for_a_lap, &[]);
        // A twentieth of the gap may be off, as clocks are.
        let [slow] = after(0.125, 8.0, 7.65);
        check(&slow, &[(1.0, 9.0)]);
        let [too_slow] = after(0.125, 8.0, 7.55);
        check(&too_slow, &[]);
    }

    #[test]
    fn a_gap_is_longer_than_the_cadence() {
        let [late] = after(0.0625, 0.25, 0.25);
        check(&late, &[]);
        let [blocked] = after(0.0625, 0.28125, 0.28125);
        check(&blocked, &[(1.0, 1.28125)]);
        let [almost] = after(0.5, 2.0, 2.0);
        check(&almost, &[]);
        let [seldom] = after(0.5, 1.5, 1.5);
        check(&seldom, &[]);
        let [seldom_and_silent] = after(0.5, 2.5, 2.5);
        check(&seldom_and_silent, &[(1.0, 3.5)]);
    }

    #[test]
    fn one_long_interval_is_not_the_usual_one() {
        let [mut reports] = after(0.125, 0.25, 0.25);
        reports.push((1.875, 1.875));
        check(&reports, &[(1.25, 1.875)]);
    }

    #[test]
    fn only_the_first_gaps_are_kept_and_all_are_counted() {
        let mut watch = ReportWatch::default();
        for n in 0..=(MAX_GAPS as u64 + 1) * 10 {
            // Nine short intervals and a long one.
            let t = n * 100_000_000 + n / 10 * 900_000_000;
            watch.report(Nanos(t), None, 10.0);
        }
        assert_eq!((watch.gaps().len(), watch.total()), (MAX_GAPS, MAX_GAPS as u64 + 1));
        assert_eq!(
            watch.gaps()[0],
            ReportGap { from: Nanos(900_000_000), to: Nanos(1_900_000_000) }
        );
    }

    #[test]
    fn what_is_unknown_is_no_gap() {
        let mut watch = ReportWatch::default();
        for (t, doubt) in [(0, false), (1, false), (2, false), (30, true), (31, false)] {
            if doubt {
                watch.doubt();
            }
            watch.report(Nanos(t * 100_000_000), None, 10.0);
        }
        assert_eq!(watch.total(), 0);
        watch.report(Nanos(9_000_000_000), None, 10.0);
        assert_eq!(watch.total(), 1);
    }
}
