//! The state of a running stream: its buffer, both playheads, and the lag detector.

use serde::{Deserialize, Serialize};

use super::detector::LagDetectorState;
use super::heard::HeardState;
use crate::time::Nanos;

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
    /// What the verdict of readers before `heard` depends on.
    #[serde(default)]
    pub judge: LagDetectorState,
    /// What the verdict depends on; captures of earlier versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<HeardState>,
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
    /// The client's clock; missing if it tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientClockState>,
}

/// The clock of a client beside that of the records, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientClockState {
    /// The position and the client's time of the last report that went on from the one before.
    #[serde(default)]
    pub track: Option<(f64, f64)>,
    /// Least distance between a report's arrival and its time since `since_s`, …
    pub least_s: f64,
    /// … and in the span before that.
    pub before_s: f64,
    /// When the present span began.
    pub since_s: f64,
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
