//! `join`: the parts of a recording become one capture.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, keep_apart, unless_closed};
use crate::report::text::RecordCount;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Example:
  lagtape join day-*.lagtape -o day.lagtape

The parts may be named in any order. What comes out is what an undivided recording would have been.")]
pub struct JoinArgs {
    /// Parts that record --split made
    #[arg(required = true, value_name = "PART")]
    pub parts: Vec<PathBuf>,
    /// The capture to write; - is stdout
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Say what was joined as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &JoinArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    keep_apart(&args.out, args.json)?;
    let summary = app::join(&args.parts, &args.out, args.force)?;
    for missing in &summary.missing {
        stderr.complain(&format!(
            "{} records are missing before {}; a gap record says so",
            missing.records,
            missing.before.display()
        ));
    }
    if !summary.complete {
        stderr.say("the last part has no end: it was cut off, or is still being made");
    }
    let what = format!("{} of {} parts", RecordCount(summary.records), summary.parts);
    stderr.wrote(&args.out, &what, Some("analyze"));
    let printed = if args.json { json_line(out, &summary) } else { Ok(()) };
    unless_closed(printed, Outcome::Healthy)
}
