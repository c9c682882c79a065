//! `info`: what a capture is.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::cli::wording::FLAGS;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape info live.lagtape
  lagtape info captures --json | jq .ending")]
pub struct InfoArgs {
    /// Captures, packed ones too; a folder stands for all in it, and - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Say of long captures, too, what can be asked of them in what-ifs
    #[arg(long)]
    pub askable: bool,
    /// One JSON object per capture and line
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &InfoArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let mut worst = Outcome::Healthy;
    let mut printed = Ok(());
    for file in &app::with_folders(&args.files)? {
        match app::info(file) {
            Ok(mut info) => {
                info.say_askable(file, args.askable, FLAGS);
                worst = worst.min(info.outcome());
                printed = printed.and_then(|()| match args.json {
                    true => json_line(out, &info),
                    false => Ok(write!(out, "{}", app::info_text(&info))?),
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
