//! One integration binary; each module is one subject.

mod golden;
mod golden_codec;
mod golden_lag;
mod golden_playhead;
