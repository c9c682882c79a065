//! `lagtape proxy` as people run it: what it says, what it leaves behind, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::Direction;
use serde_json::Value;
use tempfile::TempDir;

use crate::promises::measured;
use crate::proxy_between::{Maker, Traffic, messages_of};

fn proxy(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lagtape"));
    command.arg("proxy").args(words).env_remove("LAGTAPE_COLOR").stdin(Stdio::null());
    command
}

#[track_caller]
fn check_complaint(words: &[&str], code: i32, sentence: &str) {
    let output = proxy(words).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(sentence), "{words:?} said: {said}");
    assert!(!said.contains("SECRET"), "{said}");
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let url = "ws://127.0.0.1:1/?key=SECRET";
    check_complaint(
        &["--upstream", url, "--listen", &listen, "-o", out],
        1,
        "the port is taken; give another port",
    );
    check_complaint(&["--upstream", "pod:1318?k=SECRET", "-o", out], 2, "write ws://host:port");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let own = format!("ws://{free}");
    check_complaint(&["--upstream", &own, "--listen", &free, "-o", out], 2, "its own upstream");
    let file = folder.path().join("none.pem");
    let file = file.to_str().unwrap();
    check_complaint(
        &["--upstream", "wss://pod", "--ca", file, "-o", out],
        1,
        "no certificates in PEM form",
    );
    check_complaint(&["--upstream", "wss://pod", "--ca", file, "--insecure"], 2, "--insecure");
    check_complaint(&["--upstream", url, "--stall", "6s"], 2, "6s:2s");
    check_complaint(&[], 2, "--upstream");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let inside = folder.path().join("file/inside");
    let words = ["--upstream", url, "--listen", "127.0.0.1:0", "-o", inside.to_str().unwrap()];
    check_complaint(&words, 1, "cannot make the folder");
}

/// A proxy that runs, and the address from its first line.
pub fn start(words: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = proxy(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    (child, out, first.trim().to_owned())
}

/// Stops it as a service manager does, and gives back exit code, stdout and stderr.
#[cfg(unix)]
pub fn terminate(mut child: Child, mut out: impl Read) -> (Option<i32>, String, String) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let (mut said, mut complained) = (String::new(), String::new());
    out.read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut complained).unwrap();
    (child.wait().unwrap().code(), said, complained)
}

/// Shakes hands through the proxy with a server that is played here.
pub fn session(server: &TcpListener, proxy: &str) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(proxy).unwrap();
    let head = "GET /x?key=SECRET HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let (mut server, _) = server.accept().unwrap();
    read_head(&mut server);
    server.write_all(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n").unwrap();
    read_head(&mut client);
    (client, server)
}

pub fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

#[cfg(unix)]
#[test]
fn a_termination_seals_the_captures() {
    let folder = TempDir::new().unwrap();
    let captures = folder.path().join("made/on/demand");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let out = captures.to_str().unwrap();
    let (child, said, address) = start(&["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out]);
    // The proxy tries the server when it starts.
    drop(server.accept().unwrap());
    let (mut client, mut other_end) = session(&server, address.strip_prefix("ws://").unwrap());
    let sent = Maker::new(3, true, None).random(30).traffic;
    client.write_all(&sent.wire).unwrap();
    other_end.read_exact(&mut vec![0; sent.wire.len()]).unwrap();
    let (code, _, complained) = terminate(child, said);
    assert_eq!(code, Some(0), "{complained}");
    assert!(
        complained.contains("asks for ws://") && !complained.contains("SECRET"),
        "{complained}"
    );
    assert!(complained.contains("next: lagtape analyze"), "{complained}");
    let capture = only_file(&captures);
    assert_eq!(messages_of(&capture, Direction::ClientToServer), sent.messages);
    let analysis = app::analyze(&capture, &AnalyzeOptions::default()).unwrap();
    assert!(analysis.complete);
    let bytes = std::fs::read(&capture).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"SECRET"), "no secret is on the disk");
}

#[cfg(unix)]
#[test]
fn a_server_that_is_gone_is_not_taken_for_wrong_credentials() {
    let folder = TempDir::new().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{gone}");
    let words = ["--upstream", &url, "--listen", "127.0.0.1:0", "--no-capture"];
    let (child, said, address) = start(&words);
    let out = folder.path().join("x.lagtape");
    let output = Command::new(env!("CARGO_BIN_EXE_lagtape"))
        .args(["record", &address, "--fixture", "x", "-o", out.to_str().unwrap()])
        .output()
        .unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complained}");
    assert!(complained.contains("does not reach the server"), "{complained}");
    terminate(child, said);
}

pub fn only_file(folder: &Path) -> PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[cfg(unix)]
#[test]
fn programs_read_lines_of_json() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://{}", server.local_addr().unwrap());
    drop(server);
    let words =
        ["--upstream", &url, "--listen", "127.0.0.1:0", "--no-capture", "--insecure", "--json"];
    let (child, mut said, first) = start(&words);
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["schema"], &first["type"]), (&1.into(), &"listening".into()));
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let trouble: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(trouble["type"], "trouble");
    assert!(trouble["sentence"].as_str().unwrap().contains("listens all the same"), "{line}");
    let (code, _, complained) = terminate(child, said);
    assert_eq!(code, Some(0));
    assert!(complained.contains("no certificate is checked"), "{complained}");
}

/// Reads lines of JSON up to one of this type for which `is` says so.
#[track_caller]
fn line_of(said: &mut impl BufRead, kind: &str, is: impl Fn(&Value) -> bool) -> Value {
    loop {
        let mut line = String::new();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "no {kind} came");
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["type"] == kind && is(&line) {
            return line;
        }
    }
}

/// A proxy that writes JSON and records into a folder, with a session in it.
struct Watched {
    child: Child,
    said: BufReader<ChildStdout>,
    client: TcpStream,
    server: TcpStream,
}

impl Watched {
    fn start(out: &Path, words: &[&str]) -> Watched {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let out = out.to_str().unwrap();
        let all = ["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out, "--json"];
        let (child, said, first) = start(&[&all[..], words].concat());
        let first: Value = serde_json::from_str(&first).unwrap();
        drop(server.accept().unwrap());
        let (client, server) = session(&server, first["address"].as_str().unwrap());
        Watched { child, said, client, server }
    }

    /// Sends what was made and waits until it has passed.
    fn pass(&mut self, sent: &Traffic) {
        let mut heard = vec![0; sent.wire.len()];
        let (client, server) = (&mut self.client, &mut self.server);
        std::thread::scope(|scope| {
            scope.spawn(|| client.write_all(&sent.wire).unwrap());
            server.read_exact(&mut heard).unwrap();
        });
    }

    /// Ends the session; its captures.
    fn close(&mut self) -> Vec<PathBuf> {
        for end in [&self.client, &self.server] {
            end.shutdown(std::net::Shutdown::Both).unwrap();
        }
        let closed = line_of(&mut self.said, "closed", |_| true);
        serde_json::from_value(closed["captures"].clone()).unwrap()
    }
}

#[cfg(unix)]
#[test]
fn a_ring_is_written_for_each_signal_and_the_oldest_go() {
    let folder = TempDir::new().unwrap();
    let words = ["--ring", "60s,8MB", "--trigger", "none", "--after", "60s", "--keep", "2"];
    let mut watched = Watched::start(folder.path(), &words);
    let sent = Maker::new(9, true, None).random(20).traffic;
    watched.pass(&sent);
    let count = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(count(), 0, "nothing was asked for yet");
    let pid = watched.child.id().to_string();
    for _ in 0..3 {
        assert!(Command::new("kill").args(["-USR1", &pid]).status().unwrap().success());
        line_of(&mut watched.said, "recorder", |line| {
            line["sentence"].as_str().unwrap().contains("somebody asked for it; writing")
        });
    }
    let captures = watched.close();
    assert_eq!((captures.len(), count()), (2, 2), "{captures:?}");
    for capture in &captures {
        assert!(capture.to_str().unwrap().contains("asked"), "{capture:?}");
        assert_eq!(messages_of(capture, Direction::ClientToServer), sent.messages);
        assert!(app::analyze(capture, &AnalyzeOptions::default()).unwrap().complete);
    }
    let (code, _, complained) = terminate(watched.child, watched.said);
    assert_eq!(code, Some(0), "{complained}");
}

#[cfg(unix)]
#[test]
fn a_session_is_split_into_parts_that_join() {
    let folder = TempDir::new().unwrap();
    let parts = folder.path().join("parts");
    let mut watched = Watched::start(&parts, &["--split", "1MB"]);
    let sent = Maker::new(11, true, None).random(240).traffic;
    watched.pass(&sent);
    let captures = watched.close();
    assert!(captures.len() > 2, "{} bytes in {captures:?}", sent.wire.len());
    let out = folder.path().join("whole.lagtape");
    app::join(&captures, &out, false).unwrap();
    assert_eq!(messages_of(&out, Direction::ClientToServer), sent.messages);
    measured(captures.len() as u64, "parts joined without a loss");
    let largest = captures.iter().map(|part| part.metadata().unwrap().len()).max().unwrap();
    assert!(largest < 1_400_000, "{largest} bytes");
    let (code, _, complained) = terminate(watched.child, watched.said);
    assert_eq!(code, Some(0), "{complained}");
}
