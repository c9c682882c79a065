//! Values that people type on a command line, in a scenario or to an agent, and hints for a
//! misspelt name.
//!
//! Lengths of time have their parser in [`crate::time`]. Whatever is parsed here is also written in
//! the form in which it can be typed again.

mod bytes;
mod misuse;
pub mod shell;
mod suggestion;
mod unit;

pub use bytes::{ByteRate, ByteSize, ByteUnitError};
pub use misuse::Misuse;
pub use suggestion::nearest;
pub use unit::{Unit, ValueError};
