//! The messages of one WebSocket of a HAR file, and what is wrong with them.

use serde_json::Value;

use super::HarError;
use super::log::{Entry, Frame};
use super::payload::message;
use super::times::{Moment, Report};
use crate::capture::{Message, Opcode};
use crate::event::{Event, Interpreter};
use crate::family::FamilyWatch;
use crate::wire::message::{Params, Ready};
use crate::wire::slice::SliceDecoder;

/// Share of the server's binary messages that may be cut short, as single damage.
const MAX_CUT_SHARE: f64 = 0.01;
/// A source buffer is at least this much of the `duration` that `ready` declares; models round it.
const MIN_BUFFER_SHARE: f64 = 0.9;

/// The messages of a session.
pub(super) struct Session<'e, 'a> {
    /// Each with its number in the file.
    pub frames: Vec<(usize, &'e Frame<'a>)>,
    /// What their times follow from, one for each.
    pub moments: Vec<Moment>,
    /// The length of the loop, where it stays.
    pub loop_s: Option<f64>,
    /// A DEMON server accepted it, or refused it.
    pub is_demon: bool,
    pub payloads: Payloads,
    /// What its slices say of the family, where it says nothing of that itself.
    pub family: Option<String>,
    /// Entries that are no messages.
    pub left_out: u64,
}

/// What is missing of the binary messages.
#[derive(Default)]
pub(super) struct Payloads {
    binaries: u64,
    /// Those of either side without data.
    pub empty: u64,
    /// Those of the server that are no whole slice.
    cut: u64,
    /// A source buffer is shorter than the server said.
    buffer_is_cut: bool,
}

impl Payloads {
    /// Why there can be no verdict on the audio. What is empty, everybody sees.
    pub fn doubt(&self) -> Option<String> {
        let Payloads { binaries, cut, .. } = *self;
        if self.buffer_is_cut {
            return Some(
                "a source buffer is cut short: what wrote it down left part of the audio out"
                    .to_owned(),
            );
        }
        (cut as f64 > binaries as f64 * MAX_CUT_SHARE).then(|| {
            format!(
                "{cut} of {binaries} binary messages of the server are cut short: what wrote them \
                 down left part of the audio out"
            )
        })
    }
}

impl Payloads {
    fn buffer(&mut self, message: &Message<'_>, channels: u16, is_long: bool) {
        self.binaries += 1;
        let whole_frames = message.len().is_multiple_of(u64::from(channels.max(1)) * 2);
        self.buffer_is_cut |= !(message.is_empty() || whole_frames && is_long);
    }
}

impl<'e, 'a> Session<'e, 'a> {
    pub fn of(entry: &'e Entry<'a>) -> Result<Session<'e, 'a>, HarError> {
        let mut session = Session {
            frames: Vec::new(),
            moments: Vec::new(),
            loop_s: None,
            is_demon: false,
            payloads: Payloads::default(),
            family: None,
            left_out: 0,
        };
        let (mut reader, mut bytes) = (Reader::default(), Vec::new());
        for (number, frame) in (1..).zip(&entry.frames) {
            let Some(message) = message(frame, number, &mut bytes)? else {
                session.left_out += u64::from(!frame.is_error);
                continue;
            };
            let report = reader.read(&message, &mut session);
            let Frame { time, .. } = *frame;
            session.moments.push(Moment { direction: message.direction, time, report });
            session.frames.push((number, frame));
        }
        session.family = reader.family.note();
        Ok(session)
    }
}

/// Reads a session for what its times and its audio are worth.
struct Reader {
    interpreter: Interpreter,
    family: FamilyWatch,
    decoder: SliceDecoder,
    format: Ready,
    /// The length that the server declared of its source.
    declared_s: Option<f64>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader {
            interpreter: Interpreter::new(),
            family: FamilyWatch::new(),
            decoder: SliceDecoder::new(),
            format: Ready::of(&serde_json::Map::new()),
            declared_s: None,
        }
    }
}

impl Reader {
    /// Notes what a message says of the session; returns the clocks of a report.
    fn read(&mut self, message: &Message<'_>, session: &mut Session<'_, '_>) -> Option<Report> {
        if !self.family.is_over() {
            self.family.see(0, message);
        }
        let payloads = &mut session.payloads;
        payloads.empty += u64::from(message.opcode == Opcode::Binary && message.is_empty());
        match self.interpreter.read(0, message) {
            Event::Ready { declared, .. } => {
                session.is_demon = true;
                self.format = declared;
                self.declared_s = declared_s(message);
            }
            Event::Refused { .. } => session.is_demon = true,
            Event::Tick(Params { client_time, playback_pos, .. }) => {
                return Some(Report { client_time_s: client_time, position_s: playback_pos });
            }
            Event::InitialBuffer => {
                let least_s = self.declared_s.unwrap_or(0.0) * MIN_BUFFER_SHARE;
                session.loop_s = loop_s(message.len(), self.format);
                let is_long = session.loop_s.is_none_or(|loop_s| loop_s >= least_s);
                payloads.buffer(message, self.format.channels, is_long);
            }
            Event::SwapBuffer { channels } => {
                session.loop_s = None;
                payloads.buffer(message, channels.unwrap_or(self.format.channels), true);
            }
            Event::Slice => {
                payloads.binaries += 1;
                let is_whole = message.is_empty() || self.decoder.decode(message.payload).is_ok();
                payloads.cut += u64::from(!is_whole);
            }
            _ => {}
        }
        None
    }
}

/// The `duration` of a `ready`.
fn declared_s(ready: &Message<'_>) -> Option<f64> {
    let ready: Value = serde_json::from_str(ready.text()?).ok()?;
    ready.get("duration")?.as_f64()
}

/// The length of a loop of so many bytes of f16 samples; none of an empty one.
fn loop_s(bytes: u64, format: Ready) -> Option<f64> {
    let bytes_per_s = f64::from(format.channels) * 2.0 * f64::from(format.sample_rate);
    Some(bytes as f64 / bytes_per_s).filter(|loop_s| loop_s.is_finite() && *loop_s > 0.0)
}
