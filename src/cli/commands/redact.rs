//! `redact`: a capture without its audio or without certain texts, and the proof of it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::app::{self, Outcome, RedactOptions};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, keep_apart, unless_closed};
use crate::report::text;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape redact live.lagtape --drop-audio -o shareable.lagtape
  lagtape redact live.lagtape --text 'lo-fi, mellow' --text 'sk-*' -o x.lagtape
  lagtape redact x.lagtape --check --text 'lo-fi, mellow' --text 'sk-*'

Without audio every lag report stays as it is: headers of slices, lengths and SHA-256 are kept. A \
text becomes [redacted] wherever one can stand, however JSON or an address writes it (Café also finds \
Caf\\u00e9 and Caf%C3%A9), and JSON stays JSON. The header says how much was removed.

--check says whether a text is left anywhere: exit code 0 if none is, 4 if one is, 3 if damaged bytes \
may hold one, 1 if messages that cannot be read may.")]
pub struct RedactArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The capture to write; - is stdout
    #[arg(short, long, value_name = "FILE", required_unless_present = "check")]
    pub out: Option<PathBuf>,
    /// Write nothing, and say whether the texts are left anywhere in FILE
    #[arg(long, requires = "text", conflicts_with_all = ["out", "drop_audio", "force"])]
    pub check: bool,
    /// Remove all audio
    #[arg(long)]
    pub drop_audio: bool,
    /// Remove this text; * stands for any characters but quotes, backslashes and white space
    #[arg(long, value_name = "PATTERN")]
    pub text: Vec<String>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Say what was removed, or is left, as JSON
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
    match &args.out {
        Some(to) => redact(args, to, stderr, out),
        None => check(args, out),
    }
}

fn check(args: &RedactArgs, out: &mut dyn Write) -> Result<Outcome> {
    let left = app::check_redacted(&args.file, &args.text)?;
    let printed = match args.json {
        true => json_line(out, &left),
        false => write!(out, "{}", app::left_text(&left)).map_err(Into::into),
    };
    unless_closed(printed, left.outcome())
}

fn redact(args: &RedactArgs, to: &Path, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    keep_apart(to, args.json)?;
    let summary = app::redact(&args.file, to, &args.options())?;
    if args.json {
        return unless_closed(json_line(out, &summary), summary.outcome());
    }
    let app::Removed { audio_messages, audio_bytes, texts, unreadable } = summary.removed;
    let bytes = text::Bytes(audio_bytes);
    let what =
        format!("{bytes} of audio in {audio_messages} messages and {texts} texts are removed");
    stderr.wrote(to, &what, None);
    if unreadable > 0 {
        stderr.say(&format!("{unreadable} messages that cannot be read are left out"));
    }
    stderr.lost(&args.file, &summary.lost);
    Ok(summary.outcome())
}
