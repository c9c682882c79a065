//! Recordings that are killed, whose disks fail, and that are asked for incidents: by the command
//! line, over real sockets.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output};
use std::thread::JoinHandle;

use futures_util::{SinkExt, StreamExt};
use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Body, Direction, Ending, Kind, Opcode, Records};
use lagtape::report::Analysis;
use serde_json::Value;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::promises::measured;
use crate::record::{Socket, buffer, drain, slice, start_recording};

/// Answers the client until it has reported so many times, with a slice for each report. Gives the
/// slices.
async fn serve(socket: &mut Socket, reports: u32) -> Vec<Message> {
    let mut sent = Vec::new();
    while (sent.len() as u32) < reports {
        match socket.next().await {
            Some(Ok(message)) if message.is_text() => {
                let message = slice(9_600 + sent.len() as u32);
                // A client that was killed takes no more.
                if socket.send(message.clone()).await.is_err() {
                    return sent;
                }
                sent.push(message);
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return sent,
        }
    }
    sent
}

async fn close(mut socket: Socket, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "".into() };
    let _ = socket.close(Some(frame)).await;
    drain(socket).await;
}

/// Reads what a recording says of where it stands, to its end; gives the records that it said were
/// written.
fn acknowledged(stderr: ChildStderr) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let status = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let written = status.filter_map(|status| status["status"]["recording"]["written"].as_u64());
        written.last().unwrap_or(0)
    })
}

/// Kills a recording after so many reports. Returns how many records it had acknowledged.
async fn kill_after(reports: u32) -> u64 {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let extra = ["--status-every", "1ms", "--params-hz", "200"];
    let (mut child, mut socket) = start_recording(&[], &extra, &out).await;
    let written = acknowledged(child.stderr.take().unwrap());
    let sent = serve(&mut socket, reports).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let written = written.join().unwrap();

    let bytes = std::fs::read(&out).unwrap();
    if bytes.is_empty() {
        assert_eq!(written, 0, "it was killed before it wrote anything");
        return 0;
    }
    let mut records = Records::new(&bytes[..]);
    let mut read = 0;
    let mut slices = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        if record.kind() == Kind::Checkpoint {
            continue;
        }
        assert_eq!(record.seq, read, "nothing is missing in between");
        read += 1;
        if let Body::Message(message) = &record.body
            && message.direction == Direction::ServerToClient
            && message.opcode == Opcode::Binary
        {
            slices.push(Message::binary(message.payload.to_vec()));
        }
    }
    assert!(matches!(records.ending(), Some(Ending::Incomplete { .. }) | None));
    assert!(read >= written, "{written} records were acknowledged, and {read} are there");
    // The first is the buffer, the second the slice that everybody gets.
    let expected = [&[buffer(), slice(9_600)], &sent[..]].concat();
    assert!(expected.starts_with(&slices), "what is there is what was sent");
    written
}

async fn kill_times(times: u32) {
    let mut acknowledged = 0;
    for i in 0..times {
        acknowledged += kill_after(1 + i * 7 % 23).await;
    }
    assert!(acknowledged > u64::from(times) * 4, "{acknowledged} records were acknowledged");
    measured(times.into(), "kills");
    measured(acknowledged, "records acknowledged before them, all there");
}

#[tokio::test]
async fn a_killed_recording_has_every_record_that_it_said_was_written() {
    kill_times(6).await;
}

/// The whole of it: `cargo test --test it -- --ignored fifty_kills`.
#[tokio::test]
#[ignore = "the same as above, fifty times"]
async fn fifty_kills() {
    kill_times(50).await;
}

fn analyze(path: &Path) -> Analysis {
    app::analyze(path, &AnalyzeOptions::default()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Records with a limit of the file's size and prefix `before`; the server closes after 60 slices.
#[cfg(target_os = "linux")]
async fn limited(before: &str, extra: &[&str]) -> (Output, PathBuf, TempDir) {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let script = format!("{before} ulimit -f 1000; exec \"$0\" \"$@\"");
    let shell = ["sh", "-c", &script];
    let (child, mut socket) = start_recording(&shell, extra, &out).await;
    serve(&mut socket, 60).await;
    close(socket, 1000).await;
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    (output, out, folder)
}

#[tokio::test]
async fn what_a_server_says_cannot_steer_the_terminal() {
    let folder = TempDir::new().unwrap();
    let (child, mut socket) = start_recording(&[], &[], &folder.path().join("x.lagtape")).await;
    serve(&mut socket, 3).await;
    let reason = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2028}\r\nLAG";
    let frame = CloseFrame { code: 4000.into(), reason: reason.into() };
    let _ = socket.close(Some(frame)).await;
    drain(socket).await;
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    for printed in [output.stdout, output.stderr] {
        let printed = String::from_utf8(printed).unwrap();
        let acts = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{2028}".contains(c);
        assert!(!printed.contains(acts) && !printed.contains("\nLAG"), "{printed:?}");
    }
}

/// A file may not grow beyond some hundred kilobytes, as on a disk that fills up.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_fills_up_is_told_at_once_and_measuring_goes_on() {
    let (output, out, _folder) = limited("", &["--params-hz", "200"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(&output);
    let told = said.find("measuring goes on").expect(&said);
    let missing = said.find("records are missing").expect(&said);
    assert!(told < missing, "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("slices     61"), "the live report has all: {printed}");
    let written = analyze(&out);
    assert!(!written.complete && (5..61).contains(&written.slices), "{}", written.slices);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_strict_recording_stops_at_a_disk_that_fills_up() {
    let (output, out, _folder) =
        limited("trap '' XFSZ;", &["--params-hz", "200", "--strict"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(&output);
    assert!(said.contains("cannot write") && said.contains("the recording stops"), "{said}");
    assert!(!said.contains("measuring goes on"), "{said}");
    let written = analyze(&out);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains(&format!("slices     {}", written.slices)), "{printed}");
    assert!(written.slices < 40, "it stopped early, at {}", written.slices);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_takes_nothing_leaves_the_report() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("full.lagtape");
    std::os::unix::fs::symlink("/dev/full", &out).unwrap();
    for (extra, reports) in [(&["--force"][..], true), (&["--force", "--strict"], false)] {
        let (child, mut socket) = start_recording(&[], extra, &out).await;
        serve(&mut socket, 10).await;
        close(socket, 1000).await;
        let output =
            tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains("No space left"), "{}", said(&output));
        assert_eq!(output.stdout.is_empty(), !reports, "{output:?}");
    }
}

/// Reads lines until one has `part` in it.
fn read_until(stderr: &mut BufReader<ChildStderr>, part: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "nothing was said of {part:?}");
        if line.contains(part) {
            return line;
        }
    }
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_writes_the_ring() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let extra = ["--ring", "60s", "--trigger", "none", "--after", "0s", "--json"];
    let (mut child, mut socket) = start_recording(&[], &extra, &out).await;
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    serve(&mut socket, 5).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written yet");
    signal(&child, "-USR1");
    let incident = read_until(&mut stderr, "incident: somebody asked for it");
    serve(&mut socket, 5).await;
    read_until(&mut stderr, "wrote ");
    signal(&child, "-TERM");
    drain(socket).await;
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert!(incident.trim_end().ends_with(&format!("writing {}", file.display())), "{incident}");
    let written = analyze(file);
    assert!(written.complete && written.slices >= 3, "{}", written.slices);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["recording"]["files"][0], file.to_str().unwrap());
    assert_eq!(printed["recording"]["lost"], 0);
    assert!(printed["slices"].as_u64().unwrap() >= written.slices);
}

#[tokio::test]
async fn a_server_that_goes_away_without_a_word_is_an_incident() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let (child, mut socket) = start_recording(&[], &["--ring", "60s"], &out).await;
    serve(&mut socket, 5).await;
    drop(socket);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("incident: the connection broke") && said.contains("1006"), "{said}");
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert!(file.to_str().unwrap().ends_with("Z-lost.lagtape"), "{}", file.display());
    assert!(analyze(file).complete);
}

#[tokio::test]
async fn a_recording_in_parts_says_how_to_join_them() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let (child, mut socket) = start_recording(&[], &["--split", "1s"], &out).await;
    serve(&mut socket, 40).await;
    close(socket, 1000).await;
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let pattern = folder.path().join("x-*.lagtape");
    let next = format!("next: lagtape join {} -o {}", pattern.display(), out.display());
    assert!(printed.contains(&next), "{printed}");
    assert!(said(&output).contains("x-002.lagtape"), "{}", said(&output));
    let parts = ["x-001.lagtape", "x-002.lagtape"].map(|name| folder.path().join(name));
    let summary = app::join(&parts, &out, false).unwrap();
    assert!(summary.complete && analyze(&out).slices == 41);
}
