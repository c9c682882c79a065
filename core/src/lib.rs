//! The core of lagtape: what a recorded session means, without clock, file or socket.
//!
//! Programs use it as `lagtape`, whose library is this one and what touches the world. The rooms, in reading
//! order; data walks one way through them, and a room uses only rooms above it:
//!
//! bytes on the wire → message → capture record → event → mirror, playhead, lag → report
//!
//! | room | what it knows |
//! |---|---|
//! | [`time`] | nanoseconds, and how people write them |
//! | `parse` | values that people type, and hints for misspelt names |
//! | `wire` | the bytes of one message: slice header, payload, JSON |
//! | [`capture`] | records and the file format that holds them |
//! | `event` | what a record means |
//! | `mirror` | the client's buffer, rebuilt from slices |
//! | `playhead` | where the listener is |
//! | [`heard`] | what the listener heard, and how old it was |
//! | [`lag`] | leads, staleness and the reference's report |
//! | [`verdict`] | whether that is lag |
//! | [`family`] | what the families of the server mean by their slices |
//! | [`engine`] | the only interpreter: live clients and replays both drive it |
//! | `checkpoint` | what a capture held, second by second |
//! | `peer` | both ends of a session as state machines |
//! | `flight` | the last seconds of a live stream, and what makes them worth keeping |
//! | [`scenario`] | what-ifs: what changes, and how far the answer can be trusted |
//! | [`sweep`] | many at once |
//! | [`diagnosis`] | which part was at fault, and what shows it |
//! | [`report`] | what was found, as data and in each of its forms |
//! | [`review`] | a whole capture, from its first byte to its report |
//! | `har` | a session out of a HAR file |
//!
//! Rooms without a page of their own are public for the rest of lagtape, for tests and benches, and change
//! without notice.

pub mod capture;
#[doc(hidden)]
pub mod checkpoint;
pub mod diagnosis;
pub mod engine;
#[doc(hidden)]
pub mod event;
pub mod family;
#[doc(hidden)]
pub mod flight;
#[doc(hidden)]
pub mod har;
pub mod heard;
pub mod lag;
#[doc(hidden)]
pub mod mirror;
#[doc(hidden)]
pub mod parse;
#[doc(hidden)]
pub mod peer;
#[doc(hidden)]
pub mod playhead;
pub mod report;
pub mod review;
pub mod scenario;
pub mod sweep;
pub mod time;
pub mod verdict;
#[doc(hidden)]
pub mod wire;

pub use capture::{Reader, Record, Records, Salvage, Writer};
pub use engine::{Engine, Options};
pub use lag::{LagReport, ReportArgs};
pub use report::{Analysis, CaptureDescription, Verdict};
pub use scenario::{Scenario, Tier};
