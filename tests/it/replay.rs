//! Recordings played again over real sockets: as the server to several clients, as the client to the
//! simulated server.

use std::fs::{self, File};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lagtape::app::{
    self, AnalyzeOptions, DiffVerb, Outcome, PerformVerb, RecordVerb, RecordedSession, Replayed,
    SessionSource, SimulateVerb,
};
use lagtape::capture::{
    Body, Direction, End, Header, Message, Opcode, Record, Records, SyncMarker, Writer,
};
use lagtape::edge::replay::{Replay, ServeOptions};
use lagtape::engine::{Engine, Options};
use lagtape::peer::Outgoing;
use lagtape::peer::client::{self, ClientOptions, ClientStep, Dialect};
use lagtape::peer::client_model::ClientModel;
use lagtape::peer::replay::{
    Divergence, PerformanceOptions, ReplayOptions, ReplayServer, Tape, Timing,
};
use lagtape::peer::server::Incoming;
use lagtape::peer::simulation::parts as parts_of;

use lagtape::report::Analysis;
use lagtape::time::{Nanos, Span};
use lagtape::wire::json::parse_object;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::backend::Running;
use crate::python;

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

/// One HTTP request over a connection of its own: status and body.
async fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    (status, answer[body..].to_vec())
}

async fn control(address: SocketAddr, order: &Value) -> Value {
    let (status, body) = http(address, "POST", "/control/replay", &order.to_string()).await;
    assert_eq!(status, 200, "{order}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn pauses_rates_and_jumps_are_ordered_over_http() {
    let (replayed, got) = play(ServeOptions::new(bundled("stall")), |address| async move {
        let asked = http(address, "GET", "/control/replay", "").await;
        assert_eq!(asked.0, 409, "nobody is there to tell");
        let mut client = begin(address).await;
        let report = r#"{"type":"params","playback_pos":0}"#;
        client.send(WsMessage::text(report)).await.unwrap();
        let mut got = 0;
        while got < 2 {
            got += u32::from(client.next().await.unwrap().unwrap().is_text());
        }
        let paused = control(address, &json!({"pause": true})).await;
        assert_eq!(paused["paused"], true);
        let again = control(address, &json!({})).await;
        assert_eq!(paused, again, "it stands still");
        let rated = control(address, &json!({"rate": 4.0, "pause": false})).await;
        assert_eq!((&rated["rate"], &rated["paused"]), (&json!(4.0), &json!(false)));
        let (refused, _) = http(address, "POST", "/control/replay", r#"{"rate": -1}"#).await;
        assert_eq!(refused, 400);
        control(address, &json!({"jump_s": 600})).await;
        read_all(client).await
    })
    .await;
    let whole = messages(&bundled("stall"), Direction::ServerToClient);
    assert!(whole.ends_with(&got.0) && got.0.len() > 60, "{}", got.0.len());
    let divergence = replayed.divergence.unwrap();
    assert!(divergence.whole && divergence.time.paused_s > 0.0, "{divergence:?}");
}

#[tokio::test]
async fn a_jump_back_is_a_swap() {
    let (_, (swap, buffer)) = play(ServeOptions::new(bundled("stall")), |address| async move {
        let mut client = begin(address).await;
        let report = r#"{"type":"params","playback_pos":0}"#;
        client.send(WsMessage::text(report)).await.unwrap();
        let mut slices = 0;
        while slices < 3 {
            slices += u32::from(client.next().await.unwrap().unwrap().is_binary());
        }
        control(address, &json!({"jump_s": 0})).await;
        let swap = loop {
            let message = client.next().await.unwrap().unwrap();
            if message.to_text().is_ok_and(|text| text.contains("swap_ready")) {
                break message.to_text().unwrap().to_owned();
            }
        };
        let buffer = client.next().await.unwrap().unwrap().into_data();
        client.close(None).await.unwrap();
        (swap, buffer.to_vec())
    })
    .await;
    let swap: Value = serde_json::from_str(&swap).unwrap();
    assert_eq!((&swap["channels"], &swap["duration"]), (&json!(1), &json!(5.0)));
    assert_eq!(hex(&buffer), hashes(&bundled("stall"))[0]);
}

#[tokio::test]
async fn one_session_at_a_time() {
    let (replayed, _) = play(ServeOptions::new(bundled("healthy")), |address| async move {
        let mut upload = connect(address).await;
        upload.send(WsMessage::text(r#"{"type":"upload_track","name":"x"}"#)).await.unwrap();
        let refused = upload.next().await.unwrap().unwrap();
        assert!(refused.to_text().unwrap().contains("upload_failed"), "{refused}");
        while let Some(Ok(_)) = upload.next().await {}

        let mut first = begin(address).await;
        first.next().await.unwrap().unwrap();
        let (nothing, code) = read_all(connect(address).await).await;
        assert_eq!((nothing.len(), code), (0, Some(1013)));

        let (status, knobs) = http(address, "GET", "/api/knobs", "").await;
        let ready: Value =
            serde_json::from_slice(&messages(&bundled("healthy"), Direction::ServerToClient)[1])
                .unwrap();
        let knobs: Value = serde_json::from_slice(&knobs).unwrap();
        assert_eq!((status, &knobs), (200, &ready["knob_manifest"]));
        let fixture = "/fixtures/low_fi_Gm_loop_60s_gnm.wav";
        let (status, wav) = http(address, "GET", fixture, "").await;
        assert!(status == 200 && wav.starts_with(b"RIFF"), "{status}");
        first.close(None).await.unwrap();
    })
    .await;
    assert!(!replayed.divergence.unwrap().whole);
}

#[test]
fn a_client_in_python_gets_the_recording() {
    if !python::has("websockets.asyncio.client", "websockets") {
        return;
    }
    let capture = bundled("stall");
    let (child, address) = replaying(&capture, &["--max"]);
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
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4), "another config");
}

/// `lagtape replay` in a process of its own, and the address that it prints.
pub fn replaying(capture: &Path, words: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lagtape"))
        .arg("replay")
        .arg(capture)
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
    (child, address.trim().to_owned())
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_seals_what_was_served() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("served.lagtape");
    let (child, address) = replaying(&bundled("stall"), &["-o", out.to_str().unwrap()]);
    let mut client = begin(address.trim_start_matches("ws://").parse().unwrap()).await;
    while !client.next().await.unwrap().unwrap().is_binary() {}
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let (_, code) = read_all(client).await;
    assert_eq!(code, Some(1001));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
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

/// Performs the client of a capture against the simulated server.
pub fn perform(capture: &Path, out: PathBuf, verbatim: bool) -> RecordedSession {
    let backend = Running::start(crate::backend::options());
    let verb = PerformVerb {
        capture: capture.to_owned(),
        url: backend.url(),
        headers: Vec::new(),
        captures: "captures".into(),
        out: Some(out),
        force: false,
        performance: PerformanceOptions { rate: 1.0, until: None, verbatim },
        ready_timeout: Span(30_000_000_000),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(app::perform(verb, std::future::pending(), |_| (), ())).unwrap()
}

/// The reports in a capture, each without `key`s, and the values of those.
fn reports(capture: &Path, keys: &[&str]) -> (Vec<Value>, Vec<Map<String, Value>>) {
    let texts = messages(capture, Direction::ClientToServer);
    let fields = texts.iter().filter_map(|text| parse_object(std::str::from_utf8(text).ok()?).ok());
    let reports = fields.map(|o| o.fields).filter(|fields| fields.contains_key("playback_pos"));
    reports
        .map(|mut fields| {
            let taken =
                keys.iter().filter_map(|key| Some(((*key).to_owned(), fields.remove(*key)?)));
            let taken = taken.collect();
            (Value::Object(fields), taken)
        })
        .unzip()
}

#[test]
fn a_recorded_client_meets_a_live_server() {
    const OF_THE_CONNECTION: [&str; 3] = ["client_time", "slice_bytes_rx", "slice_lead_s"];
    let folder = TempDir::new().unwrap();
    let (capture, out) = (simulated(&folder), folder.path().join("again.lagtape"));
    let session = perform(&capture, out.clone(), false);
    assert_eq!(session.failure, None);
    assert_eq!(session.analysis.playhead.ops.len(), 1, "the seek is the listener's again");

    let (recorded, said) =
        (reports(&capture, &OF_THE_CONNECTION), reports(&out, &OF_THE_CONNECTION));
    assert!(recorded.0.len() > 40, "{}", recorded.0.len());
    assert_eq!(said.0, recorded.0, "knobs and positions are the recorded ones");
    let acks = |found: &[Map<String, Value>]| -> Vec<u64> {
        found.iter().map(|fields| fields["slice_bytes_rx"].as_u64().unwrap()).collect()
    };
    assert_ne!(acks(&said.1), acks(&recorded.1), "the bytes are those of this connection");
    check_acks(&out);
    let downstream = messages(&out, Direction::ServerToClient);
    assert!(downstream.len() > 40, "{}", downstream.len());

    let verbatim = folder.path().join("verbatim.lagtape");
    perform(&capture, verbatim.clone(), true);
    let up = |path: &Path| messages(path, Direction::ClientToServer)[1..].to_vec();
    assert_eq!(up(&verbatim), up(&capture));
}

/// Every report acknowledges just what had come.
fn check_acks(capture: &Path) {
    let (mut slices, mut checked) = (0_u64, 0);
    let (mut has_buffer, mut records) = (false, Records::new(File::open(capture).unwrap()));
    while let Some(record) = records.next_record().unwrap() {
        let Body::Message(message) = &record.body else { continue };
        match (message.direction, message.opcode) {
            (Direction::ServerToClient, Opcode::Binary) => {
                slices += u64::from(has_buffer) * message.payload.len() as u64;
                has_buffer = true;
            }
            (Direction::ClientToServer, Opcode::Text) => {
                let fields = parse_object(message.text().unwrap()).unwrap().fields;
                if let Some(acked) = fields.get("slice_bytes_rx") {
                    assert_eq!(acked.as_u64(), Some(slices));
                    checked += 1;
                }
            }
            _ => {}
        }
    }
    assert!(checked > 40 && slices > 0, "{checked} reports, {slices} bytes");
}

#[test]
fn uploaded_audio_is_uploaded_again() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("again.lagtape");
    let session = perform(&bundled("healthy"), out.clone(), false);
    assert_eq!(session.failure, None);
    let up = |path: &Path| messages(path, Direction::ClientToServer);
    let (again, recorded) = (up(&out), up(&bundled("healthy")));
    assert_eq!(hex(&again[1]), hex(&recorded[1]));
    assert_eq!(again.len(), recorded.len());
    let config = |text: &[u8]| parse_object(std::str::from_utf8(text).unwrap()).unwrap().fields;
    assert_eq!(config(&again[0]), config(&recorded[0]));
}

/// Runs `lagtape replay` with words that it refuses.
#[track_caller]
pub fn check_refused(words: &[&str], code: i32, sentence: &str) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_lagtape")).arg("replay").args(words).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    // What is said of a command line is wrapped.
    assert!(said.replace('\n', " ").contains(sentence), "{words:?}: {said}");
}

#[test]
fn what_cannot_be_replayed_is_refused_before_anybody_connects() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let stall = bundled("stall").to_str().unwrap().to_owned();
    let (notes, cut, empty) = (path("notes"), path("cut"), path("empty"));
    fs::write(&notes, "Dear all").unwrap();
    fs::write(&cut, &fs::read(&stall).unwrap()[..600]).unwrap();
    fs::write(&empty, without_payloads()).unwrap();
    let middle = path("middle");
    fs::write(&middle, a_middle_of_nothing()).unwrap();
    check_refused(&[&middle], 1, "replay a capture with payloads");
    check_refused(&[&middle, "--to", "ws://127.0.0.1:1"], 1, "configuration is missing");
    check_refused(&["nowhere.lagtape"], 1, "cannot open nowhere.lagtape");
    check_refused(&[&notes], 1, "not a lagtape capture");
    check_refused(&[&cut], 1, "no initial buffer");
    check_refused(&[&empty], 1, "replay a capture with payloads");
    check_refused(&[&stall, "--start-at", "5s", "--until", "5s"], 2, "end before it begins");
    check_refused(&[&stall, "--start-at", "99s"], 1, "earlier --start-at");
    check_refused(&[&stall, "-o", &notes], 1, "use --force");
    let own = path("own");
    fs::copy(&stall, &own).unwrap();
    let to_itself = ServeOptions {
        out: Some(folder.path().join("./own")),
        force: true,
        ..ServeOptions::new(own.clone().into())
    };
    let refused = Replay::prepare(to_itself).err().unwrap().to_string();
    assert!(refused.contains("is what is being read"), "{refused}");
    let words = [&own, "--to", "ws://127.0.0.1:1", "-o", &own, "--force"];
    check_refused(&words, 1, "is what is being read");
    assert_eq!(fs::read(&own).unwrap(), fs::read(&stall).unwrap());
    check_refused(&[&stall, "--rate", "0"], 2, "above 0");
    check_refused(&[&stall, "--rate", "-1"], 2, "above 0");
    check_refused(&[&stall, "--listen", "pod:1"], 2, "an address and a port");
    check_refused(&[&stall, "--max", "--rate", "2"], 2, "leave out --rate");
    check_refused(&[&stall, "--to", "ws://127.0.0.1:1", "--loop"], 2, "--loop");
    check_refused(&[&stall, "--verbatim"], 2, "--to");
    check_refused(&[&cut, "--to", "ws://127.0.0.1:1"], 1, "no initial buffer");
    let out = path("out");
    check_refused(&[&stall, "--to", "http://127.0.0.1:1", "-o", &out], 2, "no WebSocket address");
}

/// A capture that begins in the middle of a session of which neither config nor audio is known.
fn a_middle_of_nothing() -> Vec<u8> {
    let mut engine = Engine::new(Options::default());
    let mut records = Records::new(File::open(bundled("stall")).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
    }
    let mut context = engine.context();
    if let Body::Context(context) = &mut context.body {
        context.buffer = None;
        context.state.config.clear();
    }
    let (mut writer, mut file) = (Writer::new(SyncMarker::derive(b"x")), Vec::new());
    writer.begin(&mut file);
    let header = Body::Header(Header::new("a test", Nanos(0)));
    writer.write(&Record { seq: 0, t: Nanos(0), conn: 0, body: header }, &mut file);
    writer.write(&context, &mut file);
    file
}

/// A capture whose audio was left out.
fn without_payloads() -> Vec<u8> {
    let (mut writer, mut file) = (Writer::new(SyncMarker::derive(b"x")), Vec::new());
    writer.begin(&mut file);
    let message = |direction, opcode, payload| Message::new(direction, opcode, payload);
    let buffer = message(Direction::ServerToClient, Opcode::Binary, b"");
    let bodies = [
        Body::Header(Header::new("a test", Nanos(0))),
        Body::Message(message(Direction::ClientToServer, Opcode::Text, b"{}")),
        Body::Message(message(Direction::ServerToClient, Opcode::Text, br#"{"type":"ready"}"#)),
        Body::Message(Message { whole_len: Some(192_000), ..buffer }),
    ];
    for body in bodies {
        let record = Record { seq: writer.next_seq(), t: Nanos(1), conn: 0, body };
        writer.write(&record, &mut file);
    }
    file
}
