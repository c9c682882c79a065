//! Reports: what was found in a capture, as plain data, then one file for each form of it.
//!
//! [`Analysis::of`] reads an engine after its last record and returns the data that `lagtape analyze
//! --json` prints; [`text`] renders it for a person, [`wav`] writes audio, and [`compare`] puts two
//! captures side by side. Times are seconds from the arrival of the initial buffer, rounded to the
//! microsecond, but for what was heard, which is known to the nanosecond; `*_ns` are on the
//! capture's own clock. Figures come from the engine: nothing is
//! measured here.

mod arrivals;
pub mod askable;
mod build;
mod clock;
pub mod compare;
mod damage;
mod data;
mod description;
pub mod divergence;
mod ending;
#[cfg(feature = "forms")]
pub mod export;
mod family;
mod findings;
#[cfg(feature = "forms")]
pub mod flac;
mod format;
pub(crate) mod har_note;
mod json;
mod leads;
pub mod moments;
pub mod page;
mod playhead_use;
#[cfg(feature = "forms")]
pub mod plot;
pub mod query;
pub mod ranking;
mod round_trip;
mod seen;
pub mod sweep;
pub mod table;
pub mod text;
mod time_report;
pub mod timeline;
#[cfg(test)]
mod verdict_tests;
mod warnings;
pub mod wav;
pub mod what_if;

pub use crate::verdict::{HeardUse, Verdict};
pub use arrivals::{ArrivalFigures, ArrivalsReport, BurstVolume, OpcodeVolume, SilentSpan};
pub use damage::{DamageReport, DamagedPlace};
pub use data::{
    Analysis, CloseReport, EpochReport, EventReport, IdleSpan, Rates, SCHEMA, SessionReport,
    TrafficReport, Trend,
};
pub use description::CaptureDescription;
pub use ending::{EndingReport, LateReportsSpan, ReportGapSpan};
pub use family::{FamilyReport, HealthySilence};
pub use json::{json_text, write_json};
pub use leads::LeadsReport;
pub use playhead_use::{OpReport, PlayheadDecision, PlayheadUse};
pub use round_trip::RoundTripReport;
pub use time_report::{TimeReport, TimeTrust};
pub use warnings::{CaptureWarning, Warning, WarningKind};
