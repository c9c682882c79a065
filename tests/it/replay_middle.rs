//! Replays of captures that begin in the middle of a session: parts that were cut out, split off, or
//! kept by a ring.

use std::fs::File;
use std::path::{Path, PathBuf};

use futures_util::SinkExt;
use lagtape::app::{self, CutOptions, Outcome};
use lagtape::capture::{
    Body, ClientKind, Context, Direction, Expectation, Header, Marker, Message, Opcode,
    PackedBuffer, Record, Records,
};
use lagtape::engine::{Engine, Options};
use lagtape::lag::SliceRecord;
use lagtape::peer::Outgoing;
use lagtape::peer::replay::{
    MidSession, PartBody, Performance, PerformanceOptions, ReplyKind, Script, Tape,
};
use lagtape::peer::server::to_halves;
use lagtape::time::{Nanos, Span};
use lagtape::wire::halves::widen;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::replay::performed::perform;
use crate::replay::refused::check_refused;
use crate::replay::{at_once, bundled, connect, messages, play, read_all, simulated};

/// A session with a swap and its stems.
fn with_swap(folder: &TempDir) -> PathBuf {
    let session = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sessions");
    let out = folder.path().join("swap.lagtape");
    app::import(&session.join("swap_with_stems"), &out, false).unwrap();
    out
}

/// The context after each record for which `here` says so, and the bytes of the rest.
fn middles(capture: &Path, here: impl Fn(u64, &Engine) -> bool) -> Vec<(Record<'static>, usize)> {
    let mut engine = Engine::new(Options::default());
    let mut records = Records::new(File::open(capture).unwrap());
    let (mut found, mut read) = (Vec::new(), 0);
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
        read += 1;
        if engine.origin().is_some() && here(record.seq, &engine) {
            found.push((engine.context(), read));
        }
    }
    found
}

/// Shows the records behind the first `from` of a capture.
fn each_from(capture: &Path, from: usize, mut see: impl FnMut(&Record<'_>)) {
    let mut records = Records::new(File::open(capture).unwrap());
    let mut read = 0;
    while let Some(record) = records.next_record().unwrap() {
        read += 1;
        if read > from {
            see(&record);
        }
    }
}

fn headless() -> Record<'static> {
    let mut header = Header::new("a test", Nanos(0));
    header.client = ClientKind::Headless;
    Record { seq: 0, t: Nanos(0), conn: 0, body: Body::Header(header) }
}

/// A context whose buffer is as the wire has it.
fn rounded(context: &Context<'_>) -> Context<'static> {
    let stream = context.state.stream.as_ref().unwrap();
    let samples = context.buffer.as_ref().unwrap();
    let samples = samples.unpack(stream.frames * u64::from(stream.channels)).unwrap();
    let halves = to_halves(&samples);
    let (halves, _) = halves.as_chunks::<2>();
    let as_sent: Vec<f32> = halves.iter().map(|&half| widen(half)).collect();
    for (exact, sent) in samples.iter().zip(&as_sent) {
        // Half a unit in the last of a half's eleven places, or of its smallest number.
        assert!((exact - sent).abs() <= (exact.abs() / 2048.0).max(2.0_f32.powi(-25)));
    }
    Context { state: context.state.clone(), buffer: PackedBuffer::pack(&as_sent) }
}

/// A client of what the tape says, whose listener does what `ops` say on the first buffer.
struct Listener {
    engine: Engine,
    ops: Vec<Marker>,
    seq: u64,
}

impl Listener {
    fn new(ops: Vec<Marker>) -> Listener {
        let mut engine = Engine::new(Options::default());
        engine.handle(&headless());
        let mut listener = Listener { engine, ops, seq: 1 };
        let config = Message::new(Direction::ClientToServer, Opcode::Text, b"{}");
        listener.put(Nanos(0), Body::Message(config));
        listener
    }

    fn put(&mut self, t: Nanos, body: Body<'_>) {
        self.engine.handle(&Record { seq: self.seq, t, conn: 0, body });
        self.seq += 1;
    }

    fn hear(&mut self, t: Nanos, message: &Outgoing, kind: ReplyKind) {
        let (opcode, payload) = match message {
            Outgoing::Text(text) => (Opcode::Text, text.as_bytes()),
            Outgoing::Binary(bytes) => (Opcode::Binary, &bytes[..]),
            Outgoing::Ping(_) | Outgoing::Pong(_) | Outgoing::Close { .. } => return,
        };
        self.put(t, Body::Message(Message::new(Direction::ServerToClient, opcode, payload)));
        if matches!(kind, ReplyKind::InitialBuffer { .. }) {
            for op in std::mem::take(&mut self.ops) {
                self.put(t, Body::Marker(op));
            }
        }
    }
}

fn slices(engine: &Engine) -> Vec<SliceRecord> {
    engine.epochs().iter().flat_map(|epoch| epoch.tracker.slices().copied()).collect()
}

/// Replays from a middle to a listener at the recorded place, and compares it with the recorded one
/// from there: every lead, and every bit of the buffer but for those that no wire carries.
#[track_caller]
fn check(capture: &Path, here: impl Fn(u64, &Engine) -> bool, at_least: usize) {
    let found = middles(capture, here);
    assert!(!found.is_empty(), "{}", capture.display());
    for (middle, read) in found {
        let Body::Context(context) = &middle.body else { unreachable!() };
        let entered = MidSession::of(context, middle.t).unwrap().unwrap();
        let mut tape = Tape::new(entered.session);
        let mut live = Listener::new(entered.ops.clone());
        let mut recorded = Engine::new(Options::default());
        recorded.handle(&headless());
        recorded.handle(&Record { body: Body::Context(rounded(context)), ..middle });

        let mut play = |record: &Record<'_>| {
            for part in tape.read(record) {
                if let PartBody::Reply(reply) = &part.body {
                    live.hear(part.t, &reply.message, reply.kind);
                }
            }
        };
        play(&middle);
        each_from(capture, read, |record| {
            recorded.handle(record);
            play(record);
        });
        let (was, is) = (slices(&recorded), slices(&live.engine));
        let at = format!("{} from record {}", capture.display(), middle.seq);
        assert_eq!(is.len(), was.len(), "{at}");
        assert!(was.len() >= at_least, "{at}: {} slices", was.len());
        for (is, was) in is.iter().zip(&was) {
            assert_eq!((is.start, is.frames), (was.start, was.frames), "{at}");
            // A seek to a time lands on the frame before or behind.
            assert!((is.lead_s - was.lead_s).abs() < 1.5 / 48_000.0, "{at}: {is:?}, {was:?}");
        }
        assert!(live.engine.mirror() == recorded.mirror(), "{at}");
        assert_eq!(live.engine.facts().decode_errors, 0, "{at}");
    }
}

#[test]
fn a_listener_hears_the_recorded_session_from_any_middle() {
    let folder = TempDir::new().unwrap();
    let every = |n: u64| move |seq: u64, _: &Engine| seq.is_multiple_of(n);
    for name in ["healthy", "stall"] {
        check(&bundled(name), every(90), 0);
        check(&bundled(name), |seq, _| seq == 40, 30);
    }
    check(&simulated(&folder), every(50), 0);
    check(&with_swap(&folder), every(40), 0);
}

#[test]
fn what_was_announced_before_is_announced_again() {
    let folder = TempDir::new().unwrap();
    let capture = with_swap(&folder);
    let awaits = |expected: fn(&Expectation) -> bool| {
        move |_: u64, engine: &Engine| engine.interpreter().pending().any(expected)
    };
    check(&capture, awaits(|next| matches!(next, Expectation::SwapBuffer(_))), 1);
    check(&capture, awaits(|next| matches!(next, Expectation::Stem)), 1);
}

/// Cuts a capture at some second, into a file of its own.
fn cut(folder: &TempDir, capture: &Path, from: &str) -> PathBuf {
    let out = folder.path().join(format!("from {from}.lagtape"));
    let options = CutOptions { from: Some(from.parse().unwrap()), ..CutOptions::default() };
    app::cut(capture, &out, &options).unwrap();
    out
}

#[tokio::test]
async fn a_part_is_served_from_its_beginning() {
    let folder = TempDir::new().unwrap();
    let part = cut(&folder, &bundled("stall"), "2s");
    let config = messages(&bundled("stall"), Direction::ClientToServer).swap_remove(0);
    let (replayed, (got, code)) = play(at_once(part.clone()), |address| async move {
        let mut client = connect(address).await;
        client.send(WsMessage::text(String::from_utf8(config).unwrap())).await.unwrap();
        read_all(client).await
    })
    .await;
    let recorded = messages(&part, Direction::ServerToClient);
    assert!(recorded.len() > 20, "{}", recorded.len());
    assert_eq!((&got[2..], code), (&recorded[..], Some(1000)));
    let whole = messages(&bundled("stall"), Direction::ServerToClient);
    let is_ready = |text: &&Vec<u8>| text.starts_with(br#"{"type": "ready""#);
    let ready = whole.iter().find(is_ready).unwrap_or(&whole[0]);
    let [ready, now] = [ready, &got[0]].map(|text| serde_json::from_slice::<Value>(text).unwrap());
    assert_eq!(now, ready, "nothing of it has changed");
    assert_eq!(got[1].len(), 5 * 48_000 * 2);

    let divergence = replayed.divergence.unwrap();
    assert!(divergence.same && divergence.actions.equal == 1, "{divergence:?}");
    assert!((divergence.from_s - 2.0).abs() < 0.1, "{}", divergence.from_s);
    assert!((divergence.played_s - 5.0).abs() < 0.2, "{}", divergence.played_s);
}

#[test]
fn a_part_is_performed_from_its_beginning() {
    let folder = TempDir::new().unwrap();
    let part = cut(&folder, &simulated(&folder), "800ms");
    let out = folder.path().join("again.lagtape");
    let session = perform(&part, out.clone(), false);
    assert_eq!(session.failure, None);
    let ops = &session.analysis.playhead.ops;
    let [op] = &ops[..] else { panic!("{ops:?}") };
    // It had sought to 1.5 s at 0.5 s, in a loop of 2 s.
    assert!(matches!(op.op, Marker::Seek { to_s } if (to_s - 1.8).abs() < 0.1), "{op:?}");
    let up = |path: &Path| messages(path, Direction::ClientToServer);
    let (was, is) = (up(&part), up(&out));
    let config = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
    assert_eq!(config(&is[0]), config(&up(&folder.path().join("simulated.lagtape"))[0]));
    assert_eq!(is.len(), was.len() + 1, "the config, and what was recorded");
    let position = |text: &Vec<u8>| config(text)["playback_pos"].clone();
    assert!(is[1..].iter().map(position).eq(was.iter().map(position)));
}

/// What the client of a capture would do up to a moment.
fn script(capture: &Path, until_s: f64) -> Script {
    let until = Some(Span((until_s * 1e9) as u64));
    let options = PerformanceOptions { rate: 1.0, until, verbatim: false };
    let mut performance = Performance::new(options, 0);
    each_from(capture, 0, |record| performance.read(record).unwrap());
    performance.finish().unwrap()
}

#[test]
fn times_of_a_part_count_from_the_beginning_of_its_session() {
    let folder = TempDir::new().unwrap();
    let part = cut(&folder, &simulated(&folder), "800ms");
    let whole = script(&part, 60.0);
    assert!((whole.run_for.seconds() - 0.7).abs() < 0.1, "{:?}", whole.run_for);
    let first = script(&part, 1.2);
    assert!((first.run_for.seconds() - 0.4).abs() < 0.05, "{:?}", first.run_for);
    assert!(first.commands.len() > 5 && first.commands.len() < whole.commands.len());
    assert!(first.commands.iter().all(|(at, _)| *at <= first.run_for));
}

#[test]
fn the_buffer_stands_in_for_audio_that_was_uploaded_before() {
    let folder = TempDir::new().unwrap();
    let part = cut(&folder, &bundled("healthy"), "2s");
    let out = folder.path().join("again.lagtape");
    let session = perform(&part, out.clone(), false);
    assert_eq!(session.failure, None);
    assert!(session.analysis.session.metadata["source"].contains("buffer"));
    let upload = messages(&out, Direction::ClientToServer).swap_remove(1);
    let loop_s = session.analysis.epochs[0].loop_s;
    let channels = u32::from(session.analysis.epochs[0].channels);
    let frames = (loop_s * 48_000.0).round() as u32;
    assert_eq!(upload[..8], [channels.to_le_bytes(), frames.to_le_bytes()].concat());
    assert_eq!(upload.len(), 8 + 4 * (channels * frames) as usize);
}

#[test]
fn what_lies_before_a_part_cannot_be_asked_for() {
    let folder = TempDir::new().unwrap();
    let part = cut(&folder, &bundled("stall"), "2s");
    let part = part.to_str().unwrap();
    check_refused(&[part, "--until", "1s"], 2, "the capture begins 1.98");
    let nowhere = ["--to", "ws://127.0.0.1:1", "--until", "1s"];
    check_refused(&[&[part], &nowhere[..]].concat(), 1, "would end before it begins, 1.98");
    check_refused(&[part, "--start-at", "99s"], 1, "earlier --start-at");
}

#[tokio::test]
async fn a_client_that_did_otherwise_before_a_part_is_only_blamed_for_its_config() {
    let folder = TempDir::new().unwrap();
    let part = cut(&folder, &bundled("healthy"), "2s");
    let config = messages(&bundled("healthy"), Direction::ClientToServer).swap_remove(0);
    let (replayed, _) = play(at_once(part), |address| async move {
        let mut client = connect(address).await;
        client.send(WsMessage::text(String::from_utf8(config).unwrap())).await.unwrap();
        client.send(WsMessage::binary(vec![0; 64])).await.unwrap();
        read_all(client).await
    })
    .await;
    assert_eq!(replayed.outcome(), Outcome::Healthy, "{replayed:?}");
}

#[test]
fn knobs_that_were_turned_elsewhere_are_told() {
    let (mut middle, _) = middles(&bundled("stall"), |seq, _| seq == 60).remove(0);
    let Body::Context(context) = &mut middle.body else { unreachable!() };
    context.state.knobs = r#"{"denoise":0.5}"#.to_owned();
    let parts = Tape::new(0).read(&middle);
    let mut said = parts.iter().filter_map(|part| match &part.body {
        PartBody::Reply(reply) => Some(&reply.message),
        _ => None,
    });
    let Some(Outgoing::Text(echo)) = said.next_back() else { panic!("{parts:?}") };
    let echo: Value = serde_json::from_str(echo).unwrap();
    assert_eq!(echo, json!({"type": "params_echo", "raw": {"denoise": 0.5}}));
}
