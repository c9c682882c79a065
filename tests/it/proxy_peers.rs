//! Foreign code on both ends of the proxy: Python's `websockets`, Node's `ws` and a browser, each with
//! the compression that it negotiates by itself.
//!
//! Needs them installed; see [`crate::python`], and [`node`] and [`browser`] below.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc as blocking;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Body, Direction, Opcode};
use lagtape::engine::{Engine, Options};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::backend::Running;
use crate::proxy_between::{Between, PATIENCE, into, read};
use crate::replay::{bundled, hex, replaying};
use crate::{program, python};

/// Node with the package `ws`, or `None` when the test is to be skipped. `LAGTAPE_NODE` names it and
/// `LAGTAPE_NODE_MODULES` the folder of its packages; with `LAGTAPE_REQUIRE_NODE` a missing one is a
/// failure.
fn node() -> Option<Command> {
    let node = || {
        let mut command = Command::new(std::env::var_os("LAGTAPE_NODE").unwrap_or("node".into()));
        if let Some(packages) = std::env::var_os("LAGTAPE_NODE_MODULES") {
            command.env("NODE_PATH", packages);
        }
        command
    };
    let is_there = node().args(["-e", "require('ws')"]).stderr(Stdio::null()).status();
    if is_there.is_ok_and(|status| status.success()) {
        return Some(node());
    }
    assert!(std::env::var_os("LAGTAPE_REQUIRE_NODE").is_none(), "Node needs: npm install ws");
    eprintln!("SKIPPED: no Node with ws (LAGTAPE_NODE_MODULES names the folder of its packages)");
    None
}

/// A headless browser, or `None` when the test is to be skipped. `LAGTAPE_CHROMIUM` names one; with
/// `LAGTAPE_REQUIRE_CHROMIUM` a missing one is a failure.
pub fn browser() -> Option<Command> {
    let program = std::env::var_os("LAGTAPE_CHROMIUM").unwrap_or_else(|| "chromium".into());
    let is_there = Command::new(&program).arg("--version").stdout(Stdio::null()).status();
    if is_there.is_ok_and(|status| status.success()) {
        return Some(Command::new(program));
    }
    assert!(std::env::var_os("LAGTAPE_REQUIRE_CHROMIUM").is_none(), "install Chromium");
    eprintln!("SKIPPED: no Chromium (LAGTAPE_CHROMIUM names one)");
    None
}

fn in_python() -> Option<Command> {
    let is_there = python::has("websockets.asyncio.server", "websockets");
    is_there.then(|| {
        let mut command = python::command();
        command.args(["-c", include_str!("proxy_peer.py")]);
        command
    })
}

fn in_node() -> Option<Command> {
    let mut command = node()?;
    // What follows is as if a file was named.
    command.args(["-e", include_str!("proxy_peer.js"), "-"]);
    Some(command)
}

fn start(
    mut command: Command,
    arguments: &[&str],
) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    (child, said)
}

fn told(mut child: Child, mut said: impl Read) -> Value {
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The messages of a capture that went one way, as the peers tell theirs.
fn recorded(capture: &Path, direction: Direction) -> Vec<String> {
    let mut found = Vec::new();
    read(capture, |record| {
        if let Body::Message(message) = &record.body
            && message.direction == direction
        {
            assert!(!message.compressed);
            let kind = match u8::from(message.opcode) {
                1 => "t",
                2 => "b",
                _ => return,
            };
            let hash = Sha256::digest(message.payload);
            found.push(hash.iter().fold(kind.to_owned(), |text, byte| format!("{text}{byte:02x}")));
        }
    });
    found
}

/// A session between these peers; everything that they tell and the capture must agree.
fn check(server: Option<Command>, client: Option<Command>) {
    let (Some(server), Some(client)) = (server, client) else { return };
    let folder = TempDir::new().unwrap();
    let (server, mut said) = start(server, &["serve"]);
    let mut port = String::new();
    said.read_line(&mut port).unwrap();
    let between = Between::start(&format!("ws://127.0.0.1:{}", port.trim()), into(folder.path()));
    let (client, heard) = start(client, &["talk", &format!("ws://{}/x?token=1", between.address)]);
    let (client, server) = (told(client, heard), told(server, said));
    let capture = between.closed();

    for peer in [&client, &server] {
        let extensions = peer["extensions"].to_string().to_lowercase().replace('-', "");
        assert!(extensions.contains("permessagedeflate"), "{extensions}");
    }
    assert_eq!(server["close"], json!([4000, "done"]));
    let sent: Vec<String> = serde_json::from_value(client["sent"].clone()).unwrap();
    assert!(sent.len() >= 32);
    assert_eq!(server["received"], client["sent"]);
    assert_eq!(client["received"], client["sent"]);
    assert_eq!(recorded(&capture, Direction::ClientToServer), sent);
    assert_eq!(recorded(&capture, Direction::ServerToClient), sent);
    let analysis = app::analyze(&capture, &AnalyzeOptions::default()).unwrap();
    assert!(analysis.complete);
}

#[test]
fn python_with_python() {
    check(in_python(), in_python());
}

#[test]
fn node_with_node() {
    check(in_node(), in_node());
}

#[test]
fn node_with_python_and_the_other_way_round() {
    check(in_python(), in_node());
    check(in_node(), in_python());
}

/// A server of pages in front of the backend: what a pod is.
async fn serve_page(
    listener: TcpListener,
    backend: SocketAddr,
    found: blocking::Sender<(String, Value)>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let found = found.clone();
        tokio::spawn(async move {
            // A browser opens connections that it never uses.
            let _ = answer(stream, backend, found).await;
        });
    }
}

async fn answer(
    mut stream: TcpStream,
    backend: SocketAddr,
    found: blocking::Sender<(String, Value)>,
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await?;
        if lower.contains("upgrade: websocket") {
            let mut server = TcpStream::connect(backend).await?;
            server.write_all(head.as_bytes()).await?;
            tokio::io::copy_bidirectional(&mut stream, &mut server).await?;
            return Ok(());
        }
        let is_player = head.starts_with("GET /player");
        let is_inflated = head.starts_with("POST /unzstd");
        let kind = if is_inflated { "text/plain\r\nContent-Encoding: zstd" } else { "text/html" };
        if head.starts_with("POST /found") {
            drop(found.send((head, serde_json::from_slice(&body).unwrap())));
        }
        let answer = match is_player {
            true => include_bytes!("player_page.html").to_vec(),
            false if is_inflated => body,
            false => include_bytes!("page.html").to_vec(),
        };
        let length = answer.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.into_bytes(), answer].concat()).await?;
    }
}

/// A server of the page on a thread of its own, in front of `backend`; what the page finds comes with
/// the head of its request.
pub fn page_server(backend: SocketAddr) -> (SocketAddr, blocking::Receiver<(String, Value)>) {
    let (tell, found) = blocking::channel();
    let (tell_address, address) = blocking::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell_address.send(listener.local_addr().unwrap()).unwrap();
            serve_page(listener, backend, tell).await;
        });
    });
    (address.recv_timeout(PATIENCE).unwrap(), found)
}

/// A browser that shows a page, until it is dropped.
pub struct Shown(Child);

impl Shown {
    pub fn new(mut browser: Command, profile: &Path, url: &str) -> Shown {
        let browser = browser
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-extensions", "--disable-background-networking", "--no-proxy-server"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        Shown(browser.spawn().unwrap())
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a client's buffer is after so many slices of a capture: SHA-256 of its samples.
fn mirror_after(capture: &Path, slices: u64) -> String {
    let mut engine = Engine::new(Options::default());
    read(capture, |record| {
        if engine.facts().slices < slices {
            engine.handle(record);
        }
    });
    assert_eq!(engine.facts().slices, slices);
    let samples = engine.mirror().unwrap().samples();
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    hex(&bytes)
}

/// What the page heard is how the capture begins: every message, and the buffer that it made of them.
#[track_caller]
fn check_heard(found: &Value, capture: &Path) -> usize {
    assert_eq!(found["error"], Value::Null, "{found}");
    let heard: Vec<String> = serde_json::from_value(found["messages"].clone()).unwrap();
    let recorded = recorded(capture, Direction::ServerToClient);
    assert!(
        recorded.len() >= heard.len() && recorded[..heard.len()] == heard[..],
        "the page heard what is recorded"
    );
    let lengths: Vec<usize> = serde_json::from_value(found["lengths"].clone()).unwrap();
    let mut sent = Vec::new();
    read(capture, |record| {
        if let Body::Message(message) = &record.body
            && message.direction == Direction::ServerToClient
            && message.opcode == Opcode::Binary
        {
            sent.push(message.payload.len());
        }
    });
    assert_eq!(lengths, sent[..lengths.len()]);
    let slices = found["slices"].as_u64().unwrap();
    assert_eq!(found["mirror"], mirror_after(capture, slices), "after {slices} slices");
    heard.len()
}

/// Plays a session of the simulated server in a browser, through a proxy: one that stands in front of
/// the whole origin, or one that only the page's `?ws=` names.
#[track_caller]
fn check_page(is_whole_origin: bool) {
    let Some(browser) = browser() else { return };
    let folder = TempDir::new().unwrap();
    let backend = Running::start(crate::backend::options());
    let (origin, found) = page_server(backend.address);
    let upstream = match is_whole_origin {
        true => format!("http://{origin}"),
        false => backend.url(),
    };
    let between = Between::start(&upstream, into(folder.path()));
    let address = between.address;
    let url = match is_whole_origin {
        true => format!("http://{address}/"),
        false => format!("http://{origin}/?ws=ws://{address}/session?key=SECRET"),
    };
    let shown = Shown::new(browser, &folder.path().join("profile"), &url);
    let (head, found) = found.recv_timeout(PATIENCE).expect("the page finds something");
    let capture = between.closed();
    drop(shown);

    assert!(head.contains(&format!("Origin: http://{origin}")), "{head}");
    check_heard(&found, &capture);
    assert_eq!(found["slices"], 25);
    assert_eq!(found["frames"], 96_000, "two seconds");
    assert_eq!(found["close"], json!([1000, true]));
    let analysis = app::analyze(&capture, &AnalyzeOptions::default()).unwrap();
    assert!(analysis.slices >= 25 && analysis.ticks >= 10, "{} ticks", analysis.ticks);
    assert_eq!(analysis.decode_errors, 0);
}

#[test]
fn a_page_behind_the_whole_origin_plays_a_session() {
    check_page(true);
}

#[test]
fn a_page_of_another_origin_plays_a_session() {
    check_page(false);
}

#[test]
fn a_page_in_a_browser_plays_a_recording() {
    let Some(browser) = browser() else { return };
    let folder = TempDir::new().unwrap();
    let (capture, out) = (bundled("stall"), folder.path().join("replayed.lagtape"));
    let (replay, address) = replaying(&capture, &["--rate", "4", "-o", out.to_str().unwrap()]);
    let (origin, found) = page_server(address.trim_start_matches("ws://").parse().unwrap());
    let url = format!("http://{origin}/?wanted=all&ws={address}");
    let shown = Shown::new(browser, &folder.path().join("profile"), &url);
    let (_, found) = found.recv_timeout(PATIENCE).expect("the page finds something");
    let program::Ended { code, out: printed, .. } = replay.wait();
    drop(shown);

    let original = app::analyze(&capture, &AnalyzeOptions::default()).unwrap();
    let heard = check_heard(&found, &capture);
    assert_eq!(heard, recorded(&capture, Direction::ServerToClient).len(), "all of it");
    assert_eq!(found["slices"], original.slices);
    assert_eq!(found["close"], json!([1000, true]));
    let replayed = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    // What the page says while the close is on its way to it comes too late to be heard.
    let too_late = found["reports"].as_u64().unwrap().checked_sub(replayed.ticks);
    assert!(too_late.is_some_and(|reports| reports <= 10), "{too_late:?}");
    assert!(replayed.ticks >= 10 && replayed.complete, "{} ticks", replayed.ticks);
    assert_eq!((replayed.slices, replayed.decode_errors), (original.slices, 0));
    assert_eq!(code, Some(4), "{printed}");
    assert!(printed.contains("in config"), "{printed}");
}
