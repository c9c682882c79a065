//! Recorders that are stopped for a while, and whose civil clock is set while they record.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Body, Direction, Opcode};
use lagtape::report::Analysis;
use lagtape::time::Nanos;
use lagtape::wire::slice::SliceHeader;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use crate::program::{Running, command};
use crate::promises::measured;
use crate::proxy_between::{Maker, PATIENCE, messages_of, read};
use crate::proxy_cli::{only_file, session, start};
use crate::record::{drain, reports, start_recording};

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
    let (proxy, address) = start(&["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out]);
    drop(server.accept().unwrap());
    let (mut client, mut other_end) = session(&server, address.strip_prefix("ws://").unwrap());
    other_end.set_read_timeout(Some(PATIENCE)).unwrap();
    let before = Maker::new(3, true, None).random(20).traffic;
    pass(&mut client, &mut other_end, &before.wire);

    proxy.signal("-STOP");
    wait_until_stopped(proxy.id());
    // Little enough for the sockets to hold.
    let mut during = Maker::new(4, true, None);
    for number in 0..50_u8 {
        during.message(1, &[b'0' + number % 10; 40], 40);
    }
    let during = during.traffic;
    client.write_all(&during.wire).unwrap();
    other_end.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(other_end.read(&mut [0]).is_err(), "nothing passes while it is stopped");
    proxy.signal("-CONT");
    other_end.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = vec![0; during.wire.len()];
    other_end.read_exact(&mut heard).unwrap();
    assert!(heard == during.wire, "the bytes are what was sent");

    let ended = proxy.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let capture = only_file(folder.path());
    let sent = [before.messages.clone(), during.messages].concat();
    assert_eq!(messages_of(&capture, Direction::ClientToServer), sent);
    let times = times_of(&capture);
    assert!(times.is_sorted());
    let longest = times.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(longest >= 200_000_000, "the capture tells of the stop: {longest} ns");
    assert!(app::analyze(&capture, &AnalyzeOptions::default()).unwrap().complete);
    measured(50, "messages sent while it was stopped, each recorded once");
}

/// A raw slice so short that dozens of them fit the buffers of a socket.
fn short_slice(start: u32) -> Message {
    let header = SliceHeader {
        flags: 0,
        start,
        frames: 100,
        channels: 1,
        tick_ms: 40.0,
        dec_ms: 7.0,
        generations: 1,
    };
    let mut message = header.to_bytes().to_vec();
    message.resize(message.len() + 200, 0);
    Message::binary(message)
}

/// While a recording is stopped, the server goes on: what it sends waits in the socket, and is recorded
/// when the recording goes on, each message once and in its order.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_recording_that_was_stopped_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let (child, mut socket) = start_recording(&[], &["--json"], &out).await;
    reports(&mut socket, 3).await;

    signal(child.id(), "-STOP");
    wait_until_stopped(child.id());
    let sent: Vec<_> = (0..50).map(|number| short_slice(12_000 + 100 * number)).collect();
    for message in &sent {
        socket.send(message.clone()).await.unwrap();
    }
    // What was on its way comes, and then nothing for a while.
    let silence = Duration::from_millis(200);
    while tokio::time::timeout(silence, socket.next()).await.is_ok() {}
    signal(child.id(), "-CONT");
    reports(&mut socket, 3).await;

    signal(child.id(), "-TERM");
    drain(socket).await;
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut slices = Vec::new();
    read(&out, |record| {
        if let Body::Message(message) = &record.body
            && (message.direction, message.opcode) == (Direction::ServerToClient, Opcode::Binary)
        {
            slices.push(Message::binary(message.payload.to_vec()));
        }
    });
    assert!(slices[2..] == sent, "after the buffer and a slice, {} came", slices.len() - 2);
    measured(sent.len() as u64, "messages sent while it was stopped, each recorded once");
    let times = times_of(&out);
    assert!(times.is_sorted());
    let longest = times.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(longest >= silence.as_nanos() as u64, "the capture tells of the stop: {longest} ns");
    let offline = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert!(offline.complete && offline.slices == 51);
    let live: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let offline = serde_json::to_value(&offline).unwrap();
    for key in ["lag", "verdict", "heard", "leads", "rates"] {
        assert_eq!(live[key], offline[key], "{key}");
    }
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
    let out = folder.path().to_str().unwrap();
    let words = ["proxy", "--upstream", &url, "--listen", "127.0.0.1:0", "-o", out];
    let mut command = command(&words);
    command.envs([faked, ("FAKETIME".to_owned(), "@2020-01-01 00:00:00 x3000".to_owned())]);
    let proxy = Running::of(command.env("DONT_FAKE_MONOTONIC", "1"));
    let first = proxy.line();
    drop(server.accept().unwrap());
    let address = first.strip_prefix("ws://").unwrap();
    let (mut client, mut other_end) = session(&server, address);
    let sent = Maker::new(5, true, None).random(30).traffic;
    pass(&mut client, &mut other_end, &sent.wire);
    let ended = proxy.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let capture = only_file(folder.path());
    assert!(capture.file_name().unwrap().to_str().unwrap().starts_with("2020"), "{capture:?}");
    assert_eq!(messages_of(&capture, Direction::ClientToServer), sent.messages);
    let times = times_of(&capture);
    assert!(times.is_sorted());
    // A session of a second or so, whatever the civil clock says meanwhile.
    assert!(times.last().unwrap().0 - times[0].0 < PATIENCE.as_nanos() as u64);
    measured(times.len() as u64, "records in order while civil time went 3,000 times as fast");
}

/// The report of a recording of thirty ticks.
#[cfg(target_os = "linux")]
async fn report_of(before: &[&str]) -> Analysis {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let (child, mut socket) = start_recording(before, &[], &out).await;
    reports(&mut socket, 30).await;
    signal(child.id(), "-TERM");
    drain(socket).await;
    let output = child.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    app::analyze(&out, &AnalyzeOptions::default()).unwrap()
}

/// The report of a recording whose civil clock goes 3,000 times as fast says what that of a straight one
/// says. Where a figure is measured, a tenth of that factor would be too much by far.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_report_does_not_follow_a_civil_clock_that_is_set() {
    let Some((name, preload)) = faked_clock() else {
        assert!(std::env::var_os("LAGTAPE_REQUIRE_FAKETIME").is_none(), "faketime is missing");
        eprintln!("skipped: faketime is not installed");
        return;
    };
    let preload = format!("{name}={preload}");
    let clock = ["FAKETIME=@2020-01-01 00:00:00 x3000", "DONT_FAKE_MONOTONIC=1"];
    let faked = report_of(&["env", &preload, clock[0], clock[1]]).await;
    let straight = report_of(&[]).await;
    assert!(faked.session.start_utc.as_ref().unwrap().starts_with("2020"), "{:?}", faked.session);
    let span_s = |report: &Analysis| report.epochs[0].to_s - report.epochs[0].from_s;
    for (what, faked, straight) in [
        ("ticks a second", faked.rates.ticks_per_s, straight.rates.ticks_per_s),
        ("the span", span_s(&faked), span_s(&straight)),
        ("the time of the report", faked.report_at_s, straight.report_at_s),
    ] {
        let factor = faked / straight;
        assert!((1.0 / 300.0..300.0).contains(&factor), "{what}: {faked} and {straight}");
    }
    assert_eq!(faked.verdict.lag, straight.verdict.lag);
    assert_eq!(faked.verdict.reasons, straight.verdict.reasons);
    assert_eq!((faked.time.doubts, faked.time.trust), (straight.time.doubts, straight.time.trust));
    measured(
        faked.ticks,
        "reports while civil time went 3,000 times as fast, with the verdict of a straight clock",
    );
}
