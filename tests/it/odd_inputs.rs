//! Names that stand for no file: pipes, sockets, devices, folders. Each verb says so and ends; none
//! waits, and none reads for ever.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const HEALTHY: &str = "captures/healthy.lagtape";
/// Address space in KiB of a verb that should hardly need any.
const LIMIT_KIB: u32 = 1 << 20;

/// Runs lagtape with an end to its patience: `timeout` answers 124 for a verb that waits.
fn lagtape(words: &[&str], folder: &Path) -> Output {
    let script = format!("ulimit -v {LIMIT_KIB}; exec timeout 60 \"$0\" \"$@\"");
    Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_lagtape")])
        .args(words)
        .env("LAGTAPE_THREADS", "1")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The verb fails with this sentence and leaves nothing behind.
#[track_caller]
fn check(folder: &Path, words: &[&str], code: i32, sentence: &str) {
    let before = fs::read_dir(folder).unwrap().count();
    let output = lagtape(words, folder);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?} said: {said}");
    assert!(said.contains(sentence), "{words:?} said: {said}");
    assert!(said.lines().count() < 6, "{words:?} said: {said}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), before, "{words:?} left something");
}

/// Every verb that takes a capture, with this one.
fn verbs(input: &str) -> Vec<Vec<&str>> {
    let mut verbs: Vec<Vec<&str>> =
        ["info", "verify", "analyze", "cat"].into_iter().map(|verb| vec![verb, input]).collect();
    verbs.push(vec!["verify", "--replay", input]);
    verbs.push(vec!["analyze", "--quick", input]);
    verbs.push(vec!["what-if", input, "--lead-floor", "0.6"]);
    verbs.push(vec!["what-if", input, "--open-loop", "--rate", "1.01"]);
    verbs.push(vec!["sweep", input, "--rate", "0.99,1.01"]);
    verbs.push(vec!["recover", input, "-o", "out.lagtape"]);
    verbs.push(vec!["cut", input, "--from", "1s", "-o", "out.lagtape"]);
    verbs.push(vec!["redact", input, "--drop-audio", "-o", "out.lagtape"]);
    verbs.push(vec!["join", input, "-o", "out.lagtape"]);
    verbs.push(vec!["audio", input, "-o", "out.wav"]);
    verbs.push(vec!["plot", input, "-o", "out.svg"]);
    verbs.push(vec!["diff", input, input]);
    verbs.push(vec!["replay", input, "--listen", "127.0.0.1:0"]);
    verbs
}

#[test]
fn what_is_no_file_is_named() {
    let folder = TempDir::new().unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    let _listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for (input, sentence) in [
        ("pipe", "pipe is a pipe"),
        ("socket", "socket is a socket"),
        ("folder", "there is no capture in the folder"),
        ("/dev/full", "/dev/full is a device"),
        ("/dev/zero", "/dev/zero is a device"),
        ("/dev/null", "/dev/null is a device"),
    ] {
        for words in verbs(input) {
            check(folder.path(), &words, 1, sentence);
        }
    }
}

#[test]
fn nor_do_other_inputs_wait_or_read_for_ever() {
    let folder = TempDir::new().unwrap();
    let healthy = Path::new(env!("CARGO_MANIFEST_DIR")).join(HEALTHY);
    let healthy = healthy.to_str().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (input, sentence) in [("pipe", "is a pipe"), ("/dev/zero", "is a device")] {
        check(folder.path(), &["what-if", healthy, "--scenario", input], 1, sentence);
        let record = ["record", "ws://127.0.0.1:1", "--audio", input, "-o", "x.lagtape"];
        check(folder.path(), &record, 1, sentence);
    }
    let log = folder.path().join("log");
    fs::create_dir(&log).unwrap();
    fs::rename(&pipe, log.join("session.json")).unwrap();
    check(folder.path(), &["import", "log", "-o", "out.lagtape"], 1, "is a pipe");
    fs::rename(log.join("session.json"), log.join("frames.jsonl")).unwrap();
    fs::write(log.join("session.json"), r#"{"connect_ns": 0}"#).unwrap();
    check(folder.path(), &["import", "log", "-o", "out.lagtape"], 1, "is a pipe");
}

/// A capture through the pipe that a shell makes, for verbs that read it once or more often.
#[track_caller]
fn check_piped(words: &str, code: i32, sentence: &str) {
    let folder = TempDir::new().unwrap();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join(HEALTHY);
    let script = format!("cat \"$1\" | timeout 60 \"$0\" {words}");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_lagtape")])
        .arg(&capture)
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{words} said: {said}");
    assert!(said.contains(sentence), "{words} said: {said}");
}

#[test]
fn a_pipe_from_another_program_is_a_capture_like_any() {
    check_piped("verify /dev/stdin", 0, "sound and complete");
    check_piped("analyze /dev/stdin", 0, "healthy");
    check_piped("recover /dev/stdin -o x.lagtape", 0, "nothing is lost");
    check_piped("info /dev/stdin", 0, "complete");
    check_piped("cat /dev/stdin", 0, "slice");
    check_piped("info -", 0, "complete");
    check_piped("what-if - --rate 1.001 --open-loop", 0, "exact");
    check_piped("diff - -", 0, "the same");
    check_piped("cut - --from 1s -o -", 0, "wrote to stdout");
}
