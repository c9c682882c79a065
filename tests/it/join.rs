//! Recordings in parts: each is complete in itself, and together they are the whole.

use std::fs;
use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Body, Record, SyncMarker};
use lagtape::edge::recorder::{FileLayout, Finished, Recorder, RecorderOptions};
use lagtape::flight::SplitAt;
use lagtape::parse::ByteSize;
use lagtape::time::Span;
use tempfile::TempDir;

use crate::checkpoint::check_indexed;
use crate::flight::each;
use crate::program::check as check_program;
use crate::promises::measured;
use crate::simulated::simulated_bytes;

const MARKER: SyncMarker = SyncMarker(*b"in parts");

/// Records a session that was simulated, as it would have been live. `pause` is called before each
/// record.
pub fn record(
    session: &[u8],
    options: &RecorderOptions,
    mut pause: impl FnMut(&Recorder, &Record<'_>),
) -> Finished {
    let mut recorder = None;
    let mut finished = None;
    each(session, |record, _| {
        if let Some(recorder) = &recorder {
            pause(recorder, record);
        }
        match (&record.body, &mut recorder) {
            (Body::Header(header), None) => {
                let begun =
                    Recorder::create(options.clone(), MARKER, header.clone(), &mut ()).unwrap();
                recorder = Some(begun);
            }
            (Body::End(end), _) => {
                let reason = end.reason.clone().unwrap();
                let recorder = recorder.take().unwrap();
                finished = Some(recorder.finish(record.t, reason, &mut ()));
            }
            (body, Some(recorder)) => {
                recorder.offer(record.t, record.conn, body.clone(), &mut ());
            }
            (_, None) => panic!("a session begins with its header"),
        }
    });
    finished.unwrap()
}

fn options(path: &Path, layout: FileLayout) -> RecorderOptions {
    RecorderOptions { layout, ..RecorderOptions::new(path) }
}

/// Records a session whole and in parts; gives the whole and the parts.
fn both(folder: &TempDir, session: &[u8], at: SplitAt) -> (PathBuf, Vec<PathBuf>) {
    let whole = folder.path().join("whole.lagtape");
    record(session, &options(&whole, FileLayout::Whole), |_, _| ());
    let parted = options(&folder.path().join("x.lagtape"), FileLayout::Parts(at));
    let finished = record(session, &parted, |_, _| ());
    assert_eq!(finished.failure, None);
    (whole, finished.files)
}

#[track_caller]
fn check(incident: &str, at: SplitAt, expected_parts: std::ops::Range<usize>) {
    let folder = TempDir::new().unwrap();
    let (whole, parts) = both(&folder, &simulated_bytes(incident, 11, 12), at);
    assert!(expected_parts.contains(&parts.len()), "{} parts of {at}", parts.len());

    let joined = folder.path().join("joined.lagtape");
    let backwards: Vec<_> = parts.iter().rev().cloned().collect();
    let summary = app::join(&backwards, &joined, false).unwrap();
    assert!(summary.complete && summary.missing.is_empty());
    assert!(fs::read(&joined).unwrap() == fs::read(&whole).unwrap(), "{incident} by {at}");
    measured(parts.len() as u64, "parts joined without a loss");

    let analyze = |path: &Path| app::analyze(path, &AnalyzeOptions::default()).unwrap();
    let whole = analyze(&whole);
    let of_parts: Vec<_> = parts.iter().map(|part| analyze(part)).collect();
    let total =
        |count: fn(&lagtape::report::Analysis) -> u64| of_parts.iter().map(count).sum::<u64>();
    assert_eq!(total(|part| part.slices), whole.slices);
    assert_eq!(total(|part| part.ticks), whole.ticks);
    assert_eq!(
        total(|part| part.traffic.server_to_client.bytes),
        whole.traffic.server_to_client.bytes
    );
    check_indexed(&joined);
    for (part, path) in of_parts.iter().zip(&parts) {
        // A part of one record may have nothing to index, and is then read as a whole.
        if part.slices > 1 {
            check_indexed(path);
        }
        assert!(part.complete && part.damage.is_none(), "{}", path.display());
    }
    let lags = |analysis: &lagtape::report::Analysis| analysis.verdict.is_lag();
    assert_eq!(of_parts.iter().any(lags), lags(&whole), "{incident} by {at}");
}

#[test]
fn parts_together_are_the_whole() {
    check("stall", SplitAt::Time(Span(1_500_000_000)), 8..10);
    check("seek-lead-runaway", SplitAt::Time(Span(5_000_000_000)), 2..4);
    check("healthy", SplitAt::Size(ByteSize(1_000_000)), 2..20);
    check("healthy", SplitAt::Time(Span(3_600_000_000_000)), 1..2);
    // Every part holds one record at least, however small it should be.
    check("behind", SplitAt::Size(ByteSize(1)), 300..2_000);
}

/// Header and context count, so that a folder of parts holds what one expects.
#[test]
fn no_part_is_longer_than_it_may_be() {
    const LIMIT: usize = 1_000_000;
    let folder = TempDir::new().unwrap();
    let session = simulated_bytes("healthy", 11, 12);
    let (_, parts) = both(&folder, &session, SplitAt::Size(ByteSize(LIMIT as u64)));
    let mut contexts = 0;
    for part in &parts {
        let (mut beginning, mut records, mut rest) = (0, 0, 0);
        each(&fs::read(part).unwrap(), |record, bytes| match record.body {
            Body::Header(_) | Body::Context(_) => beginning += bytes.len(),
            Body::End(_) => {}
            _ => (records, rest) = (records + 1, rest + bytes.len()),
        });
        contexts += beginning;
        let len = beginning + rest;
        assert!(records == 1 || len <= LIMIT, "{} has {len} bytes", part.display());
    }
    assert!(contexts > LIMIT / 10, "{contexts} bytes of {} parts", parts.len());
}

#[test]
fn a_missing_part_is_a_gap() {
    let folder = TempDir::new().unwrap();
    let at = SplitAt::Time(Span(3_000_000_000));
    let (whole, mut parts) = both(&folder, &simulated_bytes("healthy", 3, 12), at);
    let part = parts.remove(1);
    let joined = folder.path().join("joined.lagtape");
    let summary = app::join(&parts, &joined, false).unwrap();
    let [missing] = &summary.missing[..] else { panic!("{:?}", summary.missing) };
    assert_eq!(missing.before, parts[1]);
    let analyze = |path: &Path| app::analyze(path, &AnalyzeOptions::default()).unwrap();
    let lost = missing.records;
    let info = app::info(&joined).unwrap();
    let written = gaps_and_end(&joined);
    assert_eq!((info.lost, written), (lost, (vec![lost], lost)), "one number everywhere");
    let replayed = app::verify(&joined, true).unwrap().remove(0).replay.unwrap();
    assert_eq!(replayed.proven, replayed.checkpoints, "{:?}", replayed.first_difference);
    let (whole, joined, part) = (analyze(&whole), analyze(&joined), analyze(&part));
    assert!(joined.slices < whole.slices && joined.complete);
    assert_eq!(joined.session.begins_s, None, "the first part is in the report");
    let counted = joined.lag.as_ref().map(|lag| (lag.slices.count as u64, lag.ticks.count as u64));
    assert_eq!(counted, Some((joined.slices, joined.ticks)));
    let near = |a: f64, b: f64, share: f64| (a - b).abs() <= b * share;
    assert!(near(joined.rates.ticks_per_s, whole.rates.ticks_per_s, 0.02), "{:?}", joined.rates);
    assert!(near(joined.rates.slices_per_s, whole.rates.slices_per_s, 0.1), "{:?}", joined.rates);
    let heard_s = |analysis: &lagtape::report::Analysis| analysis.heard.as_ref().unwrap().report.s;
    assert!(near(heard_s(&joined), heard_s(&whole) - heard_s(&part), 0.02));
    assert_eq!(joined.report_at_s, whole.report_at_s);
    let warned: Vec<_> = joined.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(warned.iter().any(|message| message.contains("records lost")), "{warned:?}");
    let worst = |analysis: &lagtape::report::Analysis| {
        analysis.lag.as_ref().and_then(|lag| Some(lag.ticks.staleness_s?.max))
    };
    assert!(worst(&joined) <= worst(&whole), "after the gap the state is known again");
    assert_eq!(joined.leads.before_listener, whole.leads.before_listener);
    assert!(joined.leads.arrival.is_some_and(|leads| leads.p50 > 0.0));
    let findings = &joined.diagnosis.findings;
    assert!(findings.is_empty(), "time without records is no stall: {findings:?}");
}

#[test]
fn what_does_not_follow_across_a_missing_part_is_not_asked() {
    let folder = TempDir::new().unwrap();
    let at = SplitAt::Time(Span(4_000_000_000));
    let (_, mut parts) = both(&folder, &simulated_bytes("healthy", 3, 16), at);
    parts.remove(1);
    let joined = folder.path().join("joined.lagtape");
    app::join(&parts, &joined, false).unwrap();
    let joined = joined.to_str().unwrap();
    for asked in [&["--quantum", "1024", "--open-loop"][..], &["--lead-floor", "0.5"]] {
        let words = [&["what-if", joined][..], asked].concat();
        let (_, said) = check_program(&words, 1);
        let (_, from) = said.split_once("with --from ").expect(&said);
        let from = from.split_whitespace().next().unwrap().trim_end_matches('.');
        check_program(&[&words[..], &["--from", from]].concat(), 0);
    }
}

/// What the gaps of a capture count, and its end.
fn gaps_and_end(path: &Path) -> (Vec<u64>, u64) {
    let (mut gaps, mut lost) = (Vec::new(), 0);
    each(&fs::read(path).unwrap(), |record, _| match &record.body {
        Body::Gap(gap) => gaps.push(gap.count),
        Body::End(end) => lost = end.lost,
        _ => {}
    });
    (gaps, lost)
}

#[test]
fn lag_before_and_behind_a_missing_part_is_told() {
    let folder = TempDir::new().unwrap();
    let at = SplitAt::Time(Span(5_000_000_000));
    let (whole, mut parts) = both(&folder, &simulated_bytes("stall", 11, 25), at);
    let analyze = |path: &Path| app::analyze(path, &AnalyzeOptions::default()).unwrap();
    let before = analyze(&whole);
    parts.remove(3);
    let joined = folder.path().join("joined.lagtape");
    app::join(&parts, &joined, false).unwrap();
    let joined = analyze(&joined);
    let onset = |analysis: &lagtape::report::Analysis| analysis.verdict.onset_s;
    let is_outside = |from_s: f64, to_s: f64| to_s < 15.0 || from_s > 20.0;
    let episodes = &before.verdict.episodes;
    assert!(before.verdict.is_lag() && episodes.iter().all(|e| is_outside(e.from_s, e.to_s)));
    assert_eq!(onset(&joined), onset(&before));
    assert_eq!(joined.verdict.bad_s, before.verdict.bad_s);
    assert_eq!(joined.verdict.episodes, before.verdict.episodes);
}

#[test]
fn only_parts_of_one_recording_are_joined() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("joined.lagtape");
    let refused = |paths: &[PathBuf]| format!("{:#}", app::join(paths, &out, false).unwrap_err());
    let at = SplitAt::Time(Span(5_000_000_000));
    let (whole, parts) = both(&folder, &simulated_bytes("healthy", 3, 12), at);
    assert!(refused(std::slice::from_ref(&whole)).contains("is no part of a recording"));
    assert!(refused(&[parts[0].clone(), parts[0].clone()]).contains("are the same part"));
    let mut other = fs::read(&parts[1]).unwrap();
    let text = String::from_utf8_lossy(&other).into_owned();
    assert!(text.contains("in parts"));
    other.truncate(100);
    let cut = folder.path().join("cut.lagtape");
    fs::write(&cut, other).unwrap();
    assert!(refused(&[cut]).contains("is no part of a recording"));
    assert!(!out.exists());
}
