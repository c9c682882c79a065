//! Each mechanism by itself, on columns that are written by hand.

use super::*;
use crate::diagnosis::class::Class;
use crate::diagnosis::view::{AskedRow, BufferRow, DriftRow, ReportRow, SliceRow, Stretch, folded};
use crate::mirror::drift::MirrorDrift;

const LOOP_S: f64 = 20.0;
const EVERY_S: f64 = 0.052;
const REPORT_S: f64 = 0.034;

/// Half a minute in which all is well: a slice every 52 ms, 0.2 s ahead, a generation every second one.
fn steady() -> View {
    let slice = |number: usize| {
        let t_s = number as f64 * EVERY_S;
        SliceRow {
            t_s,
            seq: 1,
            start_s: (t_s + 0.2).rem_euclid(LOOP_S),
            window_s: 0.36,
            bytes: 20_000.0,
            lead_s: 0.2,
            tick_s: 0.045,
            decode_s: 0.007,
            generations: (number / 2) as f64,
            interval_s: (number > 0).then_some(EVERY_S),
            is_reused: false,
        }
    };
    let report = |number: usize| {
        let t_s = number as f64 * REPORT_S;
        ReportRow {
            t_s,
            seq: 1,
            position_s: Some(t_s.rem_euclid(LOOP_S)),
            acknowledged: Some((t_s / EVERY_S).floor() * 20_000.0),
            lead_s: Some(0.2),
            turned: number % 200 == 100,
            received: (t_s / EVERY_S).floor() * 20_000.0,
        }
    };
    View {
        slices: (0..580).map(slice).collect(),
        reports: (0..885).map(report).collect(),
        buffers: vec![BufferRow {
            t_s: 0.0,
            seq: 1,
            loop_s: LOOP_S,
            bytes: 3.8e6,
            old_audio: None,
        }],
        to_s: 30.0,
        ..View::default()
    }
}

/// The same with other slices, whose intervals follow from their times.
fn with_slices(change: impl Fn(&mut Vec<SliceRow>)) -> View {
    let mut view = steady();
    change(&mut view.slices);
    let times: Vec<f64> = view.slices.iter().map(|slice| slice.t_s).collect();
    for (slice, before_s) in view.slices.iter_mut().skip(1).zip(times) {
        slice.interval_s = Some(slice.t_s - before_s);
    }
    view
}

fn with_reports(change: impl Fn(&mut Vec<ReportRow>)) -> View {
    let mut view = steady();
    change(&mut view.reports);
    view
}

/// Slices come `times` as far apart from 10 s on, and carry on where the listener is.
fn slower(slices: &mut Vec<SliceRow>, times: f64, lead_s: impl Fn(f64) -> f64) {
    let mut t_s = 10.0;
    for slice in slices.iter_mut().filter(|slice| slice.t_s > 10.0) {
        slice.t_s = t_s;
        slice.lead_s = lead_s(t_s - 10.0);
        slice.start_s = (t_s + slice.lead_s).rem_euclid(LOOP_S);
        t_s += EVERY_S * times;
    }
    slices.retain(|slice| slice.t_s < 30.0);
}

#[track_caller]
fn check(view: View, expected: &[Class]) {
    let view = view.measured();
    let (suspects, _) = all(&view, &SharedMeasures::of(&view));
    let found: Vec<_> = suspects.iter().map(|suspect| suspect.class).collect();
    assert_eq!(found, expected, "{suspects:#?}");
}

#[test]
fn what_is_steady_has_no_suspects() {
    check(steady(), &[]);
    check(View::default(), &[]);
    check(View { slices: Vec::new(), ..steady() }, &[Class::RawSourceNeverCovered]);
    check(View { reports: Vec::new(), ..steady() }, &[]);
}

#[test]
fn a_gap_is_a_stall_unless_slices_were_made_in_it() {
    let gap = |slices: &mut Vec<SliceRow>, made: bool| {
        slices.retain(|slice| !(10.0..11.0).contains(&slice.t_s));
        let lost = if made { 0.0 } else { 9.0 };
        slices.iter_mut().filter(|it| it.t_s > 10.0).for_each(|it| it.generations -= lost);
    };
    check(with_slices(|slices| gap(slices, false)), &[Class::GenerationStall]);
    check(with_slices(|slices| gap(slices, true)), &[]);
}

#[test]
fn a_gap_that_was_asked_and_covered_for_is_a_rebuild() {
    let mut view = with_slices(|slices| {
        slices.retain(|slice| !(10.0..11.1).contains(&slice.t_s));
        slices.iter_mut().filter(|it| it.t_s > 10.0).for_each(|it| it.generations -= 10.0);
        let last = slices.iter_mut().rfind(|slice| slice.t_s < 10.0).unwrap();
        last.lead_s = 1.2;
    });
    view.commands = vec![(9.9, 7)];
    check(view, &[Class::RebuildStall]);
}

#[test]
fn a_fall_of_leads_is_the_clock_s_when_slices_keep_their_rate_and_the_link_s_when_not() {
    let falling = |since_s: f64| 0.2 - 0.5 * since_s;
    check(with_slices(|slices| slower(slices, 1.0, falling)), &[Class::StalePlayhead]);
    check(with_slices(|slices| slower(slices, 2.0, falling)), &[Class::BandwidthDeficit]);
    // No position grows old faster than time goes.
    check(with_slices(|slices| slower(slices, 1.0, |_| -0.5)), &[]);
}

#[test]
fn slices_that_are_left_out_while_fresh_ones_come_are_the_clock_s() {
    let shed = with_slices(|slices| {
        let mut number = 0;
        slices.retain(|slice| {
            number += 1;
            slice.t_s < 10.0 || number % 2 == 0
        });
        for slice in slices.iter_mut().filter(|slice| slice.t_s > 10.0) {
            slice.lead_s = 0.2 - 0.5 * (slice.t_s - 10.0);
        }
    });
    check(shed, &[Class::StalePlayhead]);
}

/// A few slices lack in two and a half seconds, and as many come more in between, none of which waited: that is
/// neither a link nor a server that sheds.
#[test]
fn a_hiccup_that_is_made_up_for_is_nobody_s() {
    let view = with_slices(|slices| {
        let lacks = |slice: &SliceRow| {
            let is_within = (10.0..11.0).contains(&slice.t_s) || (11.5..12.5).contains(&slice.t_s);
            is_within && ((slice.t_s / EVERY_S).round() as usize).is_multiple_of(4)
        };
        let more: Vec<_> = slices
            .iter()
            .filter(|slice| (11.0..11.5).contains(&slice.t_s))
            .step_by(2)
            .map(|slice| SliceRow { t_s: slice.t_s + EVERY_S / 2.0, ..*slice })
            .collect();
        slices.retain(|slice| !lacks(slice));
        slices.extend(more);
        slices.sort_by(|one, two| one.t_s.total_cmp(&two.t_s));
    });
    check(view, &[]);
}

#[test]
fn a_gap_all_through_a_drag_is_a_refit_and_one_within_it_a_stall() {
    let dragged = |from_s: f64, to_s: f64| {
        let mut view = with_slices(|slices| {
            slices.retain(|slice| !(10.0..13.2).contains(&slice.t_s));
            slices.iter_mut().filter(|it| it.t_s > 10.0).for_each(|it| it.generations -= 30.0);
        });
        let drag = view.reports.iter_mut().filter(|it| (from_s..to_s).contains(&it.t_s));
        drag.step_by(2).for_each(|report| report.turned = true);
        view
    };
    check(dragged(9.9, 13.0), &[Class::RefitStorm]);
    check(dragged(6.0, 18.0), &[Class::GenerationStall]);
}

#[test]
fn generations_of_either_of_two_lengths_come_in_bursts() {
    let ticks = |long_s: f64| {
        with_slices(|slices| {
            let mut t_s = 0.0;
            for (number, slice) in slices.iter_mut().enumerate() {
                let tick_s = if [1, 2, 4, 7].contains(&(number % 8)) { long_s } else { 0.25 };
                t_s += tick_s + 0.01;
                (slice.t_s, slice.tick_s, slice.start_s) = (t_s, tick_s, t_s.rem_euclid(LOOP_S));
            }
            slices.retain(|slice| slice.t_s < 30.0);
        })
    };
    check(ticks(0.65), &[Class::BurstProduction]);
    // As much as ticks vary by themselves.
    check(ticks(0.33), &[]);
}

#[test]
fn long_ticks_are_slow_generation_paging_or_contention() {
    let ticks = |slices: &mut Vec<SliceRow>, tick_s: f64, decode_s: f64, until_s: f64| {
        let late = |slice: &&mut SliceRow| (10.0..until_s).contains(&slice.t_s);
        for slice in slices.iter_mut().filter(late) {
            (slice.tick_s, slice.decode_s) = (tick_s, decode_s);
        }
    };
    let slow = with_slices(|slices| {
        slower(slices, 8.0, |_| 0.2);
        ticks(slices, 0.4, 0.007, 30.0);
    });
    check(slow, &[Class::SlowGeneration]);
    let paging = with_slices(|slices| {
        slower(slices, 2.6, |_| 0.2);
        ticks(slices, 0.117, 0.018, 30.0);
    });
    check(paging, &[Class::VramPaging]);
    let shared = with_slices(|slices| {
        let mut number = 0;
        slices.retain(|slice| {
            number += 1;
            !(10.0..12.0).contains(&slice.t_s) && !(16.0..18.0).contains(&slice.t_s)
                || number % 5 == 0
        });
        ticks(slices, 0.2, 0.05, 12.3);
        let late = |slice: &&mut SliceRow| (16.0..18.3).contains(&slice.t_s);
        slices.iter_mut().filter(late).for_each(|slice| slice.tick_s = 0.2);
    });
    check(shared, &[Class::GpuContention]);
}

#[test]
fn a_client_is_throttled_when_every_report_is_late_and_hitched_when_one_is() {
    let hitch = with_reports(|it| it.retain(|report| !(10.0..11.5).contains(&report.t_s)));
    check(hitch, &[Class::ClientSendHitch]);
    let backlog = with_reports(|reports| {
        let mut last_s = 0.0;
        reports.retain(|report| {
            let keep = report.t_s < 10.0 || report.t_s - last_s > 1.0;
            last_s = if keep { report.t_s } else { last_s };
            keep
        });
    });
    check(backlog, &[Class::ClientBacklog]);
}

#[test]
fn an_audio_clock_is_skewed_or_coarse() {
    let clock = |position: fn(f64) -> f64| {
        with_reports(|reports| {
            for report in reports {
                report.position_s = Some(position(report.t_s).rem_euclid(LOOP_S));
            }
        })
    };
    check(clock(|t_s| t_s * 1.005), &[Class::ClockSkew]);
    check(clock(|t_s| t_s * 0.97), &[Class::ClockSkew]);
    check(clock(|t_s| t_s * 1.0003), &[]);
    check(clock(|t_s| (t_s / 0.0853).floor() * 0.0853), &[Class::StairStepPlayhead]);
    check(clock(|t_s| (t_s / 0.0053).floor() * 0.0053), &[]);
}

#[test]
fn a_lead_that_a_jump_throws_up_is_a_runaway_and_one_of_a_gap_is_none() {
    let thrown = |view: &mut View, from_s: f64| {
        for slice in view.slices.iter_mut().filter(|slice| slice.t_s > from_s) {
            slice.lead_s = 3.0 * (-(slice.t_s - from_s) / 20.0).exp() + 0.2;
        }
        for report in view.reports.iter_mut().filter(|report| report.t_s > 10.0) {
            report.position_s = report.position_s.map(|s| (s + 7.0).rem_euclid(LOOP_S));
        }
        let stray = view.reports.iter_mut().find(|report| report.t_s > 10.1).unwrap();
        stray.lead_s = Some(-6.8);
    };
    let mut view = steady();
    thrown(&mut view, 10.0);
    check(view, &[Class::SeekLeadRunaway]);
}

#[test]
fn slices_of_the_old_source_bleed_into_the_new_one() {
    let mut view = steady();
    view.buffers.push(BufferRow { t_s: 10.0, seq: 9, loop_s: 30.0, bytes: 5.7e6, old_audio: None });
    for report in view.reports.iter_mut().filter(|report| report.t_s >= 10.0) {
        report.position_s = Some(report.t_s - 10.0);
    }
    let healthy = view.clone();
    for slice in view.slices.iter_mut().filter(|it| (10.0..11.5).contains(&it.t_s)) {
        (slice.lead_s, slice.start_s) = (10.2, slice.t_s + 0.2);
    }
    check(view, &[Class::OldTrackBleed]);
    check(healthy, &[]);
}

#[test]
fn what_the_old_source_held_bleeds_wherever_it_goes() {
    let with_old_audio = |old_audio| {
        let mut view = steady();
        view.buffers.push(BufferRow { t_s: 10.0, seq: 9, loop_s: 30.0, bytes: 5.7e6, old_audio });
        for report in view.reports.iter_mut().filter(|report| report.t_s >= 10.0) {
            report.position_s = Some(report.t_s - 10.0);
        }
        view
    };
    check(with_old_audio(Some((30.0, 11.5, 4))), &[Class::OldTrackBleed]);
    // On their way when the swap came.
    check(with_old_audio(Some((5.0, 10.2, 4))), &[]);
}

/// From 10 s on the client asks for a region twice a second, of which every other one comes, and slices are
/// left out by a share.
fn asking(comes: impl Fn(usize) -> bool, left_out: bool) -> View {
    let mut view = with_slices(|slices| {
        let mut number = 0;
        slices.retain(|slice| {
            number += 1;
            slice.t_s < 10.0 || !left_out || number % 3 > 0
        });
        for request in 0..20 {
            let t_s = 10.2 + 0.5 * request as f64;
            if comes(request) {
                let lead_s = folded(0.9 * request as f64 - t_s, LOOP_S);
                let start_s = (0.9 * request as f64).rem_euclid(LOOP_S);
                slices.push(SliceRow { t_s, start_s, lead_s, ..slices[0] });
            }
        }
        slices.sort_by(|one, two| one.t_s.total_cmp(&two.t_s));
    });
    let asked = |request: usize| AskedRow {
        t_s: 10.0 + 0.5 * request as f64,
        seq: request as u64,
        start_s: 0.9 * request as f64,
    };
    view.asked = (0..20).map(asked).collect();
    view.measured()
}

#[test]
fn regions_that_were_asked_for_are_shed_with_the_others() {
    let found = |comes: fn(usize) -> bool, left_out| {
        let view = asking(comes, left_out);
        asked::suspect(&view, &pace::paces(&view)).map(|suspect| suspect.class)
    };
    assert_eq!(found(|request| request % 2 == 0, true), Some(Class::AnchoredShed));
    assert_eq!(found(|_| true, true), None);
    // A server that knows of no such requests, and one that sheds nothing.
    assert_eq!(found(|_| false, true), None);
    assert_eq!(found(|request| request % 2 == 0, false), None);
}

#[test]
fn a_server_that_never_makes_up_for_its_rounding_drifts() {
    let with_drift = |corrected, uncorrected, error: f64| {
        let seen = MirrorDrift {
            corrected,
            uncorrected,
            compared: 1_000,
            error_squares: error,
            rounding_squares: 1e-6,
            ..MirrorDrift::default()
        };
        let stretch = Stretch { from_s: 0.1, to_s: 30.0 };
        View { drift: Some(DriftRow { seen, stretch, records: [1, 2] }), ..steady() }
    };
    check(with_drift(2, 5_000, 1e-6), &[Class::MirrorDrift]);
    check(with_drift(4_000, 400, 1e-6), &[]);
    check(with_drift(0, 20, 1e-6), &[]);
    // Raw slices show it by themselves.
    check(with_drift(0, 0, 1e-4), &[Class::MirrorDrift]);
}

/// A tape of a minute: portions of 4 s, each in three slices at once, so many seconds apart.
fn tape(every_s: impl Fn(usize) -> f64) -> View {
    let (mut slices, mut t_s, mut number) = (Vec::new(), 6.0, 0);
    while t_s < 60.0 {
        for part in 0..3 {
            let start_s = 4.0 * number as f64 + [0.0, 1.5, 3.0][part];
            let ahead_s = start_s - (t_s - 6.0);
            let slice = SliceRow {
                t_s: t_s + 0.001 * part as f64,
                start_s: start_s.rem_euclid(LOOP_S),
                window_s: [1.525, 1.525, 1.025][part],
                lead_s: folded(ahead_s, LOOP_S),
                ..steady().slices[1]
            };
            slices.push(slice);
        }
        t_s += every_s(number);
        number += 1;
    }
    View { slices, to_s: t_s.min(60.0), is_tape: true, ..steady() }
}

#[test]
fn a_tape_is_held_up_by_its_generator_its_link_or_its_gate() {
    let timed = |mut view: View| {
        let times: Vec<f64> = view.slices.iter().map(|slice| slice.t_s).collect();
        for (slice, before_s) in view.slices.iter_mut().skip(1).zip(times) {
            slice.interval_s = Some(slice.t_s - before_s);
        }
        view
    };
    let fills = |number: usize| if number < 2 { 3.1 } else { 4.0 };
    check(timed(tape(fills)), &[]);
    check(timed(tape(|_| 4.3)), &[Class::SlowGeneration]);
    check(timed(tape(|number| if number < 3 { fills(number) } else { 8.3 })), &[Class::VramPaging]);
    check(timed(tape(|number| if number == 0 { 6.1 } else { 4.0 })), &[Class::BurstProduction]);
    let waits = View { longest_ping_s: Some(2.0), ..tape(|_| 6.0) };
    check(timed(waits), &[Class::BandwidthDeficit]);
    let stands = |number: usize| if number == 4 { 9.0 } else { 3.1 };
    check(timed(tape(stands)), &[Class::GenerationStall]);
}
