//! lagtape: flight recorder and wind tunnel for realtime generated audio.

pub mod capture;
pub mod heard;
pub mod lag;
pub mod mirror;
pub mod playhead;
pub mod time;
pub mod wire;
