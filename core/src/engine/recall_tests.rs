//! Rows of a checkpoint in place of their records, and what is missing between records.

use super::*;
use crate::capture::Gap;
use crate::capture::TickReport;

fn row(t: u64, what: RowKind) -> CheckpointRow {
    CheckpointRow { t: Nanos(t), stored_len: 9, what }
}

fn recalled(rows: &[RowKind]) -> Engine {
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    let shape = BufferShape { frames: 48_000, channels: 1, sample_rate: 48_000, family: 0 };
    engine.recall(&row(1, RowKind::Begin(shape)));
    for (t, what) in (2..).zip(rows) {
        engine.recall(&row(t, what.clone()));
    }
    engine
}

#[test]
fn rows_count_what_their_records_would() {
    let shape = BufferShape { frames: 24_000, channels: 1, sample_rate: 48_000, family: 0 };
    let slice = RowKind::Slice { header: [0; 23], len: 77 };
    let engine =
        recalled(&[RowKind::Refused, slice.clone(), RowKind::Refused, RowKind::Swap(shape), slice]);
    let facts = engine.facts();
    assert_eq!((facts.decode_errors, facts.slice_bytes, facts.swaps), (2, 154, 1));
}

/// Gaps of the reports around a row: the player goes on as if nothing had been.
#[track_caller]
fn check_gaps(between: Option<RowKind>, expected: u64) {
    const S: u64 = 1_000_000_000;
    let report = |position_s| {
        let report = TickReport { playback_pos: Some(position_s), ..TickReport::default() };
        RowKind::Tick { report, turned: false }
    };
    let mut engine = recalled(&[]);
    for tenth in 1..=8 {
        engine.recall(&row(tenth * S / 10, report(tenth as f64 / 10.0)));
    }
    if let Some(what) = between {
        engine.recall(&row(S, what));
    }
    engine.recall(&row(3 * S + 8 * S / 10, report(0.8)));
    assert_eq!(engine.facts().ending.reports.total(), expected);
}

#[test]
fn an_op_or_a_swap_between_reports_leaves_no_gap() {
    let shape = BufferShape { frames: 48_000, channels: 1, sample_rate: 48_000, family: 0 };
    check_gaps(Some(RowKind::Op(Marker::Pause)), 0);
    check_gaps(Some(RowKind::Swap(shape)), 0);
}

/// Whether a record after these is in doubt.
#[track_caller]
fn check_doubt(numbers: &[(u64, Option<Gap>)], expected: bool) {
    let mut engine = Engine::new(Options::default());
    for (seq, gap) in numbers {
        let body = match gap {
            Some(gap) => Body::Gap(gap.clone()),
            None => Body::Marker(Marker::Pause),
        };
        engine.handle(&Record { seq: *seq, t: Nanos(*seq), conn: 0, body });
    }
    assert_eq!(engine.state().doubtful, expected, "{numbers:?}");
}

#[test]
fn what_is_missing_with_or_without_a_gap_puts_in_doubt() {
    let gap = |first_seq, count| Some(Gap { first_seq, count, ..Gap::default() });
    check_doubt(&[(0, None), (1, None)], false);
    check_doubt(&[(0, None), (2, None)], true);
    check_doubt(&[(0, None), (3, gap(1, 2))], true);
}

#[test]
fn a_gap_that_begins_later_leaves_records_missing() {
    let odd = |first_seq, count, seq| {
        let mut engine = Engine::new(Options::default());
        let op = Body::Marker(Marker::Pause);
        engine.handle(&Record { seq: 0, t: Nanos(0), conn: 0, body: op });
        let gap = Body::Gap(Gap { first_seq, count, ..Gap::default() });
        engine.handle(&Record { seq, t: Nanos(1), conn: 0, body: gap });
        engine.facts().oddities.iter().any(|odd| odd.kind == OddityKind::MissingRecords)
    };
    assert!(!odd(1, 2, 3) && odd(2, 1, 3));
}

#[test]
fn a_time_that_runs_back_is_odd_and_ends_nothing_earlier() {
    let mut engine = Engine::new(Options::default());
    for (seq, t) in [(0, 5), (1, 9), (2, 7)] {
        let body = Body::Marker(Marker::Pause);
        engine.handle(&Record { seq, t: Nanos(t), conn: 0, body });
    }
    assert_eq!(engine.facts().span, Some((Nanos(5), Nanos(9))));
    assert_eq!(engine.facts().oddities[0].kind, OddityKind::ClockBackwards);
}

#[test]
fn counts_are_taken_over() {
    let mut engine = recalled(&[]);
    let totals = crate::capture::Totals {
        records: 90,
        up_messages: 7,
        up_bytes: 70,
        down_messages: 8,
        down_bytes: 80,
        ..Default::default()
    };
    engine.recall_totals(&totals);
    let facts = engine.facts();
    let counted = facts.traffic.each_ref().map(|way| (way.messages, way.bytes));
    assert_eq!((facts.records, counted), (90, [(7, 70), (8, 80)]));
}
