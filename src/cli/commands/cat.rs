//! `cat`: the messages of a capture, a line each.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, CatFilter, Outcome};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::unless_closed;
use crate::cli::values::DirectionArg;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape cat stall.lagtape --type slice --from 5s --to 6s
  lagtape cat stall.lagtape --json --dir c2s --type params | jq .text")]
pub struct CatArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// One JSON object per record, holding only what the record holds
    #[arg(long)]
    pub json: bool,
    /// Records that are no messages, too: header, context, clock, gap, marker, checkpoint, end
    #[arg(long)]
    pub records: bool,
    /// Only these: a JSON type (params, ready, …), an opcode (text, binary, ping, …), or what the
    /// message is (config, upload, buffer, slice, swap_buffer, aside)
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// None of these
    #[arg(long = "not-type", value_name = "TYPE", value_delimiter = ',')]
    pub not_kinds: Vec<String>,
    /// Only what went this way
    #[arg(long, value_name = "WAY")]
    pub dir: Option<DirectionArg>,
    /// At most so many lines
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub part: PartArgs,
}

impl CatArgs {
    fn filter(&self) -> Result<CatFilter> {
        let part = self.part.part().resolved(&self.file)?;
        Ok(CatFilter {
            json: self.json,
            records: self.records,
            kinds: self.kinds.clone(),
            not_kinds: self.not_kinds.clone(),
            direction: self.dir.map(Into::into),
            from: part.from,
            to: part.to,
            limit: self.limit,
        })
    }
}

pub fn run(args: &CatArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let filter = args.filter()?;
    filter.check()?;
    match app::cat(&args.file, &filter, out) {
        Ok(damage) => Ok(stderr.damaged(&args.file, damage.as_ref())),
        Err(error) => unless_closed(Err(error), Outcome::Healthy),
    }
}
