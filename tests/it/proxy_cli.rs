//! `lagtape proxy` as people run it: what it says, what it leaves behind, and how it ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::Direction;
use lagtape::edge::clock::MonotonicClock;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, Running, check};
use crate::promises::measured;
use crate::proxy_between::{Maker, PATIENCE, Traffic, messages_of};

#[track_caller]
fn check_complaint(words: &[&str], code: i32, sentence: &str) {
    let (_, said) = check(&[&["proxy"], words].concat(), code);
    assert!(said.contains(sentence), "{words:?} said: {said}");
    assert!(!said.contains("SECRET"), "{said}");
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

/// A proxy that runs, and its first line.
pub fn start(words: &[&str]) -> (Running, String) {
    let proxy = Running::start(&[&["proxy"], words].concat());
    let first = proxy.line();
    (proxy, first)
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
    let (proxy, address) = start(&["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out]);
    // The proxy tries the server when it starts.
    drop(server.accept().unwrap());
    let (mut client, mut other_end) = session(&server, address.strip_prefix("ws://").unwrap());
    let sent = Maker::new(3, true, None).random(30).traffic;
    client.write_all(&sent.wire).unwrap();
    other_end.read_exact(&mut vec![0; sent.wire.len()]).unwrap();
    let Ended { code, said, .. } = proxy.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("asks for ws://") && !said.contains("SECRET"), "{said}");
    assert!(said.contains("next: lagtape analyze"), "{said}");
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
    let (proxy, address) = start(&words);
    let out = folder.path().join("x.lagtape");
    let words = ["record", &address, "--fixture", "x", "-o", out.to_str().unwrap()];
    let (_, said) = check(&words, 1);
    assert!(said.contains("does not reach the server"), "{said}");
    proxy.terminate();
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
    let (proxy, first) = start(&words);
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["schema"], &first["type"]), (&1.into(), &"listening".into()));
    let line = proxy.line();
    let trouble: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(trouble["type"], "trouble");
    assert!(trouble["sentence"].as_str().unwrap().contains("listens all the same"), "{line}");
    let ended = proxy.terminate();
    assert_eq!(ended.code, Some(0));
    assert!(ended.said.contains("no certificate is checked"), "{ended:?}");
}

/// Reads lines of JSON up to one of this type for which `is` says so.
#[track_caller]
fn line_of(proxy: &Running, kind: &str, is: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line: Value = serde_json::from_str(&proxy.line()).unwrap();
        if line["type"] == kind && is(&line) {
            return line;
        }
    }
}

/// A proxy that writes JSON and records into a folder, with a session in it.
struct Watched {
    proxy: Running,
    client: TcpStream,
    server: TcpStream,
}

impl Watched {
    fn start(out: &Path, words: &[&str]) -> Watched {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let out = out.to_str().unwrap();
        let all = ["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out, "--json"];
        let (proxy, first) = start(&[&all[..], words].concat());
        let first: Value = serde_json::from_str(&first).unwrap();
        drop(server.accept().unwrap());
        let (client, server) = session(&server, first["address"].as_str().unwrap());
        Watched { proxy, client, server }
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
        let closed = line_of(&self.proxy, "closed", |_| true);
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
    for _ in 0..3 {
        watched.proxy.signal("-USR1");
        line_of(&watched.proxy, "recorder", |line| {
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
    let ended = watched.proxy.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// What it has written is a capture without an end, which every verb reads and `recover` completes.
#[test]
fn a_killed_proxy_leaves_what_it_wrote() {
    let folder = TempDir::new().unwrap();
    let captures = folder.path().join("captures");
    let mut watched = Watched::start(&captures, &[]);
    let sent = Maker::new(5, true, None).random(40).traffic;
    watched.pass(&sent);
    line_of(&watched.proxy, "recording", |_| true);
    let capture = only_file(&captures);
    let written = || match capture.metadata().unwrap().len() {
        // The file is there before its first byte.
        0 => Vec::new(),
        _ => messages_of(&capture, Direction::ClientToServer),
    };
    let clock = MonotonicClock::start();
    while written().len() < sent.messages.len() {
        assert!(clock.now().0 < PATIENCE.as_nanos() as u64, "{} messages", written().len());
        std::thread::yield_now();
    }
    watched.proxy.kill();
    assert_eq!(written(), sent.messages);
    assert!(!app::analyze(&capture, &AnalyzeOptions::default()).unwrap().complete);
    let whole = folder.path().join("whole.lagtape");
    check(&["recover", capture.to_str().unwrap(), "-o", whole.to_str().unwrap()], 0);
    assert_eq!(messages_of(&whole, Direction::ClientToServer), sent.messages);
    check(&["verify", whole.to_str().unwrap()], 0);
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
    let ended = watched.proxy.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
