//! The fuzz targets, for a moment: everything that ever broke, and what proptest comes upon.
//!
//! For longer, on any toolchain and without knowing what code runs, as cargo-fuzz does (../../fuzz):
//! `LAGTAPE_FUZZ=heads LAGTAPE_FUZZ_S=600 cargo test --test it -- --ignored --nocapture for_as_long`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lagtape::edge::clock::MonotonicClock;
use lagtape::peer::rng::{Rng, Stream};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::promises::measured;

#[path = "../../fuzz/entries.rs"]
pub mod entries;

type Entry = (&'static str, fn(&[u8]));

const ENTRIES: [Entry; 10] = [
    ("reader", entries::reader),
    ("raw", entries::raw),
    ("slice", entries::slice),
    ("json", entries::json),
    ("import", entries::import),
    ("heads", entries::heads),
    ("deflate", entries::deflate),
    ("har", entries::har),
    ("checkpoint", entries::checkpoint),
    ("context", entries::context),
];

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut corpus: Vec<_> = files
        .map(|file| {
            (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).unwrap())
        })
        .collect();
    corpus.sort();
    corpus
}

#[test]
fn corpus_breaks_nothing_any_more() {
    let mut run = 0;
    for (name, bytes) in corpus() {
        let (entry, _) = name.split_once('-').unwrap();
        let (_, entry) = ENTRIES.iter().find(|(known, _)| *known == entry).expect(&name);
        entry(&bytes);
        run += 1;
    }
    assert!(run > 10, "only {run} files");
    measured(run, "files that broke something once");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        rng_seed: RngSeed::Fixed(77),
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn any_bytes_break_nothing(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        for (_, entry) in ENTRIES {
            entry(&data);
            measured(1, "runs of an entry on random bytes");
        }
    }

    /// Files of the corpus, changed here and there and run through every entry.
    #[test]
    fn corpus_changed_here_and_there_breaks_nothing(
        seed in any::<proptest::sample::Index>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let corpus = corpus();
        let mut data = corpus[seed.index(corpus.len())].1.clone();
        for (at, byte) in changes {
            let at = at.index(data.len());
            data[at] = byte;
        }
        for (_, entry) in ENTRIES {
            entry(&data);
            measured(1, "runs of an entry on a changed file");
        }
    }
}

/// Bytes that formats make much of.
const TOKENS: [&[u8]; 28] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"0",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"ffffffffffffffff",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    b"Host: ",
    b"HTTP/1.1 101 ",
    b"GET / HTTP/1.1\r\n",
    b"\xc4\x08",
    b"\x00\x00\xff\xff",
    b"\"_webSocketMessages\":[",
    b"\"time\":",
    b"\"data\":",
    b"\"opcode\":2,",
    b"{\"log\":{\"entries\":[",
    b"]}",
];
/// Nothing becomes longer than this.
const MAX_FUZZED_LEN: usize = 1 << 16;

/// A file of the corpus, or what was made of two, changed here and there.
fn mutated(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut below = |bound: usize| (rng.next_u64() % bound.max(1) as u64) as usize;
    let mut data = corpus[below(corpus.len())].clone();
    for _ in 0..=below(8) {
        let at = below(data.len() + 1);
        let longest = 1 << below(12);
        let to = at + below((data.len() - at).min(longest) + 1);
        match below(8) {
            0 if at < data.len() => data[at] ^= 1 << below(8),
            1 if at < data.len() => data[at] = below(256) as u8,
            2 => drop(data.drain(at..to)),
            3 => data.truncate(at),
            // Once more what stands there.
            4 => drop(data.splice(to..to, data[at..to].to_vec())),
            5 => drop(data.splice(at..to, TOKENS[below(TOKENS.len())].iter().copied())),
            6 => {
                let other = &corpus[below(corpus.len())];
                let from = below(other.len() + 1);
                drop(data.splice(at..to, other[from..].iter().copied()));
            }
            _ => {
                let noise: Vec<_> = (0..below(16)).map(|_| below(256) as u8).collect();
                drop(data.splice(at..at, noise));
            }
        }
        data.truncate(MAX_FUZZED_LEN);
    }
    data
}

#[test]
#[ignore = "takes as long as it is told, a minute for each target by default"]
fn targets_hold_for_as_long_as_it_is_told() {
    let told = |name: &str| std::env::var(name).ok();
    let length_s: f64 = told("LAGTAPE_FUZZ_S").map_or(60.0, |text| text.parse().unwrap());
    let seed = told("LAGTAPE_FUZZ_SEED").map_or(1, |text| text.parse().unwrap());
    let only = told("LAGTAPE_FUZZ");
    for (name, entry) in ENTRIES {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let is_own = |file: &str| file.split_once('-').is_some_and(|(entry, _)| entry == name);
        let files = corpus().into_iter().filter(|(file, _)| is_own(file));
        let files: Vec<_> = files.map(|(_, bytes)| bytes).chain([Vec::new()]).collect();
        let (clock, mut rng, mut runs) =
            (MonotonicClock::start(), Rng::new(seed, Stream::Names), 0_u64);
        while clock.now().seconds() < length_s {
            let data = mutated(&mut rng, &files);
            if catch_unwind(AssertUnwindSafe(|| entry(&data))).is_err() {
                let kept = std::env::temp_dir().join(format!("{name}-{seed}-{runs}"));
                fs::write(&kept, &data).unwrap();
                panic!("{name} broke after {runs} runs of seed {seed}: {}", kept.display());
            }
            runs += 1;
        }
        eprintln!("{name}: {runs} runs of seed {seed} in {length_s} s");
        measured(runs, "runs of a target on a mutated file");
    }
}
