//! `proxy`, `backend` and `replay` as programs that are told to stop, or run out of descriptors.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::Direction;
use tempfile::TempDir;

use crate::program::{Ended, Running};
use crate::promises::measured;
use crate::proxy_between::{Maker, PATIENCE, messages_of};
use crate::proxy_cli::{read_head, session};
use crate::replay::bundled;

/// A server that runs.
struct Server {
    running: Running,
    address: String,
}

impl Server {
    fn start(words: &[&str]) -> Server {
        Server::of(Running::start(words))
    }

    fn of(running: Running) -> Server {
        let address = running.line().strip_prefix("ws://").unwrap().to_owned();
        Server { running, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a signal, and waits for the end.
    #[track_caller]
    fn stop(self, signal: &str) -> Ended {
        self.running.signal(signal);
        self.running.wait()
    }
}

/// A server for the proxy, and the words that start the proxy with a folder for captures.
fn proxied(folder: &Path) -> (TcpListener, Vec<String>) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let words = ["proxy", "--listen", "127.0.0.1:0", "--upstream", &url, "-o"];
    let words = words.iter().map(|word| (*word).to_owned());
    (server, words.chain([folder.to_str().unwrap().to_owned()]).collect())
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn get(stream: &mut TcpStream) {
    stream.write_all(b"GET /api/server-info HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
}

/// Shakes hands with a server that is no proxy, and begins a session.
fn begin(program: &Server) -> TcpStream {
    let mut client = program.connect();
    client
        .write_all(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n",
        )
        .unwrap();
    read_head(&mut client);
    let config = br#"{"use_server_fixture": true, "fixture_name": "built-in"}"#;
    let mut sent = Maker::new(1, true, None);
    sent.message(1, config, 1000);
    client.write_all(&sent.traffic.wire).unwrap();
    client.read_exact(&mut [0; 64]).unwrap();
    client
}

/// Whatever its clients are at, a signal ends the proxy, and seals what was recorded.
#[test]
fn a_signal_ends_the_proxy_under_any_connection() {
    for signal in ["-INT", "-TERM"] {
        let folder = TempDir::new().unwrap();
        let (server, words) = proxied(folder.path());
        let program = Server::start(&strs(&words));
        // The proxy tries the server when it starts.
        drop(server.accept().unwrap());
        let mut half = program.connect();
        half.write_all(b"GET / HTTP/1.1\r\nHos").unwrap();
        let silent = program.connect();
        let mut asking = program.connect();
        get(&mut asking);
        let (mut asked, _) = server.accept().unwrap();
        read_head(&mut asked);
        let mut idle = program.connect();
        get(&mut idle);
        let (mut answering, _) = server.accept().unwrap();
        read_head(&mut answering);
        answering.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        read_head(&mut idle);
        let (mut client, mut other_end) = session(&server, &program.address);
        let sent = Maker::new(3, true, None).random(30).traffic;
        client.write_all(&sent.wire).unwrap();
        other_end.read_exact(&mut vec![0; sent.wire.len()]).unwrap();

        let ended = program.stop(signal);
        assert_eq!(ended.code, Some(0), "{signal}: {ended:#?}");
        let capture = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(messages_of(&capture, Direction::ClientToServer), sent.messages);
        assert!(app::analyze(&capture, &AnalyzeOptions::default()).unwrap().complete);
        measured(1, "signals, each capture complete");
        drop((half, silent, asking, asked, idle, answering, client, other_end));
    }
}

/// The same for the other two servers, also with a client that does not answer the close.
#[test]
fn a_signal_ends_backend_and_replay_under_any_connection() {
    let folder = TempDir::new().unwrap();
    let capture = bundled("healthy");
    for (i, signal) in ["-INT", "-TERM"].into_iter().enumerate() {
        let out = folder.path().join(format!("{i}.lagtape"));
        let replay = ["replay", capture.to_str().unwrap(), "-o", out.to_str().unwrap()];
        for words in [&["backend"][..], &replay] {
            let program = Server::start(words);
            let mut half = program.connect();
            half.write_all(b"GET / HTTP/1.1\r\nHos").unwrap();
            let silent = program.connect();
            let mut idle = program.connect();
            get(&mut idle);
            read_head(&mut idle);
            let client = begin(&program);
            let ended = program.stop(signal);
            let expected: &[i32] = if words == ["backend"] { &[0] } else { &[0, 4] };
            assert!(ended.code.is_some_and(|code| expected.contains(&code)), "{ended:#?}");
            measured(1, "signals, each capture complete");
            drop((half, silent, idle, client));
        }
        assert!(app::analyze(&out, &AnalyzeOptions::default()).unwrap().complete);
    }
}

/// What a client gets that asks for a document: the first line, and the rest of what is there.
fn asked(program: &Server) -> (TcpStream, String) {
    let mut client = program.connect();
    // Who is turned away may find the connection reset.
    let _ = client.write_all(b"GET /api/server-info HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut answer = [0; 400];
    let len = client.read(&mut answer).unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
    (client, answer)
}

/// Many clients at `ulimit -n 128`: some are served, the others are told, and it is said twice. When
/// they are gone, all is as before.
#[test]
fn servers_turn_away_whom_they_have_no_descriptors_for() {
    let folder = TempDir::new().unwrap();
    let (upstream, words) = proxied(folder.path());
    std::thread::spawn(move || {
        for stream in upstream.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                while read_request(&mut stream).is_some() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
            });
        }
    });
    let capture = bundled("healthy");
    let replay = ["replay", capture.to_str().unwrap()];
    for words in [&strs(&words)[..], &["backend"], &replay] {
        let program = Server::of(Running::start_within(words, 128));
        let all: Vec<_> = (0..200).map(|_| asked(&program)).collect();
        let count = |start: &str| all.iter().filter(|(_, got)| got.starts_with(start)).count();
        let (served, told) = (count("HTTP/1.1 200"), count("HTTP/1.1 503"));
        assert!(served >= 20 && told >= 1, "{words:?}: {served} served, {told} told");
        assert!(served + told <= 200, "{served} {told}");
        measured(served as u64, "clients served at 128 descriptors");
        measured(200 - served as u64, "turned away");
        assert!(all.iter().any(|(_, got)| got.contains("ulimit -n")), "{words:?}");
        let began = program.running.says("new connections are turned away");
        assert!(began.contains("ulimit -n"), "{began}");
        drop(all);
        // Said only once somebody is served again.
        let over = program.running.complaint();
        assert!(over.contains(&format!("{} connections were turned away", 200 - served)), "{over}");
        assert!(asked(&program).1.starts_with("HTTP/1.1 200"), "{words:?}");
        let ended = program.stop("-TERM");
        assert!(!ended.said.contains("turned away"), "{ended:#?}");
    }
}

/// Reads a head, or the end.
fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(())
}

/// Connections that ask nothing: they are bounded for each address, and neither the session that is
/// being recorded nor a signal suffers.
#[test]
fn a_session_is_untouched_by_connections_that_ask_nothing() {
    let folder = TempDir::new().unwrap();
    let (server, words) = proxied(folder.path());
    let words = [&strs(&words)[..], &["--split", "1MB"]].concat();
    let program = Server::of(Running::start_within(&words, 128));
    drop(server.accept().unwrap());
    let (mut client, mut other_end) = session(&server, &program.address);
    let sent = Maker::new(11, true, None).random(240).traffic;
    let (first, second) = sent.wire.split_at(sent.wire.len() / 2);
    let mut pass = |bytes: &[u8]| {
        std::thread::scope(|scope| {
            scope.spawn(|| client.write_all(bytes).unwrap());
            other_end.read_exact(&mut vec![0; bytes.len()]).unwrap();
        });
    };
    pass(first);
    let halves: Vec<_> = (0..500)
        .map(|_| {
            let mut half = program.connect();
            // Who is turned away may find the connection reset.
            let _ = half.write_all(b"GET / HT");
            half
        })
        .collect();
    program.running.says("new connections are turned away");
    pass(second);
    let ended = program.stop("-INT");
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.said.contains("connections were turned away"), "{ended:#?}");
    drop(halves);
    let mut parts: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    parts.sort();
    assert!(parts.len() > 2, "{parts:?}");
    let out = TempDir::new().unwrap();
    let whole = out.path().join("whole.lagtape");
    app::join(&parts, &whole, false).unwrap();
    assert_eq!(messages_of(&whole, Direction::ClientToServer), sent.messages);
    measured(500, "half-sent requests at 128 descriptors");
    measured(sent.messages.len() as u64, "messages of the session meanwhile, all recorded");
}

/// Somebody else uses the descriptors up, so that accepting fails.
#[cfg(target_os = "linux")]
#[test]
fn a_server_without_descriptors_goes_on_when_there_are_some() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let program = Server::start(&["backend"]);
    let pid = Pid::from_raw(program.running.id().cast_signed());
    let own = getrlimit(Resource::Nofile);
    let limit = |current| {
        prlimit(pid, Resource::Nofile, Rlimit { current, maximum: own.maximum }).unwrap();
    };
    limit(Some(12));
    let clients: Vec<_> = (0..40).map(|_| program.connect()).collect();
    program.running.says("no file descriptor is left");
    limit(own.current);
    drop(clients);
    program.running.says("turned away; that is over");
    let (_client, answer) = asked(&program);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(program.stop("-TERM").code, Some(0));
}

/// The bound on connections without a request, where descriptors abound.
#[test]
fn half_sent_heads_leave_room_for_others() {
    let program = Server::start(&["backend"]);
    let halves: Vec<_> = (0..100)
        .map(|_| {
            let mut half = program.connect();
            let _ = half.write_all(b"GET / HT");
            half
        })
        .collect();
    let said = program.running.says("new connections are turned away");
    assert!(said.contains("has 64 connections on which it has asked nothing yet"), "{said}");
    drop(halves);
    // Said once, when it is over.
    let over = program.running.complaint();
    assert!(over.contains("connections were turned away; that is over"), "{over}");
    assert_eq!(program.stop("-INT").code, Some(0));
}

/// Requests that servers read in different ways.
#[test]
fn a_doubled_header_is_refused() {
    let program = Server::start(&["backend"]);
    for header in ["Host: x", "Transfer-Encoding: chunked"] {
        let mut client = program.connect();
        let request = format!("POST / HTTP/1.1\r\n{header}\r\n{header}\r\n\r\n0\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 400", "{header}");
    }
    assert_eq!(program.stop("-TERM").code, Some(0));
}
