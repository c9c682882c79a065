//! What is printed at the end of a recording; for `record` and `replay --to`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::charset::drawn;
use super::stderr::Stderr;
use super::stdout::{json_line, unless_closed};
use crate::app::{Outcome, RecordedSession};
use crate::edge::recorder::RecorderStatus;
use crate::report::{Analysis, text};

/// Prints the report of a recording, and why it failed if it did.
pub fn print_recorded(
    session: &RecordedSession,
    json: bool,
    stderr: Stderr,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let outcome = match &session.failure {
        None => Outcome::of_analysis(&session.analysis),
        Some(failure) => {
            stderr.complain(failure);
            Outcome::Failed
        }
    };
    if session.files.is_empty() {
        stderr.say("nothing happened that would have been worth a file");
    }
    unless_closed(print_session(session, json, out), outcome)
}

fn print_session(session: &RecordedSession, json: bool, out: &mut dyn Write) -> Result<()> {
    /// The report as `analyze --json` prints it, and what became of the recording.
    #[derive(Serialize)]
    struct Printed<'a> {
        #[serde(flatten)]
        analysis: &'a Analysis,
        recording: Recording<'a>,
    }
    #[derive(Serialize)]
    struct Recording<'a> {
        #[serde(flatten)]
        status: &'a RecorderStatus,
        files: &'a [PathBuf],
    }
    if json {
        let recording = Recording { status: &session.status, files: &session.files };
        return json_line(out, &Printed { analysis: &session.analysis, recording });
    }
    let report = text::analysis(&session.analysis, &session.next_commands());
    Ok(write!(out, "{}", drawn(&report))?)
}
