//! Which slice answers a report.
//!
//! A slice can answer a report if its generation began after the report was sent. When it began follows
//! from the slice's arrival and from how long the server worked on it, which the next slice's header
//! declares: headers lag one generation behind. The way that both took is not known and counts as
//! nothing: no slice before the one named can answer, and where that way is long a later one may be the
//! one that did.

use super::ExportRow;
use crate::report::seen::Measured;

/// For each report that a slice can answer: its row, and the row of the first such slice.
pub(super) fn answers(rows: &[ExportRow]) -> Vec<(usize, usize)> {
    let slices: Vec<_> = rows
        .iter()
        .enumerate()
        .filter_map(|(number, row)| match &row.seen.measured {
            Measured::Slice(slice) => Some((number, row.t.0, slice.tick_ms + slice.dec_ms)),
            _ => None,
        })
        .collect();
    let declared_by = |at: usize| slices.get(at + 1).or(slices.get(at)).map_or(0.0, |it| it.2);
    let began_ns = |at: usize| {
        let work_ns = (declared_by(at) * 1e6).clamp(0.0, u64::MAX as f64) as u64;
        slices[at].1.saturating_sub(work_ns)
    };
    let mut at = 0;
    let reports = rows.iter().enumerate();
    reports
        .filter(|(_, row)| matches!(row.seen.measured, Measured::Tick(_)))
        .filter_map(|(report, row)| {
            while at < slices.len() && began_ns(at) < row.t.0 {
                at += 1;
            }
            Some((report, slices.get(at)?.0))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::SliceRecord;
    use crate::report::seen::{Seen, Side, TickMeasure};
    use crate::time::Nanos;

    fn row(t_ms: u64, measured: Measured) -> ExportRow {
        let side = Side::Client;
        let seen = Seen { side, kind: String::new(), text: None, bytes: 0, measured };
        ExportRow { t: Nanos(t_ms * 1_000_000), t_s: 0.0, seq: 0, conn: 0, seen }
    }

    fn report(t_ms: u64) -> ExportRow {
        let tick =
            TickMeasure { playhead_s: 0.0, staleness_s: 0.0, interval_s: 0.0, in_flight: None };
        row(t_ms, Measured::Tick(tick))
    }

    /// A slice whose header declares this work of the generation before.
    fn slice(t_ms: u64, declared_ms: f64) -> ExportRow {
        let slice = SliceRecord {
            t_s: 0.0,
            start: 0,
            frames: 1,
            lead_s: 0.0,
            interval_s: 0.0,
            tick_ms: declared_ms,
            dec_ms: 0.0,
            generations: 1,
        };
        row(t_ms, Measured::Slice(slice))
    }

    #[test]
    fn a_report_is_answered_by_the_first_generation_that_began_after_it() {
        let rows = [
            report(100),
            report(130),
            // Began at 120, as the next one declares.
            slice(150, 0.0),
            report(160),
            // Began at 170.
            slice(200, 30.0),
            report(210),
            slice(250, 30.0),
            report(300),
        ];
        // The one sent at 130 came too late for the first, and nothing answers the last.
        assert_eq!(answers(&rows), [(0, 2), (1, 4), (3, 4), (5, 6)]);
    }

    #[test]
    fn absurd_work_answers_nothing_and_no_slices_neither() {
        assert_eq!(answers(&[report(1), slice(5, f64::MAX), slice(6, f64::INFINITY)]), []);
        assert_eq!(answers(&[report(1), report(2)]), []);
    }
}
