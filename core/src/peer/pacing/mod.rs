//! The server's decisions, each a small struct without sockets, audio or clocks.
//!
//! They decide where the next slice goes, whether it is sent, and whether one is made at all. The
//! server drives them with a virtual or a real clock; a what-if drives them with the times of a
//! recording.
//!
//! One generation is: tick, **look**, decode, send. At the look the generator takes the newest report,
//! estimates the position and places the slice; recordings of the real server (golden/pairs) show the
//! look at the end of the tick, before the decode. Given the times of those recordings, these structs
//! reproduce 97 to 99 % of all slice starts exactly; the others are off by one grid step, where a
//! report came within a millisecond of the look.

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
