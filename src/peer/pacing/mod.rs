//! The server's decisions, each a small struct without sockets, audio or clocks.
//!
//! Enters: what the client reported and the moments at which the generator looked. Leaves: where
//! the next slice goes, whether it is sent, whether one is made at all. The server drives them with
//! a virtual or a real clock; a what-if drives them with the moments of a recording.
//!
//! One generation is: tick, **look**, decode, send. At the look the generator takes the newest
//! report, estimates the position and places the slice; the recordings of the real server
//! (golden/pairs) show the look at the end of the tick, before the decode. Fed with the moments of
//! those recordings these structs repeat 97 to 99 % of all slice starts exactly; the others lie one
//! step of the grid aside, where a report came within a millisecond of the look.

mod anchors;
mod clock;
mod flow;
mod idle;
mod lead;
mod placement;

pub use anchors::AnchorQueue;
pub use clock::PlayheadClock;
pub use flow::{Fate, FlowControl};
pub use idle::{Activity, IdleGate};
pub use lead::LeadController;
pub use placement::{Band, Placed, Placement, Region};
