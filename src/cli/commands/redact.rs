//! `redact`: a capture without its audio or without certain texts.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome, RedactOptions};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::report::text;

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
    fn options(&self) -> RedactOptions {
        RedactOptions {
            drop_audio: self.drop_audio,
            patterns: self.text.clone(),
            force: self.force,
        }
    }
}

pub fn run(args: &RedactArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let summary = app::redact(&args.file, &args.out, &args.options())?;
    if args.json {
        return unless_closed(json_line(out, &summary), summary.outcome());
    }
    let app::Removed { audio_messages, audio_bytes, texts } = summary.removed;
    stderr.say(&format!(
        "wrote {}: {} of audio in {audio_messages} messages and {texts} texts are removed",
        args.out.display(),
        text::Bytes(audio_bytes)
    ));
    stderr.lost(&args.file, &summary.lost);
    Ok(summary.outcome())
}
