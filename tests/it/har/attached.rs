//! Messages that Playwright attaches beside a HAR file, in a folder or in a zip.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Bench, entry, frames, har, stall};
use crate::program::check_complaint;

/// As Playwright attaches them: a line for each message, in milliseconds.
fn lines(frames: &[Value]) -> String {
    let line = |frame: &Value| {
        let mut frame = frame.clone();
        frame["time"] = json!(frame["time"].as_f64().unwrap() * 1e3);
        frame.to_string() + "\n"
    };
    frames.iter().map(line).collect()
}

fn attached(file: &str) -> Value {
    let mut entry = entry(&[]);
    entry.as_object_mut().unwrap().remove("_webSocketMessages");
    entry["response"]["content"]["_file"] = json!(file);
    entry
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    for (name, text) in files {
        zip.start_file(*name, options).unwrap();
        std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn messages_that_playwright_attached_are_found() {
    let bench = Bench(TempDir::new().unwrap());
    let messages = lines(&frames(&stall()));
    let picture = json!({"request": {"url": "http://pod.example/x.png"},
                         "response": {"content": {"_file": "no-such.png"}}});
    let text = har(&[picture, attached("f00.jsonl")]);
    bench.import("x.har.zip", zip(&[("f00.jsonl", &messages), ("har.har", &text)]));
    bench.check_same("a zip");

    let cut_off = format!("{messages}{{\"type\":\"rec");
    fs::write(bench.path("f00.jsonl"), cut_off).unwrap();
    bench.import("x.har", &text);
    bench.check_same("a folder, and a last line that is cut off");

    fs::create_dir(bench.path("x_files")).unwrap();
    let list: Vec<Value> =
        messages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    fs::write(bench.path("x_files/f00.json"), json!(list).to_string()).unwrap();
    bench.import("x.har", har(&[attached("x_files/f00.json")]));
    bench.check_same("a folder, and a list");
}

#[test]
fn attached_messages_that_are_not_there_get_a_sentence() {
    let bench = Bench(TempDir::new().unwrap());
    let out = bench.out();
    let complain = |name: &str, bytes: &[u8], sentence: &str| {
        fs::write(bench.path(name), bytes).unwrap();
        let path = bench.path(name);
        check_complaint(&["import", path.to_str().unwrap(), "-o", &out], 1, sentence);
    };
    let messages = lines(&frames(&stall()));
    complain("x.har", har(&[attached("f00.jsonl")]).as_bytes(), "f00.jsonl, which is missing");
    fs::create_dir(bench.path("inner")).unwrap();
    fs::write(bench.path("f00.jsonl"), &messages).unwrap();
    let outside = har(&[attached("../f00.jsonl")]);
    complain("inner/x.har", outside.as_bytes(), "f00.jsonl, which is missing");
    complain("x.zip", &zip(&[("readme", "no har")]), "no HAR file in the zip");
    let broken = &zip(&[("har.har", &har(&[attached("f00.jsonl")]))])[..60];
    complain("x.zip", broken, "no sound zip");
    let bomb = " ".repeat(50 << 20);
    complain("x.zip", &zip(&[("har.har", &bomb)]), "more than 200 times its length");
}
