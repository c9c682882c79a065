//! A session in the files of other tools.
//!
//! An [`ExportCollector`] follows an engine and picks up a row of every record with a place on the time
//! line; with the [`Analysis`] it becomes an [`Exported`], which the forms write: `perfetto`, `mcap`,
//! `csv`, `jsonl`. [`har`] takes records as they stand. Nothing is measured here.

mod csv;
mod flows;
pub mod har;
mod jsonl;
mod mcap;
mod mcap_schema;
mod perfetto;
mod perfetto_proto;

use std::io::{self, Seek, Write};

use super::clock::ReportClock;
use super::data::Analysis;
use super::seen::{Seen, Watcher};
use super::text;
use crate::capture::{Body, Header, Record};
use crate::engine::Engine;
use crate::time::Nanos;

/// Longest excerpt of a text where a form has no whole ones, in characters.
const EXCERPT_CHARS: usize = 300;

/// The file of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportForm {
    /// A trace for ui.perfetto.dev.
    Perfetto,
    /// For Foxglove and Rerun.
    Mcap,
    /// What a browser's developer tools save, and what import reads.
    Har,
    /// A table.
    Csv,
    /// A JSON object for each line of the table, with the texts.
    Jsonl,
}

impl ExportForm {
    /// What a file of this form does not hold, as the end of a sentence.
    #[must_use]
    pub fn left_out(self) -> &'static str {
        match self {
            ExportForm::Perfetto | ExportForm::Mcap => {
                "audio, texts beyond their first 300 characters, and the verdict beside its spells"
            }
            ExportForm::Har => "checkpoints, which import makes anew, and what is damaged",
            ExportForm::Csv => "audio, texts, and the verdict",
            ExportForm::Jsonl => "audio, and the verdict",
        }
    }
}

/// A record with its place on the time line.
#[derive(Debug, Clone, PartialEq)]
struct ExportRow {
    t: Nanos,
    /// Seconds from the initial buffer.
    t_s: f64,
    seq: u64,
    conn: u32,
    seen: Seen,
}

/// A stretch of time with words for it.
#[derive(Debug, Clone, PartialEq)]
struct ExportSpan {
    from: Nanos,
    to: Nanos,
    words: String,
}

/// Picks up what is exported: [`ExportCollector::see`] follows every [`Engine::handle`].
#[derive(Debug, Clone)]
pub struct ExportCollector {
    rows: Vec<ExportRow>,
    watcher: Watcher,
    has_texts: bool,
}

impl ExportCollector {
    /// Of a form without whole texts, only their beginnings are kept.
    #[must_use]
    pub fn of(form: ExportForm) -> ExportCollector {
        let has_texts = form == ExportForm::Jsonl;
        ExportCollector { rows: Vec::new(), watcher: Watcher::default(), has_texts }
    }

    /// Takes what the engine made of the record that it has just handled.
    pub fn see(&mut self, engine: &Engine, record: &Record<'_>) {
        let most = if self.has_texts { usize::MAX } else { EXCERPT_CHARS };
        let Some(mut seen) = self.watcher.see(engine, record, most) else { return };
        if let Body::Message(message) = &record.body
            && self.has_texts
        {
            seen.text = message.text().map(str::to_owned).or(seen.text);
        }
        let Record { t, seq, conn, .. } = *record;
        self.rows.push(ExportRow { t, t_s: 0.0, seq, conn, seen });
    }
}

/// A session, ready to be written.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The capture as it was named.
    name: String,
    header: Header,
    sample_rate: u32,
    /// In the order of the file.
    rows: Vec<ExportRow>,
    /// Spells of bad audio.
    spells: Vec<ExportSpan>,
    /// Causes, which may overlap.
    findings: Vec<ExportSpan>,
}

impl Exported {
    /// What is exported of a session: an engine after its last record, what was picked up on the way,
    /// and the report.
    #[must_use]
    pub fn of(engine: &Engine, collected: ExportCollector, analysis: &Analysis) -> Exported {
        let clock = ReportClock::of(engine, Nanos(analysis.report_ns));
        let span = |from_s: f64, to_s: f64, words: String| ExportSpan {
            from: clock.moment(from_s),
            to: clock.moment(to_s),
            words,
        };
        let mut rows = collected.rows;
        rows.iter_mut().for_each(|row| row.t_s = clock.s(row.t));
        let heard = analysis.heard.iter().flat_map(|heard| &heard.report.episodes);
        let alarms = heard.filter(|episode| episode.alarm);
        let findings = analysis.diagnosis.findings.iter();
        Exported {
            name: analysis.capture.clone(),
            header: engine.header().cloned().unwrap_or_default(),
            sample_rate: engine.sample_rate(),
            rows,
            spells: alarms.map(|it| span(it.from_s, it.to_s, text::what(&it.what))).collect(),
            findings: findings.map(|it| span(it.from_s, it.to_s, it.sentence.clone())).collect(),
        }
    }

    /// Writes a file of this form, which is not HAR: that one is made from records.
    ///
    /// # Errors
    /// The output fails.
    pub fn write(&self, form: ExportForm, out: &mut (impl Write + Seek)) -> io::Result<()> {
        match form {
            ExportForm::Perfetto => perfetto::write(self, out),
            ExportForm::Mcap => mcap::write(self, out),
            ExportForm::Csv => csv::write(self, out),
            ExportForm::Jsonl => jsonl::write(self, out),
            ExportForm::Har => Err(io::Error::other("a HAR file is made from records")),
        }
    }

    /// Rows in the file.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }
}
