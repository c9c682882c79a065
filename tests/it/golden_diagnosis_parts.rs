//! The sessions of the real server with less evidence: without acknowledgements, leads and clocks, and cut in
//! the middle. What is named is right, or it is said that it cannot be told.

use std::fs::File;
use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions, CutOptions};
use lagtape::capture::{Body, Direction, Record, Records};
use lagtape::diagnosis::Diagnosis;
use lagtape::engine::{Engine, Options};
use lagtape::time::Nanos;
use serde_json::Value;
use tempfile::TempDir;

/// A labelled session.
struct Session {
    name: String,
    label: Value,
    capture: PathBuf,
}

impl Session {
    /// What is true of it, the class first; none where it is healthy.
    fn truth(&self) -> Vec<String> {
        let also = self.label["also"].as_array().unwrap().iter();
        let all = [&self.label["class"]].into_iter().chain(also);
        let ids = all.map(|id| id.as_str().unwrap().to_owned());
        ids.filter(|id| id != "healthy").collect()
    }

    /// What is right to say of it: the truth first, or that it cannot be told; nothing of a healthy one.
    fn is_right(&self, diagnosis: &Diagnosis) -> bool {
        let truth = self.truth();
        let is_true = |id: &str| truth.iter().any(|truth| truth == id);
        let first = diagnosis.findings.first();
        let told_apart = diagnosis.ambiguity.iter().flat_map(|it| &it.classes);
        match first {
            None if truth.is_empty() => true,
            Some(first) if truth.is_empty() => !first.audible,
            Some(first) if is_true(first.class.id()) => true,
            _ => told_apart.into_iter().any(|class| is_true(class.id())),
        }
    }
}

fn sessions(folder: &TempDir) -> Vec<Session> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diagnosis");
    let entries = std::fs::read_dir(&golden).unwrap().map(|entry| entry.unwrap().path());
    let mut sessions: Vec<Session> = entries
        .filter(|path| path.is_dir())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let session = std::fs::read(path.join("session.json")).unwrap();
            let session: Value = serde_json::from_slice(&session).unwrap();
            let capture = folder.path().join(format!("{name}.lagtape"));
            app::import(&path, &capture, false).unwrap();
            Session { name, label: session["label"].clone(), capture }
        })
        .collect();
    sessions.sort_by(|one, two| one.name.cmp(&two.name));
    assert!(sessions.len() >= 32);
    sessions
}

/// The text of a report with nothing but what every client tells.
fn bare(text: &str) -> Option<String> {
    let mut report: Value = serde_json::from_str(text).ok()?;
    let fields = report.as_object_mut().filter(|it| it.get("type") == Some(&"params".into()))?;
    for key in ["client_time", "slice_bytes_rx", "slice_lead_s"] {
        fields.remove(key);
    }
    Some(report.to_string())
}

/// The diagnosis of a session whose reports tell nothing but positions and knobs.
fn of_bare_reports(capture: &Path) -> Diagnosis {
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    let mut records = Records::new(File::open(capture).unwrap());
    let mut latest = Nanos(0);
    while let Some(record) = records.next_record().unwrap() {
        latest = latest.max(record.t);
        let text = match &record.body {
            Body::Message(message) if message.direction == Direction::ClientToServer => {
                message.text().and_then(bare)
            }
            _ => None,
        };
        let Some(text) = text else {
            engine.handle(&record);
            continue;
        };
        let Body::Message(mut message) = record.body else { unreachable!() };
        message.payload = text.as_bytes();
        engine.handle(&Record { body: Body::Message(message), ..record });
    }
    Diagnosis::of(&engine, latest, "x")
}

/// At most this many of the sessions may be named otherwise.
#[track_caller]
fn check(wrong: &[String], most: usize) {
    assert!(wrong.len() <= most, "{} are wrong: {wrong:#?}", wrong.len());
}

fn said(session: &Session, diagnosis: &Diagnosis) -> Option<String> {
    let classes: Vec<_> = diagnosis.findings.iter().map(|it| (it.class.id(), it.audible)).collect();
    (!session.is_right(diagnosis)).then(|| format!("{}: {classes:?}", session.name))
}

#[test]
fn half_of_the_evidence_names_what_it_can() {
    let folder = TempDir::new().unwrap();
    let wrong: Vec<String> = sessions(&folder)
        .iter()
        .filter_map(|session| said(session, &of_bare_reports(&session.capture)))
        .collect();
    check(&wrong, 2);
}

/// What a part of a session says, from so long before the onset on, or after it.
fn wrong_parts(before_s: f64) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let mut wrong = Vec::new();
    for session in sessions(&folder) {
        let span = [&session.label["onset_s"], &session.label["end_s"]].map(Value::as_f64);
        let [Some(onset_s), Some(end_s)] = span else { continue };
        // Nothing is left of what ends the session.
        if end_s < onset_s - before_s + 2.0 {
            continue;
        }
        let part = folder.path().join("part.lagtape");
        let from = Some(format!("{}s", (onset_s - before_s).max(1.0)).parse().unwrap());
        let options = CutOptions { from, to: None, force: true };
        app::cut(&session.capture, &part, &options).unwrap();
        let analysis = app::analyze(&part, &AnalyzeOptions::default()).unwrap();
        wrong.extend(said(&session, &analysis.diagnosis));
    }
    wrong
}

#[test]
fn a_part_with_the_onset_in_it_is_named_like_the_whole() {
    check(&wrong_parts(4.0), 2);
}

#[test]
fn a_part_that_begins_within_the_fault_names_it_or_says_that_it_cannot() {
    check(&wrong_parts(-1.0), 3);
}
