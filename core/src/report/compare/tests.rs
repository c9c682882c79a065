//! What two sessions are compared by, at the bounds of each.

use super::spans::SpanKind;
use super::*;
use crate::capture::{Body, Direction, Gap, Marker, Message, Opcode};
use crate::report::verdict_tests::Session;
use crate::time::Nanos;

fn side(session: &Session, from_s: f64, digests: &[u64]) -> ComparedSide {
    let about = CaptureDescription::live("x".to_owned(), Nanos(session.now_ms * 1_000_000));
    let side = ComparedSide::of(&session.engine, about, &ReportArgs::default(), digests.to_vec());
    ComparedSide { from_s, ..side }
}

fn compared(a: &Session, b: &Session) -> Comparison {
    let (a, b) = (side(a, 0.0, &[]), side(b, 0.0, &[]));
    Comparison::of(&a, &b, [a.length_s(), b.length_s()], Tolerance::default())
}

fn figure<'a>(comparison: &'a Comparison, name: &str) -> &'a FigureComparison {
    comparison.judgement.figures.iter().find(|figure| figure.name == name).unwrap()
}

fn sound(span_ms: u64) -> Session {
    Session::new(8_000).sound(span_ms)
}

fn close(mut session: Session, code: Option<u16>) -> Session {
    let payload = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
    let message = Message::new(Direction::ServerToClient, Opcode::Close, &payload);
    session.see(Body::Message(message));
    session
}

fn lose(mut session: Session, count: u64) -> Session {
    session.see(Body::Gap(Gap { count, ..Gap::default() }));
    session
}

fn event(mut session: Session, text: &str) -> Session {
    session.text(Direction::ServerToClient, text);
    session
}

/// The differing events of two sessions: type, and how many each has.
#[track_caller]
fn check_events(a: &Session, b: &Session, expected: &[(&str, u64, u64)]) {
    let comparison = compared(a, b);
    let found: Vec<_> =
        comparison.events.iter().map(|event| (event.kind.as_str(), event.a, event.b)).collect();
    assert_eq!(found, expected);
    assert_eq!(comparison.judgement.same, expected.is_empty());
}

#[test]
fn events_and_abnormal_closes_differ_whoever_has_more() {
    let note = r#"{"type":"note"}"#;
    check_events(&event(sound(3_000), note), &event(sound(3_000), note), &[]);
    check_events(&event(sound(3_000), note), &sound(3_000), &[("note", 1, 0)]);
    check_events(&sound(3_000), &event(sound(3_000), note), &[("note", 0, 1)]);
    let points = |count| {
        (0..count)
            .fold(sound(3_000), |session, _| session.op(Marker::Point { name: "here".to_owned() }))
    };
    check_events(&points(2), &points(1), &[("op.here", 2, 1)]);
    for ordinary in [None, Some(1000), Some(1001), Some(1005)] {
        let closed = close(sound(3_000), ordinary);
        assert!(compared(&sound(3_000), &closed).events.is_empty(), "{ordinary:?}");
    }
    let thrown_out = compared(&sound(3_000), &close(sound(3_000), Some(4001)));
    assert_eq!((thrown_out.events[0].kind.as_str(), thrown_out.events[0].b), ("close.4001", 1));
    assert_eq!((thrown_out.events[0].a_first_s, thrown_out.events[0].b_first_s), (None, Some(3.0)));
}

#[test]
fn times_of_events_count_from_where_a_side_begins() {
    let with = event(sound(3_000), r#"{"type":"note"}"#).sound(500);
    let (a, b) = (side(&with, 1.25, &[]), side(&sound(3_500), 1.25, &[]));
    let comparison = Comparison::of(&a, &b, [2.25; 2], Tolerance::default());
    assert_eq!(comparison.events[0].a_first_s, Some(1.75));
    assert_eq!(comparison.compared_s, 2.25);
}

#[test]
fn lost_records_are_those_that_gaps_count() {
    let comparison = compared(&lose(lose(sound(3_000), 3), 4), &lose(sound(3_000), 7));
    let lost = figure(&comparison, "lost_records");
    assert_eq!((lost.a, lost.b, lost.same), (Some(7.0), Some(7.0), true));
    // Of counts no share is let off.
    let comparison = compared(&lose(sound(3_000), 1_000), &lose(sound(3_000), 1_001));
    assert!(!figure(&comparison, "lost_records").same && !comparison.judgement.same);
}

#[test]
fn figures_are_of_all_epochs_and_of_every_slice_behind() {
    let swapped = |before: Session| before.swap(8_000).sound(3_000);
    let behind = swapped(sound(3_000).run(3_000, Some(-20)));
    let comparison = compared(&swapped(sound(6_000)), &behind);
    let share = figure(&comparison, "slices_behind");
    assert!(share.a == Some(0.0) && share.b.is_some_and(|b| (0.2..0.5).contains(&b)), "{share:?}");
    let ended = |name| figure(&comparison, name).a.zip(figure(&comparison, name).b).unwrap();
    assert!(ended("staleness_p50").0 > 0.0);
}

#[test]
fn slices_that_come_at_once_have_no_interval() {
    let doubled = |session: Session| {
        (0..60).fold(session, |session, _| {
            let mut session = session.run(50, Some(200));
            (0..4).for_each(|_| session.slice(0, 1));
            session
        })
    };
    let comparison = compared(&sound(6_000), &doubled(sound(3_000)));
    let interval = figure(&comparison, "interval_p50");
    assert!(interval.b.is_some_and(|interval_s| interval_s > 0.02), "{interval:?}");
}

#[test]
fn verdict_setting_events_and_spans_make_a_difference_each() {
    let sound_twice = compared(&sound(9_000), &sound(9_000));
    assert!(sound_twice.judgement.same && sound_twice.judgement.worse.is_none());
    let figures = || {
        let figured = side(&sound(9_000), 0.0, &[]).figured;
        figures::compare(&figured, &figured, Tolerance::default())
    };
    let span = |from_s, to_s, kind, worse| SpanDifference {
        from_s,
        to_s,
        kind,
        a: Some(1.0),
        b: Some(2.0),
        worse,
    };
    assert!(Judgement::of(figures(), &[], true).same);
    assert!(!Judgement::of(figures(), &[], false).same);
    let spans = [
        span(0.0, 1.0, SpanKind::Lead, Some(Which::B)),
        span(1.0, 4.0, SpanKind::Slices, Some(Which::A)),
        span(4.0, 9.0, SpanKind::Lead, None),
    ];
    let judged = Judgement::of(figures(), &spans, true);
    assert!(!judged.same);
    assert_eq!((judged.worse, judged.because), (Some(Which::A), Some("slices")));
}

#[test]
fn a_verdict_or_another_loop_alone_makes_captures_differ() {
    let (a, mut b) = (side(&sound(9_000), 0.0, &[]), side(&sound(9_000), 0.0, &[]));
    let same = |a: &ComparedSide, b: &ComparedSide| {
        Comparison::of(a, b, [9.0; 2], Tolerance::default()).judgement.same
    };
    assert!(same(&a, &b));
    b.analysis.verdict.lag = None;
    assert!(!same(&a, &b));
    b.analysis.verdict.lag = Some(false);
    b.analysis.epochs[0].loop_s = 9.0;
    assert!(!same(&a, &b));
}

#[test]
fn keys_of_the_configuration_explain_whichever_side_has_them() {
    let with = |config: &str| {
        let mut side = side(&sound(3_000), 0.0, &[]);
        side.analysis.session.config = serde_json::from_str(config).ok();
        side
    };
    let (a, b) = (with(r#"{"steps":4,"seed":1}"#), with(r#"{"seed":1,"depth":2}"#));
    let comparison = Comparison::of(&a, &b, [3.0; 2], Tolerance::default());
    let names: Vec<_> = comparison.setting.iter().map(|fact| fact.name.as_str()).collect();
    assert_eq!(names, ["config.steps", "config.depth"]);
    assert!(comparison.setting.iter().all(|fact| !fact.counts) && comparison.judgement.same);
}

#[test]
fn content_is_equal_up_to_the_first_difference() {
    let compare = |a: &[u64], b: &[u64]| content(a, b).equal;
    assert_eq!(compare(&[1, 2, 3], &[1, 2, 3]), 3);
    assert_eq!(compare(&[1, 9, 3], &[1, 2, 3, 4]), 1);
    assert_eq!(compare(&[], &[1]), 0);
}

#[test]
fn where_they_differ_is_listed_and_the_next_step_counts_from_the_initial_buffer() {
    let (a, b) = (sound(3_000).silent(5_000), sound(8_000));
    let comparison = compared(&a, &b);
    assert!(!comparison.spans.is_empty());
    let (a, b) = (side(&a, 2.0, &[]), side(&b, 2.0, &[]));
    let said = text(&Comparison::of(&a, &b, [6.0; 2], Tolerance::default()));
    let longest = comparison.spans.iter().map(SpanDifference::length_s).fold(0.0, f64::max);
    let span = comparison.spans.iter().rev().find(|span| span.length_s() == longest).unwrap();
    let next = format!("--from {:.1} --to {:.1}", 2.0 + span.from_s, 2.0 + span.to_s);
    assert!(said.contains(&next), "{next}: {said}");
    assert!(said.contains("a is WORSE") && !said.contains("lost records"), "{said}");
}

#[test]
fn a_side_without_a_verdict_is_not_called_healthy() {
    let mut unknown = side(&sound(3_000), 0.0, &[]);
    unknown.analysis.verdict.known = false;
    unknown.analysis.verdict.lag = None;
    let healthy = side(&sound(3_000), 0.0, &[]);
    let said = text(&Comparison::of(&unknown, &healthy, [3.0; 2], Tolerance::default()));
    assert!(said.contains("no verdict") && said.contains("healthy"), "{said}");
}

#[test]
fn without_a_figure_the_longest_span_that_is_judged_tells() {
    let span =
        |from_s, to_s, kind, worse| SpanDifference { from_s, to_s, kind, a: None, b: None, worse };
    let spans = [
        span(0.0, 1.0, SpanKind::Staleness, Some(Which::A)),
        span(1.0, 4.0, SpanKind::Slices, Some(Which::B)),
        span(5.0, 7.0, SpanKind::Staleness, Some(Which::A)),
        span(8.0, 20.0, SpanKind::Lead, None),
    ];
    assert_eq!(worst(&[], &spans), Some((Which::B, "slices")));
    assert_eq!(worst(&[], &spans[3..]), None);
}
