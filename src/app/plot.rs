//! `plot`: a session as a picture.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::collected::{cannot_replay, collected};
use super::part::SessionPart;
use crate::capture::Record;
use crate::edge::output::{self, OutputFile, is_dash};
use crate::engine::{Engine, Options};
use crate::lag::ReportArgs;
use crate::parse::Misuse;
use crate::playhead::PlayheadSource;
use crate::report::Analysis;
use crate::report::plot::{Plot, PlotStyle};

/// The form of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlotForm {
    /// Pixels.
    Png,
    /// Lines that can be scaled.
    Svg,
}

impl PlotForm {
    /// The form that a file's name asks for; stdout gets pixels.
    pub fn of(path: &Path) -> Result<PlotForm> {
        if is_dash(path) {
            return Ok(PlotForm::Png);
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") => Ok(PlotForm::Png),
            Some("svg") => Ok(PlotForm::Svg),
            _ => bail!(Misuse(format!(
                "{} ends in neither .png nor .svg; name the picture so that it does",
                path.display()
            ))),
        }
    }
}

/// What to draw.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlotVerb {
    pub style: PlotStyle,
    /// Only this part.
    pub part: SessionPart,
    /// `None`: what suits the client that made the capture.
    pub playhead: Option<PlayheadSource>,
    /// Stale threshold of the report.
    pub report: ReportArgs,
}

/// Draws a capture; the analysis says what the picture shows.
pub fn plot_bytes(path: &Path, form: PlotForm, verb: &PlotVerb) -> Result<(Vec<u8>, Analysis)> {
    verb.report.check(0.0)?;
    let part = verb.part.resolved(path)?;
    let options = Options {
        playhead: verb.playhead,
        stale_threshold_s: verb.report.stale_threshold_s,
        ..Options::default()
    };
    let handle = |(): &mut (), engine: &mut Engine, record: &Record<'_>| engine.handle(record);
    let (replay, (), playheads) =
        collected(path, part, &options, || (), handle).with_context(|| cannot_replay(path))?;
    let about = replay.described(path.display(), playheads);
    let analysis = Analysis::of(&replay.engine, about, &verb.report);
    if analysis.lag.is_none() {
        bail!("{} has nothing to draw: no usable initial buffer came", path.display());
    }
    let plot = Plot::of(&replay.engine, replay.at, &analysis, verb.style);
    let bytes = match form {
        PlotForm::Png => plot.png()?,
        PlotForm::Svg => plot.svg()?.into_bytes(),
    };
    Ok((bytes, analysis))
}

/// Draws a capture into a file; the ending of its name decides the form.
pub fn plot(path: &Path, out: &Path, force: bool, verb: &PlotVerb) -> Result<Analysis> {
    output::refuse_input(path, out)?;
    let form = PlotForm::of(out)?;
    let mut output = OutputFile::create(out, force)?;
    let (bytes, analysis) = plot_bytes(path, form, verb)?;
    let written = output.writer().write_all(&bytes);
    written.with_context(|| format!("cannot write {}", output.name()))?;
    output.finish()?;
    Ok(analysis)
}
