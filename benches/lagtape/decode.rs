//! What a slice costs on its way into the mirror, and what the analysis around it adds.
//!
//! The limit is what nobody can leave out: zstd inflates the payload, and each half is added to a
//! sample. Both are measured alone, in the kernel that is also ours, with everything reused; and in
//! one loop, where each leaves the other's data in cache or does not.

use std::cell::RefCell;
use std::fs;

use anyhow::{Context, Result, ensure};
use lagtape::engine::Options;
use lagtape::lag::ReportArgs;
use lagtape::mirror::Mirror;
use lagtape::wire::halves::HALF_LEN;
use lagtape::wire::kernel;
use lagtape::wire::slice::{Coding, HEADER_LEN, SliceDecoder, SliceEncoder, SliceHeader};
use serde_json::json;
use sha2::{Digest, Sha256};
use zstd::zstd_safe::DCtx;

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::lag;
use crate::python::Peer;
use crate::recorded;

const MINUTES: u64 = 2;
const LOOP_S: f64 = 24.0;
const PARAMS_HZ: f64 = 30.0;
const CHANNELS: u16 = 2;
/// What a server sends with emit-trim: only what is new, 40 ms.
const TRIMMED_FRAMES: usize = 1_920;

/// The tables of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    bench.doing(&format!("simulating {MINUTES} minutes"));
    let capture = recorded::capture(recorded::healthy(MINUTES, LOOP_S, PARAMS_HZ)?);
    let mut overlapping = recorded::binaries(&capture)?;
    let initial = overlapping.remove(0);
    let trimmed = trimmed(&initial, &overlapping)?;
    let silent = recorded::without_text(&capture)?;

    let count = overlapping.len();
    let analyses = vec![
        Row::cpu("full analysis, no texts", count, || analysed(&silent)),
        Row::cpu("full analysis, ticks and updates", count, || analysed(&capture)),
        Row::cpu("verified scan", count, || lag::scan(&capture)),
    ];
    let ratios = vec![
        Ratio::new("limit", "full analysis, no texts", Aim::AtLeast(0.85)),
        Ratio::new("limit", "full analysis, ticks and updates", Aim::AtLeast(0.75)),
        Ratio::new("Python", "ours", Aim::AtLeast(6.0)),
    ];
    slices(bench, "overlapping", &initial, &overlapping, analyses, ratios)?;
    let ratios = vec![Ratio::new("Python", "ours", Aim::AtLeast(4.0))];
    slices(bench, "trimmed", &initial, &trimmed, Vec::new(), ratios)
}

fn slices<'a>(
    bench: &mut Bench,
    kind: &str,
    initial: &'a [u8],
    messages: &'a [Vec<u8>],
    further: Vec<Row<'a>>,
    further_ratios: Vec<Ratio>,
) -> Result<()> {
    let count = messages.len();
    let peer = python_peer(bench, kind, initial, messages)?;
    let (mut ours, mut naive) = (Mirror::from_wire(initial, CHANNELS)?, naive_mirror(initial));
    let (mut context, mut room) = (DCtx::default(), vec![0_u8; longest(messages)?]);
    let (mut samples, halves) = (naive.clone(), vec![0_u8; longest(messages)?]);
    let floor = Floor::new([&[initial.to_vec()][..], messages].concat())?;
    let mut decoder = SliceDecoder::new();
    let mut rows = vec![
        Row::cpu("zstd alone", count, || {
            let inflate = |message: &Vec<u8>| {
                context.decompress(&mut room[..], &message[HEADER_LEN..]).expect("a sound frame")
            };
            messages.iter().map(inflate).sum::<usize>()
        }),
        Row::cpu("add alone", count, || {
            for message in messages {
                let header = SliceHeader::parse(message).expect("a whole header");
                let (start, len) = place(&header);
                let halves = halves.as_chunks::<HALF_LEN>().0;
                kernel::add(&mut samples[start..], &halves[..len]);
            }
        }),
        Row::sum("limit", &["zstd alone", "add alone"]),
        Row::cpu("limit in one loop", count, || floor.decode()),
        Row::cpu("ours", count, || {
            for message in messages {
                let slice = decoder.decode(message).expect("a sound slice");
                ours.apply(&slice).expect("a slice that fits");
            }
        }),
        Row::cpu("naive Rust", count, || messages.iter().for_each(|m| naively(&mut naive, m))),
        peer.row("Python", count, "decode"),
    ];
    rows.extend(further);
    let mut ratios = vec![
        Ratio::new("limit", "ours", Aim::AtLeast(0.95)),
        Ratio::new("limit in one loop", "ours", Aim::Shown),
        Ratio::new("naive Rust", "ours", Aim::Shown),
        Ratio::new("Python", "zstd alone", Aim::Shown),
    ];
    ratios.extend(further_ratios);
    let bytes: usize = messages.iter().map(Vec::len).sum();
    let title = format!("{count} {kind} slices of {:.1} KB", bytes as f64 / 1e3 / count as f64);
    bench.measure(Table { title, unit: "slice", rows, ratios })
}

/// What nobody can leave out of the slices of a session: they are inflated and added, or replace.
pub struct Floor {
    slices: Vec<Vec<u8>>,
    state: RefCell<(DCtx<'static>, Vec<u8>, Vec<f32>)>,
}

impl Floor {
    /// The binary messages of a session, whose first is the initial buffer.
    pub fn new(mut binaries: Vec<Vec<u8>>) -> Result<Floor> {
        let samples = naive_mirror(&binaries.remove(0));
        let room = vec![0_u8; longest(&binaries)?];
        Ok(Floor { slices: binaries, state: RefCell::new((DCtx::default(), room, samples)) })
    }

    /// Decodes all slices, each behind the other.
    pub fn decode(&self) {
        let mut state = self.state.borrow_mut();
        let (context, room, samples) = &mut *state;
        for message in &self.slices {
            let header = SliceHeader::parse(message).expect("a whole header");
            let (start, len) = place(&header);
            let (samples, payload) = (&mut samples[start..], &message[HEADER_LEN..]);
            if header.coding() == Coding::Delta {
                context.decompress(&mut room[..], payload).expect("a sound frame");
                kernel::add(samples, &room.as_chunks::<HALF_LEN>().0[..len]);
            } else {
                kernel::replace(samples, payload.as_chunks::<HALF_LEN>().0);
            }
        }
    }
}

/// First sample of a slice, and how many it has.
fn place(header: &SliceHeader) -> (usize, usize) {
    let channels = usize::from(header.channels);
    (header.start as usize * channels, header.frames as usize * channels)
}

/// Bytes that the longest slice inflates to.
fn longest(messages: &[Vec<u8>]) -> Result<usize> {
    let mut longest = 0;
    for message in messages {
        longest = longest.max(place(&SliceHeader::parse(message)?).1 * HALF_LEN);
    }
    Ok(longest)
}

/// The slices of a server that sends only what is new: of each slice its first 40 ms, coded against
/// what the client then holds.
fn trimmed(initial: &[u8], overlapping: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let mut mirror = Mirror::from_wire(initial, CHANNELS)?;
    let mut encoder = SliceEncoder::new(mirror.samples().to_vec(), CHANNELS, 1);
    let mut decoder = SliceDecoder::new();
    let mut trimmed = Vec::new();
    for message in overlapping {
        let slice = decoder.decode(message)?;
        let header = slice.header;
        mirror.apply(&slice)?;
        let (start, _) = place(&header);
        let end = mirror.samples().len().min(start + TRIMMED_FRAMES * usize::from(CHANNELS));
        let audio = &mirror.samples()[start..end];
        trimmed.extend(encoder.encode(header.start, audio, header.tick_ms, header.dec_ms, 1));
    }
    Ok(trimmed)
}

fn naive_mirror(initial: &[u8]) -> Vec<f32> {
    let half = |pair: &[u8]| half::f16::from_le_bytes([pair[0], pair[1]]).to_f32();
    initial.chunks_exact(HALF_LEN).map(half).collect()
}

/// Decodes as one writes it first: a new buffer each time, and one element after another.
fn naively(mirror: &mut [f32], message: &[u8]) {
    let header = SliceHeader::parse(message).expect("a whole header");
    let audio = zstd::decode_all(&message[HEADER_LEN..]).expect("a sound frame");
    let (start, _) = place(&header);
    for (i, pair) in audio.chunks_exact(HALF_LEN).enumerate() {
        if start + i < mirror.len() {
            mirror[start + i] += half::f16::from_le_bytes([pair[0], pair[1]]).to_f32();
        }
    }
}

/// Everything that `analyze` computes, from a capture in memory.
fn analysed(capture: &[u8]) -> Option<usize> {
    let engine = recorded::replay(capture, Options::default()).expect("a sound capture");
    let (_, last) = engine.facts().span?;
    Some(engine.report(last, &ReportArgs::default())?.slices.count)
}

/// Hands the same messages to Python and compares the mirrors.
fn python_peer(bench: &Bench, kind: &str, initial: &[u8], messages: &[Vec<u8>]) -> Result<Peer> {
    let folder = bench.folder.path().join(format!("slices-{kind}"));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("initial"), initial)?;
    fs::write(folder.join("messages"), messages.concat())?;
    let lengths: Vec<_> = messages.iter().map(Vec::len).collect();
    fs::write(folder.join("lengths.json"), json!(lengths).to_string())?;
    let peer = Peer::start("decode.py", &[folder.as_os_str()]);

    let mut mirror = Mirror::from_wire(initial, CHANNELS)?;
    let mut decoder = SliceDecoder::new();
    for message in messages {
        mirror.apply(&decoder.decode(message)?)?;
    }
    if let Some(theirs) = peer.ready() {
        let bytes: Vec<u8> = mirror.samples().iter().flat_map(|s| s.to_le_bytes()).collect();
        let ours: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let theirs = theirs["sha256"].as_str().context("the peer has no mirror")?.to_owned();
        ensure!(ours == theirs, "Python's mirror has the hash {theirs}, ours {ours}");
    }
    Ok(peer)
}
