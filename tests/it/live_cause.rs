//! The cause that is told while a session goes on is the one that is told of its capture afterwards; what
//! was told too early is taken back.

use std::fs::File;
use std::path::Path;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::Records;
use lagtape::diagnosis::{Class, Diagnosis};
use lagtape::engine::{Engine, Options};
use lagtape::time::Span;
use tempfile::TempDir;

use crate::program::simulated;

/// How often it is looked at.
const LOOK: Span = Span(500_000_000);

/// The causes that are told one after another while the records of a capture come, each once.
fn told_live(capture: &Path) -> Vec<Option<Class>> {
    let mut engine = Engine::new(Options::default());
    let mut records = Records::new(File::open(capture).unwrap());
    let (mut told, mut due) = (Vec::new(), None);
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
        let Some(origin) = engine.origin() else { continue };
        let at = *due.get_or_insert(origin);
        if record.t < at {
            continue;
        }
        due = record.t.checked_add(LOOK);
        let cause = Diagnosis::present(&engine, record.t).map(|finding| finding.class);
        if told.last().copied().unwrap_or_default() != cause {
            told.push(cause);
        }
    }
    told
}

/// What was told of a session with this incident, and what its report says first.
fn told(incident: &str) -> (Vec<Class>, Option<Class>) {
    let folder = TempDir::new().unwrap();
    let words = ["--incident", incident, "--for", "24s", "--loop", "16s"];
    let capture = simulated(&folder, "x", &words);
    let analysis = app::analyze(Path::new(&capture), &AnalyzeOptions::default()).unwrap();
    let afterwards = analysis.diagnosis.findings.first().map(|finding| finding.class);
    (told_live(Path::new(&capture)).into_iter().flatten().collect(), afterwards)
}

/// Of some of them another cause is told first.
const INCIDENTS: [&str; 6] = [
    "stall:at=8s,for=6s",
    "gpu-contention",
    "thin-link",
    "stale-playhead",
    "slow-generation",
    "vram-paging",
];

#[test]
fn the_live_cause_is_that_of_the_report() {
    let (mut wrong, mut corrected) = (Vec::new(), 0);
    for incident in INCIDENTS {
        let (told, afterwards) = told(incident);
        if afterwards.is_none() || told.last().copied() != afterwards {
            wrong.push(format!("{incident}: {told:?}, then {afterwards:?}"));
        }
        corrected += usize::from(told.first() != told.last());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(corrected > 0, "no first guess was another, so that nothing is seen of corrections");
}

/// Whose fault it is decides who is called.
#[test]
fn a_stop_of_the_generator_is_never_told_as_anything_else() {
    let (told, afterwards) = told("stall:at=8s,for=6s");
    assert_eq!((told, afterwards), (vec![Class::GenerationStall], Some(Class::GenerationStall)));
}
