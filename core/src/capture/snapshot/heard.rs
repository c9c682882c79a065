//! The state of the measure of what was heard. Times are nanoseconds of the capture's clock.

use serde::{Deserialize, Serialize};

use crate::time::Nanos;

/// What coming ages and episodes depend on. What was heard until then is not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeardState {
    /// The playhead is the one that the client reports.
    pub reported: bool,
    pub excuses: Excuses,
    pub meter: MeterState,
    /// What came since the last report, in its order.
    #[serde(default)]
    pub waiting: Vec<Waiting>,
    pub reported_at: Nanos,
    /// Bytes of all slices that could be used.
    pub received: u64,
    /// Bytes of slices that the client acknowledged last.
    pub acknowledged: u64,
    pub paused: bool,
    /// Of a tape: the end of the newest audio that came, in frames that were never wrapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<u64>,
}

/// The listener over the loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeterState {
    /// Length of the loop in frames.
    pub frames: u64,
    /// The last write of each region, and the region's first frame, in their order.
    pub writes: Vec<(u64, LastWrite)>,
    pub line: PlayheadLine,
    pub walked_to: Nanos,
    pub listening: bool,
    pub excused_until: Nanos,
    /// Until when slices may come that were placed for the buffer before.
    pub swapping_until: Nanos,
    /// When the playhead jumped or got another buffer, until the server's lead is known to be a settled
    /// one again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jumped_at: Option<Nanos>,
    /// Slices applied since the session began.
    pub slices: u32,
    /// When the last one was.
    pub last_slice: Nanos,
    /// The spell of slices behind the listener that may go on.
    #[serde(default)]
    pub behind: Option<BehindSpell>,
    /// The threshold over which audio counts as old here.
    pub threshold_ns: u64,
    /// The spell of bad audio that may go on, by that threshold.
    #[serde(default)]
    pub spell: Option<HeardSpell>,
    /// The tape, of a session that only appends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<TapeState>,
}

/// What is healthy of an append-only tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapeRule {
    /// The first audio may come so long after the initial buffer.
    pub first_audio_ns: u64,
    /// The longest healthy time between two bursts of slices.
    pub burst_ns: u64,
    /// The piece has an end, after which no slice comes and the session stays.
    pub ends: bool,
}

/// What is written of an append-only tape. Frames are unwrapped: they go on counting where the window
/// begins anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapeState {
    pub rule: TapeRule,
    /// The end of the newest audio.
    pub frontier: u64,
    /// A slice was applied.
    pub begun: bool,
    /// Stretches before the frontier that were never written, ascending.
    pub holes: Vec<(u64, u64)>,
    /// Windows to add to the playhead's line.
    pub laps: i64,
    /// What was heard past the frontier since the last slice, which is lag only if another comes.
    #[serde(default)]
    pub pending: Option<HeardSpell>,
}

/// A playhead that moves evenly, or stands still.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlayheadLine {
    /// When the position was that.
    pub at: Nanos,
    /// In frames of the loop.
    pub position: f64,
    /// Frames per second; negative runs backwards.
    pub speed: f64,
}

/// The last write of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWrite {
    /// When it was applied, or the buffer came.
    pub at: Nanos,
    pub by: WrittenBy,
    /// How old it is by the time at which it was to be heard, where that is longer than the longest lead
    /// of a server without the transport's share; otherwise 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub due_ns: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(ns: &u64) -> bool {
    *ns == 0
}

/// Who wrote a frame last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrittenBy {
    /// Nobody since the buffer came.
    Buffer,
    /// The slice with this number, counted from the session's beginning.
    Slice(u32),
    /// A slice that was placed for the buffer before this one.
    OldTrack(u32),
}

/// The region that a slice patches, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    pub start: u64,
    pub frames: u64,
}

/// A slice that is not applied yet, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// When it was applied at the earliest.
    pub at: Nanos,
    pub patch: Patch,
    /// Bytes of slices with it.
    pub received_to: u64,
    /// A report said that it was not applied.
    pub held_back: bool,
}

/// What is done when the client reports next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    Slice(Arrived),
    /// From `at` on, bad audio before `until` does not count.
    Excuse {
        at: Nanos,
        until: Nanos,
    },
    /// What counted so far was the transient of the start.
    Forgive,
}

/// What excuses bad audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excuses {
    /// Length of the loop.
    pub loop_ns: u64,
    /// When the last transient is over.
    pub settled_at: Nanos,
    /// When a knob was turned last.
    pub changed_at: Nanos,
    /// When the last slice came.
    pub last_slice: Nanos,
    /// How long nothing had changed when the last slice came.
    pub unchanged_ns: u64,
    /// When the session began, until its first slice.
    #[serde(default)]
    pub starting: Option<Nanos>,
    /// Of a session that only appends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tape: Option<TapeRule>,
}

/// A spell of bad audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardSpell {
    pub from: Nanos,
    pub to: Nanos,
    /// Bad audio in between: stale, raw, of the old track.
    pub bad_ns: [u64; 3],
    /// Age of the oldest.
    pub oldest_ns: u64,
    /// The longest time without a slice, up to its end.
    pub silence_ns: u64,
    /// Reports of the client that came while it was heard.
    pub ticks: u64,
    /// All of it lies at the loop's beginning.
    pub at_seam: bool,
    /// Of the bad audio of a tape: heard past the frontier, and in holes.
    #[serde(default, skip_serializing_if = "is_none_of_a_tape")]
    pub tape_ns: [u64; 2],
}

fn is_none_of_a_tape(tape_ns: &[u64; 2]) -> bool {
    *tape_ns == [0, 0]
}

/// A spell of slices behind the listener, one soon after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BehindSpell {
    pub from: Nanos,
    /// When the last slice behind was applied.
    pub to: Nanos,
    /// Slices behind.
    pub slices: u64,
    /// All slices.
    pub of: u64,
    /// All slices up to the last one behind.
    pub of_to: u64,
    /// The lowest lead.
    pub worst_lead_ns: i64,
}
