//! The headless client says what the reference's clients said: shown the same records, it makes the
//! same reports.

use std::fs::File;
use std::path::Path;

use lagtape::app;
use lagtape::capture::{Body, Direction, Records};
use lagtape::peer::client::{Client, ClientOptions, Dialect};
use lagtape::time::Nanos;
use serde_json::Value;
use tempfile::TempDir;

use crate::golden;

#[test]
fn golden_client_reports() {
    let sessions =
        golden::files("pairs", |path| path.file_name().is_some_and(|name| name == "session.json"));
    for session in sessions {
        check(session.parent().unwrap());
    }
}

fn check(folder: &Path) {
    let session: Value =
        serde_json::from_slice(&std::fs::read(folder.join("session.json")).unwrap()).unwrap();
    let is_known = session["client"] == "legacy" || session["client"] == "modern";
    let dialect = if session["client"] == "legacy" { Dialect::Legacy } else { Dialect::Modern };
    let temporary = TempDir::new().unwrap();
    let capture = temporary.path().join("x.lagtape");
    app::import(folder, &capture, false).unwrap();

    let mut client = Client::new(ClientOptions { dialect, ..ClientOptions::default() }, Nanos(0));
    let mut records = Records::new(File::open(&capture).unwrap());
    let mut reports = 0;
    while let Some(record) = records.next_record().unwrap() {
        if let Body::Message(message) = &record.body
            && message.direction == Direction::ClientToServer
            && let Some(text) = message.text().filter(|text| text.contains(r#""params""#))
        {
            let ours: Value = serde_json::from_str(&client.params(record.t)).unwrap();
            let theirs: Value = serde_json::from_str(text).unwrap();
            let ours = if is_known { ours } else { common(&ours, &theirs) };
            golden::assert_json_eq(
                &ours,
                &theirs,
                &format!("{} at {:?}", folder.display(), record.t),
            );
            reports += 1;
        }
        client.see(&record);
    }
    assert!(reports > 0, "{} has no reports", folder.display());
}

/// The fields of `ours` that `theirs` has too: other clients report less than a modern one.
fn common(ours: &Value, theirs: &Value) -> Value {
    let fields = ours.as_object().unwrap().iter();
    fields
        .filter(|(key, _)| theirs.get(key.as_str()).is_some())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
