//! What has to be known of a capture before it can be replayed.
//!
//! Enters: a capture. Leaves: whose session it holds, its `ready`, its initial buffer and when that
//! came; and where the listener was when a replay is to start later. Reads no further than that.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::capture::{Body, Direction, Message, Record, Salvage};
use crate::edge::files::{self, CaptureFile};
use crate::edge::replay::IN_THE_MIDDLE;
use crate::engine::{Engine, Options};
use crate::time::{Nanos, Offset};
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// The beginning of a session.
#[derive(Debug)]
pub struct Opening {
    /// The connection of the session.
    pub session: u32,
    /// When the initial buffer came, on the capture's clock.
    pub origin: Nanos,
    /// The fields of `ready`.
    pub ready: Map<String, Value>,
    /// Frames per second.
    pub sample_rate: u32,
    /// Channels of the initial buffer.
    pub channels: u16,
    /// The initial buffer, as it came.
    pub buffer: Vec<u8>,
    /// The fields of the client's first message.
    pub config: Map<String, Value>,
    /// Where the listener was at the start of a replay that does not begin at the buffer.
    pub start_position_s: Option<f64>,
}

impl Opening {
    /// Reads a capture up to its initial buffer, or up to `start_at` where that comes later.
    pub fn read(path: &Path, start_at: Option<Offset>) -> Result<Opening> {
        let mut records = files::open_capture(path)?;
        let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
        let mut opening = Opening::find(&mut records, &mut engine)?;
        let start = start_at.map(|at| at.from(opening.origin)).filter(|at| *at > opening.origin);
        if let Some(start) = start {
            pass(&mut records, &mut engine, start)?;
            opening.start_position_s = engine.playhead_s(start);
        }
        Ok(opening)
    }

    fn find(records: &mut Salvage<CaptureFile>, engine: &mut Engine) -> Result<Opening> {
        let (mut ready, mut config) = (Map::new(), Map::new());
        while let Some(record) = records.next_record()? {
            engine.handle(&record);
            let message = match &record.body {
                Body::Message(message) => message,
                Body::Context(_) => bail!(IN_THE_MIDDLE),
                _ => continue,
            };
            if engine.origin().is_some() {
                return Opening::of(engine, &record, message, ready, config);
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
            bail!("its audio was left out when it was recorded; replay a capture with payloads");
        }
        let epoch = engine.epochs().first().context("a buffer begins an epoch")?;
        Ok(Opening {
            session: record.conn,
            origin: record.t,
            ready,
            sample_rate: engine.ready().map_or(crate::time::DEFAULT_SAMPLE_RATE, |r| r.sample_rate),
            channels: epoch.channels,
            buffer: message.payload.to_vec(),
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
