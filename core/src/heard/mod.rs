//! What the listener heard: the audio itself, and how old it was when it was heard.
//!
//! Enters: slices with the times at which they came, reports and commands that move the playhead,
//! and until when what is wrong counts as a transient. Leaves: [`HeardAudio`] as the reference keeps it,
//! [`SessionAudio`] by the session's clock, and a [`HeardReport`]: for every moment of listening, when the frame under the playhead was last
//! written, and by whom. Moments are integer nanoseconds and every nanosecond of listening is
//! counted once, so that no sum depends on where it was cut. Age is taken continuously: a frame
//! that is overwritten while it is heard is old in its first part and new in its second.
//! Never looks at samples except to copy them, and never decides what is an alarm for whom.

mod ages;
mod applied;
mod audio;
mod behind;
mod excuses;
mod meter;
mod path;
mod session_audio;
mod spell;
mod tally;
mod tape;
#[cfg(test)]
mod tests;
mod writes;

pub use ages::AgeQuantiles;
pub use applied::{AppliedBy, HITCH_NS, HeardMeter, Steering};
pub use audio::HeardAudio;
pub use behind::{BEHIND_LEAD_S, BEHIND_SUSTAINED_S, BEHIND_WINDOW_S, BehindRule};
pub use excuses::{IDLE_AFTER_NS, SETTLE_NS, START_NS, STARTED_NS};
pub use meter::HeardRule;
pub use session_audio::{CrossedBuffer, MAX_AUDIO_S, SessionAudio};
pub use spell::{ALARM_NS, HOLE_ALARM_NS, HeardEpisode, JOIN_NS, LagKind, OldAudio, SILENCE_S};
pub use tally::{HeardReport, SeamHoles};
pub use tape::{TapeReport, unwrapped};
