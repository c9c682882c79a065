//! Flow files of mitmproxy, and what is named with what works in its place.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lagtape::app::{self, AnalyzeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Bench, STARTED_S, entry, frames, stall};
use crate::program::{check, check_complaint};

/// A typed netstring, as mitmproxy writes its flows.
fn netstring(kind: char, data: &[u8]) -> Vec<u8> {
    [data.len().to_string().as_bytes(), b":", data, kind.to_string().as_bytes()].concat()
}

fn pairs(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let parts =
        pairs.iter().map(|(name, value)| [netstring(';', name.as_bytes()), value.clone()].concat());
    netstring('}', &parts.collect::<Vec<_>>().concat())
}

/// A flow file with one WebSocket.
fn flow_file(frames: &[Value]) -> Vec<u8> {
    let truth = |is: bool| netstring('!', if is { b"true" } else { b"false" });
    let number = |number: f64| netstring('^', format!("{number:?}").as_bytes());
    let messages = frames.iter().map(|frame| {
        let opcode = frame["opcode"].as_u64().unwrap();
        let data = frame["data"].as_str().unwrap();
        let bytes = if opcode == 1 { data.into() } else { STANDARD.decode(data).unwrap() };
        let parts = [
            netstring('#', opcode.to_string().as_bytes()),
            truth(frame["type"] == "send"),
            netstring(',', &bytes),
            number(frame["time"].as_f64().unwrap()),
            truth(false),
            truth(false),
        ];
        netstring(']', &parts.concat())
    });
    let messages = messages.collect::<Vec<_>>().concat();
    let request = pairs(&[
        ("host", netstring(';', b"pod.example")),
        ("port", netstring('#', b"1318")),
        ("scheme", netstring(',', b"http")),
        ("path", netstring(',', b"/ws?token=SECRET")),
        ("timestamp_start", number(STARTED_S)),
    ]);
    let socket = pairs(&[("messages", netstring(']', &messages))]);
    pairs(&[("version", netstring('#', b"21")), ("request", request), ("websocket", socket)])
}

/// What mitmproxy saved is the same session as what a browser did.
#[test]
fn flows_of_mitmproxy_are_imported_like_har_files() {
    let bench = Bench(TempDir::new().unwrap());
    let frames = frames(&stall());
    let analysis = |out: &str| {
        let analysis = app::analyze(Path::new(out), &AnalyzeOptions::default()).unwrap();
        (analysis.lag, analysis.verdict, analysis.heard)
    };
    let (har, out) = (bench.har(&[entry(&frames)]), bench.out());
    check(&["import", &har, "-o", &out], 0);
    let expected = analysis(&out);

    let (flows, packed) = (bench.path("flows"), bench.path("flows.zst"));
    fs::write(&flows, flow_file(&frames)).unwrap();
    fs::write(&packed, zstd::encode_all(&flow_file(&frames)[..], 1).unwrap()).unwrap();
    for file in [flows, packed] {
        let (_, said) = check(&["import", file.to_str().unwrap(), "-o", &out, "--force"], 0);
        assert!(said.contains(&format!("{} messages", frames.len())), "{said}");
        assert_eq!(analysis(&out), expected);
        let info = check(&["info", &out], 0).0;
        assert!(info.contains("imported from mitmproxy") && !info.contains("SECRET"), "{info}");
    }
}

#[test]
fn what_cannot_be_imported_is_named_with_what_works() {
    let bench = Bench(TempDir::new().unwrap());
    let file = bench.path("x");
    for first in [[0xd4, 0xc3, 0xb2, 0xa1], [0x0a, 0x0d, 0x0d, 0x0a]] {
        fs::write(&file, [&first[..], &[0; 20]].concat()).unwrap();
        let words = ["import", file.to_str().unwrap(), "-o", &bench.out()];
        check_complaint(&words, 1, "stand in between with: lagtape proxy");
    }
    let log = json!({"log": {
        "creator": {"name": "Firefox", "version": "150"},
        "entries": [{"request": {"url": "ws://pod/"}, "response": {"status": 101}}],
    }});
    fs::write(&file, log.to_string()).unwrap();
    let words = ["import", file.to_str().unwrap(), "-o", &bench.out()];
    check_complaint(&words, 1, "saves no messages of WebSockets");
}
