//! `capture_chart`: a capture as a picture.

use std::sync::Arc;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::{self, PlotForm, PlotVerb};
use crate::mcp::answer::ToolOutput;
use crate::mcp::args::report_args;
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::parse::shell;
use crate::report::text::Bytes;

/// Largest picture in bytes.
const MAX_CHART_LEN: usize = 40 << 10;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ChartArgs {
    /// Its id or path
    capture: String,
    /// Age from which audio is stale, 3 unless given
    stale_threshold_s: Option<f64>,
}

/// The tool [`capture_chart`].
pub(super) const CAPTURE_CHART: AboutTool = AboutTool {
    name: "capture_chart",
    title: "Chart of a capture",
    description: "A picture: lead of slices, age of the audio heard, write frontier against playhead over the \
     loop, cadences; spells of lag are shaded.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_chart(
    shared: Arc<Shared>,
    args: ChartArgs,
    call: Call,
) -> Result<ToolOutput> {
    let found = shared.captures.find(&args.capture)?;
    let report = report_args(None, args.stale_threshold_s, None)?;
    let path = found.path.clone();
    let draw =
        move || app::plot_bytes(&path, PlotForm::Png, &PlotVerb { report, ..PlotVerb::default() });
    let (png, analysis) = call.work("drawing", draw).await?;
    ensure!(
        png.len() <= MAX_CHART_LEN,
        "the chart is {}, too large for an answer; lagtape plot {} -o chart.png writes it to a file",
        Bytes(png.len() as u64),
        shell::file(&found.path.to_string_lossy())
    );
    let sentence = format!(
        "{}. From above: the causes with their times (red: heard, grey: not), lead of slices (red: behind the listener), age of the audio heard with the \
         stale threshold, loop position written (blue) and heard (orange), slices and reports a second; \
         spells of lag are shaded. The figures are in capture_lag_report.",
        views::summary(&analysis)
    );
    Ok(ToolOutput::picture(STANDARD.encode(png), "image/png", sentence))
}
