//! Flags about the files that a recording becomes, shared by the verbs that record.

use std::str::FromStr;

use clap::ValueEnum;

use crate::edge::recorder::{FileLayout, Quota, RingOptions, SyncPolicy};
use crate::flight::{RingLimits, SplitAt, Trigger, TriggerError};
use crate::parse::ByteSize;
use crate::time::Span;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Files")]
pub struct KeepingArgs {
    /// When the capture is safe from a power failure; a kill costs nothing that was written
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub sync: SyncArg,
    /// Parts of so much time or size, each complete in itself, such as 10min or 500MB; the output
    /// live.lagtape becomes live-001.lagtape and so on
    #[arg(long, value_name = "TIME|SIZE", conflicts_with = "ring")]
    pub split: Option<SplitAt>,
    /// Only keep the last seconds in memory, such as 60s or 60s,64MB, and write them to a file
    /// when a trigger fires; the output live.lagtape becomes live-<UTC>-<WHY>.lagtape
    #[arg(long, value_name = "TIME[,SIZE]")]
    pub ring: Option<RingLimits>,
    /// What fires: lead=-0.05:1s (slices under that lead for that long), stale=3s (older audio is
    /// heard), close, or none; the first three by default. SIGUSR1 always fires
    #[arg(long, value_name = "TRIGGER", requires = "ring")]
    pub trigger: Vec<TriggerArg>,
    /// How long such a file goes on after its trigger
    #[arg(long, value_name = "TIME", requires = "ring", default_value = "10s")]
    pub after: Span,
    /// At most so many such files; the oldest are deleted
    #[arg(long, value_name = "FILES", requires = "ring", default_value_t = Quota::default().files,
        value_parser = parse_files)]
    pub keep: usize,
    /// At most so many bytes in such files; the oldest are deleted
    #[arg(long, value_name = "SIZE", requires = "ring", default_value_t = Quota::default().bytes)]
    pub max_total: ByteSize,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum SyncArg {
    /// The operating system decides; a power failure may cost half a minute
    None,
    /// Every second
    #[default]
    Interval,
    /// After every write
    Record,
}

/// A trigger, or `none`.
#[derive(Clone, Copy, Debug)]
pub struct TriggerArg(Option<Trigger>);

impl FromStr for TriggerArg {
    type Err = TriggerError;

    fn from_str(text: &str) -> Result<Self, TriggerError> {
        match text {
            "none" => Ok(TriggerArg(None)),
            _ => text.parse().map(|trigger| TriggerArg(Some(trigger))),
        }
    }
}

impl KeepingArgs {
    /// Whether anything was said of the files at all.
    pub fn asks_for_anything(&self) -> bool {
        self.split.is_some() || self.ring.is_some() || !matches!(self.sync, SyncArg::Interval)
    }

    pub fn keeping(&self) -> FileLayout {
        match (self.split, self.ring) {
            (Some(at), _) => FileLayout::Parts(at),
            (None, None) => FileLayout::Whole,
            (None, Some(limits)) => FileLayout::Ring(RingOptions {
                limits,
                triggers: match self.trigger.is_empty() {
                    true => Trigger::defaults(),
                    false => self.trigger.iter().filter_map(|trigger| trigger.0).collect(),
                },
                after: self.after,
                quota: Quota { files: self.keep, bytes: self.max_total },
            }),
        }
    }

    pub fn sync(&self) -> SyncPolicy {
        match self.sync {
            SyncArg::None => SyncPolicy::None,
            SyncArg::Interval => SyncPolicy::Interval,
            SyncArg::Record => SyncPolicy::Record,
        }
    }
}

fn parse_files(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("write a number of files, at least 1".to_owned()),
        Ok(files) => Ok(files),
    }
}
