//! The names of the protocol: commands, events and config keys with the types of their fields.
//!
//! Enters: nothing. Leaves: one JSON document, as the real server publishes it at `/api/protocol`;
//! its keys are `version`, `commands`, `events`, `config` and `handshake`. Never says what a command
//! does.

use std::sync::LazyLock;

use serde_json::Value;

/// The document as text.
pub const PROTOCOL_JSON: &str = include_str!("names.json");

static PROTOCOL: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(PROTOCOL_JSON).expect("names.json is JSON"));

/// Names, types and defaults of every command, event and config key.
#[must_use]
pub fn protocol() -> &'static Value {
    &PROTOCOL
}
