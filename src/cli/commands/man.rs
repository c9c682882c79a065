//! `man`: the help as manual pages, one for each verb.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::app::Outcome;
use crate::cli::CommandLine;
use crate::cli::stderr::Stderr;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape man ~/.local/share/man/man1
  man lagtape-what-if")]
pub struct ManArgs {
    /// The folder that gets the pages; made if there is none
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

pub fn run(args: &ManArgs, stderr: Stderr, _: &mut dyn Write) -> Result<Outcome> {
    let into = || format!("cannot write manual pages into {}", args.dir.display());
    std::fs::create_dir_all(&args.dir).with_context(into)?;
    clap_mangen::generate_to(CommandLine::command(), &args.dir).with_context(into)?;
    stderr.say(&format!("manual pages of lagtape and of each verb are in {}", args.dir.display()));
    Ok(Outcome::Healthy)
}
