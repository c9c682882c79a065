//! What the listener did to the playhead, and moments with a name.

use serde::{Deserialize, Serialize};

/// Something that the listener did to the playhead, or a moment with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "MarkerFields", into = "MarkerFields")]
pub enum Marker {
    /// The playhead jumped.
    Seek {
        /// Where to, in seconds from the beginning of the loop.
        to_s: f64,
    },
    /// The playhead changed its speed.
    Rate {
        /// The new speed; 1 is as recorded.
        rate: f64,
    },
    /// The playhead stopped.
    Pause,
    /// The playhead went on.
    Resume,
    /// A moment with a name. An op that this version does not know is read as a point with the
    /// name of the op.
    Point { name: String },
}

/// An op lacks the value that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum MarkerError {
    #[error("a seek without to_s")]
    SeekWithoutTarget,
    #[error("a rate without rate")]
    RateWithoutValue,
}

/// A [`Marker`] as it is written: `op` and what that op needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct MarkerFields {
    op: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to_s: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl TryFrom<MarkerFields> for Marker {
    type Error = MarkerError;

    fn try_from(fields: MarkerFields) -> Result<Self, Self::Error> {
        match fields.op.as_str() {
            "seek" => {
                fields.to_s.map(|to_s| Marker::Seek { to_s }).ok_or(MarkerError::SeekWithoutTarget)
            }
            "rate" => {
                fields.rate.map(|rate| Marker::Rate { rate }).ok_or(MarkerError::RateWithoutValue)
            }
            "pause" => Ok(Marker::Pause),
            "resume" => Ok(Marker::Resume),
            "point" => Ok(Marker::Point { name: fields.name.unwrap_or_default() }),
            _ => Ok(Marker::Point { name: fields.op }),
        }
    }
}

impl From<Marker> for MarkerFields {
    fn from(marker: Marker) -> Self {
        let op = |op: &str| MarkerFields { op: op.to_owned(), ..MarkerFields::default() };
        match marker {
            Marker::Seek { to_s } => MarkerFields { to_s: Some(to_s), ..op("seek") },
            Marker::Rate { rate } => MarkerFields { rate: Some(rate), ..op("rate") },
            Marker::Pause => op("pause"),
            Marker::Resume => op("resume"),
            Marker::Point { name } => MarkerFields { name: Some(name), ..op("point") },
        }
    }
}
