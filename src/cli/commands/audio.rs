//! `audio`: what the listener heard, as a WAV file.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, AudioOptions, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::values::PlayheadArg;
use crate::report::text;
use crate::time::Span;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape audio stall.lagtape -o heard.wav
  lagtape audio stall.lagtape --buffer -o buffer.wav
  lagtape audio stall.lagtape --at 9.5s --last 5s -o worst.wav")]
pub struct AudioArgs {
    pub file: PathBuf,
    /// The WAV file to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// The buffer as it stands at the end, instead of what was heard
    #[arg(long)]
    pub buffer: bool,
    /// Only the last part
    #[arg(long)]
    pub last: Option<Span>,
    /// Up to this moment instead of the capture's end
    #[arg(long)]
    pub at: Option<Span>,
    /// The playhead to follow: simulated by default for headless clients, else reported
    #[arg(long, value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

pub fn run(args: &AudioArgs, stderr: Stderr, _: &mut dyn Write) -> Result<Outcome> {
    let options = AudioOptions {
        buffer: args.buffer,
        last: args.last,
        at: args.at,
        playhead: args.playhead.map(Into::into),
        force: args.force,
    };
    let summary = app::audio(&args.file, &args.out, &options)?;
    let seconds = summary.frames as f64 / f64::from(summary.sample_rate);
    stderr.say(&format!("wrote {}: {} s of audio", args.out.display(), text::Figure(seconds)));
    Ok(stderr.damaged(&args.file, summary.damage.as_ref()))
}
