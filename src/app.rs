//! The verbs: what lagtape can do, as functions that every door calls.
//!
//! Enters: paths and plain options. Leaves: plain results, or an error that says what to do next.
//! Nothing here prints, parses arguments or ends the process.

mod analyze;
mod audio;
mod cat;
mod demo;
mod derived;
mod info;
mod join;
mod outcome;
mod proxy;
mod record;
mod recording;
mod serve;
mod simulate;
mod sweep;
mod what_if;

pub use analyze::{AnalyzeOptions, analyze, analyze_all, next_commands};
pub use audio::{AudioOptions, AudioSummary, audio};
pub use cat::{CatFilter, cat};
pub use demo::{DemoSummary, LENGTH as DEMO_LENGTH, demo};
pub use info::{Info, info, info_text};
pub use join::{JoinSummary, MissingPart, join};
pub use outcome::Outcome;
pub use proxy::{ProxyVerb, proxy};
pub use record::{LIVE_TRACKER_BOUND, RecordVerb, RecordedSession, Source, live_analysis, record};
pub use recording::read_scenario;
pub use serve::{BackendVerb, backend};
pub use simulate::{SimulateVerb, simulate};
pub use sweep::{Stopped, SweepVerb, find, sweep};
pub use what_if::{WhatIfVerb, what_if};

pub use crate::edge::import::{ImportSummary, import};
