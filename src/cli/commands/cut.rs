//! `cut`: a part of a capture.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, CutOptions, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::report::text::{self, RecordCount};
use crate::time::Offset;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape cut live.lagtape --from 40s --to 55s -o incident.lagtape
  lagtape cut live.lagtape --from -1s --to 0 -o handshake.lagtape

RecordCount keep their numbers, times and sync marker. A context record before them holds the session's
whole state, audio included, so that playhead, leads, staleness and audio of the part are those of
the whole; its reports cover the part. Exit code 3 when the capture is damaged up to there.")]
pub struct CutArgs {
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
    fn options(&self) -> CutOptions {
        CutOptions { from: self.from, to: self.to, force: self.force }
    }
}

pub fn run(args: &CutArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let summary = app::cut(&args.file, &args.out, &args.options())?;
    if args.json {
        return unless_closed(json_line(out, &summary), summary.outcome());
    }
    let (from, to) = (text::Figure(summary.from_s), text::Figure(summary.to_s));
    let name = args.out.display();
    stderr.say(&format!("wrote {name}: {}, {from} s to {to} s", RecordCount(summary.records)));
    stderr.lost(&args.file, &summary.lost);
    stderr.say(&format!("next: lagtape analyze {name}"));
    Ok(summary.outcome())
}
