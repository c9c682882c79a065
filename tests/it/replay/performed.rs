//! Recorded clients against a live server: what they say again, and what they say instead.

use std::fs::File;
use std::path::{Path, PathBuf};

use lagtape::app::{self, PerformVerb, RecordedSession};
use lagtape::capture::{Body, Direction, Opcode, Records};
use lagtape::peer::replay::PerformanceOptions;
use lagtape::time::Span;
use lagtape::wire::json::parse_object;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::{bundled, hex, messages, simulated};
use crate::backend::Running;

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
