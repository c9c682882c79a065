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
//! Below stands the core, which has no clock, no file and no socket, and is a crate of its own; its page,
//! [`lagtape_core`], tells its rooms in reading order. Above it are the rooms of this crate, and a room uses only
//! rooms above it:
//!
//! | room | what it knows |
//! |---|---|
//! | `edge` | clocks, files, sockets |
//! | `app` | the verbs |
//! | `mcp` | the door for agents |
//! | `cli` | the command line |

pub mod app;
pub mod cli;
pub mod edge;
#[cfg(feature = "mcp")]
pub mod mcp;

#[doc(inline)]
pub use lagtape_core::{
    capture, diagnosis, engine, family, heard, lag, report, review, scenario, sweep, time, verdict,
};
#[doc(hidden)]
pub use lagtape_core::{checkpoint, event, flight, har, mirror, parse, peer, playhead, wire};

#[doc(inline)]
pub use lagtape_core::{
    Analysis, CaptureDescription, Engine, LagReport, Options, Reader, Record, Records, ReportArgs,
    Salvage, Scenario, Tier, Verdict, Writer,
};
