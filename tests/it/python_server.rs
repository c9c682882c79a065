//! Foreign code serves the recording client: a server written with Python's `websockets`, default
//! settings, with messages of 1 MiB in fragments.
//!
//! Needs Python with that package; see [`crate::python`].

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use lagtape::app::{self, AnalyzeOptions, RecordVerb, SessionSource};
use lagtape::time::Span;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::python;

#[tokio::test]
async fn a_server_in_python_is_recorded() {
    if !python::has("websockets.asyncio.server", "websockets") {
        return;
    }
    let mut server = python::command()
        .args(["-c", include_str!("python_server.py")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap());
    let mut port = String::new();
    said.read_line(&mut port).unwrap();

    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let verb = RecordVerb {
        out: Some(out.clone()),
        source: SessionSource::Fixture("x.wav".to_owned()),
        run_for: Some(Span(500_000_000)),
        ..RecordVerb::new(format!("ws://127.0.0.1:{}", port.trim()))
    };
    let session = app::record(verb, std::future::pending(), ()).await.unwrap();
    assert_eq!(session.failure, None);
    let analysis = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert_eq!((analysis.slices, analysis.decode_errors), (1, 0));
    assert_eq!(analysis.epochs[0].frames, 524_288);

    let mut told = String::new();
    said.read_to_string(&mut told).unwrap();
    assert!(server.wait().unwrap().success());
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["config"], "x.wav");
    assert_eq!(told["extensions"], 0, "lagtape offers none");
    assert_eq!(told["acknowledged"], json!(true));
    assert!(told["reports"].as_u64().unwrap() >= 10, "{told}");
}
