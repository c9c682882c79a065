//! The edge: clocks, files, sockets.
//!
//! An edge reads bytes, stamps them with the time and passes them on; what they mean is decided in the
//! core.

pub mod audio_file;
pub mod backend;
pub mod clock;
pub(crate) mod connect;
pub mod files;
mod fixtures;
pub mod growing;
pub(crate) mod har;
pub(crate) mod import;
mod inbound;
pub(crate) mod lock;
pub(crate) mod origins;
pub mod output;
pub mod page_server;
pub mod proxy;
pub mod record;
pub mod recorder;
pub mod replay;
pub(crate) mod rewrite;
mod socket;
pub mod transcript;
mod unpacked;

pub use socket::capacity::{HEAD_TIMEOUT, MAX_HEADS_PER_PEER, RESERVED_DESCRIPTORS};
pub use socket::listener::listen;
pub use socket::shedding::{Shortage, ShortageNotice};
