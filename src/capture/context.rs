//! The state of a session at one moment, so that a capture can begin in the middle of it.
//!
//! Enters and leaves: plain data, which the engine makes and takes back. Times are seconds or
//! nanoseconds of the capture's clock, positions are audio frames. Two engines whose contexts are
//! equal go on equally. What reports are made of (slices, ticks, events, counts) is history and
//! not in here: the reports of a capture cover what it holds.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::format::MAX_PAYLOAD_LEN;
use crate::time::Nanos;
use crate::wire::message::Ready;

/// A buffer may inflate to this many bytes and two for each byte that is really there.
const FREE_BUFFER_LEN: u64 = 32 << 20;
/// Magic number of a zstd frame that decoders skip; buffers are filled up with one.
const SKIPPABLE: [u8; 4] = 0x184d_2a50_u32.to_le_bytes();
/// Fast, and the planes that shrink at all do so at any level.
const BUFFER_LEVEL: i32 = 1;

/// The state of a session after a record: what a reader has to know to go on from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Context<'a> {
    /// All of it but the audio.
    pub state: Box<State>,
    /// The client's buffer, if it is known.
    pub buffer: Option<Buffer<'a>>,
}

impl Context<'_> {
    /// The same with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Context<'static> {
        let buffer = self.buffer.map(|buffer| Buffer(Cow::Owned(buffer.0.into_owned())));
        Context { state: self.state, buffer }
    }
}

/// Where a session stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The connection of the session; until `ready` the one that spoke last.
    pub connection: Option<u32>,
    /// How far the handshake is.
    pub phase: Phase,
    /// Binary messages that were announced and have not come, in their order.
    pub expected: Vec<Expectation>,
    /// Records are missing, so that the expectations may be wrong.
    pub doubtful: bool,
    /// The client's first message, as it came; empty where it is unknown.
    pub config: String,
    /// What `ready` declared, …
    pub ready: Option<Ready>,
    /// … and the message, as it came; empty where it is unknown.
    pub ready_text: String,
    /// The server's refusal.
    pub refusal: Option<Refusal>,
    /// The latest time of any record.
    pub latest: Nanos,
    /// Bytes of all slice messages so far, which clients acknowledge.
    pub slice_bytes: u64,
    /// The knobs as `params_echo` merged them: the JSON text of an object, or empty.
    pub knobs: String,
    /// The last `params_update`, as it came.
    pub params_update: String,
    /// The stream, once its initial buffer came.
    pub stream: Option<StreamState>,
}

/// Where a session stands in its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing sent yet.
    #[default]
    BeforeConfig,
    /// The client has sent its configuration and waits for `ready`.
    BeforeReady,
    /// `ready` came; the next binary of the server is the initial buffer.
    BeforeBuffer,
    /// Slices and ticks.
    Streaming,
    /// The server sent `error` instead of `ready`.
    Refused,
}

/// What a coming binary message of the server was announced to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// The buffer of a swap, with the channels that `swap_ready` declared.
    SwapBuffer(Option<u16>),
    /// A stem.
    Stem,
    /// The rendered track of `bounce_ready`.
    Bounce,
}

/// What the server said when it refused a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// The error's `code`.
    pub code: Option<String>,
    /// The error's `message`.
    pub message: Option<String>,
}

/// Where the stream stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamState {
    /// When the session's initial buffer came: the origin of every time that a person reads.
    pub origin: Nanos,
    /// When the present buffer came.
    pub began: Nanos,
    /// Length of the loop in frames.
    pub frames: u64,
    /// Channels of the buffer.
    pub channels: u16,
    /// When each bucket of the loop was refreshed last, in seconds.
    pub refreshed_s: Vec<f64>,
    /// When the last slice of this buffer landed, in seconds.
    #[serde(default)]
    pub last_slice_s: Option<f64>,
    /// The simulated playhead.
    pub simulated: SimulatedState,
    /// The playhead that the client's reports tell of.
    pub reported: ReportedState,
    /// The frame up to which the buffer was heard: the playhead of the last tick.
    #[serde(default)]
    pub heard_to: Option<u64>,
    /// What the last tick said.
    #[serde(default)]
    pub last_tick: TickReport,
    /// Whether there was a tick.
    #[serde(default)]
    pub ticked: bool,
    /// The knobs of the last tick that had some: the JSON text of an object.
    #[serde(default)]
    pub tick_knobs: String,
    /// What the verdict depends on.
    #[serde(default)]
    pub judge: JudgeState,
    /// CRC-32C over the headers and the audio of all slices so far, if it was computed.
    #[serde(default)]
    pub audio_crc: Option<u32>,
}

/// A simulated playhead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SimulatedState {
    /// Position in frames at `anchored_s`.
    pub anchor: f64,
    /// When the position was that, in seconds.
    pub anchored_s: f64,
    /// Its speed.
    pub rate: f64,
    /// Whether it stands still.
    pub paused: bool,
}

/// A reported playhead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportedState {
    /// The position reported last, in seconds of the loop.
    pub position_s: f64,
    /// When it was reported, in seconds.
    pub at_s: f64,
    /// Since when it stands still, in seconds.
    #[serde(default)]
    pub held_since_s: Option<f64>,
    /// Reports so far.
    pub reports: u64,
}

/// What the client said about itself in a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TickReport {
    /// Its position in seconds.
    pub playback_pos: Option<f64>,
    /// Its clock in seconds.
    pub client_time: Option<f64>,
    /// Bytes of slices that it has received.
    pub slice_bytes_rx: Option<f64>,
    /// The smallest lead that it saw since the report before.
    pub slice_lead_s: Option<f64>,
}

/// What the verdict depends on; times are seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeState {
    /// Whether the player is paused.
    pub paused: bool,
    /// When the last transient is over.
    pub settled_at_s: f64,
    /// Mean lead of the server.
    pub advance_s: f64,
    /// When a knob was turned last.
    pub last_knob_s: f64,
    /// When the last slice landed.
    pub last_slice_s: f64,
    /// How long no knob had been turned then.
    pub quiet_at_last_slice_s: f64,
    /// The spell of stale audio that may go on.
    #[serde(default)]
    pub stale: Option<StaleState>,
    /// The spell of slices behind the listener that may go on.
    #[serde(default)]
    pub behind: Option<BehindState>,
}

/// A spell of stale audio.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StaleState {
    /// The staleness over which audio counts as stale here, in seconds.
    pub threshold_s: f64,
    /// When it began.
    pub from_s: f64,
    /// When it was over, or the last look.
    pub to_s: f64,
    /// Stale ticks.
    pub ticks: u64,
    /// The oldest audio heard.
    pub worst_staleness_s: f64,
    /// The longest time without a slice.
    pub silence_s: f64,
    /// The last stale tick.
    pub last_stale_s: f64,
    /// Whether a tick since was not stale.
    pub over: bool,
}

/// A spell of slices behind the listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BehindState {
    /// When it began.
    pub from_s: f64,
    /// The last slice behind.
    pub last_behind_s: f64,
    /// Slices behind.
    pub slices: u64,
    /// All slices.
    pub of: u64,
    /// All slices up to the last one behind.
    pub of_at_last_behind: u64,
    /// The lowest lead.
    pub worst_lead_s: f64,
}

/// The client's buffer, packed: its 32-bit floats as four planes of bytes (all highest bytes, then
/// all second ones, …), in one zstd frame that declares its length.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer<'a>(pub(super) Cow<'a, [u8]>);

impl Buffer<'_> {
    /// Packs a buffer; `None` when it is too long for a record.
    #[must_use]
    pub fn pack(samples: &[f32]) -> Option<Buffer<'static>> {
        let mut planes = vec![0; samples.len() * 4];
        for (plane, chunk) in planes.chunks_exact_mut(samples.len().max(1)).enumerate() {
            for (byte, sample) in chunk.iter_mut().zip(samples) {
                *byte = sample.to_be_bytes()[plane];
            }
        }
        let mut packed = zstd::bulk::compress(&planes, BUFFER_LEVEL).ok()?;
        fill_up(&mut packed, planes.len() as u64);
        (packed.len() < MAX_PAYLOAD_LEN / 2).then_some(Buffer(Cow::Owned(packed)))
    }

    /// Unpacks a buffer that should have this many samples.
    ///
    /// # Errors
    /// A sentence's end that says what does not fit. Nothing is allocated for a length that is
    /// absurd for the bytes that are there.
    pub fn unpack(&self, samples: u64) -> Result<Vec<f32>, &'static str> {
        let bytes = samples.saturating_mul(4);
        if bytes > may_inflate_to(self.0.len()) {
            return Err("its buffer is too short for its length");
        }
        let declared = zstd::zstd_safe::get_frame_content_size(&self.0).ok().flatten();
        if declared != Some(bytes) {
            return Err("its buffer declares another length");
        }
        let planes = zstd::bulk::decompress(&self.0, bytes as usize)
            .map_err(|_| "its buffer cannot be inflated")?;
        if planes.len() as u64 != bytes {
            return Err("its buffer has another length");
        }
        let (high, low) = planes.split_at(planes.len() / 2);
        let (first, second) = high.split_at(high.len() / 2);
        let (third, fourth) = low.split_at(low.len() / 2);
        let columns = first.iter().zip(second).zip(third.iter().zip(fourth));
        Ok(columns.map(|((&a, &b), (&c, &d))| f32::from_be_bytes([a, b, c, d])).collect())
    }
}

/// Appends to a buffer that packed very well, so that readers need not trust its length.
fn fill_up(packed: &mut Vec<u8>, inflated_len: u64) {
    let least = inflated_len.saturating_sub(FREE_BUFFER_LEN).div_ceil(2) as usize;
    if let Some(missing) = least.checked_sub(packed.len()).filter(|&missing| missing > 0) {
        packed.extend_from_slice(&SKIPPABLE);
        packed.extend_from_slice(&(missing as u32).to_le_bytes());
        packed.resize(packed.len() + missing, 0);
    }
}

fn may_inflate_to(packed_len: usize) -> u64 {
    FREE_BUFFER_LEN + 2 * packed_len as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(samples: &[f32]) -> usize {
        let packed = Buffer::pack(samples).unwrap();
        let unpacked = packed.unpack(samples.len() as u64).unwrap();
        let bits = |samples: &[f32]| samples.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&unpacked), bits(samples));
        packed.0.len()
    }

    #[test]
    fn buffers_go_there_and_back() {
        check(&[]);
        check(&[1.5]);
        check(&[0.0, -0.0, 1.0e-40, f32::NAN, f32::INFINITY, 0.1, -7.25]);
        let ramp: Vec<f32> =
            (0..10_000).map(|i| half::f16::from_f32(i as f32 / 1e4).into()).collect();
        let len = check(&ramp);
        assert!(len < ramp.len() * 5 / 2, "{len} bytes");
    }

    #[test]
    fn a_long_silence_is_filled_up_so_that_a_short_one_cannot_claim_to_be_long() {
        let samples = vec![0.0; 10 << 20];
        let packed = Buffer::pack(&samples).unwrap();
        assert_eq!(packed.0.len() as u64, (40 << 20) / 2 - (16 << 20) + 8);
        assert_eq!(packed.unpack(samples.len() as u64).unwrap(), samples);
        let cut = Buffer(packed.0[..packed.0.len() - 9].into());
        let refused = cut.unpack(samples.len() as u64);
        assert_eq!(refused, Err("its buffer is too short for its length"));
    }

    #[test]
    fn a_buffer_of_another_length_is_refused() {
        let packed = Buffer::pack(&[1.0, 2.0]).unwrap();
        assert_eq!(packed.unpack(3), Err("its buffer declares another length"));
        assert_eq!(packed.unpack(u64::MAX), Err("its buffer is too short for its length"));
        assert_eq!(Buffer(b"xyz"[..].into()).unpack(1), Err("its buffer declares another length"));
    }
}
