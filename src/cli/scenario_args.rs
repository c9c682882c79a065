//! What can be typed after `what-if` and `sweep`.

use std::path::PathBuf;

use super::values::{ReportWindow, Seconds, parse_seconds, parse_window};
use crate::app::{self, SweepVerb, WhatIfVerb};
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::scenario::model::DEFAULT_MEMBERS;
use crate::scenario::{Scenario, words};
use crate::sweep::axis::{Axis, points};
use crate::sweep::rows::Predicate;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape what-if incident.lagtape --lead-floor 0.6
  lagtape what-if incident.lagtape --op 6s:seek=16s --op 3s:down=250KB/s
  lagtape what-if incident.lagtape --rate 1.002 --open-loop
  lagtape what-if incident.lagtape --scenario change.toml --json
  lagtape what-if incident.lagtape --op 6s:seek=16s --audio heard.wav --capture seek.lagtape

The answer says how far it can be trusted: exact, exact until a moment, or by a model of the
server together with the model's error on this very capture.")]
pub struct WhatIfArgs {
    /// The capture to ask about
    pub file: PathBuf,
    #[command(flatten)]
    pub change: ScenarioArgs,
    /// Keep the recorded slices, whatever the server would have done
    #[arg(long)]
    pub open_loop: bool,
    /// Runs of the model
    #[arg(long, default_value_t = DEFAULT_MEMBERS, value_parser = parse_members())]
    pub members: usize,
    #[command(flatten)]
    pub coverage: CoverageArgs,
    /// Write what would have been heard as a WAV file; with a model an approximation: the recording's
    /// own audio where the model puts it, and the source where none was rendered
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// Write the counterfactual session as a capture for every other command, marked in its header
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// What the reports of what-ifs cover.
#[derive(Debug, clap::Args)]
pub struct CoverageArgs {
    /// How far the figures reach back from the capture's end: all, or a length of time
    #[arg(long, default_value = "all", value_parser = parse_window)]
    pub window: ReportWindow,
    /// Audio older than this is stale
    #[arg(long, default_value_t = Seconds(DEFAULT_STALE_THRESHOLD_S), value_parser = parse_seconds)]
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

/// What would have been different.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is different")]
pub struct ScenarioArgs {
    /// A scenario as TOML; flags change it further
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// What the listener would have done and when (6s:seek=30s, 10s:pause, 12s:resume, 15s:rate=0.98),
    /// or a link that changes at a time (3s:down=250KB/s)
    #[arg(long, value_name = "TIME:OP")]
    pub op: Vec<String>,
    /// The recorded seeks, pauses and rates did not happen
    #[arg(long)]
    pub replace_ops: bool,
    /// Rate of the playhead in place of the recorded ones; 1.002 is 0.2 % fast
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub rate: Option<String>,
    /// Parts per million by which the listener's clock is fast
    #[arg(long, value_name = "PPM", allow_hyphen_values = true)]
    pub skew_ppm: Option<String>,
    /// Position where the capture begins, as a rule with the initial buffer
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub start_offset: Option<String>,
    /// Positions are whole multiples of this
    #[arg(long, value_name = "FRAMES", allow_hyphen_values = true)]
    pub quantum: Option<String>,
    /// Reports of the playhead a second
    #[arg(long, value_name = "HZ", allow_hyphen_values = true)]
    pub params_hz: Option<String>,
    /// What the link to the client carries: 200KB/s, 1.5MB/s
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub down: Option<String>,
    /// What the link to the server carries
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub up: Option<String>,
    /// Added to the recorded transit, each way
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub latency: Option<String>,
    /// The same on the way to the client only
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub down_latency: Option<String>,
    /// The same on the way to the server only
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub up_latency: Option<String>,
    /// Up to this much is added to each message, each way
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub jitter: Option<String>,
    /// The same on the way to the client only
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub down_jitter: Option<String>,
    /// The same on the way to the server only
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub up_jitter: Option<String>,
    /// What may wait in front of the link to the client; unbounded by default
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub buffer: Option<String>,
    /// From the arrival of a slice until it is patched in
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub apply_delay: Option<String>,
    /// The client handles messages only in turns, as a throttled tab does
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub handles_every: Option<String>,
    /// Whether reports acknowledge the bytes received
    #[arg(long, value_name = "on|off", allow_hyphen_values = true)]
    pub acks: Option<String>,
    /// Least lead of the server
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub lead_floor: Option<String>,
    /// Most lead of the server
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub lead_ceiling: Option<String>,
    /// Whether reported leads raise the server's lead
    #[arg(long, value_name = "on|off", allow_hyphen_values = true)]
    pub transport: Option<String>,
    /// Bytes sent and not acknowledged beyond which slices are dropped
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub flow_window: Option<String>,
    /// Whether client_time corrects for the age of a report
    #[arg(long, value_name = "on|off", allow_hyphen_values = true)]
    pub staleness_compensation: Option<String>,
    /// The server acts on the newest report, and works off none before it
    #[arg(long, value_name = "on|off", allow_hyphen_values = true)]
    pub newest_wins: Option<String>,
    /// Generation takes this many times as long
    #[arg(long, value_name = "FACTOR", allow_hyphen_values = true)]
    pub tick_factor: Option<String>,
    /// Decides what is random in the model
    #[arg(long)]
    pub seed: Option<u64>,
}

impl WhatIfArgs {
    pub fn verb(&self) -> anyhow::Result<WhatIfVerb> {
        let scenario = self.change.scenario(|_| false)?;
        scenario.check()?;
        Ok(WhatIfVerb {
            scenario,
            open_loop: self.open_loop,
            members: self.members,
            report: self.coverage.report(),
            audio: self.audio.clone(),
            capture: self.capture.clone(),
            force: self.force,
        })
    }
}

impl ScenarioArgs {
    /// The scenario, without the words whose values make an axis.
    fn scenario(&self, is_axis: impl Fn(&str) -> bool) -> anyhow::Result<Scenario> {
        let mut scenario = match &self.scenario {
            Some(path) => app::read_scenario(path)?,
            None => Scenario::default(),
        };
        for (word, value) in self.words().filter(|(_, value)| !is_axis(value)) {
            words::assign(&mut scenario, word, value)?;
        }
        for op in &self.op {
            words::add_op(&mut scenario, op)?;
        }
        scenario.playback.replace_ops |= self.replace_ops;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        Ok(scenario)
    }

    /// The same as it was typed.
    fn typed(&self, is_axis: impl Fn(&str) -> bool) -> Vec<String> {
        let mut typed = Vec::new();
        let mut put = |flag: &str, value: &str| {
            typed.extend([format!("--{flag}"), value.to_owned()]);
        };
        if let Some(path) = &self.scenario {
            put("scenario", &path.display().to_string());
        }
        self.words()
            .filter(|(_, value)| !is_axis(value))
            .for_each(|(word, value)| put(word, value));
        self.op.iter().for_each(|op| put("op", op));
        if let Some(seed) = self.seed {
            put("seed", &seed.to_string());
        }
        if self.replace_ops {
            typed.push("--replace-ops".to_owned());
        }
        typed
    }

    /// What was said in words that a scenario knows.
    fn words(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let words = [
            ("rate", &self.rate),
            ("skew-ppm", &self.skew_ppm),
            ("start-offset", &self.start_offset),
            ("quantum", &self.quantum),
            ("params-hz", &self.params_hz),
            ("down", &self.down),
            ("up", &self.up),
            ("latency", &self.latency),
            ("down-latency", &self.down_latency),
            ("up-latency", &self.up_latency),
            ("jitter", &self.jitter),
            ("down-jitter", &self.down_jitter),
            ("up-jitter", &self.up_jitter),
            ("buffer", &self.buffer),
            ("apply-delay", &self.apply_delay),
            ("handles-every", &self.handles_every),
            ("acks", &self.acks),
            ("lead-floor", &self.lead_floor),
            ("lead-ceiling", &self.lead_ceiling),
            ("transport", &self.transport),
            ("flow-window", &self.flow_window),
            ("staleness-compensation", &self.staleness_compensation),
            ("newest-wins", &self.newest_wins),
            ("tick-factor", &self.tick_factor),
        ];
        words.into_iter().filter_map(|(word, value)| Some((word, value.as_deref()?)))
    }
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape sweep incident.lagtape --rate 0.99..1.01:0.0005 --lead-floor 0.25,0.5,1.0
  lagtape sweep captures/*.lagtape --lead-floor 0.25..1:0.05 --csv > floors.csv
  lagtape sweep incident.lagtape --find 'stale_ticks == 0' --vary lead-floor
  lagtape sweep incident.lagtape --op 6s:seek=16s --find 'lead_p5 > 0.1' --vary rate=0.98..1.02:0.001

A number of a scenario may be a list, 0.25,0.5,1.0, or a range with its step, 0.99..1.01:0.0005, and a
switch both, on,off;
all combinations are tried with every capture. One value holds for all of them. With --find the
smallest change is searched for that makes a condition hold. Exit code 1 means that a capture could
not be used; the others are answered all the same.")]
pub struct SweepArgs {
    /// The captures to ask about
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub change: ScenarioArgs,
    /// A number to vary, with its values, or for --find over its own range
    #[arg(long, value_name = "KEY[=VALUES]")]
    pub vary: Vec<String>,
    /// Search for the smallest change with which this holds: stale_ticks == 0, lead_p5 > 0.1, …
    #[arg(long, value_name = "CONDITION")]
    pub find: Option<String>,
    /// Keep the recorded slices, whatever the server would have done
    #[arg(long)]
    pub open_loop: bool,
    /// Runs of the model for each scenario
    #[arg(long, default_value_t = 1, value_parser = parse_members())]
    pub members: usize,
    #[command(flatten)]
    pub coverage: CoverageArgs,
    /// Scenarios at once; 0 is one for each core
    #[arg(long, default_value_t = 0, env = "LAGTAPE_THREADS")]
    pub threads: usize,
    /// Comma-separated values, a line for each scenario
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

impl SweepArgs {
    /// What is tried, and what is searched for, if anything is.
    pub fn verb(&self) -> anyhow::Result<(SweepVerb, Option<Predicate>)> {
        let condition = self.find.as_deref().map(str::parse::<Predicate>).transpose()?;
        let scenario = self.change.scenario(is_axis)?;
        let flags = self.change.words().filter(|(_, value)| is_axis(value));
        let flags = flags.map(|(word, values)| Axis::parse(word, values));
        let varied = self.vary.iter().map(|text| Axis::vary(text, &scenario));
        let axes = flags.chain(varied).collect::<Result<Vec<_>, _>>()?;
        if condition.is_some() && axes.len() != 1 {
            anyhow::bail!(
                "--find varies one key, and these are {}; say which with --vary lead-floor",
                axes.len()
            );
        }
        points(&scenario, &axes)?;
        let verb = SweepVerb {
            scenario,
            axes,
            open_loop: self.open_loop,
            members: self.members,
            report: self.coverage.report(),
            threads: self.threads,
            typed: self.change.typed(is_axis),
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
