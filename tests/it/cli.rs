//! The command line as people use it: output, exit codes, and what bad input gets.

mod outputs;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{check, check_complaint, simulated};

fn path(folder: &TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

const HEALTHY: &str = "captures/healthy.lagtape";
const STALL: &str = "captures/stall.lagtape";

#[test]
fn bundled_captures_give_their_expected_reports() {
    for (capture, code) in [(HEALTHY, 0), (STALL, 4)] {
        let (out, _) = check(&["analyze", capture, "--json", "--timeline"], code);
        let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join(capture).with_extension("json");
        assert_eq!(out, fs::read_to_string(expected).unwrap(), "{capture}");
    }
}

#[test]
fn output_does_not_depend_on_the_threads() {
    let files = [HEALTHY, STALL, HEALTHY, HEALTHY, STALL];
    check(&["analyze", HEALTHY, "--threads", "1000000"], 0);
    let run = |threads: &str| {
        let words = [&["analyze", "--json", "--threads", threads], &files[..]].concat();
        check(&words, 4).0
    };
    let one = run("1");
    let order: Vec<_> = one
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["capture"].clone())
        .collect();
    assert_eq!(order, files, "one line per capture, in the order given");
    assert_eq!(one, run("2"));
    assert_eq!(one, run("8"));
}

#[test]
fn the_text_answers_first() {
    let (out, _) = check(&["analyze", STALL], 4);
    assert_eq!(
        out.lines().nth(2),
        Some("LAG  3.86 s of 7.00 s heard raw, from 2.5 s, in 1 episode")
    );
    assert!(out.lines().skip(1).all(|line| line.chars().count() <= 80), "{out}");
    assert!(out.contains("no slices for 4.47 s; the source itself was heard"), "{out}");
    let (out, _) = check(&["analyze", HEALTHY], 0);
    assert_eq!(out.lines().nth(2), Some("healthy: nothing stale or late was heard"));
}

#[test]
fn the_report_can_be_of_an_earlier_moment() {
    let (out, _) = check(&["analyze", STALL, "--json", "--at", "2.5"], 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["report_at_s"], 2.5);
    assert_eq!(report["verdict"]["lag"], false, "the stall is not yet heard");
    assert_eq!(report["complete"], true, "the capture is whole, whatever the moment");
    assert_eq!(report["warnings"], Value::from(Vec::<Value>::new()));
    check_complaint(&["analyze", STALL, "--at=-5"], 2, "-5");
    let (out, _) = check(&["analyze", STALL, "--window", "500ms", "--json"], 4);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["lag"]["window_s"], 0.5);
    assert_eq!(report["verdict"]["lag"], true, "the verdict is over the whole capture");
}

#[test]
fn a_part_has_the_episodes_that_are_heard_in_it() {
    let folder = TempDir::new().unwrap();
    // The stall is heard from 6.6 s to 11.4 s.
    let whole = simulated(&folder, "stall", &["--incident", "stall", "--for", "20s"]);
    let part = folder.path().join("part.lagtape").to_str().unwrap().to_owned();
    for (from, code) in [("3s", 4), ("9s", 4), ("11.6s", 0), ("12s", 0), ("16s", 0)] {
        check(&["analyze", &whole, "--from", from], code);
        check(&["cut", &whole, "--from", from, "-o", &part, "--force"], 0);
        check(&["analyze", &part], code);
        check(&["analyze", &part, "--quick"], code);
    }
}

#[test]
fn a_timeline_that_would_be_cut_is_refused() {
    let words = ["analyze", STALL, "--timeline", "--timeline-step", "1us"];
    check_complaint(&words, 2, "take longer steps or a shorter window");
    check(&[&words[..], &["--window", "50ms"]].concat(), 4);
}

#[test]
fn cat_prints_what_the_records_hold() {
    let (out, _) = check(&["cat", HEALTHY, "--json", "--type", "slice", "--limit", "2"], 0);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let keys: Vec<_> = lines[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["schema", "seq", "t_ns", "conn", "dir", "opcode", "length", "sha256"]);
    assert_eq!(lines[0]["dir"], "s2c");
    assert_eq!(lines[0]["opcode"], "binary");

    let (all, _) = check(&["cat", HEALTHY, "--json"], 0);
    assert_eq!(all.lines().count(), 210);
    let (records, _) = check(&["cat", HEALTHY, "--json", "--records"], 0);
    assert_eq!(records.lines().count(), 212, "and the header and the end");
    let (part, _) = check(&["cat", HEALTHY, "--from", "1", "--to", "1.5", "--dir", "c2s"], 0);
    assert!(
        part.lines().count() > 10 && part.lines().all(|line| line.contains("params")),
        "{part}"
    );
    check_complaint(&["cat", HEALTHY, "--type", "header"], 2, "add --records");
    check_complaint(&["cat", HEALTHY, "--type", "slices"], 0, "did you mean slice?");
    check_complaint(&["cat", HEALTHY, "--timeline", "--type", "nonsense"], 0, "no moment is of");
}

/// A capture of one text of the server and its close.
fn capture_of(text: &[u8], reason: &[u8]) -> Vec<u8> {
    use lagtape::capture::*;
    let mut bytes = Vec::new();
    let mut writer = Writer::new(SyncMarker::derive(text));
    writer.begin(&mut bytes);
    let close = [&1011_u16.to_be_bytes()[..], reason].concat();
    let said = |opcode, payload| Message::new(Direction::ServerToClient, opcode, payload);
    let bodies = [
        Body::Header(Header::new("a\ntest", lagtape::time::Nanos(0))),
        Body::Message(said(Opcode::Text, text)),
        Body::Message(said(Opcode::Close, &close)),
    ];
    for body in bodies {
        let record = Record { seq: writer.next_seq(), t: lagtape::time::Nanos(0), conn: 0, body };
        writer.write(&record, &mut bytes);
    }
    bytes
}

#[test]
fn what_peers_said_cannot_steer_the_terminal() {
    let folder = TempDir::new().unwrap();
    let (file, name) = path(&folder, "rude.lagtape");
    fs::write(file, capture_of(b"{\"type\":\n\"x\\u001by\"}\x1b[2J", b"bye\x1b[31m\nLAG")).unwrap();
    let (out, _) = check(&["cat", &name], 0);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.contains("\\n") && out.contains("\\u{1b}[2J"), "{out}");
    for (verb, code) in [("cat", 0), ("analyze", 5), ("info", 5)] {
        let (out, _) = check(&[verb, &name], code);
        assert!(!out.contains('\x1b') && !out.contains("\nLAG"), "{out}");
    }
}

/// Every verb that names a file or repeats what a peer said, with what acts on a terminal in both.
#[test]
fn nothing_that_acts_on_a_terminal_reaches_one() {
    let folder = TempDir::new().unwrap();
    let hostile = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2028}\u{2029}\u{2066}\u{e0041}\r\nLAG";
    let (file, name) = path(&folder, &format!("rude{hostile}.lagtape"));
    let text = format!("{{\"type\":\"error\",\"code\":{0},\"message\":{0}}}", json_of(hostile));
    let reason = "\u{9b}2J\u{202e}\u{1b}[31m\nLAG";
    fs::write(&file, capture_of(text.as_bytes(), reason.as_bytes())).unwrap();
    let (_, out) = path(&folder, &format!("out{hostile}.lagtape"));
    let missing = format!("{name}.none");
    let flag = format!("--x{hostile}");
    let runs: [&[&str]; 18] = [
        &["analyze", &flag],
        &["cat", &name],
        &["cat", &name, "--json", "--records"],
        &["analyze", &name],
        &["analyze", &name, "--json"],
        &["info", &name],
        &["info", &name, "--json"],
        &["verify", &name],
        &["verify", &name, "--json"],
        &["diff", &name, HEALTHY],
        &["diff", &name, HEALTHY, "--json"],
        &["recover", &name, "-o", &out, "--force"],
        &["cut", &name, "-o", &out, "--force"],
        &["redact", &name, "--text", "no such", "-o", &out, "--force"],
        &["redact", &name, "--text", "error", "--check"],
        &["sweep", &name, "--lead-floor", "0.1,0.2"],
        &["analyze", &missing],
        &["plot", &name, "-o", &missing],
    ];
    for words in runs {
        let output = crate::program::lagtape(words);
        for printed in [output.stdout, output.stderr] {
            let printed = String::from_utf8(printed).unwrap();
            let acts = |c: &char| {
                c.is_control() && *c != '\n' && *c != '\t'
                    || "\u{202e}\u{2028}\u{2029}\u{2066}\u{e0041}".contains(*c)
            };
            let found = printed.chars().find(acts);
            assert_eq!(found, None, "{words:?} printed {printed}");
            assert!(!printed.lines().any(|line| line.starts_with("LAG")), "{words:?}: {printed}");
        }
    }
}

fn json_of(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn a_header_that_is_refused_is_not_repeated() {
    for header in ["SECRET", "SE CRET: x", "X: SECRET\u{1}", ": SECRET"] {
        let (out, err) = check(&["record", "ws://127.0.0.1:1", "--header", header], 2);
        assert!(!format!("{out}{err}").contains("CRET"), "{err}");
        assert!(err.contains("NAME: VALUE"), "{err}");
    }
}

#[test]
fn audio_is_what_was_heard_or_the_buffer() {
    let folder = TempDir::new().unwrap();
    let (heard, name) = path(&folder, "heard.wav");
    check(&["audio", HEALTHY, "-o", &name], 0);
    let wav = hound::WavReader::open(&heard).unwrap();
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (1, 48_000));
    let (out, _) = check(&["analyze", HEALTHY, "--json"], 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    let frames = (report["report_at_s"].as_f64().unwrap() * 48_000.0).round();
    assert_eq!(f64::from(wav.duration()), frames, "a second is a second of the session");
    // As the reference keeps it: from the first tick to the last, 2.72 s but for the ticks' spacing.
    check(&["audio", HEALTHY, "-o", &name, "--force", "--as-reference"], 0);
    let ring = hound::WavReader::open(&heard).unwrap().duration();
    assert!((120_000..131_000).contains(&ring), "{ring}");

    check_complaint(&["audio", HEALTHY, "-o", &name], 1, "--force");
    check(&["audio", HEALTHY, "-o", &name, "--force", "--buffer"], 0);
    assert_eq!(hound::WavReader::open(&heard).unwrap().duration(), 115_200);
    check(&["audio", HEALTHY, "-o", &name, "--force", "--last", "500ms"], 0);
    assert_eq!(hound::WavReader::open(&heard).unwrap().duration(), 24_000);
}

#[test]
fn info_tells_what_a_capture_is() {
    let (out, _) = check(&["info", HEALTHY, "--json"], 0);
    let info: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(info["records"], 212);
    assert_eq!(info["complete"], true);
    assert_eq!(info["header"]["client"], "headless");
    assert_eq!(info["messages"]["s2c"]["messages"], 127);
    let (out, _) = check(&["info", HEALTHY, STALL], 0);
    assert!(out.contains("captures/healthy.lagtape · 1.44 MB"), "{out}");
}

#[test]
fn demo_proves_and_leaves_what_it_promises() {
    let folder = TempDir::new().unwrap();
    let (out, _) = check(&["demo", "--out", folder.path().to_str().unwrap()], 0);
    assert!(out.contains("no slices for 4.") && out.contains("landed behind"), "{out}");
    assert!(out.contains("live = offline"), "{out}");
    for extension in ["lagtape", "json", "txt", "wav"] {
        let file = folder.path().join("demo").with_extension(extension);
        assert!(fs::metadata(&file).unwrap().len() > 500, "{}", file.display());
    }
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    check_complaint(&["analyze"], 2, "required");
    check_complaint(&["analyse", STALL], 2, "analyze");
    check_complaint(&["analyze", STALL, "--window", "soon"], 2, "is not a length of time");
    check_complaint(&["analyze", STALL, "--stale-threshold", "-1"], 2, "-1");
    check_complaint(&["analyze", STALL, "--timeline", "--timeline-step", "0"], 2, "more than 0");
    let (help, _) = check(&["--help"], 0);
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    check(&["--version"], 0);
}

#[test]
fn bad_files_get_a_sentence() {
    let folder = TempDir::new().unwrap();
    let (notes, notes_name) = path(&folder, "notes.txt");
    fs::write(notes, "Dear all, it was choppy").unwrap();
    check_complaint(&["analyze", &notes_name], 1, r#"it begins with "Dear all"#);
    check_complaint(&["analyze", "no-such-file.lagtape"], 1, "no-such-file.lagtape");
    check_complaint(&["analyze", folder.path().to_str().unwrap()], 1, "there is no capture in");
    check_complaint(&["import", &notes_name, "-o", "x.lagtape"], 1, "is neither a HAR file nor");
    check_complaint(
        &["import", folder.path().to_str().unwrap(), "-o", "x.lagtape"],
        1,
        "session.json",
    );

    // One bad file costs no other its report; failure outranks lag.
    let (out, _) = check(&["analyze", &notes_name, STALL, "--each"], 1);
    assert!(out.contains("LAG  3.86 s"), "{out}");
}

#[test]
fn a_cut_capture_is_incomplete_and_a_changed_one_damaged() {
    let folder = TempDir::new().unwrap();
    let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(HEALTHY)).unwrap();

    let (cut, cut_name) = path(&folder, "cut.lagtape");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let (out, _) = check(&["analyze", &cut_name], 0);
    assert!(out.contains("incomplete") && out.contains("cut short"), "{out}");

    let (damaged, damaged_name) = path(&folder, "damaged.lagtape");
    let mut changed = bytes;
    let middle = changed.len() / 4 * 3;
    changed[middle] ^= 1;
    fs::write(&damaged, &changed).unwrap();
    let (out, _) = check(&["analyze", &damaged_name, "--json"], 3);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert!(report["damage"]["offset"].as_u64().unwrap() < middle as u64);
    assert!(report["slices"].as_u64().unwrap() > 10, "the intact part was analysed");
    let (out, _) = check(&["analyze", &damaged_name, "--at", "500ms", "--json"], 3);
    assert!(!serde_json::from_str::<Value>(&out).unwrap()["damage"].is_null());
    check(&["info", &damaged_name], 3);
    let (out, _) = check(&["verify", &damaged_name], 3);
    assert!(out.contains("damaged") && out.contains("lagtape recover"), "{out}");
    check(&["cat", &damaged_name], 3);
    let (out, _) = check(&["analyze", &damaged_name, STALL], 3);
    assert!(out.contains("LAG"), "{out}");
}

#[test]
fn incidents_are_listed_without_an_output() {
    for verb in ["simulate", "backend"] {
        let (out, _) = check(&[verb, "--list"], 0);
        assert!(out.contains("thin-link") && out.contains("down=150KB/s"), "{out}");
    }
    check_complaint(&["simulate"], 2, "--out <FILE>");
}

#[test]
fn loops_that_cannot_be_are_refused() {
    let folder = TempDir::new().unwrap();
    let (file, out) = path(&folder, "x.lagtape");
    check_complaint(&["simulate", "--loop", "0", "-o", &out], 2, "--loop");
    check_complaint(&["simulate", "--loop", "10min", "-o", &out], 2, "at most 546 s fit");
    check_complaint(&["backend", "--loop", "10min"], 2, "at most 546 s fit");
    assert!(!file.exists());
}

/// Port 1 answers nobody: what is said first was noticed before anybody was asked.
#[test]
fn a_recording_is_refused_before_it_takes_a_server_over() {
    let folder = TempDir::new().unwrap();
    let (file, out) = path(&folder, "x.lagtape");
    let (_, nowhere) = path(&folder, "nowhere/x.lagtape");
    let record = |url: &str, out: &str, code: i32, sentence: &str| {
        check_complaint(&["record", url, "--fixture", "x", "-o", out], code, sentence);
    };
    record("127.0.0.1:1", &out, 2, "ws:// or wss://");
    record("http://127.0.0.1:1", &out, 2, "ws:// or wss://");
    record("ws://127.0.0.1:1", &nowhere, 1, "there is no folder");
    fs::write(file, "").unwrap();
    record("ws://127.0.0.1:1", &out, 1, "exists already");
    let words = ["record", "ws://127.0.0.1:1", "--force", "-o", &out, "--set", "=3"];
    check_complaint(&words, 2, "write KEY=VALUE");
    let words = ["record", "ws://127.0.0.1:1", "--force", "-o", &out, "--set", "key=null"];
    check_complaint(&words, 1, "connection refused");
}

#[test]
fn a_plot_has_the_form_that_its_name_asks_for() {
    let folder = TempDir::new().unwrap();
    let (png, png_text) = path(&folder, "stall.png");
    check(&["plot", STALL, "-o", &png_text], 0);
    let bytes = fs::read(&png).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.len() <= 40 << 10, "{}", bytes.len());
    check_complaint(&["plot", STALL, "-o", &png_text], 1, "--force");
    check(&["plot", STALL, "-o", &png_text, "--force"], 0);
    assert_eq!(fs::read(&png).unwrap(), bytes, "the same capture, the same picture");
    let (svg, svg_text) = path(&folder, "stall.svg");
    check(&["plot", STALL, "-o", &svg_text], 0);
    let text = fs::read_to_string(svg).unwrap();
    assert!(
        text.starts_with("<svg") && text.contains("LAG 3.86 s of 7.00 s heard raw, from 2.5 s")
    );
    assert!(text.lines().any(|line| line.trim() == "generation-stall"), "the cause has a bar");
    check_complaint(&["plot", STALL, "-o", "x.gif"], 2, "neither .png nor .svg");
    check_complaint(&["plot", "README.md", "-o", &svg_text, "--force"], 1, "README.md");
}

#[test]
fn a_long_capture_makes_a_small_picture_too() {
    let folder = TempDir::new().unwrap();
    let (_, capture) = path(&folder, "long.lagtape");
    check(&["simulate", "--incident", "burst-production", "--for", "10min", "-o", &capture], 4);
    let (png, text) = path(&folder, "long.png");
    check(&["plot", &capture, "-o", &text], 0);
    let len = fs::metadata(png).unwrap().len();
    assert!(len <= 40 << 10, "{len}");
}

#[test]
fn kinds_of_messages_can_be_left_out() {
    let words = ["cat", STALL, "--not-type", "slice,params,params_update,ping,pong"];
    let (rest, _) = check(&words, 0);
    assert!(rest.lines().count() > 0 && !rest.contains("slice"), "{rest}");
    let (all, _) = check(&["cat", STALL], 0);
    assert!(all.lines().count() > 200);
}

#[cfg(feature = "mcp")]
#[test]
fn the_configuration_of_a_client_starts_this_very_program() {
    let (out, _) = check(&["mcp", "--print-config", "cursor", "--read-only"], 0);
    let config: Value = serde_json::from_str(&out).unwrap();
    let server = &config["mcpServers"]["lagtape"];
    assert_eq!(server["command"], env!("CARGO_BIN_EXE_lagtape"));
    assert_eq!(server["args"].as_array().unwrap().last().unwrap(), "--read-only");
    check_complaint(&["mcp", "--toolsets", "all"], 2, "possible values: live, replay");
}

#[cfg(feature = "mcp")]
#[test]
fn a_client_gets_its_entry_only_when_it_is_written() {
    let folder = TempDir::new().unwrap();
    let (file, name) = path(&folder, "deep/mcp.json");
    let install = ["mcp", "install", "cursor", "--read-only", "--file", &name];
    let (shown, _) = check(&install, 0);
    assert!(!file.exists(), "without --write nothing is");
    check(&[&install[..], &["--write"]].concat(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), shown);
    let entry: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(entry["mcpServers"]["lagtape"]["command"], env!("CARGO_BIN_EXE_lagtape"));
    fs::write(&file, "{ // mine\n}").unwrap();
    let (entry, complaint) = check(&[&install[..], &["--write"]].concat(), 1);
    assert!(entry.contains("mcpServers") && complaint.contains("by hand"), "{entry}{complaint}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{ // mine\n}");
    check_complaint(&["mcp", "install", "emacs"], 2, "possible values: claude-code");
}
