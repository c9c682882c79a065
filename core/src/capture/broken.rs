//! How a connection was lost without a close frame.

use serde::{Deserialize, Serialize};

use crate::wire::websocket::MessageProgress;

/// The end of a connection on which no close frame says how it ended, or within a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionBreak {
    /// Who ended it; `None` where that is unknown, as with a connection that was reset on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// How, in a sentence.
    pub reason: String,
    /// Messages that had begun and did not come to their end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub under_way: Vec<UnderWay>,
}

/// Who ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Party {
    /// The client.
    Client,
    /// The server.
    Server,
    /// Whoever recorded.
    Recorder,
}

/// A message that had begun when its connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnderWay {
    /// Who was sending it.
    pub from: Party,
    /// What sort of message, by the opcodes of RFC 6455.
    pub opcode: u8,
    /// Payload bytes that the headers of its frames announced so far.
    pub announced: u64,
    /// Payload bytes that came; like `announced` as they stood on the wire, perhaps compressed.
    pub received: u64,
}

impl UnderWay {
    /// A message of this sender that has come so far.
    #[must_use]
    pub fn of(from: Party, progress: MessageProgress) -> UnderWay {
        let MessageProgress { opcode, announced, received } = progress;
        UnderWay { from, opcode, announced, received }
    }
}
