//! The verbs: what lagtape can do, as functions that every door calls.
//!
//! Enters: paths and plain options. Leaves: plain results, or an error that says what to do next.
//! Nothing here prints, parses arguments or ends the process.

mod advice;
mod analyze;
mod audio;
mod captures;
mod cat;
mod cut;
mod demo;
mod derived;
mod diff;
mod index;
mod info;
mod join;
mod live;
mod outcome;
mod plot;
mod proxy;
mod record;
mod recording;
mod recover;
mod redact;
mod replay;
mod serve;
mod simulate;
mod sweep;
mod verify;
mod what_if;

pub use advice::worded;
pub use analyze::{AnalyzeOptions, analyze, analyze_all, next_commands};
pub use audio::{AudioOptions, AudioSummary, audio};
pub use captures::{Captures, Found, Listed, header_of};
pub use cat::{CatFilter, MessagePage, cat, messages};
pub use cut::{CutOptions, CutSummary, cut};
pub use demo::{DemoSummary, LENGTH as DEMO_LENGTH, demo};
pub use diff::{DiffVerb, diff};
pub use info::{Info, info, info_text};
pub use join::{JoinSummary, MissingPart, join};
pub use live::{
    HEARD_S, LiveAudio, LiveEnd, LiveServer, LiveSession, LiveState, LiveVerb, Phase, upload,
};
pub use outcome::Outcome;
pub use plot::{PlotForm, PlotVerb, plot, plot_bytes};
pub use proxy::{ProxyVerb, proxy};
pub use record::{LIVE_TRACKER_BOUND, RecordVerb, RecordedSession, Source, live_analysis, record};
pub use recording::read_scenario;
pub use recover::{Recovered, recover, recovered_text};
pub use redact::{RedactOptions, RedactSummary, Removed, redact};
pub use replay::{Listening, PerformVerb, Replayed, perform, replay};
pub use serve::{BackendVerb, backend};
pub use simulate::{SimulateVerb, simulate};
pub use sweep::{Stopped, SweepVerb, find, sweep};
pub use verify::{Lost, Proof, Verified, verified_text, verify};
pub use what_if::{WhatIfVerb, what_if};

pub use crate::edge::har::import_har;
pub use crate::edge::import::{ImportSummary, import};
