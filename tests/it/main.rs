//! One integration binary; each module is one subject.

mod golden;
mod golden_codec;
