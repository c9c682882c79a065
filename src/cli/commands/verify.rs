//! `verify`: every record of a capture is checked.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape verify captures/*.lagtape
  lagtape verify live.lagtape --json | jq .damage
  lagtape verify live.lagtape --replay

Exit code 3 when anything is damaged; a recording that was cut short is sound.")]
pub struct VerifyArgs {
    /// Captures, packed ones too; a folder stands for all in it, and - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replay them, too, and compare with the state that each checkpoint recorded
    #[arg(long)]
    pub replay: bool,
    /// One JSON object per capture and line
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &VerifyArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let mut worst = Outcome::Healthy;
    let mut printed = Ok(());
    for file in &app::with_folders(&args.files)? {
        match app::verify(file, args.replay) {
            Ok(found) => {
                worst = found.iter().map(app::Verified::outcome).fold(worst, Outcome::min);
                printed = printed.and_then(|()| match args.json {
                    true => found.iter().try_for_each(|one| json_line(out, one)),
                    false => Ok(write!(out, "{}", app::verified_text(&found))?),
                });
            }
            Err(error) => {
                stderr.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
            }
        }
    }
    unless_closed(printed, worst)
}
