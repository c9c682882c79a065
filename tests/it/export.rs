//! Exports, read back: with Perfetto's own protobufs, with readers of MCAP, with import, and as tables.

use std::fs;
use std::path::Path;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Body, Record, Records};
use lagtape::report::Analysis;
use serde_json::Value;
use tempfile::TempDir;

use crate::har::stall;
use crate::program::{check, check_complaint, lagtape, simulated};
use crate::python;

/// A session with bad audio and everything that a client can do.
fn eventful(folder: &TempDir) -> String {
    let words = ["--incident", "stall:at=4s,for=4s", "--for", "12s", "--loop", "8s"];
    simulated(folder, "eventful", &words)
}

/// The export of a capture in this form.
#[track_caller]
fn exported(folder: &TempDir, capture: &str, form: &str) -> String {
    let out = folder.path().join(format!("x{form}")).to_str().unwrap().to_owned();
    let (_, said) = check(&["export", capture, form, "-o", &out], 0);
    assert!(said.contains("left out: "), "{said}");
    out
}

fn analysis(capture: &str) -> Analysis {
    app::analyze(Path::new(capture), &AnalyzeOptions::default()).unwrap()
}

/// What the tools' own code reads, or `None` when the test is to be skipped.
fn read_back(form: &str, path: &str) -> Option<Value> {
    let is_there = match form {
        "perfetto" => python::has("perfetto.protos.perfetto.trace.perfetto_trace_pb2", "perfetto"),
        _ => python::has("mcap_protobuf.decoder", "mcap mcap-protobuf-support"),
    };
    let script = include_str!("export_reader.py");
    let output =
        is_there.then(|| python::command().args(["-c", script, form, path]).output().unwrap())?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The times of messages that pass, in nanoseconds.
fn times(capture: &str, passes: impl Fn(&Record<'_>) -> bool) -> Vec<u64> {
    let mut records = Records::new(fs::File::open(capture).unwrap());
    let mut times = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        if passes(&record) {
            times.push(record.t.0);
        }
    }
    times
}

#[test]
fn perfetto_reads_its_trace() {
    let folder = TempDir::new().unwrap();
    let capture = eventful(&folder);
    let Some(trace) = read_back("perfetto", &exported(&folder, &capture, "--perfetto")) else {
        return;
    };
    let told = analysis(&capture);
    let events = |track: &str| trace["tracks"][track]["events"].as_array().unwrap().clone();
    assert_eq!(events("slices").len() as u64, told.slices);
    assert_eq!(events("reports of the client").len() as u64, told.ticks);
    let count = |track: &str| events(track).len() as u64;
    assert_eq!((count("lead"), count("age of what was heard")), (told.slices, told.ticks));
    assert_eq!(trace["tracks"]["lead"]["unit"], "s");

    // Each message has its time to the nanosecond, and is on one track.
    let tracks = ["slices", "reports of the client", "other messages of the client"];
    let tracks = [&tracks[..], &["other messages of the server"]].concat();
    let mut at: Vec<_> =
        tracks.iter().flat_map(|track| events(track)).map(|it| it[0].as_u64().unwrap()).collect();
    at.sort_unstable();
    assert_eq!(at, times(&capture, |record| matches!(record.body, Body::Message(_))));

    // The lowest lead is the one that analyze tells.
    let leads = events("lead").into_iter().map(|event| event[3].as_f64().unwrap());
    let lowest = leads.fold(f64::INFINITY, f64::min);
    assert!((lowest - told.lag.unwrap().slices.lead_s.unwrap().min).abs() < 1e-4, "{lowest}");

    let spells: Vec<_> = events("bad audio");
    let alarms = told.heard.unwrap().report.episodes.iter().filter(|it| it.alarm).count();
    assert!(alarms > 0);
    assert_eq!(spells.len(), 2 * alarms);
    assert!(spells[0][2].as_str().unwrap().contains("no slices for"), "{}", spells[0]);
    assert_eq!(count("cause") as usize, 2 * told.diagnosis.findings.len());

    let flows = trace["flows"].as_array().unwrap();
    assert_eq!(trace["ended"], flows.len());
    assert!(flows.len() as u64 > told.ticks * 3 / 4, "{} of {}", flows.len(), told.ticks);
    assert!(flows.iter().all(|flow| flow[0].as_u64() <= flow[1].as_u64()));
}

#[test]
fn readers_of_mcap_read_it() {
    let folder = TempDir::new().unwrap();
    let capture = eventful(&folder);
    let path = exported(&folder, &capture, "--mcap");
    let told = analysis(&capture);
    let messages = times(&capture, |record| matches!(record.body, Body::Message(_))).len();

    let bytes = fs::read(&path).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for message in mcap::MessageStream::new(&bytes).unwrap() {
        let message = message.unwrap();
        let schema = message.channel.schema.as_ref().unwrap();
        assert_eq!(
            (&*schema.encoding, &*message.channel.message_encoding),
            ("protobuf", "protobuf")
        );
        *counts.entry(message.channel.topic.clone()).or_insert(0_u64) += 1;
    }
    assert_eq!((counts["/slices"], counts["/reports"]), (told.slices, told.ticks));
    assert!(counts["/messages"] >= messages as u64);
    assert!(counts["/log"] > 0);

    let Some(topics) = read_back("mcap", &path) else { return };
    let of = |topic: &str| topics[topic].as_array().unwrap();
    for (topic, count) in &counts {
        assert_eq!(of(topic).len() as u64, *count, "{topic}");
    }
    let leads = of("/slices").iter().map(|slice| slice[2]["lead_s"].as_f64().unwrap());
    let lowest = leads.fold(f64::INFINITY, f64::min);
    assert!((lowest - told.lag.unwrap().slices.lead_s.unwrap().min).abs() < 1e-4, "{lowest}");
    // Slices have the time of their records, on the clock of the world where the capture has it.
    let first = of("/slices")[0][0].as_u64().unwrap();
    let last = of("/slices").last().unwrap()[0].as_u64().unwrap();
    let slices: Vec<_> = of("/slices").iter().map(|it| it[2]["record"].as_u64().unwrap()).collect();
    let at = times(&capture, |record| slices.contains(&record.seq));
    assert_eq!(last - first, at[at.len() - 1] - at[0]);
    let said = of("/log").iter().any(|line| {
        line[2]["message"].as_str().unwrap().contains("no slices for") && line[2]["level"] == 3
    });
    assert!(said, "the spell is in the log");
}

/// A report without the names of its file.
fn nameless(analysis: &Analysis) -> String {
    serde_json::to_string(analysis).unwrap().replace(&analysis.capture, "CAPTURE")
}

#[track_caller]
fn check_round_trip(folder: &TempDir, name: &str, capture: &str) {
    let har = folder.path().join(format!("{name}.har")).to_str().unwrap().to_owned();
    let back = folder.path().join(format!("{name}-back.lagtape")).to_str().unwrap().to_owned();
    let code = lagtape(&["export", capture, "--har", "-o", &har]).status.code();
    let (_, said) = check(&["import", &har, "-o", &back], 0);
    assert!(said.contains("as lagtape recorded them"), "{said}");
    let (before, after) = (analysis(capture), analysis(&back));
    if code == Some(0) {
        assert_eq!(nameless(&before), nameless(&after), "{name}");
    }
    assert_eq!((before.slices, before.ticks), (after.slices, after.ticks), "{name}");
    check(&["verify", &back], 0);
}

#[test]
fn a_har_file_comes_back_as_the_same_session() {
    let folder = TempDir::new().unwrap();
    check_round_trip(&folder, "stall", stall().to_str().unwrap());
    check_round_trip(&folder, "eventful", &eventful(&folder));
    let cut = folder.path().join("cut.lagtape").to_str().unwrap().to_owned();
    check(&["cut", stall().to_str().unwrap(), "--from", "2", "--to", "6", "-o", &cut], 0);
    check_round_trip(&folder, "cut", &cut);
    let bare = folder.path().join("bare.lagtape").to_str().unwrap().to_owned();
    check(&["redact", stall().to_str().unwrap(), "--drop-audio", "-o", &bare], 0);
    check_round_trip(&folder, "bare", &bare);
}

#[test]
fn what_is_lost_of_a_damaged_capture_stays_lost() {
    let folder = TempDir::new().unwrap();
    let mut bytes = fs::read(stall()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xaa);
    let damaged = folder.path().join("damaged.lagtape");
    fs::write(&damaged, bytes).unwrap();
    let damaged = damaged.to_str().unwrap();
    check_round_trip(&folder, "damaged", damaged);
    for form in ["--perfetto", "--mcap", "--har", "--csv", "--jsonl"] {
        let out = folder.path().join(form).to_str().unwrap().to_owned();
        check(&["export", damaged, form, "-o", &out], 3);
        assert!(fs::metadata(out).unwrap().len() > 1000, "{form}");
    }
}

/// A HAR whose messages another tool has rewritten is imported like any other.
#[test]
fn a_har_file_that_was_edited_is_one_of_any_tool() {
    let folder = TempDir::new().unwrap();
    let har = exported(&folder, stall().to_str().unwrap(), "--har");
    let mut file: Value = serde_json::from_slice(&fs::read(&har).unwrap()).unwrap();
    let frames = &mut file["log"]["entries"][0]["_webSocketMessages"];
    frames[5].as_object_mut().unwrap().remove("_lagtape");
    fs::write(&har, file.to_string()).unwrap();
    let back = folder.path().join("back.lagtape").to_str().unwrap().to_owned();
    let (_, said) = check(&["import", &har, "-o", &back], 0);
    assert!(said.contains("client: foreign"), "{said}");
    let (before, after) = (analysis(stall().to_str().unwrap()), analysis(&back));
    assert_eq!((before.slices, before.ticks), (after.slices, after.ticks));
}

#[test]
fn tables_have_a_line_for_each_message() {
    let folder = TempDir::new().unwrap();
    let capture = eventful(&folder);
    let told = analysis(&capture);
    let table = fs::read_to_string(exported(&folder, &capture, "--csv")).unwrap();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| lines[0].iter().position(|column| *column == name).unwrap();
    assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    let (kind, lead) = (column("kind"), column("lead_s"));
    let slices: Vec<_> = lines.iter().filter(|line| line[kind] == "slice").collect();
    assert_eq!(slices.len() as u64, told.slices);
    let lowest = slices.iter().map(|line| line[lead].parse::<f64>().unwrap());
    let lowest = lowest.fold(f64::INFINITY, f64::min);
    assert!((lowest - told.lag.unwrap().slices.lead_s.unwrap().min).abs() < 1e-4, "{lowest}");

    let objects = fs::read_to_string(exported(&folder, &capture, "--jsonl")).unwrap();
    let objects: Vec<Value> =
        objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), lines.len() - 1);
    let texts = objects.iter().filter(|object| object["kind"] == "params");
    assert!(texts.clone().all(|object| object["text"].as_str().unwrap().contains("playback_pos")));
    assert_eq!(texts.count() as u64, told.ticks);
    let reports = objects.iter().filter(|object| object["report"].is_object());
    assert_eq!(reports.count() as u64, told.ticks);
}

#[test]
fn stdout_takes_every_form_and_a_part_is_a_part() {
    let stall = stall();
    let stall = stall.to_str().unwrap();
    for form in ["--perfetto", "--mcap", "--har", "--csv", "--jsonl"] {
        let output = lagtape(&["export", stall, form, "-o", "-"]);
        assert_eq!(output.status.code(), Some(0), "{form}: {output:?}");
        assert!(output.stdout.len() > 10_000, "{form}");
    }
    let (whole, _) = check(&["export", stall, "--csv", "-o", "-"], 0);
    let (part, _) = check(&["export", stall, "--csv", "--from", "4", "--to", "5", "-o", "-"], 0);
    assert!(part.lines().count() > 10 && part.lines().count() < whole.lines().count() / 2);
}

#[test]
fn what_cannot_be_exported_is_said_before_any_work() {
    let folder = TempDir::new().unwrap();
    let stall = stall();
    let stall = stall.to_str().unwrap();
    let out = folder.path().join("x.csv");
    let out = out.to_str().unwrap();
    fs::write(out, "mine").unwrap();
    check_complaint(&["export", stall, "--csv", "-o", out], 1, "--force");
    assert_eq!(fs::read_to_string(out).unwrap(), "mine");
    check_complaint(&["export", stall, "--csv", "-o", stall], 1, "is what is being read");
    check_complaint(&["export", stall, "-o", out], 2, "--perfetto");
    check_complaint(&["export", stall, "--csv", "--har", "-o", out], 2, "cannot be used");
    check_complaint(&["export", stall, "--har", "--from", "1", "-o", "-"], 2, "cut");
    check_complaint(&["export", out, "--csv", "-o", out, "--force"], 1, "is what is being read");
    let notes = folder.path().join("notes");
    fs::write(&notes, "Dear all").unwrap();
    for form in ["--perfetto", "--mcap", "--har", "--csv", "--jsonl"] {
        let absent = folder.path().join("absent");
        let words = ["export", notes.to_str().unwrap(), form, "-o", absent.to_str().unwrap()];
        check_complaint(&words, 1, "not a lagtape capture");
        assert!(!absent.exists());
    }
}

/// What a peer says stays data: a cell, a string, a name.
#[test]
fn texts_from_the_wire_are_data() {
    let folder = TempDir::new().unwrap();
    let evil = r#"{"type":"=cmd,\"x\"\n</script>\u001b[31m","prompt":"\u001b[2J\u202e"}"#;
    let har = crate::har::har(&[crate::har::entry(&{
        let mut frames = crate::har::frames(&stall());
        let mut frame = frames[59].clone();
        frame["opcode"] = 1.into();
        frame["type"] = "receive".into();
        frame["data"] = evil.into();
        frames.insert(60, frame);
        frames
    })]);
    let from = folder.path().join("said.har");
    fs::write(&from, har).unwrap();
    let capture = folder.path().join("evil.lagtape").to_str().unwrap().to_owned();
    check(&["import", from.to_str().unwrap(), "-o", &capture], 0);
    let table = fs::read(exported(&folder, &capture, "--csv")).unwrap();
    let table = String::from_utf8(table).unwrap();
    assert!(
        table.contains("\"'=cmd,\"\"x\"\"\n</script>\u{1b}[31m\""),
        "it is one cell, and no formula"
    );
    let lines = fs::read_to_string(exported(&folder, &capture, "--jsonl")).unwrap();
    let line = lines.lines().find(|line| line.contains("=cmd")).unwrap();
    assert!(!line.contains('\u{1b}') && !line.contains('\u{202e}'), "{line}");
    let object: Value = serde_json::from_str(line).unwrap();
    assert_eq!(object["text"], evil);
    check_round_trip(&folder, "evil", &capture);
    if let Some(trace) = read_back("perfetto", &exported(&folder, &capture, "--perfetto")) {
        assert!(trace["tracks"]["other messages of the server"].to_string().contains("=cmd"));
    }
}
