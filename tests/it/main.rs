//! One integration binary; each module is one subject.

mod capture;
mod golden;
mod golden_codec;
mod golden_lag;
mod golden_playhead;
mod python_reader;
mod session_log;
