//! A whole capture, read from its first byte to its report, wherever its bytes come from.
//!
//! Enters: what opens a capture, as often as it is asked for, and the bytes behind it. Leaves: an
//! [`Analysis`](crate::report::Analysis), or what a page shows of the session. Live sessions are no matter
//! of this room: their engines are driven by who receives them.

mod ahead;
mod analysis;
mod before;
mod listening;
mod page;
pub mod playheads;
mod replay;
mod request;
mod tunnel;

pub use analysis::{analysis, next_commands};
pub use before::Before;
pub use listening::SessionFollower;
pub use page::page_session;
pub use replay::{CaptureReplay, Inflating, ReviewError, collected};
pub use request::{MOST_RUNS, PageRequest, TunnelRuns};
pub use tunnel::{ask_options, curve_step_s, tunnel};
