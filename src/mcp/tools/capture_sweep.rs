//! The tool that tries many changes, or searches for the smallest one that helps.

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::what_if::MAX_MEMBERS;
use crate::app::{self, SweepVerb};
use crate::mcp::answer::{ToolAnswer, clipped, cursor, page};
use crate::mcp::args::{TimeRange, limit, report_args};
use crate::mcp::call::{Call, Job};
use crate::mcp::change::ChangeArgs;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, any_list};
use crate::mcp::wording::ARGUMENTS;
use crate::report::sweep::{Find, Sweep};
use crate::report::text::Figure;
use crate::sweep::axis::{Axis, points_from};
use crate::sweep::rows::{Predicate, SweepRow};

/// Rows that one call may compute: a minute's work.
const MAX_ROWS: usize = 20_000;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct SweepCall {
    /// Its id or path
    capture: String,
    /// "lead-floor=0.25..2:0.05", "down=100KB/s,200KB/s", or a name alone; several make a cross product
    vary: Vec<String>,
    /// Search for the smallest change after which this holds: "lag_s == 0", "lead_p5 >= 0.1"
    find: Option<String>,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Keep the recorded slices
    #[serde(default)]
    open_loop: bool,
    /// Runs of the model, 1 unless given
    members: Option<u64>,
    #[serde(flatten)]
    part: TimeRange,
    /// Only so long before the end
    window_s: Option<f64>,
    /// Rows at most, 40 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the last answer
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Swept {
    id: String,
    /// What the columns of values are
    keys: Vec<String>,
    /// values, tier, lags, bad_s, stale_ticks, …, or refusal
    #[schemars(schema_with = "any_list")]
    rows: Vec<Value>,
    rows_total: u64,
    /// Rows worth a look, with their values
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::mcp::schema::any_object")]
    best_worst: Option<Value>,
    /// What a search found
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<FoundValue>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct FoundValue {
    condition: String,
    /// The condition holds without a change
    holds_already: bool,
    /// What the capture itself has
    recorded_value: f64,
    /// The smallest change that does it; absent: none that was tried does
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// Runs of the model that confirm it, and the share of them in which the condition holds
    runs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    /// The command line that shows it
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

/// The tool [`capture_sweep`].
pub const CAPTURE_SWEEP: AboutTool = AboutTool {
    name: "capture_sweep",
    title: "Sweep what-ifs",
    description: "Tries many values of one or more settings, or with find searches for the smallest change that \
     would have prevented the lag.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub async fn capture_sweep(
    shared: Arc<Shared>,
    args: SweepCall,
    call: Call,
) -> Result<ToolAnswer<Swept>> {
    let found = shared.captures.find(&args.capture)?;
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 40, 200));
    let condition = args.find.as_deref().map(str::parse::<Predicate>).transpose()?;
    let (verb, paths) = (args.verb()?, vec![found.path]);
    let answer = match condition {
        None => {
            let run = move |job: &Job| app::sweep(&paths, &verb, &|d, t| steps(job, d, t));
            let sweep = call.steps("trying scenarios", run).await?;
            usable(&sweep)?;
            let summary = swept_summary(&sweep);
            let (body, cut) = Swept::of(found.id, &sweep, start, most);
            ToolAnswer::new(summary, body).cut(cut)
        }
        Some(condition) => {
            let run =
                move |job: &Job| app::find(&paths, &verb, &condition, &|d, t| steps(job, d, t));
            let find = call.steps("searching", run).await?;
            usable(&find.sweep)?;
            let (mut body, cut) = Swept::of(found.id, &find.sweep, start, most);
            body.found = Some(FoundValue::of(&find));
            ToolAnswer::new(found_summary(&find), body).cut(cut)
        }
    };
    let next = "capture_what_if with set to one of the values lists every figure; an answer of the model is no \
                measurement, see its tier";
    Ok(answer.next([next]))
}

fn steps(job: &Job, done: usize, total: usize) -> std::ops::ControlFlow<()> {
    job.reached(done as u64, total as u64)
}

impl SweepCall {
    fn verb(&self) -> Result<SweepVerb> {
        ensure!(!self.vary.is_empty(), "say what to vary, such as \"lead-floor=0.25..2:0.05\"");
        let members = self.members.unwrap_or(1);
        ensure!(
            (1..=MAX_MEMBERS).contains(&members),
            "members is {members}; give from 1 to {MAX_MEMBERS}"
        );
        let (scenario, at) = (self.change.base()?, self.change.at()?);
        let axes = self.vary.iter().map(|text| Axis::vary(text, &scenario));
        let axes = axes.collect::<Result<Vec<_>, _>>()?;
        let count = points_from(&scenario, &axes, at)?.len();
        let rows = count.saturating_mul(usize::try_from(members)?);
        ensure!(
            rows <= MAX_ROWS,
            "{rows} runs are more than one call may take ({MAX_ROWS}); take larger steps or fewer members"
        );
        Ok(SweepVerb {
            scenario,
            at,
            axes,
            open_loop: self.open_loop,
            reference_only: false,
            members: usize::try_from(members)?,
            part: self.part.part()?,
            report: report_args(self.window_s, None, None)?,
            threads: 0,
            typed: self.change.typed(),
            wording: ARGUMENTS,
        })
    }
}

impl Swept {
    fn of(
        id: String,
        sweep: &Sweep,
        start: usize,
        most: usize,
    ) -> (Swept, Option<crate::mcp::answer::Truncated>) {
        let (rows, cut) = page("rows", sweep.rows.iter().map(row), start, most);
        let named = |number: usize| sweep.rows.get(number).map(row);
        let best_worst = sweep.summary.map(|summary| {
            let first = summary.first_that_lags.and_then(named);
            let mut named = json!({"best": named(summary.best), "worst": named(summary.worst)});
            if let Some(first) = first {
                named["first_that_lags"] = first;
            }
            named
        });
        let keys = sweep.axes.iter().map(|axis| axis.key.to_owned()).collect();
        let rows_total = sweep.rows.len() as u64;
        (Swept { id, keys, rows, rows_total, best_worst, found: None }, cut)
    }
}

/// A row in few words.
fn row(row: &SweepRow) -> Value {
    let mut short = json!({"values": row.values, "tier": views::word(&row.tier)});
    if let Some(refusal) = &row.refusal {
        short["refusal"] = clipped(refusal).into();
    }
    let Some(lag) = &row.lag else { return short };
    short["lags"] = row.lags.into();
    if let Some(verdict) = row.verdict.as_ref().filter(|verdict| verdict.known) {
        short["bad_s"] = verdict.bad_s.into();
        short["onset_s"] = verdict.onset_s.into();
    }
    short["stale_ticks"] = lag.ticks.stale_ticks.into();
    short["behind"] = lag.slices.behind_playhead.into();
    if let Some(lead) = lag.slices.lead_s {
        short["lead_p5_s"] = json!(lead.p5);
        short["lead_p50_s"] = json!(lead.p50);
    }
    if let Some(staleness) = lag.ticks.staleness_s {
        short["staleness_p95_s"] = json!(staleness.p95);
    }
    short
}

impl FoundValue {
    fn of(find: &Find) -> FoundValue {
        FoundValue {
            condition: find.condition.clone(),
            holds_already: find.holds_already,
            recorded_value: find.recorded_value,
            value: find.value,
            runs: find.runs as u64,
            share: find.shares.first().copied(),
            command: find.command.clone(),
        }
    }
}

/// The capture could be used.
fn usable(sweep: &Sweep) -> Result<()> {
    match sweep.captures.iter().find_map(|capture| capture.failure.as_deref()) {
        Some(failure) => Err(anyhow!("{failure}")),
        None => Ok(()),
    }
}

fn swept_summary(sweep: &Sweep) -> String {
    let rows = views::counted(sweep.rows.len() as u64, "scenario");
    let lag = sweep.rows.iter().filter(|row| row.lags == Some(true)).count();
    match sweep.summary {
        None => format!("{rows}, and none has an answer: see refusal"),
        Some(summary) => format!(
            "{rows}, {lag} of them with lag; best at {}, worst at {}",
            values(&sweep.rows[summary.best]),
            values(&sweep.rows[summary.worst])
        ),
    }
}

fn found_summary(find: &Find) -> String {
    let key = find.sweep.axes.first().map_or("the value", |axis| axis.key);
    match (find.holds_already, find.value) {
        (true, _) => format!("{} holds already, without a change", find.condition),
        (_, Some(value)) => format!(
            "{key} {} is the smallest change after which {}, in {} % of {}",
            Figure(value),
            find.condition,
            Figure(find.shares.first().copied().unwrap_or(0.0) * 100.0),
            views::counted(find.runs as u64, "run")
        ),
        (_, None) => format!(
            "no value of {key} that was tried makes {}: {} tried",
            find.condition,
            views::counted(find.sweep.rows.len() as u64, "value")
        ),
    }
}

fn values(row: &SweepRow) -> String {
    let values: Vec<_> = row.values.iter().map(f64::to_string).collect();
    values.join(", ")
}
