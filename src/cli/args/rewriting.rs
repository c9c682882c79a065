//! `verify`, `recover`, `cut`, `redact`: captures as files.

use std::path::PathBuf;

use crate::app::{CutOptions, RedactOptions};
use crate::time::Offset;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape verify captures/*.lagtape
  lagtape verify live.lagtape --json | jq .damage
  lagtape verify live.lagtape --replay

Exit code 3 when anything is damaged; a recording that was cut short is sound.")]
pub struct VerifyArgs {
    /// Captures to check
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Replay them, too, and compare with the state that each checkpoint recorded
    #[arg(long)]
    pub replay: bool,
    /// One JSON object per capture and line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Example:
  lagtape recover damaged.lagtape -o sound.lagtape

Records are copied byte for byte, with their numbers, times and sync marker; gap records stand for
what is lost. A record whose checksum fails is never written. Exit code 3 when anything was lost.")]
pub struct RecoverArgs {
    /// The capture to read
    pub file: PathBuf,
    /// The capture to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// One JSON object per capture that was found
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape cut live.lagtape --from 40s --to 55s -o incident.lagtape
  lagtape cut live.lagtape --from -1s --to 0 -o handshake.lagtape

Records keep their numbers, times and sync marker. A context record before them holds the session's
whole state, audio included, so that playhead, leads, staleness and audio of the part are those of
the whole; its reports cover the part. Exit code 3 when the capture is damaged up to there.")]
pub struct CutArgs {
    /// The capture to read
    pub file: PathBuf,
    /// The capture to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// From this moment on
    #[arg(long, allow_hyphen_values = true)]
    pub from: Option<Offset>,
    /// Up to this moment, and without it: a next part can begin there
    #[arg(long, allow_hyphen_values = true)]
    pub to: Option<Offset>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Say what was written as JSON
    #[arg(long)]
    pub json: bool,
}

impl CutArgs {
    pub fn options(&self) -> CutOptions {
        CutOptions { from: self.from, to: self.to, force: self.force }
    }
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape redact live.lagtape --drop-audio -o shareable.lagtape
  lagtape redact live.lagtape --text 'lo-fi, mellow' --text 'sk-*' -o shareable.lagtape

Without audio every lag report stays as it is: headers of slices, lengths and SHA-256 are kept. A
text becomes [redacted] in messages, header, context and markers. The header says how much was removed.")]
pub struct RedactArgs {
    /// The capture to read
    pub file: PathBuf,
    /// The capture to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// Remove all audio
    #[arg(long)]
    pub drop_audio: bool,
    /// Remove this text; * stands for any characters but quotes, backslashes and white space
    #[arg(long, value_name = "PATTERN")]
    pub text: Vec<String>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Say what was removed as JSON
    #[arg(long)]
    pub json: bool,
}

impl RedactArgs {
    pub fn options(&self) -> RedactOptions {
        RedactOptions {
            drop_audio: self.drop_audio,
            patterns: self.text.clone(),
            force: self.force,
        }
    }
}
