//! `export`: a session in the file of another tool.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::collected::collected;
use super::part::SessionPart;
use crate::capture::{Body, Header, Record, Salvage};
use crate::edge::files::{self, CaptureFile};
use crate::edge::output::{self, OutputFile};
use crate::edge::rewrite::gap_before;
use crate::engine::Options;
use crate::lag::ReportArgs;
use crate::parse::Misuse;
use crate::playhead::PlayheadSource;
use crate::report::export::har::HarWriter;
use crate::report::export::{ExportCollector, ExportForm, Exported};
use crate::report::{Analysis, DamageReport};

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExportVerb {
    pub form: ExportForm,
    /// Only this part; a HAR file is of a whole session.
    pub part: SessionPart,
    /// `None`: what suits the client that made the capture.
    pub playhead: Option<PlayheadSource>,
    /// Replace an existing file.
    pub force: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportSummary {
    /// Messages, and other records with a place on the time line.
    pub rows: u64,
    /// Where the capture is damaged; what is lost is left out.
    pub damage: Option<DamageReport>,
}

/// Writes a capture as the file of another tool.
pub fn export(path: &Path, out: &Path, verb: &ExportVerb) -> Result<ExportSummary> {
    output::refuse_input(path, out)?;
    if verb.form == ExportForm::Har && verb.part != SessionPart::default() {
        bail!(Misuse::new("a HAR file is of a whole session; cut the part out first: lagtape cut"));
    }
    let mut output = OutputFile::create(out, verb.force)?;
    let summary = match verb.form {
        ExportForm::Har => export_har(path, &mut output),
        _ => export_measured(path, verb, &mut output),
    };
    let summary = summary.with_context(|| format!("cannot export {}", path.display()))?;
    output.finish()?;
    Ok(summary)
}

/// Writes what an engine made of the records.
fn export_measured(
    path: &Path,
    verb: &ExportVerb,
    output: &mut OutputFile,
) -> Result<ExportSummary> {
    let part = verb.part.resolved(path)?;
    let options = Options { playhead: verb.playhead, ..Options::default() };
    let begin = || ExportCollector::of(verb.form);
    let (replay, collected, playheads) =
        collected(path, part, &options, begin, |collected, engine, record| {
            engine.handle(record);
            collected.see(engine, record);
        })?;
    let about = replay.described(path.display(), playheads);
    let analysis = Analysis::of(&replay.engine, about, &ReportArgs::default());
    let exported = Exported::of(&replay.engine, collected, &analysis);
    let name = output.name();
    exported.write(verb.form, output.writer()).with_context(|| format!("cannot write {name}"))?;
    Ok(ExportSummary { rows: exported.rows() as u64, damage: analysis.damage })
}

/// Writes the records as they stand.
fn export_har(path: &Path, output: &mut OutputFile) -> Result<ExportSummary> {
    let mut records: Salvage<CaptureFile> = files::open_capture(path)?;
    let name = output.name();
    let unwritten = || format!("cannot write {name}");
    let mut har: Option<HarWriter<_>> = None;
    let mut output = Some(output.writer());
    while let Some(stored) = records.next_stored()? {
        if let Some(out) = output.take() {
            let header = match &stored.record.body {
                Body::Header(header) => header.clone(),
                _ => Header::new("the header was lost", stored.record.t),
            };
            let began = HarWriter::new(out, &header, began_s(&header)).with_context(unwritten)?;
            let har = har.insert(began);
            if !matches!(stored.record.body, Body::Header(_)) {
                let t = header.start;
                let record = Record { seq: 0, t, conn: 0, body: Body::Header(header) };
                har.put(&record).with_context(unwritten)?;
            }
        }
        let Some(har) = &mut har else { continue };
        if let Some(gap) = gap_before(&stored) {
            har.put(&gap).with_context(unwritten)?;
        }
        har.put(&stored.record).with_context(unwritten)?;
    }
    let Some(har) = har else { bail!("it holds no record") };
    let rows = har.finish().with_context(unwritten)?;
    Ok(ExportSummary { rows, damage: DamageReport::of(records.losses()) })
}

/// When a recording began, in seconds since 1970.
fn began_s(header: &Header) -> Option<f64> {
    let began = header.start_utc.as_ref()?.parse::<jiff::Timestamp>().ok()?;
    Some(began.as_nanosecond() as f64 / 1e9)
}
