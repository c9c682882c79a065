//! A proxy for long: sessions come and go, some break off, and memory and descriptors stay as they are.
//!
//! `LAGTAPE_SOAK_S=120 cargo test --release --test it -- --ignored --nocapture soak`; 20 minutes unless
//! it is said otherwise.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use lagtape::app::{self, AnalyzeOptions};
use lagtape::edge::clock::MonotonicClock;
use lagtape::edge::proxy::MAX_WAITING;
use lagtape::peer::rng::{Rng, Stream};
use tempfile::TempDir;

use crate::proxy_between::{Maker, PATIENCE};
use crate::proxy_cli::{read_head, start};

const SEED: u64 = 31;
/// Sessions before memory is compared: caches, pools and buffers have their sizes by then.
const WARM_UP: u64 = 200;
/// What may come on top of it, or of what it was in the middle.
const MAX_GROWTH_KB: u64 = 16 << 10;
/// On a machine that is busy so much may have waited for the observer once, and allocators keep what they
/// were given.
const MAX_BACKLOG_KB: u64 = MAX_WAITING as u64 >> 10;

/// Answers whoever comes: takes what is sent, and sends it back as a server would.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        std::thread::spawn(move || {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut bytes = [0; 4096];
            // Peers break off wherever they like.
            let _ = stream.read(&mut bytes);
            let _ = stream.write_all(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n");
            let down = Maker::new(SEED, false, None).random(20).traffic.wire;
            let _ = stream.write_all(&down);
            while matches!(stream.read(&mut bytes), Ok(len) if len > 0) {}
        });
    }
}

/// One session, and how it goes wrong if it does.
fn visit(address: &str, seed: u64) {
    let mut rng = Rng::new(seed, Stream::Names);
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let trouble = rng.next_u64() % 5;
    if trouble == 0 {
        // Never finishes its head.
        client.write_all(b"GET / HTTP/1.1\r\nHos").unwrap();
        return;
    }
    client
        .write_all(
            b"GET /x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        )
        .unwrap();
    read_head(&mut client);
    let sent = Maker::new(seed, true, None).random(10).traffic.wire;
    let len = match trouble {
        // Breaks off in the middle of a message.
        1 => sent.len() - 1 - (rng.next_u64() % 100) as usize,
        _ => sent.len(),
    };
    let mut reading = client.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        let mut read = 0;
        while let Ok(len) = reading.read(&mut bytes) {
            read += len;
            // Leaves without reading the rest.
            if len == 0 || (trouble == 2 && read > 1_000) {
                return;
            }
        }
    });
    let _ = client.write_all(&sent[..len]);
    if trouble == 2 {
        reader.join().unwrap();
        return;
    }
    let _ = client.shutdown(Shutdown::Write);
    reader.join().unwrap();
}

/// Memory in KiB and open descriptors of a process.
fn held(pid: u32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kb = rss.trim().trim_end_matches(" kB").parse().unwrap();
    (kb, std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes as long as it is told, 20 minutes by default"]
fn soak() {
    let length_s = std::env::var("LAGTAPE_SOAK_S").map_or(1_200, |text| text.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    std::thread::spawn(move || serve(&server));
    let out = folder.path().to_str().unwrap();
    let (proxy, address) = start(&["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out]);
    let address = address.strip_prefix("ws://").unwrap().to_owned();
    let clock = MonotonicClock::start();
    let (mut sessions, mut held_then) = (0, Vec::new());
    while clock.now().seconds() < length_s as f64 || sessions <= WARM_UP {
        std::thread::scope(|scope| {
            for seed in sessions..sessions + 8 {
                let address = &address;
                scope.spawn(move || visit(address, SEED + seed));
            }
        });
        sessions += 8;
        if sessions >= WARM_UP {
            let (kb, open) = held(proxy.id());
            held_then.push((clock.now().seconds().round() as u64, kb, open));
        }
        check_captures(folder.path(), sessions);
    }
    let most_kb = held_then.iter().map(|(_, kb, _)| *kb).max().unwrap();
    let most_open = held_then.iter().map(|(.., open)| *open).max().unwrap();
    let at = |(s, kb, open): (u64, u64, usize)| format!("{kb} KiB, {open} descriptors at {s} s");
    let (first, middle) = (held_then[0], held_then[held_then.len() / 2]);
    let last = held_then[held_then.len() - 1];
    eprintln!(
        "{sessions} sessions: {}; {}; {}; at most {most_kb} KiB and {most_open} descriptors",
        at(first),
        at(middle),
        at(last),
    );
    let most_after = |kb: u64| kb + MAX_GROWTH_KB;
    assert!(last.1 <= most_after(middle.1), "{} KiB became {}", middle.1, last.1);
    assert!(most_kb <= most_after(first.1) + MAX_BACKLOG_KB, "{} KiB became {most_kb}", first.1);
    assert!(most_open < 200, "{most_open} descriptors");
    assert_eq!(proxy.terminate().code, Some(0));
}

/// Every hundredth session's capture is read, and all are deleted, so that the disk stays empty too.
fn check_captures(folder: &std::path::Path, sessions: u64) {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort_by_key(|path| path.metadata().unwrap().modified().unwrap());
    // The newest may still be written.
    paths.truncate(paths.len().saturating_sub(32));
    if sessions.is_multiple_of(96)
        && let Some(oldest) = paths.first()
    {
        app::analyze(oldest, &AnalyzeOptions::default()).unwrap();
    }
    paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
}
