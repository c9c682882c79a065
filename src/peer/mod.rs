//! Both ends of a session as state machines.
//!
//! Enters: messages, moments and seeds. Leaves: messages to send and the moment to be asked again.
//! A driver moves the messages: over sockets in real time, or over two [`link::Link`]s on a virtual
//! clock. Equal inputs at equal moments give equal bytes on every platform.
//! Never reads a clock, never opens a socket, never waits.

pub mod link;
pub mod music;
pub mod pacing;
pub mod policy;
pub mod rng;
