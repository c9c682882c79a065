//! What has to be known of a capture before it can be replayed.
//!
//! Enters: a capture. Leaves: whose session it holds, its `ready`, its first buffer and when that
//! came; and where the listener was when a replay is to start later, or a capture begins in the middle
//! of its session. Reads no further than that.

use std::path::Path;

use anyhow::{Context, Error, Result, bail};
use serde_json::{Map, Value};

use crate::capture::{Body, Direction, Message, Record, Salvage, SessionPhase};
use crate::edge::files::{self, CaptureFile};
use crate::engine::{Engine, Options};
use crate::peer::replay::{CONFIG, Middle, UPLOAD, config_of};
use crate::time::{Nanos, Offset};
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// Why a capture without audio cannot be played.
const LEFT_OUT: &str =
    "its audio was left out when it was recorded; replay a capture with payloads";

/// The beginning of a session, or of the part of it that a capture holds.
#[derive(Debug)]
pub struct Opening {
    /// The connection of the session.
    pub session: u32,
    /// When the session's initial buffer came, on the capture's clock: what times count from.
    pub origin: Nanos,
    /// When the first buffer is to be sent: then, or where the capture begins in the middle.
    pub began: Nanos,
    /// Kinds of deeds of a client that the capture cannot be compared with.
    pub unknown: Vec<&'static str>,
    /// The fields of `ready`.
    pub ready: Map<String, Value>,
    /// Frames per second.
    pub sample_rate: u32,
    /// Channels of the first buffer.
    pub channels: u16,
    /// The first buffer, as it is sent.
    pub buffer: Vec<u8>,
    /// The fields of the client's first message.
    pub config: Map<String, Value>,
    /// Where the listener was at the start of a replay that does not begin at the buffer.
    pub start_position_s: Option<f64>,
}

impl Opening {
    /// Reads a capture up to its first buffer, or up to `start_at` where that comes later.
    pub fn read(path: &Path, start_at: Option<Offset>) -> Result<Opening> {
        let mut records = files::open_capture(path)?;
        let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
        let mut opening = Opening::find(&mut records, &mut engine)?;
        let start = start_at.map(|at| at.from(opening.origin)).filter(|at| *at > opening.began);
        if let Some(start) = start {
            pass(&mut records, &mut engine, start)?;
            opening.start_position_s = engine.playhead_s(start);
        } else if opening.is_middle() {
            opening.start_position_s = engine.playhead_s(opening.began);
        }
        Ok(opening)
    }

    /// Whether the capture begins in the middle of its session.
    #[must_use]
    pub fn is_middle(&self) -> bool {
        self.began != self.origin
    }

    /// When the first buffer is sent, in seconds from the session's initial buffer.
    #[must_use]
    pub fn began_s(&self) -> f64 {
        self.began.seconds_since(self.origin)
    }

    fn find(records: &mut Salvage<CaptureFile>, engine: &mut Engine) -> Result<Opening> {
        let (mut ready, mut config) = (Map::new(), Map::new());
        let mut unknown = Vec::new();
        while let Some(record) = records.next_record()? {
            engine.handle(&record);
            let message = match &record.body {
                Body::Message(message) => message,
                Body::Context(context) => {
                    let known = config_of(&context.state);
                    if context.state.phase != SessionPhase::BeforeConfig {
                        unknown = known.as_ref().map_or(vec![CONFIG, UPLOAD], |_| vec![UPLOAD]);
                    }
                    config = known.unwrap_or_default();
                    match Middle::of(context, record.t).map_err(Error::msg)? {
                        Some(middle) => return Opening::entered(middle, record.t, config, unknown),
                        None => continue,
                    }
                }
                _ => continue,
            };
            if engine.origin().is_some() {
                let opening = Opening::of(engine, &record, message, ready, config)?;
                return Ok(Opening { unknown, ..opening });
            }
            let Some(object) = message.text().and_then(|text| parse_object(text).ok()) else {
                continue;
            };
            match (message.direction, kind_of(&object.fields)) {
                (Direction::ServerToClient, Some("ready")) => ready = object.fields,
                (Direction::ClientToServer, kind) if kind != Some("params") => {
                    config = object.fields;
                }
                _ => {}
            }
        }
        bail!(
            "it has no initial buffer, so there is no session to play; look at it with: lagtape cat"
        )
    }

    fn of(
        engine: &Engine,
        record: &Record<'_>,
        message: &Message<'_>,
        ready: Map<String, Value>,
        config: Map<String, Value>,
    ) -> Result<Opening> {
        if !message.is_whole() {
            bail!(LEFT_OUT);
        }
        let epoch = engine.epochs().first().context("a buffer begins an epoch")?;
        Ok(Opening {
            session: record.conn,
            origin: record.t,
            began: record.t,
            unknown: Vec::new(),
            ready,
            sample_rate: engine.sample_rate(),
            channels: epoch.channels,
            buffer: message.payload.to_vec(),
            config,
            start_position_s: None,
        })
    }

    fn entered(
        middle: Middle,
        began: Nanos,
        config: Map<String, Value>,
        unknown: Vec<&'static str>,
    ) -> Result<Opening> {
        Ok(Opening {
            session: middle.session,
            origin: middle.origin,
            began,
            unknown,
            sample_rate: middle.sample_rate,
            channels: middle.channels,
            buffer: middle.buffer().context(LEFT_OUT)?,
            ready: middle.ready,
            config,
            start_position_s: None,
        })
    }
}

/// Shows the engine what comes before `until`.
fn pass(records: &mut Salvage<CaptureFile>, engine: &mut Engine, until: Nanos) -> Result<()> {
    while let Some(record) = records.next_record()? {
        if record.t > until {
            return Ok(());
        }
        engine.handle(&record);
    }
    bail!("it ends before the replay would start; give an earlier --start-at")
}
