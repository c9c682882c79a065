//! How what was heard compares with labelled sessions:
//! `cargo run --example heard_scores -- FOLDER`.
//!
//! Each folder below FOLDER holds a session log whose `session.json` has a `label`.

use std::fs;
use std::path::Path;

use lagtape::capture::{Records, import_session_log};
use lagtape::engine::{Engine, Options};
use lagtape::heard::HeardReport;
use serde_json::Value;

fn main() {
    let folder = std::env::args().nth(1).expect("give the folder of the labelled sessions");
    let folders = fs::read_dir(folder).expect("the folder can be read");
    let mut folders: Vec<_> = folders.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    println!("session                               bad s  truth    from s  truth    verdict");
    let mut misses = 0;
    for folder in folders.iter().filter(|folder| folder.join("session.json").exists()) {
        misses += score(folder);
    }
    println!("{misses} figures are off, or the verdict");
}

/// Prints a row, and says how much of it is off.
fn score(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("session.json")).expect("a session.json");
    let session: Value = serde_json::from_str(&text).expect("a sound session.json");
    let heard = measure(folder, &text);
    let (label, truth) = (&session["label"], &session["label"]["truth"]);
    let bad_s = truth["bad_s"].as_f64().unwrap_or_default();
    let onset_s = truth["audible_from_s"].as_f64();
    let is_bad_off = (heard.bad_s - bad_s).abs() > (bad_s * 0.1).max(0.3);
    let is_onset_off = match (onset_s, heard.onset_s) {
        (Some(onset_s), Some(ours_s)) => (onset_s - ours_s).abs() > 0.3,
        (theirs, ours) => theirs.is_some() != ours.is_some(),
    };
    let is_verdict_off = label["audible"].as_bool() != Some(heard.onset_s.is_some());
    let mark = |is_off: bool| if is_off { "!" } else { " " };
    let seconds = |s: Option<f64>| s.map_or("–".to_owned(), |s| format!("{s:.2}"));
    println!(
        "{:<36} {:>6.2} {bad_s:>6.2} {} {:>7} {:>6} {}   {:<7} {} {}",
        folder.file_name().unwrap_or_default().to_string_lossy(),
        heard.bad_s,
        mark(is_bad_off),
        seconds(heard.onset_s),
        seconds(onset_s),
        mark(is_onset_off),
        if heard.onset_s.is_some() { "lag" } else { "healthy" },
        mark(is_verdict_off),
        if label["marginal"] == true { "marginal" } else { "" },
    );
    let off = [is_bad_off, is_onset_off, is_verdict_off];
    if label["marginal"] == true { 0 } else { off.into_iter().filter(|is_off| *is_off).count() }
}

fn measure(folder: &Path, session: &str) -> HeardReport {
    let lines = fs::read(folder.join("frames.jsonl.zst")).expect("a frames.jsonl.zst");
    let lines = zstd::decode_all(&lines[..]).expect("sound lines");
    let mut capture = Vec::new();
    import_session_log(session, &lines[..], None, &mut capture).expect("a session log");
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    let mut records = Records::new(&capture[..]);
    while let Some(record) = records.next_record().expect("a sound capture") {
        engine.handle(&record);
    }
    let heard = engine.heard_meter().zip(engine.origin());
    heard.map(|(meter, origin)| meter.report(origin)).expect("the session has an initial buffer")
}
