//! `capture_diagnose`: which part of the system was at fault.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{self, AnalyzeOptions};
use crate::diagnosis::{Ambiguity, DiagnosisNote, Estimates, Finding, Proof};
use crate::mcp::answer::{ToolAnswer, cursor, page};
use crate::mcp::args::limit;
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, VerdictView};
use crate::report::EndingReport;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct DiagnoseArgs {
    /// Its id or path
    capture: String,
    /// Take each cause away in the model; true unless given, false answers sooner
    proof: Option<bool>,
    /// Findings at most, 5 unless given, up to 20
    limit: Option<u64>,
    /// next_cursor of the last answer
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CaptureDiagnosis {
    id: String,
    /// Worst first: audible ones by their bad seconds
    findings: Vec<Finding>,
    /// What looks like an incident and is healthy
    notes: Vec<DiagnosisNote>,
    /// What the evidence cannot tell apart, and what to record next time
    ambiguity: Vec<Ambiguity>,
    /// What is left of the lag without all causes that the model can take away
    together: Option<Proof>,
    estimates: Estimates,
    verdict: VerdictView,
    /// How the session ended, and gaps in the client's reports
    ending: EndingReport,
}

/// The tool [`capture_diagnose`].
pub(super) const CAPTURE_DIAGNOSE: AboutTool = AboutTool {
    name: "capture_diagnose",
    title: "Diagnose a capture",
    description: "Names the part at fault with class, chain of evidence, what was heard of it, what it was told \
     apart from, and what mends it; proves it by what is left of the lag without it in the model.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_diagnose(
    shared: Arc<Shared>,
    args: DiagnoseArgs,
    call: Call,
) -> Result<ToolAnswer<CaptureDiagnosis>> {
    let found = shared.captures.find(&args.capture)?;
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 5, 20));
    let path = found.path.clone();
    let is_proved = args.proof.unwrap_or(true);
    let diagnose = move || {
        let mut analysis = app::analyze(&path, &AnalyzeOptions::default())?;
        if is_proved {
            app::prove(&path, &mut analysis, 0);
        } else {
            app::suggest(&path, &mut analysis);
        }
        anyhow::Ok(analysis)
    };
    let analysis = call.work("diagnosing", diagnose).await?;
    let all = analysis.diagnosis.findings.iter().cloned();
    let (findings, cut) = page("findings", all, start, most);
    let answer = CaptureDiagnosis {
        id: found.id.clone(),
        findings,
        notes: analysis.diagnosis.notes.iter().take(views::EPISODES).cloned().collect(),
        ambiguity: analysis.diagnosis.ambiguity.clone(),
        together: analysis.diagnosis.together.clone(),
        estimates: analysis.diagnosis.estimates.clone(),
        verdict: VerdictView::of(&analysis.verdict),
        ending: views::ending(&analysis),
    };
    let steps = views::next_after(&analysis, &found.id, "capture_diagnose");
    Ok(ToolAnswer::new(views::causes(&analysis), answer).next(steps).cut(cut))
}
