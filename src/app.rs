//! The verbs: what lagtape can do, as functions that the command line and the MCP server share.
//!
//! Enters: paths and plain options. Leaves: plain results, or an error that says what to do next.
//! Nothing here prints, parses arguments or ends the process.

// One file a verb.
mod analyze;
mod audio;
mod audio_ab;
mod backend;
mod cat;
mod cut;
mod demo;
mod diff;
mod export;
mod import;
mod info;
mod join;
mod live;
mod plot;
mod prove;
mod proxy;
mod query;
mod record;
mod recover;
mod redact;
mod replay;
mod report;
mod simulate;
mod sweep;
mod tables;
mod verify;
mod watch;
mod what_if;

// What several verbs share.
mod advice;

mod captures;
mod collected;
mod index;
mod lost;
mod outcome;
mod part;
mod peek;
mod recording;
mod runtime;

pub use advice::worded;
pub use analyze::{AnalyzeOptions, analyze, analyze_all};
pub use audio::{AudioOptions, AudioSummary, audio, audio_samples};
pub use audio_ab::{AbFile, AbOptions, AbSummary, audio_ab};
pub use backend::{BackendPorts, BackendVerb, BusPort, backend};
pub use captures::{CaptureFolders, FoundCapture, ListedCapture, with_folders};
pub use cat::{CatFilter, CatNotes, MessagePage, cat, messages};
pub use cut::{CutOptions, CutSummary, cut};
pub use demo::{DemoSummary, LENGTH as DEMO_LENGTH, demo};
pub use diff::{DiffVerb, diff};
pub use export::{ExportSummary, ExportVerb, export};
pub(crate) use import::import_any;
pub use import::{HarImport, ImportSummary, import, import_har, import_transcript};
pub use info::{Info, info, info_text};
pub use join::{JoinSummary, MissingPart, join};
pub use live::{
    HEARD_S, LiveAudio, LiveEnd, LivePhase, LiveServer, LiveSession, LiveState, LiveVerb, upload,
};
pub use lost::Lost;
pub use outcome::Outcome;
pub use part::SessionPart;
pub use peek::header_of;
pub use plot::{PlotForm, PlotVerb, plot, plot_bytes};
pub use prove::{prove, suggest};
pub use proxy::{ProxyVerb, proxy};
pub use query::{QueryVerb, query, timeline};
pub use record::{
    LIVE_TRACKER_BOUND, RecordVerb, RecordedSession, SessionSource, live_analysis, record,
};
pub(crate) use recording::toml_fault;
pub use recording::{askable, read_scenario};
pub use recover::{Recovered, recover, recovered_text};
pub use redact::{
    LeftPlace, LeftSummary, RedactOptions, RedactSummary, Removed, check_redacted, left_text,
    redact,
};
pub use replay::{Listening, PerformVerb, Replayed, perform, replay};
pub use report::page_session;
pub(crate) use runtime::{run_server, runtime};
pub use simulate::{FleetMix, FleetVerb, SimulateVerb, simulate, simulate_fleet};
pub use sweep::{Stopped, SweepVerb, find, sweep};
pub use tables::{
    TableTarget, TablesProgress, TablesSummary, TablesVerb, tabled, tabled_all, tables,
    what_if_rows,
};
pub use verify::{RecordCounts, ReplayCheck, Verified, verified_text, verify};
pub use watch::{Watching, check_capture};
pub use what_if::{WhatIfVerb, what_if, what_ifs};
