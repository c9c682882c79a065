//! `recover`: what a damaged capture still holds.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, keep_apart, unless_closed};
use crate::edge::output::is_dash;
use crate::parse::shell;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Example:
  lagtape recover damaged.lagtape -o sound.lagtape

Records are copied byte for byte, with their numbers, times and sync marker; gap records stand for \
what is lost. A record whose checksum fails is never written. Exit code 3 when anything was lost.")]
pub struct RecoverArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The capture to write; - is stdout
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// One JSON object per capture that was found
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &RecoverArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    keep_apart(&args.out, args.json)?;
    let recovered = app::recover(&args.file, &args.out, args.force)?;
    let outcomes = recovered.iter().map(app::Recovered::outcome);
    let worst = outcomes.fold(Outcome::Healthy, Outcome::min);
    if args.json {
        let printed = recovered.iter().try_for_each(|one| json_line(out, one));
        return unless_closed(printed, worst);
    }
    stderr.say_lines(&app::recovered_text(&recovered));
    if !is_dash(&args.out) {
        stderr.say(&format!("next: lagtape analyze {}", shell::file(&args.out.to_string_lossy())));
    }
    Ok(worst)
}
