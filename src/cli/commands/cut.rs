//! `cut`: a part of a capture.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, CutOptions, Outcome};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, keep_apart, unless_closed};
use crate::report::text::{self, RecordCount};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape cut live.lagtape --from 40s --to 55s -o incident.lagtape
  lagtape cut live.lagtape --episode 2 -o incident.lagtape
  lagtape cut live.lagtape --from -1s --to 0 -o handshake.lagtape

Records keep their numbers, times and sync marker. A context record before them holds the session's \
whole state, audio included, so that playhead, leads, staleness and audio of the part are those of \
the whole; its reports cover the part, which ends before the moment of --to, so that \
a next one can begin there. Exit code 3 when the capture is damaged up to there.")]
pub struct CutArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The capture to write; - is stdout
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Say what was written as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub part: PartArgs,
}

impl CutArgs {
    fn options(&self) -> Result<CutOptions> {
        let part = self.part.part().resolved(&self.file)?;
        Ok(CutOptions { from: part.from, to: part.to, force: self.force })
    }
}

pub fn run(args: &CutArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    keep_apart(&args.out, args.json)?;
    let summary = app::cut(&args.file, &args.out, &args.options()?)?;
    if args.json {
        return unless_closed(json_line(out, &summary), summary.outcome());
    }
    let (from, to) = (text::Figure(summary.from_s), text::Figure(summary.to_s));
    stderr.lost(&args.file, &summary.lost);
    let what = format!("{}, {from} s to {to} s", RecordCount(summary.records));
    stderr.wrote(&args.out, &what, Some("analyze"));
    Ok(summary.outcome())
}
