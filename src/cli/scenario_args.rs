//! What can be typed after `what-if` and `sweep`.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::part_args::PartArgs;
use super::values::{ReportWindow, Seconds, parse_seconds, parse_window};
use crate::app::{SweepVerb, WhatIfVerb};
use crate::cli::scenario::ScenarioArgs;
use crate::cli::wording::{FLAGS, KEYS};
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::parse::Misuse;
use crate::scenario::NamedScenario;
use crate::scenario::model::DEFAULT_MEMBERS;
use crate::sweep::axis::{Axis, points_from};
use crate::sweep::rows::Predicate;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape what-if incident.lagtape --lead-floor 0.6
  lagtape what-if incident.lagtape --op 6s:seek=16s --op 3s:down=250KB/s
  lagtape what-if incident.lagtape --rate 1.002 --open-loop
  lagtape what-if incident.lagtape --at 12s --down 1MB/s --lead-floor 0.5
  lagtape what-if x.lagtape --scenario a.toml --scenario b.toml --capture out
  lagtape what-if incident.lagtape --op 6s:seek=16s --audio heard.wav

The answer says how far it can be trusted: exact, exact until a moment, or by a model of the \
server together with the model's error on this very capture.")]
pub struct WhatIfArgs {
    /// The capture to ask about, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub change: ScenarioArgs,
    /// Keep the recorded slices, whatever the server would have done
    #[arg(long)]
    pub open_loop: bool,
    /// Runs of the model
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MEMBERS, value_parser = parse_members())]
    pub members: usize,
    #[command(flatten)]
    pub coverage: CoverageArgs,
    /// Write what would have been heard as a WAV or FLAC file; with a model an approximation: the
    /// recording's own audio where the model puts it, and the source where none was rendered. Of several
    /// scenarios a folder, in which each has its name
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// Write the counterfactual session as a capture for every other command, marked in its header; of
    /// several scenarios likewise a folder
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
    /// One JSON object; of several scenarios an array of them
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub part: PartArgs,
}

/// What the reports of what-ifs cover.
#[derive(Debug, clap::Args)]
pub struct CoverageArgs {
    /// How far the figures reach back from the capture's end: all, or a length of time
    #[arg(long, value_name = "TIME|all", default_value = "all", value_parser = parse_window)]
    pub window: ReportWindow,
    /// Audio older than this is stale
    #[arg(long, value_name = "TIME", default_value_t = Seconds(DEFAULT_STALE_THRESHOLD_S),
        value_parser = parse_seconds)]
    pub stale_threshold: Seconds,
}

impl CoverageArgs {
    fn report(&self) -> ReportArgs {
        ReportArgs {
            window_s: self.window.0,
            stale_threshold_s: self.stale_threshold.0,
            timeline_step_s: None,
        }
    }
}

impl WhatIfArgs {
    /// What is asked in common, and of each of several scenarios.
    pub fn verb(&self) -> anyhow::Result<(WhatIfVerb, Vec<NamedScenario>)> {
        self.refuse_no_change()?;
        let scenarios = self.change.scenarios()?;
        let verb = WhatIfVerb {
            scenario: scenarios[0].scenario.clone(),
            open_loop: self.open_loop,
            members: self.members,
            part: self.part.part(),
            report: self.coverage.report(),
            audio: self.audio.clone(),
            capture: self.capture.clone(),
            force: self.force,
            wording: if self.change.is_of_files() { KEYS } else { FLAGS },
        };
        Ok((verb, scenarios))
    }
}

impl WhatIfArgs {
    /// Files of what was heard are worth having without a change; the same report twice is not.
    fn refuse_no_change(&self) -> Result<()> {
        let is_changed = !self.change.typed(|_| false).is_empty();
        if is_changed || self.audio.is_some() || self.capture.is_some() {
            return Ok(());
        }
        bail!(Misuse::new(
            "nothing is different; say what: --lead-floor 0.6, --latency 0.3, --rate 1.002 or \
             --op 6s:seek=16s, or another flag of `lagtape what-if --help`"
        ))
    }
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape sweep x.lagtape --rate 0.99..1.01:0.0005 --lead-floor 0.25,0.5,1.0
  lagtape sweep captures/*.lagtape --lead-floor 0.25..1:0.05 --csv > floors.csv
  lagtape sweep x.lagtape --find 'lag_s == 0' --vary lead-floor
  lagtape sweep x.lagtape --find 'lead_p5 > 0.1' --vary rate=0.98..1.02:0.001

A number of a scenario may be a list, 0.25,0.5,1.0, or a range with its step, 0.99..1.01:0.0005, and a \
switch both, on,off; all combinations are tried with every capture. One value holds for all of them. With --find the \
smallest change is searched for that makes a condition hold. Exit code 1 means that a capture could \
not be used; the others are answered all the same.")]
pub struct SweepArgs {
    /// Captures, packed ones too; a folder stands for all in it, and - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub change: ScenarioArgs,
    /// A number to vary, with its values, or for --find over its own range
    #[arg(long, value_name = "KEY[=VALUES]")]
    pub vary: Vec<String>,
    /// Search for the smallest change with which this holds: lag_s == 0, lead_p5 > 0.1, …
    #[arg(long, value_name = "CONDITION")]
    pub find: Option<String>,
    /// Keep the recorded slices, whatever the server would have done
    #[arg(long)]
    pub open_loop: bool,
    /// Runs of the model for each scenario
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_members())]
    pub members: usize,
    /// Give the reference's reports without verdicts, many times as fast
    #[arg(long)]
    pub reference_only: bool,
    #[command(flatten)]
    pub coverage: CoverageArgs,
    /// Scenarios at once; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, env = "LAGTAPE_THREADS")]
    pub threads: usize,
    /// Comma-separated values, a line for each scenario
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub part: PartArgs,
}

impl SweepArgs {
    /// What is tried, and what is searched for, if anything is.
    pub fn verb(&self) -> anyhow::Result<(SweepVerb, Option<Predicate>)> {
        let condition = self.find.as_deref().map(str::parse::<Predicate>).transpose()?;
        let (scenario, at) = (self.change.base(is_axis)?, self.change.at());
        let flags = self.change.values().filter(|(_, value)| is_axis(value));
        let flags = flags.map(|(knob, values)| Axis::parse(knob.name, values));
        let varied = self.vary.iter().map(|text| Axis::vary(text, &scenario));
        let axes = flags.chain(varied).collect::<Result<Vec<_>, _>>()?;
        if condition.is_some() && axes.len() != 1 {
            let count = axes.len();
            anyhow::bail!(Misuse(format!(
                "--find varies one key, and these are {count}; say which with --vary lead-floor"
            )));
        }
        if let Some(condition) = condition.filter(Predicate::is_about_verdicts)
            && self.reference_only
        {
            let figure = condition.figure();
            anyhow::bail!(Misuse(format!("{figure} needs verdicts; leave --reference-only out")));
        }
        points_from(&scenario, &axes, at)?;
        let verb = SweepVerb {
            scenario,
            at,
            axes,
            open_loop: self.open_loop,
            reference_only: self.reference_only,
            members: self.members,
            part: self.part.part(),
            report: self.coverage.report(),
            threads: self.threads,
            typed: self.change.typed(is_axis),
            wording: FLAGS,
        };
        Ok((verb, condition))
    }
}

/// Whether a value stands for several.
fn is_axis(value: &str) -> bool {
    value.contains(',') || value.contains("..")
}

fn parse_members() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(1..=10_000)
}
