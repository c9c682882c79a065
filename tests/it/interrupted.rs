//! Recorders that are stopped for a while, and whose civil clock is set while they record.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::Direction;
use lagtape::time::Nanos;
use tempfile::TempDir;

use crate::proxy_between::{Maker, PATIENCE, messages_of, read};
use crate::proxy_cli::{only_file, session, start, terminate};

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits until the system says that a process is stopped.
fn wait_until_stopped(pid: u32) {
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        if stat.rsplit(") ").next().unwrap().starts_with('T') {
            return;
        }
        std::thread::yield_now();
    }
}

fn times_of(capture: &Path) -> Vec<Nanos> {
    let mut times = Vec::new();
    read(capture, |record| times.push(record.t));
    times
}

/// While the proxy is stopped, both ends go on: what they send waits in the sockets, and is forwarded
/// and recorded when it goes on, each message once, in its order, at the time at which it passed.
#[cfg(target_os = "linux")]
#[test]
fn a_proxy_that_was_stopped_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let out = folder.path().to_str().unwrap();
    let (child, said, address) = start(&["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out]);
    drop(server.accept().unwrap());
    let (mut client, mut other_end) = session(&server, address.strip_prefix("ws://").unwrap());
    other_end.set_read_timeout(Some(PATIENCE)).unwrap();
    let before = Maker::new(3, true, None).random(20).traffic;
    pass(&mut client, &mut other_end, &before.wire);

    signal(child.id(), "-STOP");
    wait_until_stopped(child.id());
    // Little enough for the sockets to hold.
    let mut during = Maker::new(4, true, None);
    for number in 0..50_u8 {
        during.message(1, &[b'0' + number % 10; 40], 40);
    }
    let during = during.traffic;
    client.write_all(&during.wire).unwrap();
    other_end.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(other_end.read(&mut [0]).is_err(), "nothing passes while it is stopped");
    signal(child.id(), "-CONT");
    other_end.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = vec![0; during.wire.len()];
    other_end.read_exact(&mut heard).unwrap();
    assert!(heard == during.wire, "the bytes are what was sent");

    let (code, _, complained) = terminate(child, said);
    assert_eq!(code, Some(0), "{complained}");
    let capture = only_file(folder.path());
    let sent = [before.messages.clone(), during.messages].concat();
    assert_eq!(messages_of(&capture, Direction::ClientToServer), sent);
    let times = times_of(&capture);
    assert!(times.is_sorted());
    let longest = times.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(longest >= 200_000_000, "the capture tells of the stop: {longest} ns");
    assert!(app::analyze(&capture, &AnalyzeOptions::default()).unwrap().complete);
}

fn pass(client: &mut TcpStream, other_end: &mut TcpStream, bytes: &[u8]) {
    std::thread::scope(|scope| {
        scope.spawn(|| client.write_all(bytes).unwrap());
        other_end.read_exact(&mut vec![0; bytes.len()]).unwrap();
    });
}

/// What `faketime` has a program preload. It is no parent of ours: it would keep signals to itself.
fn faked_clock() -> Option<(String, String)> {
    let output = Command::new("faketime").args(["2020-01-01", "env"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let preload = text.lines().find_map(|line| line.strip_prefix("LD_PRELOAD="))?;
    Some(("LD_PRELOAD".to_owned(), preload.to_owned()))
}

/// Civil time that goes 3,000 times as fast, as of a clock that is set again and again: records have
/// the times of the clock that cannot be set.
#[cfg(target_os = "linux")]
#[test]
fn times_do_not_follow_a_civil_clock_that_is_set() {
    let Some(faked) = faked_clock() else {
        assert!(std::env::var_os("LAGTAPE_REQUIRE_FAKETIME").is_none(), "faketime is missing");
        eprintln!("skipped: faketime is not installed");
        return;
    };
    let folder = TempDir::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_lagtape"))
        .args(["proxy", "--upstream", &url, "--listen", "127.0.0.1:0", "-o"])
        .arg(folder.path())
        .envs([faked])
        .env("FAKETIME", "@2020-01-01 00:00:00 x3000")
        .env("DONT_FAKE_MONOTONIC", "1")
        .env_remove("LAGTAPE_COLOR")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut said, &mut first).unwrap();
    drop(server.accept().unwrap());
    let address = first.trim().strip_prefix("ws://").unwrap();
    let (mut client, mut other_end) = session(&server, address);
    let sent = Maker::new(5, true, None).random(30).traffic;
    pass(&mut client, &mut other_end, &sent.wire);
    let (code, _, complained) = terminate(child, said);
    assert_eq!(code, Some(0), "{complained}");
    let capture = only_file(folder.path());
    assert!(capture.file_name().unwrap().to_str().unwrap().starts_with("2020"), "{capture:?}");
    assert_eq!(messages_of(&capture, Direction::ClientToServer), sent.messages);
    let times = times_of(&capture);
    assert!(times.is_sorted());
    // A session of a second or so, whatever the civil clock says meanwhile.
    assert!(times.last().unwrap().0 - times[0].0 < PATIENCE.as_nanos() as u64);
}
