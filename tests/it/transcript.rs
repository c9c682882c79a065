//! Transcripts of the server's own test client, as its `tests/golden/client.py` writes them.

use std::fs;
use std::path::Path;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Body, Direction, Message, Opcode, Records};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{check, check_complaint};

/// A capture as that client would have written it down, with blobs or without.
fn transcript(of: &Path, with_blobs: bool) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("blobs")).unwrap();
    let mut records = Records::new(fs::File::open(of).unwrap());
    let (mut lines, mut number) = (String::new(), 0);
    while let Some(record) = records.next_record().unwrap() {
        let Body::Message(message) = &record.body else { continue };
        let Some(line) = line(message, record.t.0, folder.path(), number, with_blobs) else {
            continue;
        };
        number += usize::from(message.opcode == Opcode::Binary);
        lines.push_str(&format!("{line}\n"));
    }
    fs::write(folder.path().join("transcript.jsonl"), lines).unwrap();
    folder
}

fn line(
    message: &Message<'_>,
    t_ns: u64,
    folder: &Path,
    number: usize,
    with_blobs: bool,
) -> Option<Value> {
    let t = (t_ns as f64 / 1e3).round() / 1e3;
    let dir = if message.direction == Direction::ClientToServer { "send" } else { "recv" };
    match message.opcode {
        Opcode::Text => {
            let data: Value = serde_json::from_str(message.text()?).ok()?;
            Some(json!({"t": t, "dir": dir, "kind": "json", "data": data}))
        }
        Opcode::Binary => {
            let len = message.payload.len();
            let mut line =
                json!({"t": t, "dir": dir, "kind": "bin", "role": "slice", "bytes": len});
            if with_blobs {
                let name = format!("blobs/{number:06}.bin");
                fs::write(folder.join(&name), message.payload).unwrap();
                line["blob"] = name.into();
            }
            Some(line)
        }
        _ => None,
    }
}

fn bundled(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name)
}

#[test]
fn a_transcript_says_what_the_session_said() {
    for name in ["stall.lagtape", "healthy.lagtape"] {
        let folder = transcript(&bundled(name), true);
        let out = folder.path().join("out.lagtape");
        for from in [folder.path().to_owned(), folder.path().join("transcript.jsonl")] {
            let words = ["import", from.to_str().unwrap(), "-o", out.to_str().unwrap(), "--force"];
            let (_, said) = check(&words, 0);
            assert!(said.contains("unknown: pings") && !said.contains("no verdict"), "{said}");
        }
        // The same slices on the same playhead, to the microsecond of the transcript's clock.
        let options =
            |playhead| AnalyzeOptions { playhead: Some(playhead), ..AnalyzeOptions::default() };
        let reported = options(lagtape::playhead::PlayheadSource::Reported);
        let was = app::analyze(&bundled(name), &reported).unwrap();
        let is = app::analyze(&out, &reported).unwrap();
        assert_eq!((is.slices, is.ticks, is.decode_errors), (was.slices, was.ticks, 0));
        assert_eq!(is.verdict.lag, was.verdict.lag);
        let leads = |analysis: &lagtape::report::Analysis| analysis.leads.arrival.unwrap();
        assert!((leads(&is).p50 - leads(&was).p50).abs() < 1e-3, "{name}");
        assert!((is.verdict.bad_s - was.verdict.bad_s).abs() < 1e-2, "{name}");
    }
}

#[test]
fn without_blobs_there_is_no_verdict() {
    let folder = transcript(&bundled("stall.lagtape"), false);
    let out = folder.path().join("out.lagtape");
    let words = ["import", folder.path().to_str().unwrap(), "-o", out.to_str().unwrap()];
    let (_, said) = check(&words, 0);
    assert!(said.contains("were not kept in blobs; there will be no verdict"), "{said}");
    let analysis = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert_eq!(analysis.verdict.lag, None);
    assert!(analysis.ticks > 0 || analysis.verdict.why.is_some());
}

#[test]
fn odd_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transcript.jsonl");
    let out = folder.path().join("out.lagtape");
    let words = ["import", path.to_str().unwrap(), "-o", out.to_str().unwrap()];
    let good = r#"{"t": 1, "dir": "send", "kind": "json", "data": {"prompt": "x"}}"#;
    for (odd, hint) in [
        (r#"{"t": -1, "dir": "send", "kind": "json", "data": {}}"#, "no time in milliseconds"),
        (r#"{"t": 1, "dir": "up", "kind": "json", "data": {}}"#, "neither send nor recv"),
        (r#"{"t": 1, "dir": "recv", "kind": "json", "data": 3}"#, "its data is no message"),
        (
            r#"{"t": 1, "dir": "recv", "kind": "bin", "bytes": 3, "blob": "../../etc/passwd"}"#,
            "outside",
        ),
        ("nonsense", "line 2"),
    ] {
        fs::write(&path, format!("{good}\n{odd}\n{good}\n")).unwrap();
        check_complaint(&words, 1, hint);
    }
    // The line under way when the writer was killed is no fault.
    fs::write(&path, format!("{good}\n{{\"t\": 2, \"di")).unwrap();
    check(&words, 0);
    fs::write(&path, "").unwrap();
    check_complaint(&[&words[..], &["--force"]].concat(), 1, "there is nothing in it");
}
