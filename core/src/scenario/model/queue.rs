//! What the slices of a recording waited for on their way, or were shed for.

use std::fmt;

use crate::time::Nanos;

/// What slices waited for, or were shed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A link too thin for the stream.
    Link,
    /// A client that took what came only now and then.
    Client,
    /// Acknowledgements that the server was late to take.
    Intake,
}

impl fmt::Display for Cause {
    /// What became of slices.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Link => "waited for a link too thin for them",
            Cause::Client => "waited for a client that took them only now and then",
            Cause::Intake => "were shed because the server was late to take acknowledgements",
        })
    }
}

/// The queue in which the slices of a recording waited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    pub cause: Cause,
    /// By how much longer messages lengthen it, in nanoseconds for each byte; 0 where the server
    /// sheds slices by acknowledgements and so keeps it as long as it is.
    pub ns_per_byte: f64,
    /// When the server began: it does not wait until the initial buffer has passed the link.
    pub began: Nanos,
    /// On its way for longer than this a slice has waited for others, in nanoseconds.
    pub waits_ns: i64,
}

impl Queue {
    /// No queue: the server shed what it did because it was late to take acknowledgements.
    pub(super) fn of_intake(origin: Nanos) -> Self {
        Self { cause: Cause::Intake, ns_per_byte: 0.0, began: origin, waits_ns: i64::MAX }
    }
}
