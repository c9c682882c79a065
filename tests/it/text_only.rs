//! Sessions of text alone, recorded over sockets from servers that know them and from those that do not.

use std::fs::File;
use std::path::Path;

use lagtape::app::{self, AnalyzeOptions, BackendVerb, RecordVerb, RecordedSession, SessionSource};
use lagtape::capture::{Body, Direction, Opcode, Records};
use lagtape::family::Family;
use lagtape::peer::incident::Trouble;
use lagtape::time::Span;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Records some slices of a backend.
async fn record(needs_pcm: bool, family: Family, out: &Path) -> RecordedSession {
    let backend = BackendVerb {
        family: Family::Acestep,
        needs_pcm,
        bus: app::BusPort::Off,
        listen: "127.0.0.1:0".parse().unwrap(),
        trouble: "healthy".parse::<Trouble>().unwrap(),
        seed: 3,
        loop_s: 8.0,
        channels: 2,
        audio: None,
    };
    let (address, listening) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let serving =
        app::backend(backend, stopped, |ports| address.send(ports.address).unwrap(), |_| ());
    let recording = async {
        let verb = RecordVerb {
            out: Some(out.to_owned()),
            source: SessionSource::Text,
            family: Some(family),
            run_for: Some(Span(1_500_000_000)),
            ..RecordVerb::new(format!("ws://{}", listening.await.unwrap()))
        };
        let session = app::record(verb, std::future::pending(), ()).await.unwrap();
        drop(stop);
        session
    };
    let (served, session) = tokio::join!(serving, recording);
    served.unwrap();
    session
}

/// What the client says before the first report: the opcodes, and the config.
fn opening(capture: &Path) -> (Vec<Opcode>, Value) {
    let mut records = Records::new(File::open(capture).unwrap());
    let (mut opcodes, mut config) = (Vec::new(), Value::Null);
    while let Some(record) = records.next_record().unwrap() {
        let Body::Message(message) = &record.body else { continue };
        if message.direction != Direction::ClientToServer || message.opcode == Opcode::Ping {
            continue;
        }
        let text = message.text().unwrap_or_default();
        if text.contains("playback_pos") {
            break;
        }
        if opcodes.is_empty() {
            config = serde_json::from_str(text).unwrap();
        }
        opcodes.push(message.opcode);
    }
    (opcodes, config)
}

async fn check(needs_pcm: bool, family: Family, opcodes: &[Opcode], loop_s: f64) {
    let folder = TempDir::new().unwrap();
    let capture = folder.path().join("text.lagtape");
    let session = record(needs_pcm, family, &capture).await;
    assert_eq!(session.failure, None);
    let (found, config) = opening(&capture);
    assert_eq!(found, opcodes, "needs_pcm {needs_pcm}");
    assert_eq!((&config["text_only"], &config["telemetry_version"]), (&true.into(), &1.into()));
    assert_eq!(config["backend"], family.name());
    assert_eq!(session.analysis.epochs[0].loop_s, loop_s);
    let offline = app::analyze(&capture, &AnalyzeOptions::default()).unwrap();
    let json = |analysis| serde_json::to_string(analysis).unwrap();
    assert_eq!(json(&session.analysis), json(&offline));
}

#[tokio::test]
async fn a_server_that_knows_text_alone_gets_no_pcm() {
    check(false, Family::Acestep, &[Opcode::Text], 60.0).await;
    check(false, Family::Mrt2, &[Opcode::Text], 60.0).await;
}

#[tokio::test]
async fn a_server_of_june_gets_the_tune() {
    check(true, Family::Acestep, &[Opcode::Text, Opcode::Binary], 24.0).await;
}

#[test]
fn families_that_ignore_audio_are_brought_none() {
    assert_eq!(SessionSource::usual(None), SessionSource::Tune);
    assert_eq!(SessionSource::usual(Some(Family::Sa3)), SessionSource::Tune);
    for family in [Family::Yue2, Family::Mrt2, Family::Minimax] {
        assert_eq!(SessionSource::usual(Some(family)), SessionSource::Text);
    }
}
