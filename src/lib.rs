//! lagtape: flight recorder and wind tunnel for realtime generated audio.
//!
//! A DEMON server patches slices of audio into a loop just ahead of the listener. lagtape replays
//! a recording of such a session and says where the listener heard audio that was late or stale.
//!
//! The rooms, in reading order; data walks one way through them, and a room uses only rooms above
//! it:
//!
//! bytes on the wire → message → capture record → event → mirror, playhead, lag → report
//!
//! | room | what it knows |
//! |---|---|
//! | [`time`] | nanoseconds, and how people write them |
//! | [`parse`] | values that people type, and hints for misspelt names |
//! | [`wire`] | the bytes of one message: slice header, payload, JSON |
//! | [`capture`] | records and the file format that holds them |
//! | [`event`] | what a record means |
//! | [`mirror`] | the client's buffer, rebuilt from slices |
//! | [`playhead`] | where the listener is |
//! | [`heard`] | what the listener heard, how old it was, and whether that is lag |
//! | [`lag`] | leads, staleness and the reference's report |
//! | [`engine`] | the only interpreter: live clients and replays both drive it |
//! | [`checkpoint`] | what a capture held, second by second |
//! | [`peer`] | both ends of a session as state machines |
//! | [`flight`] | the last seconds of a live stream, and what makes them worth keeping |
//! | [`scenario`] | what-ifs: what changes, and how far the answer can be trusted |
//! | [`sweep`] | many at once |
//! | [`report`] | what was found, as data and in each of its forms |
//! | `edge` | clocks, files, sockets |
//! | `app` | the verbs |
//! | `mcp` | the door for agents |
//! | `cli` | the command line |
//!
//! Everything before `edge` is the core: it has no clock, no file and no socket, and builds with
//! `--no-default-features`.

pub mod capture;
pub mod checkpoint;
pub mod engine;
pub mod event;
pub mod flight;
pub mod heard;
pub mod lag;
pub mod mirror;
pub mod parse;
pub mod peer;
pub mod playhead;
pub mod report;
pub mod scenario;
pub mod sweep;
pub mod time;
pub mod wire;

#[cfg(feature = "cli")]
pub mod app;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod edge;
#[cfg(feature = "mcp")]
pub mod mcp;
