//! The closed-loop model against sessions whose constants it is not told. The tables of docs/WHATIF.md
//! are printed by `cargo run --release --example what_if_oracle`.

mod sessions;

use lagtape::lag::ReportArgs;
use lagtape::peer::client::Dialect;
use lagtape::peer::link::LinkOptions;
use lagtape::scenario::model::{Change, FitError, Later, Perturbation, Relinked, predict};
use lagtape::time::{Nanos, Span};

use sessions::{
    BOTH, Case, FASTER, FASTER_WHILE_THIN, Hidden, MORE_LEAD, PAUSE, PAUSE_WHILE_THIN, Recorded,
    Row, SEEDS, SEEK_BACK, SEEK_BACK_WHILE_THIN, SEEK_FORWARD, SEEK_FORWARD_WHILE_THIN, SLOWER,
    THIN_WITH_ACKS, THIN_WITHOUT, THREE_SEEKS, floor, rows, rows_in,
};

#[track_caller]
fn check(case: &Case) {
    check_all_but(case, 0);
}

/// All rows of a dialect are good, but for so many at most.
#[track_caller]
fn check_all_but(case: &Case, others: usize) {
    for &dialect in case.dialects {
        let rows = rows(case, dialect, SEEDS);
        let bad: Vec<_> = rows.iter().filter(|row| !row.is_good()).map(Row::to_string).collect();
        assert!(bad.len() <= others, "{bad:#?}");
        for row in rows {
            let open_loop_is_wrong = row.open_loop_error_s.is_none_or(|error_s| error_s > 0.1);
            assert!(open_loop_is_wrong, "the open loop would do: {row}");
        }
    }
}

#[test]
fn seeks_forward() {
    check(&SEEK_FORWARD);
}

#[test]
fn seeks_back() {
    check(&SEEK_BACK);
}

#[test]
fn three_seeks_in_a_row() {
    check(&THREE_SEEKS);
}

#[test]
fn slower_and_faster() {
    check(&SLOWER);
    check(&FASTER);
}

#[test]
fn pauses() {
    check(&PAUSE);
}

#[test]
fn thin_links() {
    // What a server sheds for late acknowledgements hangs on single bytes.
    check_all_but(&THIN_WITH_ACKS, 1);
    check(&THIN_WITHOUT);
}

#[test]
fn recordings_over_links_that_were_thin_already() {
    for case in [SEEK_FORWARD_WHILE_THIN, SEEK_BACK_WHILE_THIN, FASTER_WHILE_THIN, PAUSE_WHILE_THIN]
    {
        // Which slices a server sheds that hears acknowledgements is kept from the recording, and
        // another session of the same server does not repeat it.
        for (dialect, good_of_4) in [(Dialect::Modern, 3), (Dialect::Legacy, 4)] {
            let rows = rows(&case, dialect, 0..2);
            let good = rows.iter().filter(|row| row.is_good()).count();
            let all: Vec<String> = rows.iter().map(ToString::to_string).collect();
            assert!(rows.len() == 4 && good >= good_of_4, "{good} are good: {all:#?}");
        }
    }
}

#[test]
fn links_that_became_thin_are_found_and_made_wider() {
    let mut refused = 0;
    for (seed, dialect) in (0..4).flat_map(|seed| BOTH.iter().map(move |dialect| (seed, *dialect)))
    {
        let demand = Hidden::of(seed, dialect).demand();
        let thin = |bytes_per_s| Hidden::of(seed, dialect).thin(bytes_per_s, 4.0);
        let recorded = thin(0.6 * demand);
        let Recorded { trace, .. } = recorded.recorded();
        let Ok(relinked) = Relinked::of(trace) else {
            refused += 1;
            continue;
        };
        let relinked = relinked.unwrap();
        let found = relinked.bottleneck.narrowest() / (0.6 * demand);
        assert!((found - 1.0).abs() < 0.01, "{dialect:?} {seed}: {:?}", relinked.bottleneck);
        let at_s = recorded.changes_at_s() - trace.origin.seconds();
        let wide = LinkOptions { bytes_per_s: Some(2.0 * demand), ..LinkOptions::default() };
        let change = Change { down: vec![(Span((at_s * 1e9) as u64), wide)], ..Change::default() };
        let (fit, change) = relinked.under(trace, &change);
        let predicted =
            predict(trace, &fit.server, fit.policy(), &change, &Perturbation::default());
        let ours = predicted.tracker.report(trace.end.seconds(), &ReportArgs::default());
        let came = thin(2.0 * demand).run(&Change::default(), Nanos(0)).report();
        let (own_s, came_s) = (ours.slices.lead_s.unwrap(), came.slices.lead_s.unwrap());
        let off = [own_s.p5 - came_s.p5, own_s.p50 - came_s.p50, own_s.p95 - came_s.p95];
        // How far a server raises its lead for a modern client hangs on when which slice was late.
        let most_s = if dialect == Dialect::Modern { 0.12 } else { 0.02 };
        assert!(off.iter().all(|off_s| off_s.abs() < most_s), "{dialect:?} {seed}: {off:?}");
        assert!(ours.slices.behind_playhead.abs_diff(came.slices.behind_playhead) <= 1);
    }
    assert!(refused <= 1, "{refused} of 8");
}

#[test]
fn more_lead() {
    check(&MORE_LEAD);
}

#[test]
fn pings_tell_the_round_trip_and_a_server_s_own_say_nothing() {
    let mut hidden = Hidden::of(0, Dialect::Modern);
    hidden.up.latency_s = 0.030;
    hidden.down.latency_s = 0.012;
    let shortest_ms = hidden.recorded().trace.shortest_ping_ns.unwrap() as f64 / 1e6;
    assert!((42.0..46.0).contains(&shortest_ms), "{shortest_ms}");
    hidden.pings = false;
    assert_eq!(hidden.recorded().trace.shortest_ping_ns, None);
}

#[test]
fn a_change_during_the_session_begins_then() {
    let recorded = Hidden::of(0, Dialect::Modern).recorded();
    let (trace, fit) = (&recorded.trace, recorded.fit().unwrap());
    let later = Later { policy: floor(), ..Later::default() };
    let change = Change { later: vec![(Span(7_000_000_000), later)], ..Change::default() };
    let leads = |change: &Change| {
        let policy = change.policy(fit.policy());
        let predicted = predict(trace, &fit.server, &policy, change, &Perturbation::default());
        predicted.tracker.slices().map(|slice| (slice.t_s, slice.lead_s)).collect::<Vec<_>>()
    };
    let changed = leads(&change);
    let at_s = trace.origin.seconds() + 7.0;
    let (before, after): (Vec<_>, Vec<_>) =
        leads(&Change::default()).into_iter().zip(changed).partition(|(was, _)| was.0 < at_s);
    assert!(before.iter().all(|(was, is)| was == is) && before.len() > 100);
    let raised_s = 0.6 - fit.policy().lead.floor_s;
    let is_raised = |lead_s: f64, was_s: f64| (lead_s - was_s - raised_s).abs() < 0.05;
    assert!(after.iter().skip(3).all(|(was, is)| is_raised(is.1, was.1)) && after.len() > 100);
}

#[test]
fn positions_go_in_steps() {
    let recorded = Hidden::of(1, Dialect::Legacy).recorded();
    let (trace, fit) = (&recorded.trace, recorded.fit().unwrap());
    let change = Change { quantum_frames: Some(4_096), ..Change::default() };
    let predicted = predict(trace, &fit.server, fit.policy(), &change, &Perturbation::default());
    let frame = |playhead_s: f64| (playhead_s * 48_000.0).round() as u64;
    assert!(predicted.tracker.ticks().all(|tick| frame(tick.playhead_s) % 4_096 == 0));
    assert!(predicted.tracker.ticks().any(|tick| tick.playhead_s > 1.0));
}

/// None of four sessions is refused, and so many of them are predicted well.
#[track_caller]
fn check_trouble(trouble: &'static str, case: &Case, least_good: [usize; 2]) {
    for (dialect, least_good) in [Dialect::Modern, Dialect::Legacy].into_iter().zip(least_good) {
        let rows: Result<Vec<Row>, FitError> =
            rows_in(trouble, case, dialect).into_iter().collect();
        let rows = rows.unwrap_or_else(|refused| panic!("{trouble} {dialect:?}: {refused}"));
        let good = rows.iter().filter(|row| row.is_good()).count();
        let all: Vec<String> = rows.iter().map(ToString::to_string).collect();
        assert!(good >= least_good, "{good} are good: {all:#?}");
    }
}

#[test]
fn stalls_are_kept() {
    check_trouble("stall", &SEEK_BACK, [4, 4]);
    check_trouble("stall without a reserve", &SEEK_BACK, [4, 4]);
}

#[test]
fn slices_that_went_behind_the_listener_go_there_again() {
    check_trouble("behind", &SEEK_FORWARD, [4, 4]);
}

#[test]
fn a_server_that_falls_behind_the_reports_does_so_again() {
    // What a server sheds for late acknowledgements hangs on single bytes.
    check_trouble("stale-playhead", &SEEK_FORWARD, [3, 4]);
}

#[test]
fn a_client_that_handles_messages_now_and_then_does_so_again() {
    check_trouble("client-backlog", &SEEK_BACK, [4, 4]);
}

#[test]
fn constants_that_long_gaps_show_are_found() {
    check_trouble("burst-production", &SEEK_BACK, [4, 4]);
}
