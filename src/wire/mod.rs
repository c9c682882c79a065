//! The wire: what the bytes of one message mean.

pub mod halves;
pub mod slice;
