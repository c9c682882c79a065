//! What lagtape writes into a HAR file beside the messages, under `_lagtape`, and reads from it.

use serde::{Deserialize, Serialize};

/// What `_lagtape` of an entry says.
#[derive(Debug, Serialize, Deserialize)]
pub struct EntryNote {
    /// A capture in base64.
    pub records: String,
}

/// What `_lagtape` of a message says; what is nothing special is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FrameNote {
    pub seq: u64,
    pub t_ns: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conn: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compressed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_len: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<[u8; 32]>,
    /// The data of a text is base64, as it is no UTF-8.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_base64: bool,
}

fn is_zero(conn: &u32) -> bool {
    *conn == 0
}
