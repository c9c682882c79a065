//! lagtape: flight recorder and wind tunnel for realtime generated audio.
//!
//! A DEMON server patches slices of audio into a loop just ahead of the listener. lagtape replays
//! a recording of such a session and says where the listener heard audio that was late or stale.
//!
//! A capture is read record by record, an [`Engine`] interprets them, and an [`Analysis`] is what
//! `lagtape analyze --json` prints:
//!
//! ```
//! use lagtape::{Analysis, CaptureDescription, Engine, Options, Records, ReportArgs};
//!
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/stall.lagtape");
//! let mut records = Records::new(std::fs::File::open(path)?);
//! let mut engine = Engine::new(Options::default());
//! let mut end = Default::default();
//! while let Some(record) = records.next_record()? {
//!     end = record.t;
//!     engine.handle(&record);
//! }
//! let about = CaptureDescription::live("stall.lagtape".to_owned(), end);
//! let analysis = Analysis::of(&engine, about, &ReportArgs::default());
//! assert!(analysis.verdict.is_lag());
//! assert_eq!(analysis.verdict.episodes.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same records answer what would have been heard otherwise:
//!
//! ```
//! use lagtape::scenario::answer::{AskOptions, RecordingBuilder};
//! use lagtape::scenario::open_loop::Scratch;
//! use lagtape::{Records, Scenario, Tier};
//!
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/healthy.lagtape");
//! let mut records = Records::new(std::fs::File::open(path)?);
//! let mut recording = RecordingBuilder::default();
//! while let Some(record) = records.next_record()? {
//!     recording.handle(&record);
//! }
//! let recording = recording.finish()?;
//! let scenario = Scenario::from_value(&serde_json::json!({"playback": {"rate": 1.01}}))?;
//! let ask = AskOptions { open_loop: true, ..AskOptions::default() };
//! let answer = recording.prepare(ask).answer(&scenario, &mut Scratch::default())?;
//! assert_eq!(answer.tier, Tier::Horizon);
//! assert_eq!(answer.verdict.and_then(|verdict| verdict.lag), Some(false));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rooms, in reading order; data walks one way through them, and a room uses only rooms above
//! it:
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
//! | `edge` | clocks, files, sockets |
//! | `app` | the verbs |
//! | `mcp` | the door for agents |
//! | `cli` | the command line |
//!
//! Everything before `edge` is the core: it has no clock, no file and no socket, and builds with
//! `--no-default-features`. Rooms without a page of their own are public for tests and benches, and change
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

#[cfg(feature = "cli")]
pub mod app;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod edge;
#[cfg(feature = "mcp")]
pub mod mcp;

pub use capture::{Reader, Record, Records, Salvage, Writer};
pub use engine::{Engine, Options};
pub use lag::{LagReport, ReportArgs};
pub use report::{Analysis, CaptureDescription, Verdict};
pub use scenario::{Scenario, Tier};
