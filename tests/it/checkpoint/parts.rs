//! Checkpoints of what is cut out of a capture, and of what has lost its audio.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lagtape::app::{self, AnalyzeOptions, CutOptions, Outcome, RedactOptions};
use lagtape::capture::{Body, Kind, Salvage};
use lagtape::engine::{Engine, Options};

use super::{Folder, json, rewritten};
use crate::simulated::simulated_bytes;

/// Lead of every slice and staleness of every tick, by the time of the record.
fn figures(path: &Path) -> (BTreeMap<u64, f64>, BTreeMap<u64, f64>) {
    let mut engine = Engine::new(Options::default());
    let mut salvage = Salvage::new(fs::File::open(path).unwrap());
    while let Some(record) = salvage.next_record().unwrap() {
        engine.handle(&record);
    }
    let tracker = &engine.epochs().last().unwrap().tracker;
    let leads = tracker.slices().map(|slice| (slice.t_s.to_bits(), slice.lead_s)).collect();
    let ages = tracker.ticks().map(|tick| (tick.t_s.to_bits(), tick.staleness_s)).collect();
    (leads, ages)
}

#[test]
fn a_part_that_was_cut_out_says_what_the_whole_says() {
    let folder = Folder::new();
    let whole = folder.write("whole", &simulated_bytes("stall", 6, 9));
    let cut = |name: &str, from: &str, to: &str| {
        let moment = |text: &str| Some(text.parse().unwrap());
        let options = CutOptions { from: moment(from), to: moment(to), force: false };
        let out = folder.path(name);
        let summary = app::cut(&whole, &out, &options).unwrap();
        assert!(summary.records > 10);
        out
    };
    let (leads, ages) = figures(&whole);
    let mut seen = (0, 0);
    for (name, from, to) in [("a", "-10s", "3s"), ("b", "3s", "6200ms"), ("c", "6200ms", "60s")] {
        let part = cut(name, from, to);
        let (part_leads, part_ages) = figures(&part);
        assert!(part_leads.iter().all(|(t, lead)| leads[t] == *lead), "{name}");
        assert!(part_ages.iter().all(|(t, age)| ages[t] == *age), "{name}");
        seen = (seen.0 + part_leads.len(), seen.1 + part_ages.len());
        let verified = app::verify(&part, true).unwrap().remove(0);
        assert!(verified.complete && verified.outcome() == Outcome::Healthy, "{name}");
        assert_eq!(verified.replay.unwrap().first_difference, None);
        // Times are those of the whole, and so is the verdict's choice of words.
        let analysis = app::analyze(&part, &AnalyzeOptions::default()).unwrap();
        let is_part = json(&analysis)["warnings"].to_string().contains("\"part\"");
        assert_eq!(is_part, name != "a");
    }
    assert_eq!(seen, (leads.len(), ages.len()), "the parts are the whole");
    let again = app::cut(&whole, &folder.path("b"), &CutOptions::default());
    assert!(again.unwrap_err().to_string().contains("--force"));
}

#[test]
fn a_part_of_a_part_is_a_part_of_the_whole() {
    let folder = Folder::new();
    let whole = folder.write("whole", &simulated_bytes("stall", 7, 9));
    let cut = |path: &Path, name: &str, from: &str| {
        let options = CutOptions { from: Some(from.parse().unwrap()), ..CutOptions::default() };
        app::cut(path, &folder.path(name), &options).unwrap();
        folder.path(name)
    };
    let at_once = cut(&whole, "at once", "5s");
    let twice = cut(&cut(&whole, "first", "2s"), "twice", "5s");
    let bare = |path| {
        rewritten(&fs::read(path).unwrap(), |record| {
            Some(record).filter(|record| record.kind() != Kind::Header)
        })
    };
    let kinds = |bytes: &[u8]| {
        let mut salvage = Salvage::new(bytes);
        std::iter::from_fn(|| salvage.next_record().unwrap().map(|record| record.kind()))
            .filter(|kind| *kind != Kind::Checkpoint)
            .count()
    };
    assert_eq!(kinds(&bare(&at_once)), kinds(&bare(&twice)));
    assert_eq!(figures(&at_once), figures(&twice));
}

#[test]
fn without_audio_the_lag_report_stays() {
    let folder = Folder::new();
    let bytes = simulated_bytes("stall", 8, 9);
    // One slice is damaged on the wire and refused; it has to stay so.
    let slices = std::cell::Cell::new(0);
    let bytes = rewritten(&bytes, |mut record| {
        if let Body::Message(message) = &mut record.body
            && message.payload.first() == Some(&1)
            && message.payload.len() > 100
        {
            slices.set(slices.get() + 1);
            if slices.get() == 9 {
                message.payload = &message.payload[..60];
            }
        }
        Some(record).filter(|record| record.kind() != Kind::Checkpoint)
    });
    let whole = folder.write("whole", &bytes);
    let out = folder.path("redacted");
    let options = RedactOptions {
        drop_audio: true,
        patterns: vec!["stall*".to_owned()],
        ..RedactOptions::default()
    };
    let summary = app::redact(&whole, &out, &options).unwrap();
    let before = json(&app::analyze(&whole, &AnalyzeOptions::default()).unwrap());
    let after = json(&app::analyze(&out, &AnalyzeOptions::default()).unwrap());
    assert_eq!(before["decode_errors"], 1);
    for key in ["lag", "verdict", "heard", "epochs", "slices", "ticks", "decode_errors"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
    let quick = json(&app::analyze(&out, &quick).unwrap());
    assert_eq!(quick["decode_errors"], 1, "checkpoints know it too");
    let redacted = fs::read(&out).unwrap();
    assert!(redacted.len() * 5 < bytes.len(), "{} of {}", redacted.len(), bytes.len());
    assert!(summary.removed.audio_bytes as usize > bytes.len() / 2);
    assert!(!redacted.windows(5).any(|window| window == b"stall"));
    let noted = after["session"]["metadata"]["redacted"].as_str().unwrap();
    assert!(noted.contains("bytes of audio in"), "{noted}");

    let mut hashes = 0;
    let mut salvage = Salvage::new(&redacted[..]);
    while let Some(record) = salvage.next_record().unwrap() {
        if let Body::Message(message) = record.body
            && !message.is_whole()
        {
            assert!(message.payload.len() <= 23 && message.sha256.is_some());
            hashes += 1;
        }
    }
    assert_eq!(hashes, summary.removed.audio_messages);
    let nothing = app::redact(&whole, &folder.path("y"), &RedactOptions::default());
    assert!(nothing.unwrap_err().to_string().contains("--drop-audio"));
}
