//! The verbs, one file each: its arguments, and what it prints.

pub mod analyze;
pub mod audio;
pub mod backend;
pub mod cat;
pub mod completions;
pub mod cut;
pub mod demo;
pub mod diagnose;
pub mod diff;
pub mod import;
pub mod info;
pub mod join;
pub mod man;
#[cfg(feature = "mcp")]
pub mod mcp;
pub mod plot;
pub mod proxy;
pub mod record;
pub mod recover;
pub mod redact;
pub mod replay;
pub mod report;
pub mod simulate;
pub mod sweep;
pub mod verify;
pub mod what_if;
