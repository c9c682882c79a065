//! What a recording costs while it is made, and its file when it is read.
//!
//! The peer is the `mcap` crate, which gets the same messages: one channel for each direction, chunks
//! of its usual size, not compressed, with its checksums.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Cursor, Read, Seek, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lagtape::app;
use lagtape::capture::{Body, Direction, Header, Message, Opcode, Record, Records, Writer, crc32c};
use lagtape::edge::recorder::{Recorder, RecorderOptions};
use lagtape::lag::stats::percentile;
use lagtape::time::Nanos;

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::{clock, lag, recorded};

const LOOP_S: f64 = 20.0;
const PARAMS_HZ: f64 = 30.0;
/// The large file: a gigabyte.
const LARGE_MINUTES: u64 = 54;
/// Recordings of a minute whose every message is timed, thoroughly and quickly.
const PASSES: (usize, usize) = (12, 3);
/// The least speed of reading: a gigabyte a second.
const SCAN_AIM_S: f64 = 1e-9;
/// Longest that a look into any file may take.
const INFO_AIM_S: f64 = 0.05;

/// The tables of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    bench.doing("simulating a minute");
    let minute = recorded::capture(recorded::healthy(1, LOOP_S, PARAMS_HZ)?);
    let messages = messages(&minute)?;
    writing(bench, &messages)?;
    one_by_one(bench, &messages)?;
    reading(bench, &minute, &messages)?;
    large(bench, &minute)
}

/// A message of a session.
struct Said {
    t: Nanos,
    direction: Direction,
    opcode: Opcode,
    payload: Vec<u8>,
}

impl Said {
    fn message(&self) -> Message<'_> {
        Message::new(self.direction, self.opcode, &self.payload)
    }
}

fn messages(capture: &[u8]) -> Result<Vec<Said>> {
    let mut messages = Vec::new();
    let mut records = Records::new(capture);
    while let Some(Record { t, body, .. }) = records.next_record()? {
        if let Body::Message(Message { direction, opcode, payload, .. }) = body {
            messages.push(Said { t, direction, opcode, payload: payload.to_vec() });
        }
    }
    Ok(messages)
}

fn writing(bench: &mut Bench, messages: &[Said]) -> Result<()> {
    let count = messages.len();
    let bytes: usize = messages.iter().map(|said| said.payload.len()).sum();
    let room = || Vec::with_capacity(bytes * 2);
    let (mut copied, mut plain, mut woven, mut chunked) = (room(), room(), room(), room());
    let (mut live, mut proven) = (room(), room());
    let rows = vec![
        Row::cpu("memcpy", count, || {
            copied.clear();
            messages.iter().for_each(|said| copied.extend_from_slice(&said.payload));
        }),
        Row::cpu("ours", count, || write_ours(messages, &mut plain)),
        Row::cpu("ours, with checkpoints", count, || write_woven(messages, &mut woven)),
        Row::cpu("a live client", count, || write_live(messages, false, &mut live)),
        Row::cpu("a live client, with checkpoints", count, || {
            write_live(messages, true, &mut proven);
        }),
        Row::cpu("mcap", count, || {
            chunked.clear();
            let mut writer = Mcap::begin(Cursor::new(&mut chunked))?;
            messages.iter().try_for_each(|said| writer.write(said))?;
            writer.finish()
        }),
    ];
    let ratios = vec![
        Ratio::new("ours", "mcap", Aim::AtMost(1.0)),
        Ratio::new("ours", "memcpy", Aim::Shown),
        Ratio::new("ours, with checkpoints", "ours", Aim::Shown),
        Ratio::new("a live client, with checkpoints", "a live client", Aim::AtMost(1.5)),
    ];
    let title = format!("writing {count} messages, {:.1} MB", bytes as f64 / 1e6);
    bench.measure(Table { title, unit: "message", rows, ratios })?;
    bench.note(&format!(
        "checkpoints are {:.2} % of the file; a client has inflated what they need, and a proxy's \
        writing thread does that",
        100.0 * (woven.len() - plain.len()) as f64 / woven.len() as f64
    ));
    Ok(())
}

/// The records of a capture that holds these messages, in their order.
fn records(messages: &[Said], put: &mut dyn FnMut(&Record<'_>)) {
    let mut seq = 0;
    let mut next = |t, body| {
        put(&Record { seq, t, conn: 0, body });
        seq += 1;
    };
    next(Nanos(0), Body::Header(Header::new("bench", Nanos(0))));
    messages.iter().for_each(|said| next(said.t, Body::Message(said.message())));
}

fn write_ours(messages: &[Said], out: &mut Vec<u8>) {
    let mut writer = Writer::new(recorded::marker());
    out.clear();
    writer.begin(out);
    records(messages, &mut |record| writer.write(record, out));
}

/// As a client's recording and its figures come to be.
fn write_live(messages: &[Said], with_checkpoints: bool, out: &mut Vec<u8>) {
    let mut live = recorded::Witnessed::new(with_checkpoints);
    out.clear();
    records(messages, &mut |record| live.write(record, out));
}

/// As a proxy's writing thread makes a file.
fn write_woven(messages: &[Said], out: &mut Vec<u8>) {
    let mut woven = recorded::Woven::new();
    out.clear();
    records(messages, &mut |record| woven.write(record, out));
}

/// A writer of the peer.
struct Mcap<W: Write + Seek> {
    writer: mcap::Writer<W>,
    /// Up, and down.
    channels: [u16; 2],
    sequence: u32,
}

impl<W: Write + Seek> Mcap<W> {
    fn begin(out: W) -> Result<Self> {
        let options = mcap::WriteOptions::new()
            .compression(None)
            .calculate_chunk_crcs(true)
            .calculate_data_section_crc(true);
        let mut writer = options.create(out)?;
        let nothing = BTreeMap::new();
        let up = writer.add_channel(0, "up", "", &nothing)?;
        let down = writer.add_channel(0, "down", "", &nothing)?;
        Ok(Mcap { writer, channels: [up, down], sequence: 0 })
    }

    fn write(&mut self, said: &Said) -> Result<()> {
        let is_down = said.direction == Direction::ServerToClient;
        self.sequence += 1;
        let header = mcap::records::MessageHeader {
            channel_id: self.channels[usize::from(is_down)],
            sequence: self.sequence,
            log_time: said.t.0,
            publish_time: said.t.0,
        };
        Ok(self.writer.write_to_known_channel(&header, &said.payload)?)
    }

    fn finish(mut self) -> Result<()> {
        self.writer.finish()?;
        Ok(())
    }
}

/// How long the one who records is held up by each message: ours goes to the queue of a live
/// recorder, the peer's to a buffered file.
fn one_by_one(bench: &mut Bench, messages: &[Said]) -> Result<()> {
    bench.doing("timing every message");
    let passes = if bench.effort.quick { PASSES.1 } else { PASSES.0 };
    let path = bench.folder.path().join("timed");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..passes {
        let options = RecorderOptions { force: true, ..RecorderOptions::new(&path) };
        let header = Header::new("bench", Nanos(0));
        let mut recorder = Recorder::create(options, recorded::marker(), header, &mut ())?;
        time_each(messages, &mut ours, |said| {
            recorder.message(said.t, said.message(), &mut ());
            Ok(())
        })?;
        let last = messages.last().map_or(Nanos(0), |said| said.t);
        let finished = recorder.finish(last, "over".to_owned(), &mut ());
        ensure!(finished.status.lost == 0, "the disk is too slow to measure with");

        let mut peer = Mcap::begin(BufWriter::new(File::create(&path)?))?;
        time_each(messages, &mut theirs, |said| peer.write(said))?;
        peer.finish()?;
    }
    fs::remove_file(&path)?;
    let mut told = |name: &str, times_s: &mut Vec<f64>| {
        let mut at = |q| percentile(times_s, q) * 1e6;
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        bench.note(&format!(
            "one message, {name}: p50 {p50:.1} µs, p99 {p99:.1} µs, p99.9 {p999:.1} µs on the wall"
        ));
        p99
    };
    let ours = told("offered to a live recorder", &mut ours);
    let theirs = told("written by mcap to a buffered file", &mut theirs);
    let met = if ours <= theirs { "met" } else { "missed" };
    bench.note(&format!("p99 ours / mcap = {:.2}   aim ≤ 1: {met}", ours / theirs));
    Ok(())
}

fn time_each(
    messages: &[Said],
    times_s: &mut Vec<f64>,
    mut work: impl FnMut(&Said) -> Result<()>,
) -> Result<()> {
    for said in messages {
        let begun_s = clock::wall_s();
        work(said)?;
        times_s.push(clock::wall_s() - begun_s);
    }
    Ok(())
}

fn reading(bench: &mut Bench, minute: &[u8], messages: &[Said]) -> Result<()> {
    let path = bench.folder.path().join("minute.lagtape");
    recorded::write_long(minute, 1, &path)?;
    let capture = fs::read(&path)?;
    let mut chunked = Vec::new();
    let mut peer = Mcap::begin(Cursor::new(&mut chunked))?;
    messages.iter().try_for_each(|said| peer.write(said))?;
    peer.finish()?;
    let len = capture.len();
    let rows = vec![
        Row::cpu("memory read", len, || sum(&capture)),
        Row::cpu("CRC-32C alone", len, || crc32c(0, [&capture[..]])),
        Row::cpu("verified scan", len, || lag::scan(&capture)).aim_s(SCAN_AIM_S),
        Row::cpu("verify, the file", len, || app::verify(&path, false)).aim_s(SCAN_AIM_S),
        Row::cpu("mcap, scan", len, || -> Result<usize> {
            let mut count = 0;
            for message in mcap::read::RawMessageStream::new(&chunked)? {
                message?;
                count += 1;
            }
            Ok(count)
        }),
    ];
    let ratios = vec![
        Ratio::new("verified scan", "memory read", Aim::Shown),
        Ratio::new("verified scan", "CRC-32C alone", Aim::Shown),
        Ratio::new("mcap, scan", "verified scan", Aim::Shown),
    ];
    let title = format!("reading a minute, {:.1} MB", len as f64 / 1e6);
    bench.measure(Table { title, unit: "byte", rows, ratios })
}

/// Reads memory in eight lanes, and does nothing with it.
fn sum(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<64>();
    let lanes = words.iter().fold([0_u64; 8], |mut lanes, line| {
        for (lane, word) in lanes.iter_mut().zip(line.as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*word));
        }
        lanes
    });
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

/// A file that is larger than what anybody wants to read again.
fn large(bench: &mut Bench, minute: &[u8]) -> Result<()> {
    bench.doing("writing a file of a gigabyte");
    let path = bench.folder.path().join("large.lagtape");
    recorded::write_long(minute, LARGE_MINUTES, &path)?;
    let len = fs::metadata(&path)?.len();
    ensure!(app::info(&path)?.complete, "the large file is not whole");
    let rows = vec![
        Row::wall("reading the file", 1, || read_all(&path)),
        Row::wall("info", 1, || app::info(&path)).aim_s(INFO_AIM_S),
        Row::wall("info, the program", 1, || {
            Command::new(env!("CARGO_BIN_EXE_lagtape")).arg("info").arg(&path).output()
        })
        .aim_s(INFO_AIM_S),
        Row::wall("verify", 1, || app::verify(&path, false)).aim_s(len as f64 * SCAN_AIM_S),
    ];
    let ratios = vec![Ratio::new("verify", "reading the file", Aim::Shown)];
    let title = format!("a file of {:.2} GB, {LARGE_MINUTES} minutes", len as f64 / 1e9);
    bench.measure(Table { title, unit: "file", rows, ratios })?;
    if let Some(megabytes) = peak_of_child(&path) {
        let met = if megabytes < 32.0 { "met" } else { "missed" };
        bench.note(&format!("verify needs {megabytes:.1} MB at most   aim < 32 MB: {met}"));
    }
    fs::remove_file(&path)?;
    Ok(())
}

fn read_all(path: &Path) -> Result<u64> {
    let mut file = File::open(path)?;
    let mut block = vec![0; 1 << 20];
    let mut sum = 0;
    loop {
        match file.read(&mut block)? {
            0 => return Ok(sum),
            len => sum += u64::from(block[len - 1]),
        }
    }
}

/// What a process of its own needs for `verify` beyond what it has when it begins, in megabytes.
fn peak_of_child(capture: &Path) -> Option<f64> {
    let mut child = Command::new(std::env::current_exe().ok()?);
    let output = child.arg("--verify").arg(capture).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// The child's part.
pub fn verify_and_tell(capture: &Path) -> Result<()> {
    let before = clock::peak_megabytes().context("this system does not tell")?;
    app::verify(capture, false)?;
    let after = clock::peak_megabytes().context("this system does not tell")?;
    println!("{}", after - before);
    Ok(())
}
