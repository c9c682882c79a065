//! The bytes of a WebSocket connection after its handshake, in one direction.
//!
//! Enters: bytes as they come, cut anywhere. Leaves: where frames and messages begin and end, and
//! the messages themselves: unmasked, fragments joined, permessage-deflate undone.
//! Whatever comes is accepted: a reserved opcode or a length beyond all reason is told and never an
//! error. Never holds more than a message, and of that no more than [`MAX_MESSAGE_LEN`]. Never makes
//! bytes: what is forwarded is forwarded as it came.

mod deflate;
mod frames;
mod messages;

pub use deflate::{Deflate, Inflater};
pub use frames::{FrameHeader, Frames, MessageProgress, Part, Walker};
pub use messages::{Messages, Whole};

/// Bytes kept of one message, compressed or not: what a record of a capture holds.
pub const MAX_MESSAGE_LEN: usize = 128 << 20;

/// Opcodes of RFC 6455 that this room tells apart.
pub mod opcode {
    /// The next fragment of a message.
    pub const CONTINUATION: u8 = 0;
    /// A message of UTF-8 text.
    pub const TEXT: u8 = 1;
    /// From here on frames are whole messages of their own, also amid fragments.
    pub const FIRST_CONTROL: u8 = 8;
}
