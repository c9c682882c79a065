//! `audio`: what the listener heard, as a file.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::app::{self, AbOptions, AudioOptions, Outcome, WhatIfVerb};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::values::PlayheadArg;
use crate::cli::wording::FLAGS;
use crate::parse::Misuse;
use crate::report::text;
use crate::scenario::model::DEFAULT_MEMBERS;
use crate::scenario::{Scenario, ScenarioError, parse};
use crate::time::Span;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape audio stall.lagtape -o heard.wav
  lagtape audio stall.lagtape --buffer -o buffer.flac
  lagtape audio stall.lagtape --episode 1 -o worst.wav
  lagtape audio stall.lagtape --from 2s --to 4s -o - | ffplay -
  lagtape audio stall.lagtape --ab lead-floor=0.6 -o ab.wav

A second of the file is a second of the session, from where the capture or the part begins: pauses \
are silent, and what a seek skips is not inserted. Episodes of lag, what the listener did, and swaps are labels in a WAV file, which \
Audacity, Reaper and others show, and chapters in a FLAC file. WAV has the samples as they are, FLAC \
rounds them to 24 bits.")]
pub struct AudioArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file to write, .wav or .flac; - is stdout, and WAV
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// The buffer as it stands at the end, instead of what was heard
    #[arg(long)]
    pub buffer: bool,
    /// What the reference client keeps: without pauses, tick by tick, since the last swap
    #[arg(long, conflicts_with = "buffer")]
    pub as_reference: bool,
    /// What would have been heard beside it, with this change: a knob as lead-floor=0.6, an op as
    /// 6s:seek=16s, or a scenario as TOML; several add up. Left is as heard and right with the change;
    /// of stereo two files, NAME-a.wav and NAME-b.wav, and the loop in NAME-loop.wav
    #[arg(long, value_name = "CHANGE", conflicts_with_all = ["buffer", "as_reference", "last", "at", "playhead"])]
    pub ab: Vec<String>,
    /// Only the last part
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    pub last: Option<Span>,
    /// Up to this moment instead of the capture's end
    #[arg(long, value_name = "TIME", conflicts_with = "to")]
    pub at: Option<Span>,
    /// The playhead to follow: simulated by default for headless clients, else reported
    #[arg(long, value_name = "WHICH", value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub part: PartArgs,
}

pub fn run(args: &AudioArgs, stderr: Stderr, _: &mut dyn Write) -> Result<Outcome> {
    if !args.ab.is_empty() {
        return side_by_side(args, stderr);
    }
    let options = AudioOptions {
        buffer: args.buffer,
        as_reference: args.as_reference,
        part: args.part.part(),
        last: args.last,
        at: args.at,
        playhead: args.playhead.map(Into::into),
        force: args.force,
    };
    let summary = app::audio(&args.file, &args.out, &options)?;
    let seconds = summary.frames as f64 / f64::from(summary.sample_rate);
    let level = level(summary.peak, summary.rms, summary.clipped);
    let labels = match summary.labels {
        0 => String::new(),
        1 => ", 1 label".to_owned(),
        count => format!(", {count} labels"),
    };
    let from = from(summary.from_s.unwrap_or(0.0));
    let what = format!("{} s of audio{from}{labels}; {level}", text::Figure(seconds));
    stderr.wrote(&args.out, &what, None);
    Ok(stderr.damaged(&args.file, summary.damage.as_ref()))
}

/// Writes what was heard and what would have been.
fn side_by_side(args: &AudioArgs, stderr: Stderr) -> Result<Outcome> {
    let what_if = WhatIfVerb {
        scenario: changed(&args.ab)?,
        members: DEFAULT_MEMBERS,
        wording: FLAGS,
        ..WhatIfVerb::default()
    };
    let options = AbOptions { what_if, part: args.part.part(), force: args.force };
    let summary = app::audio_ab(&args.file, &args.out, &options)?;
    let seconds = summary.frames as f64 / f64::from(summary.sample_rate);
    for file in &summary.files {
        stderr.wrote(&file.path, file.what, None);
    }
    let (labels, seconds) = (summary.labels, text::Figure(seconds));
    let from = from(summary.from_s);
    stderr.say(&format!("{}: {seconds} s of either{from}, {labels} labels", summary.headline));
    Ok(stderr.damaged(&args.file, summary.damage.as_ref()))
}

/// Where in the session audio begins, if not with the initial buffer.
fn from(from_s: f64) -> String {
    match from_s {
        0.0 => String::new(),
        from_s => format!(" from {} s on", text::Figure(from_s)),
    }
}

/// The scenario that changes add up to. What names a file is one, and all else is typed.
fn changed(changes: &[String]) -> Result<Scenario> {
    let mut scenario = Scenario::default();
    let (files, typed): (Vec<_>, Vec<_>) =
        changes.iter().partition(|change| change.ends_with(".toml") || Path::new(change).is_file());
    match files[..] {
        [] => {}
        [file] => scenario = app::read_scenario(Path::new(file))?.scenario,
        _ => bail!(Misuse::new("--ab puts one scenario beside the recording; give one file")),
    }
    for change in typed {
        match change.split_once('=') {
            Some((knob, value)) if !knob.contains(':') => {
                parse::assign(&mut scenario, knob, value)?;
            }
            _ => parse::add_op(&mut scenario, change)?,
        }
    }
    scenario.check().map_err(ScenarioError::by_knobs)?;
    Ok(scenario)
}

/// How loud audio is, in decibels below full scale.
fn level(peak: f32, rms: f64, clipped: usize) -> String {
    if peak == 0.0 {
        return "all of it is silent".to_owned();
    }
    let decibels = |amplitude: f64| format!("{:.1} dB", 20.0 * amplitude.log10()).replace('-', "−");
    let over = match clipped {
        0 if peak > 1.0 => ", which players of whole numbers clip".to_owned(),
        0 => String::new(),
        1 => ", 1 sample is clipped".to_owned(),
        count => format!(", {count} samples are clipped"),
    };
    format!("peak {}{over}, level {}", decibels(peak.into()), decibels(rms))
}
