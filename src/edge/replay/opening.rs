//! What has to be known of a capture before it can be replayed: the session that it holds, its
//! `ready`, its first buffer and when that came.
//!
//! Where the replay starts later, or the capture begins in the middle of its session, also where the
//! listener was at that moment. Nothing beyond is read.

use std::path::Path;

use anyhow::{Context, Error, Result, bail};
use serde_json::{Map, Value};

use crate::capture::{Body, Direction, Message, Record, Salvage, SessionPhase};
use crate::edge::files::{self, CaptureFile};
use crate::engine::{Engine, Options};
use crate::peer::replay::{CONFIG, MidSession, UPLOAD, config_of};
use crate::time::{Nanos, Offset};
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// Why a capture without audio cannot be replayed.
const LEFT_OUT: &str =
    "its audio was left out when it was recorded; replay a capture with payloads";

/// The beginning of a session, or of the part of it that a capture holds.
#[derive(Debug)]
pub struct RecordedOpening {
    /// The connection of the session.
    pub session: u32,
    /// When the session's initial buffer came, on the capture's clock; times count from it.
    pub origin: Nanos,
    /// When the first buffer is to be sent: at `origin`, or where the capture begins in the middle.
    pub began: Nanos,
    /// Kinds of client actions that the capture cannot be compared with.
    pub unknown: Vec<&'static str>,
    /// The fields of `ready`.
    pub ready: Map<String, Value>,
    pub sample_rate: u32,
    pub channels: u16,
    /// The first buffer, as it is sent.
    pub buffer: Vec<u8>,
    /// The fields of the client's first message.
    pub config: Map<String, Value>,
    /// It is no session of a DEMON server, and has neither `ready` nor buffer.
    pub is_plain: bool,
    /// Where the listener was at the start of a replay that does not begin at the buffer.
    pub start_position_s: Option<f64>,
}

impl RecordedOpening {
    /// Reads a capture up to its first buffer, or up to `start_at` where that comes later.
    pub fn read(path: &Path, start_at: Option<Offset>) -> Result<RecordedOpening> {
        let mut records = files::open_capture(path)?;
        let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
        let mut opening = RecordedOpening::find(&mut records, &mut engine)?;
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

    fn find(records: &mut Salvage<CaptureFile>, engine: &mut Engine) -> Result<RecordedOpening> {
        let (mut ready, mut config) = (Map::new(), Map::new());
        let mut unknown = Vec::new();
        let mut first = None;
        while let Some(record) = records.next_record()? {
            engine.handle(&record);
            let message = match &record.body {
                Body::Message(message) => {
                    first.get_or_insert((record.conn, record.t));
                    message
                }
                Body::Context(context) => {
                    let known = config_of(&context.state);
                    if context.state.phase != SessionPhase::BeforeConfig {
                        unknown = known.as_ref().map_or(vec![CONFIG, UPLOAD], |_| vec![UPLOAD]);
                    }
                    config = known.unwrap_or_default();
                    match MidSession::of(context, record.t).map_err(Error::msg)? {
                        Some(middle) => {
                            return RecordedOpening::entered(middle, record.t, config, unknown);
                        }
                        None => continue,
                    }
                }
                _ => continue,
            };
            if engine.origin().is_some() {
                let opening = RecordedOpening::of(engine, &record, message, ready, config)?;
                return Ok(RecordedOpening { unknown, ..opening });
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
        let (session, began) = first.filter(|_| engine.speaks_otherwise()).context(
            "it has no initial buffer, so there is no session to play; look at it with: lagtape cat",
        )?;
        Ok(RecordedOpening::plain(session, began, engine))
    }

    /// Any other WebSocket: what was sent, when, and nothing about what it means.
    fn plain(session: u32, began: Nanos, engine: &Engine) -> RecordedOpening {
        RecordedOpening {
            session,
            origin: began,
            began,
            unknown: Vec::new(),
            ready: Map::new(),
            sample_rate: engine.sample_rate(),
            channels: 0,
            buffer: Vec::new(),
            config: Map::new(),
            is_plain: true,
            start_position_s: None,
        }
    }

    fn of(
        engine: &Engine,
        record: &Record<'_>,
        message: &Message<'_>,
        ready: Map<String, Value>,
        config: Map<String, Value>,
    ) -> Result<RecordedOpening> {
        if !message.is_whole() {
            bail!(LEFT_OUT);
        }
        let epoch = engine.epochs().first().context("a buffer begins an epoch")?;
        Ok(RecordedOpening {
            session: record.conn,
            origin: record.t,
            began: record.t,
            unknown: Vec::new(),
            ready,
            sample_rate: engine.sample_rate(),
            channels: epoch.channels,
            buffer: message.payload.to_vec(),
            config,
            is_plain: false,
            start_position_s: None,
        })
    }

    fn entered(
        middle: MidSession,
        began: Nanos,
        config: Map<String, Value>,
        unknown: Vec<&'static str>,
    ) -> Result<RecordedOpening> {
        Ok(RecordedOpening {
            session: middle.session,
            origin: middle.origin,
            began,
            unknown,
            sample_rate: middle.sample_rate,
            channels: middle.channels,
            buffer: middle.buffer().context(LEFT_OUT)?,
            ready: middle.ready,
            config,
            is_plain: false,
            start_position_s: None,
        })
    }
}

/// Lets the engine see everything before `until`.
fn pass(records: &mut Salvage<CaptureFile>, engine: &mut Engine, until: Nanos) -> Result<()> {
    while let Some(record) = records.next_record()? {
        if record.t > until {
            return Ok(());
        }
        engine.handle(&record);
    }
    bail!("it ends before the replay would start; give an earlier --start-at")
}
