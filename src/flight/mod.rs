//! What of a live stream is worth a file: the last seconds of it, and what makes them so.
//!
//! Enters: the records of a live stream, each with its bytes. Leaves: the beginning of a capture
//! that shows the last seconds on its own ([`Ring`]), and the moment at which somebody will want it
//! ([`TriggerWatch`]). Times are those of the records. Memory is bounded by what [`RingLimits`] allow and
//! one context. Nothing here reads a clock or opens a file; both run beside the live engine and
//! never change what it says.

mod ring;
mod split;
mod trigger_watch;

pub use ring::{Ring, RingLimits, RingLimitsError};
pub use split::{SplitAt, SplitAtError};
pub use trigger_watch::{Trigger, TriggerError, TriggerReason, TriggerWatch};

/// Key of a header's metadata: the number of the part of a recording, from 1.
pub const PART_KEY: &str = "part";
/// Key of a header's metadata: what happened, where the capture is that of an incident.
pub const INCIDENT_KEY: &str = "incident";
/// Key of a header's metadata: when that was, on the capture's clock.
pub const INCIDENT_NS_KEY: &str = "incident_ns";
