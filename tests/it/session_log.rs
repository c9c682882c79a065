//! Session logs become captures that say the same.

use std::io::Read;
use std::path::Path;

use lagtape::capture::{
    Body, ClientKind, Direction, End, Ending, ImportError, Marker, Message, Opcode, Record,
    Records, import_session_log,
};
use lagtape::time::Nanos;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::golden;

/// The folders of session logs below a kind of golden vectors.
fn folders(kind: &str) -> Vec<std::path::PathBuf> {
    let sessions = golden::files(kind, |path| path.ends_with("session.json"));
    sessions.iter().map(|path| path.parent().unwrap().to_path_buf()).collect()
}

/// A file of the folder, which may be compressed.
fn contents(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let plain = std::fs::read(folder.join(name));
    plain.ok().or_else(|| {
        let packed = std::fs::read(folder.join(format!("{name}.zst"))).ok()?;
        Some(zstd::decode_all(&packed[..]).unwrap())
    })
}

fn import_folder(folder: &Path) -> (Vec<u8>, End) {
    let session = String::from_utf8(contents(folder, "session.json").unwrap()).unwrap();
    let lines = contents(folder, "frames.jsonl").unwrap();
    let blob = contents(folder, "frames.bin");
    let mut blob = blob.as_deref();
    let mut out = Vec::new();
    let end = import_session_log(
        &session,
        &lines[..],
        blob.as_mut().map(|blob| blob as &mut dyn Read),
        &mut out,
    );
    (out, end.unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
}

/// Hands every record of a capture to `visit`.
fn visit(capture: &[u8], mut visit: impl FnMut(Record<'_>)) -> Ending {
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record().unwrap() {
        visit(record);
    }
    records.ending().unwrap()
}

fn as_ns(value: &Value) -> Nanos {
    Nanos(value.as_u64().unwrap())
}

/// Compares a message with the line that it was made from.
#[track_caller]
fn check_message(record: &Record<'_>, message: &Message<'_>, line: &Value) {
    assert_eq!(record.t, as_ns(&line["t_ns"]));
    let direction = match line["dir"].as_str().unwrap() {
        "c2s" => Direction::ClientToServer,
        _ => Direction::ServerToClient,
    };
    assert_eq!(message.direction, direction);
    assert_eq!(message.text(), line["text"].as_str());
    let len = line["text"].as_str().map_or(line["length"].as_u64(), |text| Some(text.len() as u64));
    assert_eq!(message.len(), len.unwrap());
    assert_eq!(message.opcode == Opcode::Text, line["text"].is_string());
    if line["payload_omitted"] == true {
        let kept: String = message.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(kept, line["header_hex"].as_str().unwrap_or_default());
    } else {
        assert!(message.is_whole());
    }
}

#[track_caller]
fn check_folder(folder: &Path) {
    let session: Value =
        serde_json::from_slice(&contents(folder, "session.json").unwrap()).unwrap();
    let lines = String::from_utf8(contents(folder, "frames.jsonl").unwrap()).unwrap();
    let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (capture, end) = import_folder(folder);
    let mut binaries = Sha256::new();
    let mut seq = 0;
    let mut markers = Vec::new();
    let mut latest = Nanos(0);
    let ending = visit(&capture, |record| {
        assert_eq!((record.seq, record.conn), (seq, 0));
        seq += 1;
        match &record.body {
            Body::Header(header) => {
                assert_eq!((record.t, header.start), (as_ns(&session["connect_ns"]), record.t));
                assert_eq!(header.client, ClientKind::Headless);
                assert_eq!(header.metadata["name"], session["name"].as_str().unwrap());
                assert_eq!(header.metadata["params_hz"], session["params_hz"].to_string());
                assert!(!header.metadata.contains_key("expected"));
                assert!(header.config.as_ref().unwrap().contains("\"prompt\""));
            }
            Body::Message(message) => {
                check_message(&record, message, &lines.next().unwrap());
                if message.opcode == Opcode::Binary {
                    binaries.update(message.payload);
                }
                assert!(markers.last().is_none_or(|(t, _)| *t < record.t));
                latest = record.t;
            }
            Body::Marker(marker) => {
                assert!(record.t >= latest, "a marker comes after a later message");
                markers.push((record.t, marker.clone()));
            }
            Body::End(written) => {
                assert_eq!((written, record.t), (&end, as_ns(&session["report_ns"])));
                assert_eq!(written.records + 1, seq);
                assert_eq!(written.messages, session["frame_count"].as_u64().unwrap());
            }
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(ending, Ending::Complete);
    assert_eq!(lines.next(), None, "a message is missing");
    if let Some(expected) = session["bin_sha256"].as_str() {
        let digest: String = binaries.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, expected);
    }
    let no_ops = Vec::new();
    let ops = session["ops"].as_array().unwrap_or(&no_ops);
    assert_eq!(markers.len(), ops.len());
    for ((t, marker), op) in markers.iter().zip(ops) {
        let expected = match op["op"].as_str().unwrap() {
            "seek" => Marker::Seek { to_s: op["to_s"].as_f64().unwrap() },
            "rate" => Marker::Rate { rate: op["rate"].as_f64().unwrap() },
            "pause" => Marker::Pause,
            "resume" => Marker::Resume,
            other => panic!("{other}"),
        };
        assert_eq!((*t, marker), (as_ns(&op["t_ns"]), &expected));
    }
    assert_eq!(capture, import_folder(folder).0, "the same log gave other bytes");
}

#[test]
fn golden_sessions_become_captures() {
    for folder in folders("sessions").into_iter().chain(folders("pairs")) {
        eprintln!("{}", folder.display());
        check_folder(&folder);
    }
}

/// The records of a log as short texts.
fn outline(session: &str, lines: &str, mut blob: Option<&[u8]>) -> Result<String, ImportError> {
    let mut out = Vec::new();
    let blob = blob.as_mut().map(|blob| blob as &mut dyn Read);
    import_session_log(session, lines.as_bytes(), blob, &mut out)?;
    let mut outline = Vec::new();
    visit(&out, |record| {
        let what = match record.body {
            Body::Header(header) => format!("header {:?}", header.config),
            Body::Message(message) => String::from_utf8_lossy(message.payload).into_owned(),
            Body::Marker(marker) => format!("{marker:?}"),
            other => format!("{:?}", other.kind()),
        };
        outline.push(format!("{} {what}", record.t.0));
    });
    Ok(outline.join(", "))
}

#[track_caller]
fn check(session: &str, lines: &str, blob: Option<&[u8]>, expected: &str) {
    let outcome = outline(session, lines, blob).unwrap_or_else(|error| error.to_string());
    assert_eq!(outcome, expected);
}

const A_AT_2: &str = r#"{"t_ns":2,"dir":"s2c","text":"a"}"#;
const B_AT_5: &str = r#"{"t_ns":5,"dir":"c2s","text":"b"}"#;

#[test]
fn logs_as_they_come() {
    let both = format!("{A_AT_2}\n\n{B_AT_5}\n");
    check(r#"{"connect_ns":1}"#, "", None, "1 header None, 1 End");
    check(r#"{"connect_ns":1}"#, &both, None, r#"1 header Some("b"), 2 a, 5 b, 5 End"#);
    let back = format!("{B_AT_5}\n{A_AT_2}");
    check(r#"{"connect_ns":1}"#, &back, None, r#"1 header Some("b"), 5 b, 2 a, 2 End"#);
    let ops = r#"{"connect_ns":1,"report_ns":9,"ops":[
        {"op":"resume","t_ns":8},{"op":"pause","t_ns":5},{"at_s":1,"op":"seek","to_s":3,"t_ns":4}]}"#;
    let expected = "1 header Some(\"b\"), 2 a, 4 Seek { to_s: 3.0 }, 5 b, 5 Pause, 8 Resume, 9 End";
    check(ops, &both, None, expected);
    let titled = r#"{"connect_ns":1,"name":"n","rate":2.50,"list":[1],"expected":"no"}"#;
    let mut out = Vec::new();
    import_session_log(titled, &b""[..], None, &mut out).unwrap();
    visit(&out, |record| {
        if let Body::Header(header) = record.body {
            let metadata = format!("{:?}", header.metadata);
            assert_eq!(metadata, r#"{"name": "n", "rate": "2.5"}"#);
        }
    });
    let forwards = r#"{"t_ns":2,"dir":"s2c","offset":0,"length":2}
        {"t_ns":3,"dir":"s2c","offset":4,"length":1}"#;
    check(r#"{"connect_ns":1}"#, forwards, Some(b"01234"), "1 header None, 2 01, 3 4, 3 End");
}

#[test]
fn secrets_in_urls_stay_out_of_the_capture() {
    let session = r#"{"connect_ns":1,"url":"wss://a:b@pod.io/s?apiKey=x","from":"https://q.io/?k=x",
        "description":"what? ws://y?z"}"#;
    let mut out = Vec::new();
    import_session_log(session, &b""[..], None, &mut out).unwrap();
    visit(&out, |record| {
        if let Body::Header(header) = record.body {
            assert_eq!(header.url.as_deref(), Some("wss://pod.io/s"));
            let metadata = format!("{:?}", header.metadata);
            let expected = r#"{"description": "what? ws://y?z", "from": "https://q.io/"}"#;
            assert_eq!(metadata, expected);
        }
    });
}

#[test]
fn what_python_writes_is_read() {
    check(r#"{"connect_ns":1,"expected":[NaN,-Infinity]}"#, "", None, "1 header None, 1 End");
}

#[test]
fn logs_that_cannot_be_used() {
    let start = r#"{"connect_ns":1}"#;
    let second = |line: &str| format!("{A_AT_2}\n{line}");
    let refused = |reason: &str| {
        format!("line 2 of the session log cannot be used: {reason}; correct or remove that line")
    };
    let missing = |reason: &str| format!("the payload of line 2 is missing: {reason}");
    check(
        "{}",
        "",
        None,
        "session.json cannot be used: missing field `connect_ns` at line 1 column 2; it needs at \
         least a connect_ns",
    );
    let no_target = r#"{"connect_ns":1,"ops":[{"op":"seek","t_ns":4}]}"#;
    assert!(outline(no_target, "", None).unwrap_err().to_string().contains("a seek without to_s"));
    check(start, &second("Dear all"), None, &refused("expected value at line 1 column 1"));
    check(
        start,
        &second(r#"{"dir":"s2c","text":""}"#),
        None,
        &refused("missing field `t_ns` at line 1 column 23"),
    );
    check(
        start,
        &second(r#"{"t_ns":3,"dir":"s2c","offset":3}"#),
        None,
        &refused("it has neither text, nor offset and length, nor a length of what was omitted"),
    );
    let omitted = |hex: &str| {
        let line = r#"{"t_ns":3,"dir":"s2c","length":1,"payload_omitted":true,"header_hex":""#;
        second(&format!("{line}{hex}\"}}"))
    };
    check(start, &omitted("0"), None, &refused("its header_hex is not hexadecimal"));
    check(start, &omitted("+1"), None, &refused("its header_hex is not hexadecimal"));
    check(start, &omitted("0011"), None, &refused("its header_hex is longer than its length"));
    let stored = |offset: u64, len: u64| {
        second(&format!(r#"{{"t_ns":3,"dir":"s2c","offset":{offset},"length":{len}}}"#))
    };
    check(
        start,
        &stored(0, u64::MAX),
        None,
        &refused("its length is more than a message can have"),
    );
    check(
        start,
        &stored(0, 1),
        None,
        &missing("give the blob of binary messages too, uncompressed"),
    );
    let short = "the blob ends before byte 4 + 2; give the one that belongs to this log, whole and \
                 uncompressed";
    check(start, &stored(4, 2), Some(b"01234"), &missing(short));
    let far = format!(
        "the blob ends before byte {} + 2; give the one that belongs to this log, \
        whole and uncompressed",
        u64::MAX
    );
    check(start, &stored(u64::MAX, 2), Some(b"01234"), &missing(&far));
    let backwards = stored(2, 1) + "\n" + r#"{"t_ns":3,"dir":"s2c","offset":0,"length":1}"#;
    check(
        start,
        &backwards,
        Some(b"01234"),
        "the payload of line 3 is missing: it lies at byte 0 of the blob, which is read up to 3; \
         put the lines in the order of their offsets",
    );
}
