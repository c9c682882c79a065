//! How sessions ended: sessions of the real server with known ends, and ends that are made here.

use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions, Outcome};
use lagtape::capture::{
    Body, ConnectionBreak, Direction, Header, Message, Opcode, Party, Record, UnderWay,
};
use lagtape::engine::{EndKind, Engine, Options};
use lagtape::playhead::PlayheadSource;
use lagtape::report::{Analysis, EndingReport};
use lagtape::time::Nanos;
use tempfile::TempDir;

use crate::program::check as run;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// A session of the real server as a capture.
fn import(name: &str, folder: &TempDir) -> PathBuf {
    let out = folder.path().join(format!("{name}.lagtape"));
    app::import(&golden("diagnosis").join(name), &out, false).unwrap();
    out
}

fn analyze(capture: &Path, quick: bool) -> Analysis {
    let playhead = Some(PlayheadSource::Reported);
    app::analyze(capture, &AnalyzeOptions { playhead, quick, ..AnalyzeOptions::default() }).unwrap()
}

/// How a capture ended: the same from its records, from its checkpoints, and from `info`.
#[track_caller]
fn check(capture: &Path, kind: EndKind, by: Option<Party>, code: Option<u16>, t_s: f64) {
    let analysis = analyze(capture, false);
    let ending = &analysis.ending;
    assert_eq!((ending.kind, ending.by, ending.code), (kind, by, code), "{}", ending.sentence);
    assert!((ending.t_s - t_s).abs() < 0.02, "at {} s", ending.t_s);
    assert_eq!(ending.abnormal, kind.is_abnormal());
    assert_eq!(analyze(capture, true).ending, *ending, "from the checkpoints");
    let info = app::info(capture).unwrap();
    let told = info.ending.as_ref().unwrap();
    assert_eq!((told.kind, &told.reason), (ending.kind, &ending.reason), "info");
    if !ending.abnormal {
        assert_eq!(info.outcome(), Outcome::Healthy);
        return;
    }
    assert!(matches!(Outcome::of_analysis(&analysis), Outcome::EndedAbnormally | Outcome::Lag));
    assert_eq!(info.outcome(), Outcome::EndedAbnormally);
    let page = lagtape::report::text::analysis(&analysis, &[]);
    let first = page.lines().nth(2).unwrap_or_default();
    assert!(first.starts_with("ENDED"), "{first}");
    assert!(!page.contains("healthy"), "{page}");
    assert!(app::info_text(&info).lines().nth(1).is_some_and(|line| line.starts_with("ENDED")));
}

#[track_caller]
fn check_session(name: &str, kind: EndKind, by: Option<Party>, code: Option<u16>, t_s: f64) {
    let folder = TempDir::new().unwrap();
    check(&import(name, &folder), kind, by, code, t_s);
}

const SERVER: Option<Party> = Some(Party::Server);

#[test]
fn half_open() {
    check_session("half_open_web", EndKind::HalfOpen, Some(Party::Client), None, 11.99);
}

#[test]
fn keepalive_kill() {
    check_session("keepalive_kill_sdk", EndKind::Keepalive, SERVER, Some(1011), 15.913);
}

#[test]
fn preempted() {
    check_session("preempted_headless", EndKind::Preempted, SERVER, Some(4001), 15.043);
}

#[test]
fn tunnel_reset() {
    check_session("tunnel_reset_headless", EndKind::Cut, None, Some(1006), 16.001);
}

#[test]
fn pipeline_death() {
    check_session("pipeline_death_demontd", EndKind::PipelineError, SERVER, Some(1000), 11.01);
}

#[test]
fn loop_end_crash() {
    check_session("loop_end_crash_headless", EndKind::PipelineError, SERVER, Some(1000), 13.5);
}

#[test]
fn real_pipeline_death() {
    let capture = golden("captures/real_pipeline_death_without_audio.lagtape");
    check(&capture, EndKind::PipelineError, SERVER, Some(1000), 6.006);
    let (page, _) = run(&["analyze", capture.to_str().unwrap()], 5);
    assert!(page.contains("pipeline_error"), "{page}");
    run(&["info", capture.to_str().unwrap()], 5);
}

#[test]
fn healthy_sessions_end_with_their_recorder() {
    for name in ["healthy_idle_resume_demontd", "healthy_swap_web"] {
        let folder = TempDir::new().unwrap();
        let ending = analyze(&import(name, &folder), false).ending;
        assert_eq!((ending.kind, ending.abnormal), (EndKind::RecorderStopped, false), "{name}");
        assert_eq!(ending.gaps_total, 0, "{name}: {:?}", ending.gaps);
    }
}

#[test]
fn gaps_in_the_reports_are_told() {
    let folder = TempDir::new().unwrap();
    let analysis = analyze(&import("send_hitch_2s_demontd", &folder), false);
    let gaps: Vec<_> = analysis.ending.gaps.iter().map(|gap| gap.from_s.round()).collect();
    assert_eq!(gaps, [9.0, 14.0, 19.0, 24.0, 29.0]);
    assert!(analysis.ending.gaps.iter().all(|gap| (1.9..2.2).contains(&(gap.to_s - gap.from_s))));
    let page = lagtape::report::text::analysis(&analysis, &[]);
    assert!(page.contains("5 gaps in what the client reports"), "{page}");
}

/// What a session ends as in which these things happen after 1 s of slices and reports; each with
/// its time in seconds.
fn ending_of(happens: &[(f64, Body<'_>)], at_s: f64) -> EndingReport {
    ending_of_client(Header::new("a test", Nanos(0)), happens, at_s)
}

/// The same of the client of this header.
fn ending_of_client(header: Header, happens: &[(f64, Body<'_>)], at_s: f64) -> EndingReport {
    let mut engine = Engine::new(Options::default());
    let mut seq = 0;
    let mut see = |t_s: f64, body: Body<'_>| {
        let record = Record { seq, t: Nanos((t_s * 1e9) as u64), conn: 0, body };
        engine.handle(&record);
        seq += 1;
    };
    see(0.0, Body::Header(header));
    see(0.0, text(UP, "{}"));
    see(0.0, text(DOWN, r#"{"type":"ready","sample_rate":48000,"channels":1}"#));
    let buffer = vec![0; 96_000 * 2];
    see(0.0, Body::Message(Message::new(DOWN, Opcode::Binary, &buffer)));
    for tenth in 1..10 {
        let t_s = f64::from(tenth) / 10.0;
        let report = format!(r#"{{"type":"params","raw":{{}},"playback_pos":{t_s}}}"#);
        see(t_s, text(UP, &report));
        see(t_s, text(DOWN, r#"{"type":"params_update","params":{}}"#));
    }
    for (t_s, body) in happens {
        see(*t_s, body.clone());
    }
    EndingReport::of(&engine, Nanos((at_s * 1e9) as u64))
}

const UP: Direction = Direction::ClientToServer;
const DOWN: Direction = Direction::ServerToClient;

fn text(direction: Direction, text: &str) -> Body<'_> {
    Body::Message(Message::new(direction, Opcode::Text, text.as_bytes()))
}

fn close(direction: Direction, payload: &[u8]) -> Body<'_> {
    Body::Message(Message::new(direction, Opcode::Close, payload))
}

#[test]
fn ends_by_what_is_seen_of_them() {
    let check = |happens: &[(f64, Body<'_>)], at_s, kind, by| {
        let ending = ending_of(happens, at_s);
        assert_eq!((ending.kind, ending.by), (kind, by), "{}", ending.sentence);
    };
    let pong = || Body::Message(Message::new(UP, Opcode::Pong, b""));
    let report = || text(UP, r#"{"type":"params","raw":{},"playback_pos":1.2}"#);
    let update = || text(DOWN, r#"{"type":"params_update","params":{}}"#);
    let (client, server) = (Some(Party::Client), SERVER);
    check(&[], 2.0, EndKind::Open, None);
    check(&[(1.0, close(UP, &[]))], 2.0, EndKind::ClientClosed, client);
    check(&[(1.0, close(DOWN, b"\x03\xe8"))], 2.0, EndKind::ServerClosed, server);
    check(&[(1.0, close(DOWN, b"\x03\xf3"))], 2.0, EndKind::CloseError, server);
    check(&[(1.0, close(UP, b"\x03\xf3keepalive ping timeout"))], 2.0, EndKind::Keepalive, client);
    check(&[(1.0, close(DOWN, b"\x03\xf0"))], 2.0, EndKind::Refused, server);
    check(&[(9.0, update())], 9.0, EndKind::HalfOpen, client);
    check(&[(9.0, update()), (9.0, pong())], 9.0, EndKind::ClientSilent, client);
    check(&[(9.0, report())], 9.0, EndKind::ServerSilent, server);
    check(&[(4.0, report()), (4.0, update())], 4.0, EndKind::Open, None);
    // A listener that stops recording says goodbye for the server that is silent.
    check(&[(9.0, report()), (9.0, close(UP, &[]))], 9.0, EndKind::ServerSilent, server);
    let error = r#"{"type":"error","code":"bad_lora","message":"no such LoRA"}"#;
    check(&[(1.0, text(DOWN, error))], 2.0, EndKind::Open, None);
    let told = ending_of(&[(1.0, text(DOWN, error)), (1.1, close(DOWN, b"\x03\xf3"))], 2.0);
    assert_eq!(told.reason, "bad_lora: no such LoRA");
}

/// A page that is paused says nothing and answers pings; what a capture shows of those differs.
#[test]
fn a_page_that_is_paused_is_not_gone() {
    let page = |recorded_by: &str| {
        let mut header = Header::new("a test", Nanos(0));
        header.metadata = [
            ("recorded_by".to_owned(), recorded_by.to_owned()),
            ("user_agent".to_owned(), "Mozilla/5.0 (X11; Linux x86_64) Chrome/140".to_owned()),
        ]
        .into();
        header
    };
    let check = |recorded_by, happens: &[(f64, Body<'_>)], at_s, kind| {
        let ending = ending_of_client(page(recorded_by), happens, at_s);
        assert_eq!((ending.kind, ending.abnormal), (kind, kind == EndKind::HalfOpen), "{at_s}");
    };
    let of = |direction, opcode| Body::Message(Message::new(direction, opcode, b"1"));
    let (ping, pong) = (of(DOWN, Opcode::Ping), of(UP, Opcode::Pong));
    let update = |t_s| (t_s, text(DOWN, r#"{"type":"params_update","params":{}}"#));
    check("proxy", &[update(5.8)], 5.8, EndKind::Open);
    check("proxy", &[update(14.0)], 14.0, EndKind::ClientSilent);
    check("proxy", &[update(21.8)], 21.8, EndKind::ClientSilent);
    check("proxy", &[update(21.9)], 21.9, EndKind::HalfOpen);
    check(
        "proxy",
        &[update(20.0), (20.0, pong.clone()), update(40.9)],
        40.9,
        EndKind::ClientSilent,
    );
    // A ping that is not answered tells it sooner.
    let pinged = [(8.0, ping.clone()), (9.0, ping.clone()), update(12.9)];
    check("proxy", &pinged, 12.9, EndKind::ClientSilent);
    let pinged = [(8.0, ping.clone()), (9.0, ping.clone()), update(13.0)];
    check("proxy", &pinged, 13.0, EndKind::HalfOpen);
    let answered = [(8.0, ping.clone()), (8.1, pong), (9.0, ping), update(13.9)];
    check("proxy", &answered, 13.9, EndKind::ClientSilent);
    // A browser that records its own page is there to the end.
    check("browser", &[update(99.0)], 99.0, EndKind::ClientSilent);
}

#[test]
fn a_client_that_records_itself_is_not_gone() {
    let mut header = Header::new("lagtape 1", Nanos(0));
    header.client = lagtape::capture::ClientKind::Headless;
    let update = text(DOWN, r#"{"type":"params_update","params":{}}"#);
    let ending = ending_of_client(header, &[(9.0, update)], 9.0);
    assert_eq!(ending.kind, EndKind::ClientSilent);
    assert_eq!(
        ending.footing().as_deref(),
        Some(
            "ended at 0.9 s: the client reported nothing for 8.10 s: a paused player, or a page asleep"
        )
    );
}

#[test]
fn the_message_under_way_is_told() {
    let under_way = UnderWay { from: Party::Server, opcode: 2, announced: 20_000, received: 512 };
    let broken = ConnectionBreak {
        by: SERVER,
        reason: "the server broke it off".to_owned(),
        under_way: vec![under_way],
    };
    let ending = ending_of(&[(1.0, Body::Break(broken))], 2.0);
    assert_eq!((ending.kind, ending.code), (EndKind::Cut, Some(1006)));
    assert_eq!(ending.under_way, [under_way]);
    assert!(ending.lines().iter().any(|line| line.contains("512 B of 20.0 KB")));
}

#[test]
fn a_break_is_written_and_read() {
    let mut writer = lagtape::capture::Writer::new(lagtape::capture::SyncMarker([7; 8]));
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let under_way = vec![UnderWay { from: Party::Client, opcode: 1, announced: 9, received: 3 }];
    let broken = ConnectionBreak { by: None, reason: "a reset".to_owned(), under_way };
    let header = Body::Header(Header::new("a test", Nanos(0)));
    for body in [header, Body::Break(broken.clone())] {
        let record = Record { seq: writer.next_seq(), t: Nanos(5), conn: 0, body };
        writer.write(&record, &mut bytes);
    }
    let mut records = lagtape::capture::Records::new(&bytes[..]);
    records.next_record().unwrap();
    assert_eq!(records.next_record().unwrap().unwrap().body, Body::Break(broken));
}

#[test]
fn a_goodbye_to_a_lost_connection_is_none() {
    let lost = ConnectionBreak { reason: "reset".to_owned(), ..ConnectionBreak::default() };
    let happens = [(1.0, Body::Break(lost)), (1.0, close(UP, b"\x03\xe8"))];
    let ending = ending_of(&happens, 2.0);
    assert_eq!((ending.kind, ending.reason.as_str()), (EndKind::Cut, "reset"));
}
