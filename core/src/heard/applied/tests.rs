use super::super::behind::BehindRule;
use super::*;

const MS: u64 = 1_000_000;
/// Of a slice message.
const LEN: u64 = 100;

/// A foreign client of a loop of 10 s with frames of a millisecond. The server sends a slice of
/// 300 ms every 50 ms, 200 ms ahead of the listener.
struct Session {
    meter: HeardMeter,
    now_ms: u64,
    sent: u64,
}

impl Session {
    fn new() -> Self {
        let rule = HeardRule::new(3.0, BehindRule::default());
        let meter = HeardMeter::new(Nanos(0), 10_000, 1_000, rule, true);
        Session { meter, now_ms: 0, sent: 0 }
    }

    /// Goes on; `report` says what the client says, if it reports then.
    fn run(
        mut self,
        span_ms: u64,
        mut report: impl FnMut(u64, u64) -> Option<(Option<u64>, Option<f64>)>,
    ) -> Self {
        for _ in 0..span_ms / 50 {
            self.now_ms += 50;
            let at = Nanos(self.now_ms * MS);
            if let Some((bytes, slice_lead_s)) = report(self.now_ms, self.sent) {
                let said = TickReport {
                    slice_bytes_rx: bytes.map(|bytes| bytes as f64),
                    slice_lead_s,
                    ..TickReport::default()
                };
                self.report(at, self.now_ms as f64, &said, false);
            }
            self.sent += LEN;
            self.meter.on_slice(at, (self.now_ms + 200) % 10_000, 300, LEN);
        }
        self
    }

    fn report(&mut self, at: Nanos, position: f64, said: &TickReport, jumped: bool) {
        let line = PlayheadLine { at, position: position % 10_000.0, speed: 1_000.0 };
        self.meter.on_report(at, said, Some(Steering { line, jumped, paused: false }));
    }

    fn sound(self, span_ms: u64) -> Self {
        self.run(span_ms, |_, sent| Some((Some(sent), None)))
    }

    /// Bad seconds and slices that were held back.
    #[track_caller]
    fn check(self, bad_s: f64, held_back: u64, by: AppliedBy) {
        let report = self.meter.report(Nanos(0));
        assert!((report.bad_s - bad_s).abs() < 1e-6, "{report:#?}");
        assert_eq!((self.meter.held_back(), self.meter.applied_by()), (held_back, by));
        assert!(report.episodes.iter().all(|episode| !episode.what.is_behind()));
    }
}

#[test]
fn applied_slices_are_those_that_the_client_acknowledged() {
    Session::new().sound(5_000).check(0.0, 0, AppliedBy::Acknowledgement);
    // For a second it reports and does not apply: what was there reaches 450 ms far.
    Session::new().sound(5_000).run(1_000, |_, _| Some((Some(99 * LEN), None))).sound(2_000).check(
        0.55,
        20,
        AppliedBy::Acknowledgement,
    );
}

#[test]
fn applied_slices_count_from_arrival_where_nothing_tells() {
    let silent = |_, _| Some((None, None));
    Session::new().run(8_000, silent).check(0.0, 0, AppliedBy::Arrival);
    let stuck = |_, _| Some((Some(7), None));
    Session::new().run(8_000, stuck).check(0.0, 0, AppliedBy::Arrival);
    let beyond = |_, sent: u64| Some((Some(sent + 1_000_000), None));
    Session::new().run(8_000, beyond).check(0.0, 0, AppliedBy::Arrival);
}

#[test]
fn applied_late_is_what_came_while_the_client_was_blocked() {
    let hitch = |lead_s: Option<f64>| {
        Session::new()
            .sound(5_000)
            .run(1_000, move |now_ms, sent| (now_ms == 6_000).then_some((Some(sent), lead_s)))
            .sound(2_000)
    };
    hitch(None).check(0.55, 20, AppliedBy::Acknowledgement);
    hitch(Some(-0.75)).check(0.55, 20, AppliedBy::Acknowledgement);
    hitch(Some(0.2)).check(0.0, 0, AppliedBy::Acknowledgement);
}

#[test]
fn a_silence_that_ends_elsewhere_is_not_heard() {
    // A paused page says nothing, and first says where it stopped when it goes on. What it hears
    // then is old, and a transient.
    let mut session = Session::new().sound(5_000).run(3_000, |_, _| None);
    let said = TickReport { slice_bytes_rx: Some(session.sent as f64), ..TickReport::default() };
    session.report(Nanos(8_000 * MS), 5_000.0, &said, false);
    // Nor was anybody before the first report, at 50 ms.
    assert_eq!(session.meter.report(Nanos(0)).s, 4.95);
    session.report(Nanos(8_050 * MS), 5_050.0, &said, false);
    assert_eq!(session.meter.report(Nanos(0)).s, 5.0);
    session.report(Nanos(9_000 * MS), 6_000.0, &said, false);
    session.check(0.0, 0, AppliedBy::Acknowledgement);
    // Nobody is known to listen after the last report.
    let half_open = Session::new().sound(5_000).run(20_000, |_, _| None);
    assert_eq!(half_open.meter.report(Nanos(0)).s, 4.95);
}

#[test]
fn what_waits_is_bounded() {
    let mut session = Session::new().sound(1_000);
    for _ in 0..3 * MAX_WAITING {
        session.meter.on_change(Nanos(session.now_ms * MS));
    }
    assert!(session.meter.state().waiting.len() <= MAX_WAITING);
}

#[test]
fn who_reports_first_after_a_swap_was_not_silent_before_it() {
    let mut session = Session::new().sound(5_000);
    session.now_ms += 5_000;
    let line = PlayheadLine { at: Nanos(10_000 * MS), position: 0.0, speed: 1_000.0 };
    session.meter.on_swap(Nanos(10_000 * MS), 10_000, line);
    assert_eq!(session.meter.state().reported_at, Nanos(10_000 * MS));
}

#[test]
fn a_state_of_another_playhead_goes_on_along_the_line() {
    let session = Session::new().sound(5_000);
    let state = session.meter.state();
    let line = PlayheadLine { at: Nanos(5_000 * MS), position: 77.0, speed: 1_000.0 };
    let resume = |foreign| {
        let rule = HeardRule::new(3.0, BehindRule::default());
        HeardMeter::resume(&state, 1_000, rule, foreign, line).unwrap().state().meter.line
    };
    assert_eq!((resume(false), resume(true)), (line, state.meter.line));
}

#[test]
fn a_state_says_whether_the_start_is_forgiven() {
    let rule = HeardRule::new(3.0, BehindRule::default());
    let mut meter = HeardMeter::new(Nanos(0), 10_000, 1_000, rule, true);
    let line = PlayheadLine { at: Nanos(0), position: 0.0, speed: 1_000.0 };
    meter.on_report(Nanos(1_600 * MS), &TickReport::default(), None);
    meter.on_slice(Nanos(1_700 * MS), 2_000, 100, LEN);
    let resumed = HeardMeter::resume(&meter.state(), 1_000, rule, true, line).unwrap();
    assert_eq!(resumed.held_back(), 0, "what is counted is counted from there on");
    assert_eq!(resumed.alarms(Nanos(0)), meter.alarms(Nanos(0)));
    assert!(meter.alarms(Nanos(0)).is_empty(), "the start is forgiven, once it is applied");
}

/// Seconds past the frontier that count of a listener who stands at this position of a tape of 10 s until
/// 40 s, and plays then for a second without any audio.
fn past_frontier_after_standing_at(position: f64) -> f64 {
    let rule = HeardRule::new(3.0, BehindRule::default());
    let tape = TapeRule { first_audio_ns: 34_000_000_000, burst_ns: 0, ends: false };
    let mut meter = HeardMeter::new(Nanos(0), 10_000, 1_000, rule, false).on_tape(tape);
    let mut steer = |at_ms: u64, speed: f64| {
        let at = Nanos(at_ms * MS);
        let line = PlayheadLine { at, position, speed };
        meter.on_op(at, Steering { line, jumped: false, paused: speed == 0.0 });
    };
    steer(0, 0.0);
    steer(40_000, 1_000.0);
    meter.on_report(Nanos(41_000 * MS), &TickReport::default(), None);
    meter.report(Nanos(0)).bad_s
}

#[test]
fn who_waits_for_the_first_audio_has_not_paused() {
    assert_eq!(past_frontier_after_standing_at(0.0), 1.0);
    // What follows a pause is excused.
    assert_eq!(past_frontier_after_standing_at(2_000.0), 0.0);
}
