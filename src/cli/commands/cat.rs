//! `cat`: the messages of a capture, a line each.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, CatFilter, CatNotes, Outcome};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::unless_closed;
use crate::cli::values::DirectionArg;
use crate::report::moments::{self, Moment};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape cat stall.lagtape --type slice --from 5s --to 6s
  lagtape cat stall.lagtape --json --dir c2s --type params | jq .text
  lagtape cat stall.lagtape --timeline")]
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
    /// What happened instead, in one list: ops, knobs that were turned, commands, events, buffers, closes,
    /// losses, spells of lag and their causes
    #[arg(long, conflicts_with_all = ["records", "not_kinds", "dir"])]
    pub timeline: bool,
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
    if args.timeline {
        return timeline(args, stderr, out);
    }
    let filter = args.filter()?;
    filter.check()?;
    match app::cat(&args.file, &filter, out) {
        Ok(CatNotes { damage, absent }) => {
            absent.iter().for_each(|sentence| stderr.say(sentence));
            Ok(stderr.damaged(&args.file, damage.as_ref()))
        }
        Err(error) => unless_closed(Err(error), Outcome::Healthy),
    }
}

/// The moments of a session whose kind or name is asked for.
fn timeline(args: &CatArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let (all, damage) = app::timeline(&args.file, args.part.part())?;
    let outcome = stderr.damaged(&args.file, damage.as_ref());
    let is_called = |moment: &Moment, kind: &str| kind == moment.kind.name() || kind == moment.name;
    let is_asked = |moment: &&Moment| {
        args.kinds.is_empty() || args.kinds.iter().any(|kind| is_called(moment, kind))
    };
    for kind in &args.kinds {
        if !all.moments.iter().any(|moment| is_called(moment, kind)) {
            stderr.say(&format!("no moment is of type {kind}"));
        }
    }
    let most = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut shown = all.moments.iter().filter(is_asked).take(most);
    let printed = shown.try_for_each(|moment| moments::print(moment, args.json, out));
    if all.left_out > 0 {
        stderr.say(&format!("{} later moments are left out", all.left_out));
    }
    unless_closed(printed.map_err(Into::into), outcome)
}
