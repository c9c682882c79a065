//! `demo`: recording, replay and proof in a few seconds.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome, runtime};
use crate::cli::charset::drawn;
use crate::cli::recording_display::RecordingDisplay;
use crate::cli::stderr::Stderr;
use crate::edge::record::RecordingWatch;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape demo
  lagtape demo --out /tmp/demo")]
pub struct DemoArgs {
    /// Where to leave capture, report and audio
    #[arg(long, value_name = "DIR", default_value = "captures/out")]
    pub out: PathBuf,
}

pub fn run(args: &DemoArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    stderr.say(
        "a simulated server with a stall and a spell of late slices, recorded over a real WebSocket",
    );
    let mut display = RecordingDisplay::new(stderr, Some(app::DEMO_LENGTH));
    let summary =
        runtime()?.block_on(app::demo(&args.out, |client, now| (&mut display).see(client, now)));
    display.end();
    let summary = summary?;
    write!(out, "{}", drawn(&summary.report))?;
    let files: Vec<_> = summary.files.iter().map(|file| file.display().to_string()).collect();
    stderr.say(&format!("wrote {}", files.join(", ")));
    if !summary.proven {
        stderr.complain(
            "the live report and the one of the capture differ; this is a bug of lagtape",
        );
        return Ok(Outcome::Failed);
    }
    writeln!(
        out,
        "\nlive = offline: the live engine and the replay of the capture report the same {} bytes",
        summary.compared_bytes
    )?;
    Ok(Outcome::Healthy)
}
