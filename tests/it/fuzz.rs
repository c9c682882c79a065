//! The fuzz targets, for a moment: everything that ever broke, and what proptest comes upon.

use std::fs;
use std::path::Path;

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
