//! A session that is entered in its middle, from the context that a part of a recording begins with.
//!
//! A server would open it here with this `ready`, buffer and knobs, and the listener had moved the
//! playhead with these ops. The buffer is rounded to half floats, as every buffer on the wire is. A
//! session whose stream had not begun has none of this: its buffer is still to come.

use serde_json::{Map, Value, json};

use crate::capture::{BufferError, Context, Marker, SessionState};
use crate::peer::server::{Pcm, to_halves};
use crate::playhead::PlayheadSim;
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};
use crate::wire::json::parse_object;
use crate::wire::message::Ready;

/// Where a session was entered.
#[derive(Debug, Clone)]
pub struct MidSession {
    /// The connection of the session.
    pub session: u32,
    /// When its first buffer came, on the tape's clock.
    pub origin: Nanos,
    pub frames: u64,
    pub channels: u16,
    pub sample_rate: u32,
    /// The recorded `ready`, changed to the loop as it is now.
    pub ready: Map<String, Value>,
    /// What brings a simulated playhead to where it was: seek, and then rate and pause.
    pub ops: Vec<Marker>,
    samples: Option<Vec<f32>>,
}

impl MidSession {
    /// The session at `t`, if its stream had begun.
    ///
    /// # Errors
    /// The context's buffer cannot be unpacked.
    pub fn of(context: &Context<'_>, t: Nanos) -> Result<Option<MidSession>, BufferError> {
        let state = &context.state;
        let Some(stream) = &state.stream else { return Ok(None) };
        let sample_rate = state.ready.map_or(DEFAULT_SAMPLE_RATE, |ready| ready.sample_rate);
        let len = stream.frames.saturating_mul(stream.channels.into());
        let samples = context.buffer.as_ref().map(|buffer| buffer.unpack(len)).transpose()?;
        let playhead = PlayheadSim::resume(&stream.simulated, stream.frames, sample_rate);
        Ok(Some(MidSession {
            session: state.connection.unwrap_or_default(),
            origin: stream.origin,
            frames: stream.frames,
            channels: stream.channels,
            sample_rate,
            ready: ready(state, stream.frames, stream.channels, sample_rate),
            ops: ops(&playhead, t),
            samples,
        }))
    }

    /// The buffer as a server sends it; `None` where its audio is unknown.
    #[must_use]
    pub fn buffer(&self) -> Option<Vec<u8>> {
        self.samples.as_deref().map(to_halves)
    }

    /// The buffer as a client uploads its source.
    #[must_use]
    pub fn upload(&self) -> Option<Vec<u8>> {
        self.samples.as_ref().map(|samples| Pcm::new(self.channels, samples.clone()).to_message())
    }
}

/// The fields of the config that opened the session, if it is known.
#[must_use]
pub fn config(state: &SessionState) -> Option<Map<String, Value>> {
    parse_object(&state.config).ok().map(|object| object.fields)
}

/// The echo of knobs that were turned elsewhere, if some were.
#[must_use]
pub fn params_echo(state: &SessionState) -> Option<String> {
    let raw = parse_object(&state.knobs).ok()?.fields;
    (!raw.is_empty()).then(|| json!({"type": "params_echo", "raw": raw}).to_string())
}

/// Announces the buffer of a swap whose own announcement is not in the recording.
#[must_use]
pub fn swap_ready(frames: u64, channels: u16, sample_rate: u32) -> String {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), json!("swap_ready"));
    shape(&mut fields, frames, channels, sample_rate);
    Value::Object(fields).to_string()
}

/// The recorded `ready`, changed to the loop as it is now; a swap may have brought another one.
fn ready(state: &SessionState, frames: u64, channels: u16, sample_rate: u32) -> Map<String, Value> {
    let recorded = parse_object(&state.ready_text).map(|object| object.fields);
    let mut fields = recorded.unwrap_or_default();
    fields.insert("type".to_owned(), json!("ready"));
    let declared = Ready::of(&fields);
    shape(&mut fields, frames, channels, sample_rate);
    if let Some(Value::Object(geometry)) = fields.get_mut("geometry") {
        geometry.insert("channels".to_owned(), json!(channels));
        geometry.insert("duration_s".to_owned(), json!(seconds(frames, sample_rate)));
        if declared.sample_rate != sample_rate {
            geometry.insert("sample_rate".to_owned(), json!(sample_rate));
        }
    }
    fields
}

fn shape(fields: &mut Map<String, Value>, frames: u64, channels: u16, sample_rate: u32) {
    fields.insert("duration".to_owned(), json!(seconds(frames, sample_rate)));
    fields.insert("channels".to_owned(), json!(channels));
    fields.insert("sample_rate".to_owned(), json!(sample_rate));
}

fn seconds(frames: u64, sample_rate: u32) -> f64 {
    frames as f64 / f64::from(sample_rate.max(1))
}

fn ops(playhead: &PlayheadSim, t: Nanos) -> Vec<Marker> {
    let seek = Marker::Seek { to_s: playhead.seconds(t.seconds()) };
    let rate = Marker::Rate { rate: playhead.rate() };
    let rate = (playhead.rate() != 1.0).then_some(rate);
    let pause = playhead.paused().then_some(Marker::Pause);
    [Some(seek), rate, pause].into_iter().flatten().collect()
}
