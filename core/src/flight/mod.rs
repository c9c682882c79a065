//! The last seconds of a live stream, and the triggers that make them worth keeping.
//!
//! [`Ring`] holds the newest records and writes the beginning of a capture that can be read on its own;
//! [`TriggerWatch`] says when an incident occurs. Both run beside the live engine without affecting it.
//! Memory is bounded by [`RingLimits`] and one snapshot.

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
/// Key of a header's metadata: the cause that was at work then, its class and a sentence, as far as it
/// showed by then.
pub const INCIDENT_FINDING_KEY: &str = "incident_finding";
