//! What is answered and rendered of one short recording.

use super::answer::{AskOptions, NoAnswer, Recording, RecordingBuilder};
use super::derive::{Counterfactual, Deriver};
use super::open_loop::Scratch;
use super::{Playback, Scenario, Tier};
use crate::capture::Direction::ServerToClient;
use crate::capture::{Body, ClientKind, Gap, Header, Marker, Record};
use crate::engine::session_tests::Session;
use crate::engine::{Engine, Options};
use crate::lag::ReportArgs;
use crate::peer::script::ScriptedOp;
use crate::time::{Nanos, Span};

/// A session of a loop of a second with twenty slices and reports, of which each slice comes later
/// relative to the listener than the one before; and something more.
fn play(
    watch: impl FnMut(&Engine, &Record<'_>),
    more: impl FnOnce(&mut Session<'_>),
) -> (Engine, Nanos) {
    let mut session = Session::watched(Options::default(), watch);
    let header = Header { client: ClientKind::Headless, ..Header::new("test", Nanos(0)) };
    session.body(Body::Header(header));
    session.begin(&[0.5; 48_000]);
    for turn in 0..20_u32 {
        session.slice(24_000 + 300 * turn, &[0.25; 480]);
        session.text(ServerToClient, r#"{"type":"params_update"}"#);
        session.tick(f64::from(turn) * 0.03, "");
    }
    more(&mut session);
    let end = Nanos(session.now().0 - 10_000_000);
    (session.end(), end)
}

pub(crate) fn recorded(more: impl FnOnce(&mut Session<'_>)) -> (Recording, Engine, Nanos) {
    let mut builder = RecordingBuilder::default();
    let (engine, end) = play(|_, record| builder.handle(record), more);
    (builder.finish().unwrap(), engine, end)
}

pub(crate) fn seek(at_ms: u64, to_s: f64) -> Scenario {
    let op = ScriptedOp { at: Span(at_ms * 1_000_000), op: Marker::Seek { to_s } };
    Scenario { playback: Playback { ops: vec![op], ..Playback::default() }, ..Scenario::default() }
}

#[test]
fn the_recording_itself_is_answered_with_the_report_of_the_engine() {
    let (recording, engine, end) = recorded(|_| ());
    let all = ReportArgs::default();
    for report in [
        all,
        ReportArgs { window_s: Some(0.2), ..all },
        ReportArgs { timeline_step_s: Some(0.1), ..all },
        ReportArgs { stale_threshold_s: 0.1, timeline_step_s: Some(0.05), ..all },
        ReportArgs { stale_threshold_s: 0.1, window_s: Some(0.3), ..all },
    ] {
        let options = AskOptions { report, open_loop: true, ..AskOptions::default() };
        let answer = recording.prepare(options).factual(&mut Scratch::default()).unwrap();
        assert_eq!(Some(&answer.lag), engine.report(end, &report).as_ref(), "{report:?}");
        assert_eq!(
            (answer.tier, answer.valid_until_s, answer.beyond_share),
            (Tier::Exact, None, 0.0)
        );
        let count = answer.lag.slices.count;
        assert!(answer.heard.is_some() && answer.verdict.is_some() && count > 5, "{count}");
    }
}

#[test]
fn nothing_can_happen_before_a_recording_begins_or_where_there_is_none() {
    assert_eq!(RecordingBuilder::default().finish().err(), Some(NoAnswer::NoBuffer));
    let (recording, ..) = recorded(|_| ());
    let of_columns = Recording::of_columns(recording.columns().clone());
    assert!(matches!(of_columns.model(), Err(NoAnswer::Trace(_))));
    let prepared = of_columns.prepare(AskOptions::default());
    // Where there is no model recorded slices stay, and it says why.
    let moved = prepared.answer(&seek(100, 0.7), &mut Scratch::default()).unwrap();
    assert_eq!(moved.tier, Tier::Horizon);
    assert!(moved.reason.starts_with("The model has no answer ("), "{}", moved.reason);
    assert!(moved.beyond_share > 0.5 && moved.valid_until_s.is_some_and(|until_s| until_s < 0.3));
}

/// The records of a counterfactual: numbers and names.
fn derived(playback: &Playback, more: impl FnOnce(&mut Session<'_>)) -> (Vec<(u64, String)>, u64) {
    let counterfactual = Counterfactual::Moved(playback.clone());
    let mut found = Vec::new();
    let mut out = |record: &Record<'_>| {
        let what = match &record.body {
            Body::Gap(gap) => format!("gap from {}", gap.first_seq),
            other => other.kind().to_string(),
        };
        found.push((record.seq, what));
    };
    let mark = |_: &mut Header| ();
    let mut deriver = Deriver::new(&counterfactual, &mark, &mut out).unwrap();
    let (_, end) = play(|_, record| deriver.handle(record), more);
    let next = deriver.finish(end);
    (found, next)
}

#[test]
fn records_of_a_counterfactual_are_numbered_without_holes() {
    let more = |session: &mut Session<'_>| {
        session.body(Body::Marker(Marker::Pause));
        let gap = Gap { first_seq: 65, count: 3, ..Gap::default() };
        session.body(Body::Gap(gap));
        session.tick(0.9, "");
    };
    let numbers = |playback: &Playback| {
        let (found, next) = derived(playback, more);
        // Three records are missing, which the gap stands for.
        assert!(found.iter().map(|(seq, _)| *seq).eq(0..next), "{found:?}");
        let gap = found.iter().find_map(|(_, what)| what.strip_prefix("gap from "));
        let markers = found.iter().filter(|(_, what)| what == "marker").count();
        (next, gap.unwrap().to_owned(), markers)
    };
    let unchanged = numbers(&Playback::default());
    assert_eq!(unchanged, (67, "65".to_owned(), 1));
    // An op more, one less, and both.
    let one_more = seek(100, 0.7).playback;
    assert_eq!(numbers(&one_more), (68, "66".to_owned(), 2));
    let without = Playback { replace_ops: true, ..Playback::default() };
    assert_eq!(numbers(&without), (66, "64".to_owned(), 0));
    assert_eq!(numbers(&Playback { replace_ops: true, ..one_more }), (67, "65".to_owned(), 1));
    // The session ends 630 ms after the buffer came.
    assert_eq!(numbers(&seek(630, 0.7).playback).0, 68);
    assert_eq!(numbers(&seek(631, 0.7).playback).0, 67);
}
