//! The wire: what the bytes of one message mean.
//!
//! Enters: one WebSocket message, whole, or the bytes of a connection, from which [`websocket`] makes
//! messages. Leaves: slices, playhead reports, events.
//! Which binary message is which depends on what came before; that is [`crate::event`]'s concern.

pub mod halves;
pub mod json;
pub mod kernel;
pub mod message;
pub mod names;
pub mod reader;
pub mod slice;
pub mod url;
pub mod websocket;
