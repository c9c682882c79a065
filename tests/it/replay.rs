//! Recordings played again over real sockets: as the server to several clients, as the client to the
//! simulated server.

mod control;
pub mod performed;
pub mod refused;

use std::fs::{self, File};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lagtape::app::{
    self, AnalyzeOptions, DiffVerb, Outcome, RecordVerb, RecordedSession, Replayed, SessionSource,
    SimulateVerb,
};
use lagtape::capture::{
    Body, Direction, End, Header, Message, Opcode, Record, Records, SyncMarker, Writer,
};
use lagtape::edge::replay::ServeOptions;
use lagtape::engine::{Engine, Options};
use lagtape::peer::Outgoing;
use lagtape::peer::client::{self, ClientOptions, ClientStep, Dialect};
use lagtape::peer::client_model::ClientModel;
use lagtape::peer::replay::{Divergence, ReplayOptions, ReplayServer, Tape, Timing};
use lagtape::peer::server::Incoming;
use lagtape::peer::simulation::parts as parts_of;
use lagtape::report::Analysis;
use lagtape::time::{Nanos, Span};
use lagtape::wire::json::parse_object;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::{program, python};

/// For whatever must not take for ever; far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).with_extension("lagtape")
}

/// Replays to whatever `client` does at the address.
pub async fn play<T, F: Future<Output = T>>(
    options: ServeOptions,
    client: impl FnOnce(SocketAddr) -> F,
) -> (Replayed, T) {
    let (tell, told) = oneshot::channel();
    let listen = "127.0.0.1:0".parse().unwrap();
    let serving = app::replay(
        options,
        listen,
        std::future::pending(),
        |listening| tell.send(listening.address).unwrap(),
        |_| (),
    );
    let acting = async { client(told.await.unwrap()).await };
    let both = async { tokio::join!(serving, acting) };
    let (replayed, result) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    (replayed.unwrap(), result)
}

pub fn at_once(capture: PathBuf) -> ServeOptions {
    ServeOptions { timing: Timing::Max, ..ServeOptions::new(capture) }
}

pub type Client = WebSocketStream<TcpStream>;

pub async fn connect(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).await.unwrap();
    client_async(format!("ws://{address}/"), stream).await.unwrap().0
}

const CONFIG: &str = r#"{"use_server_fixture": true, "fixture_name": "x.wav"}"#;

pub async fn begin(address: SocketAddr) -> Client {
    let mut client = connect(address).await;
    client.send(WsMessage::text(CONFIG)).await.unwrap();
    client
}

/// Everything up to the close: texts and binaries as they came, and the close's code.
pub async fn read_all(mut client: Client) -> (Vec<Vec<u8>>, Option<u16>) {
    let (mut got, mut code) = (Vec::new(), None);
    while let Some(Ok(message)) = client.next().await {
        match message {
            WsMessage::Text(text) => got.push(text.as_bytes().to_vec()),
            WsMessage::Binary(bytes) => got.push(bytes.to_vec()),
            WsMessage::Close(close) => code = close.map(|close| close.code.into()),
            _ => {}
        }
    }
    (got, code)
}

/// The messages of one direction in a capture, pings and closes apart.
pub fn messages(capture: &Path, direction: Direction) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut records = Records::new(File::open(capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        if let Body::Message(message) = &record.body
            && message.direction == direction
            && matches!(message.opcode, Opcode::Text | Opcode::Binary)
        {
            found.push(message.payload.to_vec());
        }
    }
    found
}

fn recorded_config(capture: &Path) -> Map<String, Value> {
    let config = &messages(capture, Direction::ClientToServer)[0];
    parse_object(std::str::from_utf8(config).unwrap()).unwrap().fields
}

/// A headless client that begins as the recorded one did.
async fn record(address: SocketAddr, like: &Path, out: &Path) -> RecordedSession {
    let verb = RecordVerb {
        out: Some(out.to_owned()),
        source: SessionSource::Fixture("x.wav".to_owned()),
        set: recorded_config(like),
        dialect: Dialect::Legacy,
        ..RecordVerb::new(format!("ws://{address}"))
    };
    app::record(verb, std::future::pending(), ()).await.unwrap()
}

#[tokio::test]
async fn every_client_gets_the_recorded_bytes() {
    for name in ["healthy", "stall"] {
        let capture = bundled(name);
        let (replayed, (got, code)) = play(at_once(capture.clone()), |address| async move {
            read_all(begin(address).await).await
        })
        .await;
        assert_eq!(got, messages(&capture, Direction::ServerToClient), "{name}");
        assert_eq!(code, Some(1000));
        assert!(replayed.divergence.unwrap().whole, "{name}");
    }
}

#[tokio::test]
async fn the_headless_client_records_the_same_slices() {
    let folder = TempDir::new().unwrap();
    for name in ["healthy", "stall"] {
        let (capture, out) = (bundled(name), folder.path().join(name));
        let (_, session) =
            play(at_once(capture.clone()), |address| record(address, &capture, &out)).await;
        assert_eq!(session.failure, None, "{name}");
        assert_eq!(hashes(&out), hashes(&capture), "{name}");
    }
}

/// SHA-256 of every binary message of the server.
fn hashes(capture: &Path) -> Vec<String> {
    let binaries = messages(capture, Direction::ServerToClient);
    let binaries = binaries.iter().filter(|message| message.first() != Some(&b'{'));
    binaries.map(|bytes| hex(bytes)).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_replay_at_rate_1_gives_the_same_lag_report() {
    let folder = TempDir::new().unwrap();
    for name in ["healthy", "stall"] {
        let (capture, out) = (bundled(name), folder.path().join(name));
        let divergence = replay_on_a_virtual_clock(&capture, &out);
        assert!(divergence.time.late_mean_ms < 1e-3, "{name}: {:?}", divergence.time);
        let [original, again] =
            [&capture, &out].map(|path| app::analyze(path, &AnalyzeOptions::default()).unwrap());
        assert_eq!(again.slices, original.slices);
        assert_eq!(again.verdict.lag, original.verdict.lag);
        let apart_s = (lead_p50_s(&again) - lead_p50_s(&original)).abs();
        assert!(apart_s <= 0.005, "{name}: {apart_s} s apart");
        let comparison = app::diff(&capture, &out, &DiffVerb::default()).unwrap();
        assert!(comparison.judgement.same, "{}", lagtape::report::compare::text(&comparison));
    }
}

/// Replays a capture at the recorded rate to a headless client that begins as the recorded one did,
/// and records that: nothing travels, and every message leaves when it is due.
fn replay_on_a_virtual_clock(capture: &Path, out: &Path) -> Divergence {
    let (mut server, mut now) = (replay_server(capture), Nanos(0));
    let options = ClientOptions {
        config: recorded_config(capture),
        dialect: Dialect::Legacy,
        ..ClientOptions::default()
    };
    let mut client = client::Client::new(options, now);
    let (mut writer, mut bytes) = (Writer::new(SyncMarker::derive(b"again")), Vec::new());
    writer.begin(&mut bytes);
    let mut put = |client: &mut client::Client, t, body: Body<'_>| {
        let record = Record { seq: writer.next_seq(), t, conn: 0, body };
        client.see(&record);
        writer.write(&record, &mut bytes);
    };
    put(&mut client, now, Body::Header(Header::new("again", now)));
    'session: loop {
        while let Some(message) = server.poll(now) {
            let (opcode, payload) = parts_of(&message);
            let message = Message::new(Direction::ServerToClient, opcode, &payload);
            put(&mut client, now, Body::Message(message));
        }
        while let Some(step) = client.poll(now) {
            match step {
                ClientStep::Send(message) => {
                    let (opcode, payload) = parts_of(&message);
                    let sent = Message::new(Direction::ClientToServer, opcode, &payload);
                    put(&mut client, now, Body::Message(sent));
                    if let Outgoing::Text(text) = &message {
                        server.receive(now, Incoming::Text(text));
                    }
                }
                ClientStep::Mark(marker) => put(&mut client, now, Body::Marker(marker)),
                ClientStep::Finish(_) => break 'session,
            }
        }
        let wakes = [server.wake_at(), client.wake_at()];
        let Some(next) = wakes.into_iter().flatten().min() else { break };
        now = next.max(Nanos(now.0 + 1));
    }
    put(&mut client, now, Body::End(End::default()));
    fs::write(out, bytes).unwrap();
    server.divergence(now)
}

/// A replay of a whole session with all of the recording in its hands.
fn replay_server(capture: &Path) -> ReplayServer {
    let mut engine = Engine::new(Options::default());
    let (mut tape, mut parts) = (Tape::new(0), Vec::new());
    let mut records = Records::new(File::open(capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
        parts.extend(tape.read(&record));
    }
    let origin = engine.origin().unwrap();
    let mut server = ReplayServer::new(ReplayOptions {
        timing: Timing::Recorded { rate: 1.0 },
        causal: false,
        unasked: true,
        origin,
        began: origin,
        unknown: Vec::new(),
        start_at: None,
        until: None,
        looped: false,
        ready: Map::new(),
        is_plain: false,
    });
    parts.into_iter().for_each(|part| server.offer(part));
    server.end_of_tape();
    server
}

fn lead_p50_s(analysis: &Analysis) -> f64 {
    analysis.lag.as_ref().unwrap().slices.lead_s.unwrap().p50
}

#[tokio::test]
async fn a_replay_is_recorded_and_compared() {
    let folder = TempDir::new().unwrap();
    let (out, capture) = (folder.path().join("served.lagtape"), bundled("stall"));
    let options = ServeOptions { out: Some(out.clone()), ..at_once(capture.clone()) };
    let (replayed, _) = play(options, |address| async move {
        let mut client = connect(address).await;
        let config = &messages(&bundled("stall"), Direction::ClientToServer)[0];
        client.send(WsMessage::text(std::str::from_utf8(config).unwrap())).await.unwrap();
        read_all(client).await
    })
    .await;
    assert_eq!(replayed.outcome(), Outcome::Healthy, "{replayed:?}");
    let divergence = replayed.divergence.unwrap();
    assert!(divergence.same && divergence.actions.equal == 1, "{divergence:?}");
    let down = Direction::ServerToClient;
    assert_eq!(messages(&out, down), messages(&capture, down));
    let served = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert!(served.complete && served.damage.is_none());
    assert_eq!(served.session.metadata["replay_of"], "stall.lagtape");
    assert_eq!(served.closes[0].by, "server");

    let (replayed, _) = play(at_once(capture), |address| async move {
        let mut client = begin(address).await;
        client.send(WsMessage::text(r#"{"type":"prompt","tags":"dub"}"#)).await.unwrap();
        read_all(client).await
    })
    .await;
    assert_eq!(replayed.outcome(), Outcome::Differs);
    let difference = replayed.divergence.unwrap().first_difference.unwrap();
    assert_eq!(difference.what, "config");
    assert!(difference.recorded.unwrap().contains("lo-fi, mellow"));
}

#[tokio::test]
async fn a_damaged_capture_is_played_without_what_is_damaged() {
    let folder = TempDir::new().unwrap();
    let capture = folder.path().join("damaged.lagtape");
    let mut bytes = fs::read(bundled("stall")).unwrap();
    let late = bytes.len() - 50_000;
    bytes[late] ^= 0xff;
    fs::write(&capture, bytes).unwrap();
    let (replayed, (got, _)) =
        play(at_once(capture), |address| async move { read_all(begin(address).await).await }).await;
    assert!(replayed.damage.is_some());
    assert_eq!(replayed.outcome(), Outcome::Damaged);
    let whole = messages(&bundled("stall"), Direction::ServerToClient);
    let same = got.iter().zip(&whole).take_while(|(got, whole)| got == whole).count();
    assert!(same > 60 && got[same..] == whole[same + 1..], "{same} of {}", got.len());
}

#[test]
fn a_client_in_python_gets_the_recording() {
    if !python::has("websockets.asyncio.client", "websockets") {
        return;
    }
    let capture = bundled("stall");
    let (replay, address) = replaying(&capture, &["--max"]);
    let output = python::command()
        .args(["-c", include_str!("python_replay.py"), &address])
        .env("no_proxy", "127.0.0.1")
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["binaries"], json!(hashes(&capture)));
    assert_eq!(told["texts"][0], "ready");
    assert_eq!(told["closed"], json!([1000, "the replay ends here"]));
    assert_eq!(replay.wait().code, Some(4), "another config");
}

/// `lagtape replay` in a process of its own, and the address that it prints.
pub fn replaying(capture: &Path, words: &[&str]) -> (program::Running, String) {
    let replay = program::Running::start(&[&["replay", capture.to_str().unwrap()], words].concat());
    let address = replay.line();
    (replay, address)
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_seals_what_was_served() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("served.lagtape");
    let (replay, address) = replaying(&bundled("stall"), &["-o", out.to_str().unwrap()]);
    let mut client = begin(address.trim_start_matches("ws://").parse().unwrap()).await;
    while !client.next().await.unwrap().unwrap().is_binary() {}
    replay.signal("-TERM");
    let (_, code) = read_all(client).await;
    assert_eq!(code, Some(1001));
    let program::Ended { code, out: printed, said } = replay.wait();
    assert_eq!(code, Some(4), "{printed}{said}");
    assert!(printed.contains("OTHERWISE") && printed.contains("cut short"), "{printed}");
    let served = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert!(served.complete && served.epochs.len() == 1);
}

/// A session of a modern client that seeks, in a file.
pub fn simulated(folder: &TempDir) -> PathBuf {
    let out = folder.path().join("simulated.lagtape");
    let verb = SimulateVerb {
        family: lagtape::family::Family::Acestep,
        trouble: "healthy".parse().unwrap(),
        seed: 1,
        run_for: Span(1_500_000_000),
        loop_s: 2.0,
        channels: 1,
        client: ClientModel::Lagtape,
        params_hz: None,
        dialect: Some(Dialect::Modern),
        rate: None,
        script: vec!["500ms:seek=1.5s".parse().unwrap()],
        out: out.clone(),
        force: false,
    };
    app::simulate(&verb).unwrap();
    out
}
