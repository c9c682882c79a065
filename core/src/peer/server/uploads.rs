//! Binary messages that a command has announced and the client has not yet sent.

use serde_json::{Value, json};

use crate::time::Nanos;

/// A binary message that is to come next.
pub(super) struct AwaitedUpload {
    pub upload: Upload,
    /// When it is given up.
    pub due: Nanos,
}

/// What a binary message is for.
pub(super) enum Upload {
    Swap(SwapRequest),
    Reference { part: Reference, name: String },
    Write { at_s: f64, sum: bool, fill: bool, source_epoch: Option<u64> },
    Midi { request_id: Value },
}

/// What a `swap_source` says of the source.
pub(super) struct SwapRequest {
    pub tags: Option<String>,
    pub key: Option<String>,
    pub time_signature: Option<String>,
    pub fixture: Option<String>,
    pub stem_mode: Option<String>,
}

/// What a reference recording is for.
#[derive(Clone, Copy)]
pub(super) enum Reference {
    Timbre,
    Structure,
}

impl Reference {
    pub fn name(self) -> &'static str {
        match self {
            Reference::Timbre => "timbre",
            Reference::Structure => "structure",
        }
    }
}

impl Upload {
    /// The command that announced it.
    pub fn command(&self) -> &'static str {
        match self {
            Upload::Swap(_) => "swap_source",
            Upload::Reference { part: Reference::Timbre, .. } => "set_timbre_source",
            Upload::Reference { part: Reference::Structure, .. } => "set_structure_source",
            Upload::Write { .. } => "write_audio",
            Upload::Midi { .. } => "midi_transcribe",
        }
    }

    /// The answer when it does not come, or cannot be used.
    pub fn failed(&self, error: &str) -> String {
        let kind = match self {
            Upload::Swap(_) => "swap_failed",
            Upload::Reference { part: Reference::Timbre, .. } => "timbre_failed",
            Upload::Reference { part: Reference::Structure, .. } => "structure_failed",
            Upload::Write { .. } => "audio_write_failed",
            Upload::Midi { request_id } => {
                let failed =
                    json!({"type": "midi_failed", "request_id": request_id, "error": error});
                return failed.to_string();
            }
        };
        json!({"type": kind, "error": error}).to_string()
    }
}
