//! How a session ended, at the bounds of what counts.

use super::ending::{Close, EndKind, EndWatch, SessionEnd, StreamAtEnd};
use super::whose::ClientHabit;
use crate::capture::{
    Body, ConnectionBreak, Direction, End, Message, Opcode, Party, Record, UnderWay,
};
use crate::time::Nanos;

const UP: Direction = Direction::ClientToServer;
const DOWN: Direction = Direction::ServerToClient;
const STREAMING: StreamAtEnd = StreamAtEnd {
    streams: true,
    is_paused: false,
    habit: ClientHabit::Reporting,
    is_idle: false,
    awaits_buffer: false,
};

fn at(t_s: f64) -> Nanos {
    Nanos((t_s * 1e9).round() as u64)
}

/// A session whose sides spoke last at these times.
fn spoken(up_s: f64, down_s: f64) -> EndWatch {
    let mut watch = EndWatch::default();
    watch.spoke(at(up_s), UP);
    watch.spoke(at(down_s), DOWN);
    watch
}

fn closed(
    mut watch: EndWatch,
    t_s: f64,
    direction: Direction,
    code: u16,
    reason: &str,
) -> EndWatch {
    let code = (code != 0).then_some(code);
    watch.closed(&Close { t: at(t_s), direction, code, reason: reason.to_owned() });
    watch
}

fn broken(mut watch: EndWatch, t_s: f64, by: Option<Party>) -> EndWatch {
    let under_way = vec![UnderWay { from: Party::Server, opcode: 2, announced: 9, received: 3 }];
    let body = Body::Break(ConnectionBreak { by, reason: "it broke".to_owned(), under_way });
    watch.record(&Record { seq: 0, t: at(t_s), conn: 0, body });
    watch
}

#[track_caller]
fn check(watch: &EndWatch, at_s: f64, stream: StreamAtEnd, kind: EndKind) -> SessionEnd {
    let ending = watch.ending(at(at_s), stream);
    assert_eq!(ending.kind, kind, "{ending:?}");
    ending
}

#[test]
fn a_side_is_silent_after_five_seconds() {
    check(&spoken(10.0, 14.99), 14.99, STREAMING, EndKind::Open);
    let ending = check(&spoken(10.0, 15.0), 15.0, STREAMING, EndKind::HalfOpen);
    assert_eq!((ending.by, ending.t, ending.silent_s), (Some(Party::Client), at(10.0), 5.0));
    check(&spoken(14.99, 10.0), 14.99, STREAMING, EndKind::Open);
    let ending = check(&spoken(15.0, 10.0), 15.0, STREAMING, EndKind::ServerSilent);
    assert_eq!((ending.by, ending.t, ending.silent_s), (Some(Party::Server), at(10.0), 5.0));
    // Of two that are silent, the one that was silent first.
    check(&spoken(10.0, 10.0), 15.0, STREAMING, EndKind::ServerSilent);
    check(&spoken(9.0, 10.0), 15.0, STREAMING, EndKind::HalfOpen);
    let page = StreamAtEnd { habit: ClientHabit::Page, ..STREAMING };
    check(&spoken(10.0, 30.9), 30.99, page, EndKind::Open);
    check(&spoken(10.0, 30.9), 31.0, page, EndKind::HalfOpen);
}

#[test]
fn who_rests_is_not_silent() {
    let server = spoken(20.0, 10.0);
    check(&server, 20.0, StreamAtEnd { is_idle: true, ..STREAMING }, EndKind::Open);
    check(&server, 20.0, StreamAtEnd { awaits_buffer: true, ..STREAMING }, EndKind::Open);
    check(&server, 20.0, StreamAtEnd { streams: false, ..STREAMING }, EndKind::Open);
    let client = spoken(10.0, 20.0);
    check(&client, 20.0, StreamAtEnd { is_paused: true, ..STREAMING }, EndKind::Open);
    let recording = StreamAtEnd { habit: ClientHabit::Recording, ..STREAMING };
    check(&client, 90.0, recording, EndKind::Open);
}

#[test]
fn a_client_that_lives_and_reports_nothing_is_silent() {
    let mut watch = spoken(15.0, 15.0);
    watch.reports.report(at(10.0), None, 1.0);
    check(&watch, 14.99, STREAMING, EndKind::Open);
    let ending = check(&watch, 15.0, STREAMING, EndKind::ClientSilent);
    assert_eq!((ending.by, ending.t), (Some(Party::Client), at(10.0)));
    check(&closed(watch, 15.0, UP, 1000, ""), 15.0, STREAMING, EndKind::ClientClosed);
}

#[test]
fn a_silence_ends_with_the_close() {
    let by_server = |t_s| closed(spoken(10.0, t_s), t_s, DOWN, 1000, "");
    check(&by_server(14.9), 90.0, STREAMING, EndKind::ServerClosed);
    check(&by_server(15.0), 90.0, STREAMING, EndKind::HalfOpen);
}

#[test]
fn pings_are_owed_until_they_are_answered() {
    let message = |direction, opcode| Message::new(direction, opcode, b"1");
    let mut watch = spoken(10.0, 10.0);
    watch.message(at(20.0), &message(DOWN, Opcode::Ping));
    watch.message(at(21.0), &message(DOWN, Opcode::Ping));
    let page = StreamAtEnd { habit: ClientHabit::Page, ..STREAMING };
    check(&watch, 24.99, page, EndKind::Open);
    check(&watch, 25.0, page, EndKind::HalfOpen);
    check(&watch, 25.0, StreamAtEnd { is_paused: true, ..page }, EndKind::HalfOpen);
    watch.message(at(24.0), &message(UP, Opcode::Pong));
    watch.message(at(40.0), &message(DOWN, Opcode::Ping));
    check(&watch, 44.9, page, EndKind::Open);
    // The client's own pings, and the server's pongs, owe nothing.
    let mut watch = spoken(10.0, 20.0);
    watch.message(at(10.0), &message(UP, Opcode::Ping));
    watch.message(at(10.0), &message(DOWN, Opcode::Pong));
    check(&watch, 20.0, page, EndKind::Open);
}

#[test]
fn closes_by_their_codes() {
    let of = |direction, code, reason: &str, stream, kind| {
        let ending =
            check(&closed(spoken(10.0, 10.0), 10.0, direction, code, reason), 10.0, stream, kind);
        assert_eq!((ending.by, ending.reason.as_str()), (Some(direction.into()), reason));
    };
    let began = StreamAtEnd { streams: false, ..STREAMING };
    for (direction, goodbye) in [(UP, EndKind::ClientClosed), (DOWN, EndKind::ServerClosed)] {
        for code in [0, 1000, 1001, 1005] {
            of(direction, code, "bye", STREAMING, goodbye);
        }
        of(direction, 1002, "", STREAMING, EndKind::CloseError);
        of(direction, 1011, "keepalive ping timeout", STREAMING, EndKind::Keepalive);
        of(direction, 1011, "x", STREAMING, EndKind::CloseError);
    }
    of(DOWN, 4001, "", STREAMING, EndKind::Preempted);
    of(UP, 4001, "", STREAMING, EndKind::CloseError);
    of(DOWN, 1008, "", STREAMING, EndKind::Refused);
    of(UP, 1008, "", STREAMING, EndKind::CloseError);
    of(DOWN, 1011, "x", began, EndKind::InitError);
    of(UP, 1011, "x", began, EndKind::CloseError);
    // The first says why, the other side answers it.
    let answered = closed(closed(spoken(9.0, 9.0), 10.0, DOWN, 4001, ""), 10.1, UP, 1000, "");
    check(&answered, 11.0, STREAMING, EndKind::Preempted);
}

#[test]
fn a_refusal_says_at_what() {
    let refused = |code| {
        let mut watch = spoken(1.0, 1.0);
        watch.refused(at(1.0), Some(code), Some("no"));
        watch
    };
    let began = StreamAtEnd { streams: false, ..STREAMING };
    let ending = check(&refused("busy"), 2.0, began, EndKind::Refused);
    assert_eq!(ending.reason, "busy: no");
    check(&refused("init_failed"), 2.0, began, EndKind::InitError);
}

#[test]
fn an_error_just_before_a_close_is_its_reason() {
    let reason = |error_s, close_s, said: &str| {
        let mut watch = spoken(10.0, 10.0);
        watch.error(at(error_s), Some("bad_lora"), None);
        let watch = closed(watch, close_s, DOWN, 1000, said);
        check(&watch, 13.0, STREAMING, EndKind::ServerClosed).reason
    };
    assert_eq!(reason(10.0, 12.0, ""), "bad_lora");
    assert_eq!(reason(10.0, 12.1, ""), "");
    assert_eq!(reason(10.0, 11.0, "bye"), "bye");
    assert_eq!(reason(11.0, 10.0, ""), "");
}

#[test]
fn a_pipeline_is_dead_until_it_plays() {
    let mut watch = spoken(10.0, 10.0);
    watch.error(at(10.0), Some("pipeline_error"), Some("it died"));
    watch.audio(at(10.0));
    watch.error(at(10.5), Some("bad_lora"), None);
    let dead = closed(watch.clone(), 11.0, DOWN, 1000, "");
    let ending = check(&dead, 11.0, STREAMING, EndKind::PipelineError);
    assert_eq!((ending.code, ending.reason.as_str()), (Some(1000), "pipeline_error: it died"));
    watch.audio(at(10.1));
    let alive = closed(watch, 11.0, DOWN, 1000, "");
    check(&alive, 11.0, STREAMING, EndKind::ServerClosed);
}

#[test]
fn a_connection_is_lost_where_no_close_explains_it() {
    let lost = || broken(spoken(10.0, 10.0), 10.0, Some(Party::Client));
    let ending = check(&lost(), 10.0, STREAMING, EndKind::Cut);
    assert_eq!((ending.by, ending.code), (Some(Party::Client), Some(1006)));
    assert_eq!(ending.under_way.len(), 1);
    // A recording client says goodbye to what is lost already.
    check(&closed(lost(), 10.0, UP, 1000, ""), 10.0, STREAMING, EndKind::Cut);
    check(&closed(lost(), 9.0, UP, 1000, ""), 10.0, STREAMING, EndKind::ClientClosed);
    check(&closed(lost(), 11.0, DOWN, 1000, ""), 11.0, STREAMING, EndKind::ServerClosed);
    let stopped = broken(spoken(10.0, 10.0), 10.0, Some(Party::Recorder));
    assert_eq!(check(&stopped, 10.0, STREAMING, EndKind::Open).under_way.len(), 1);
}

/// Captures of versions without break records.
#[test]
fn a_loss_is_read_from_the_reason_of_the_end_too() {
    let ended = |reason: &str| {
        let mut watch = spoken(10.0, 10.0);
        let end = End { reason: Some(reason.to_owned()), ..End::default() };
        watch.record(&Record { seq: 0, t: at(10.0), conn: 0, body: Body::End(end) });
        watch
    };
    let by = |reason, by| {
        assert_eq!(check(&ended(reason), 10.0, STREAMING, EndKind::Cut).by, by);
    };
    by("the server broke it off", Some(Party::Server));
    by("the client broke it off", Some(Party::Client));
    by("the connection was cut without a close (1006)", None);
    by("cut, as --drop-after says", None);
    check(&ended("stopped"), 10.0, STREAMING, EndKind::RecorderStopped);
    let explained = closed(ended("the server broke it off"), 9.0, DOWN, 1000, "");
    check(&explained, 10.0, STREAMING, EndKind::ServerClosed);
}

#[test]
fn a_message_that_was_not_sent_is_no_sign_of_life() {
    let mut watch = spoken(10.0, 15.0);
    let mut close = Message::new(UP, Opcode::Close, b"");
    close.failed = true;
    watch.recall(&Record { seq: 0, t: at(14.0), conn: 0, body: Body::Message(close) }, true);
    check(&watch, 15.0, STREAMING, EndKind::HalfOpen);
}

/// Records that are interpreted no further tell of the end as those that are do.
#[test]
fn an_end_is_recalled_from_its_records() {
    let recalled = |bodies: Vec<Body<'_>>, streams| {
        let mut watch = spoken(10.0, 10.0);
        for body in bodies {
            watch.recall(&Record { seq: 0, t: at(10.0), conn: 0, body }, streams);
        }
        watch
    };
    let text =
        |text: &'static str| Body::Message(Message::new(DOWN, Opcode::Text, text.as_bytes()));
    let close = |code: [u8; 2]| {
        let payload: &'static [u8] = if code[1] == 161 { &[15, 161] } else { &[3, 232] };
        Body::Message(Message::new(DOWN, Opcode::Close, payload))
    };
    check(&recalled(vec![close([15, 161])], true), 10.0, STREAMING, EndKind::Preempted);
    check(&recalled(vec![close([3, 232])], true), 10.0, STREAMING, EndKind::ServerClosed);
    let died = r#"{"type":"error","code":"pipeline_error","message":"it died"}"#;
    check(&recalled(vec![text(died)], true), 10.0, STREAMING, EndKind::PipelineError);
    let began = StreamAtEnd { streams: false, ..STREAMING };
    check(&recalled(vec![text(died)], false), 10.0, began, EndKind::Refused);
    let other = r#"{"type":"note","of":"error"}"#;
    check(&recalled(vec![text(other)], true), 10.0, STREAMING, EndKind::Open);
    // It speaks, and so is not silent.
    let mut watch = spoken(10.0, 10.0);
    let ping = Body::Message(Message::new(DOWN, Opcode::Ping, b""));
    watch.recall(&Record { seq: 0, t: at(15.0), conn: 0, body: ping }, true);
    check(&watch, 15.0, STREAMING, EndKind::HalfOpen);
}
