//! Quantities of a scenario as people write them: a number in the base unit, or text with a unit.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Quantity {
    Number(f64),
    Text(String),
}

fn quantity<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
    value: fn(T) -> f64,
) -> Result<Option<f64>, D::Error> {
    match Option::<Quantity>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Quantity::Number(number)) => Ok(Some(number)),
        Some(Quantity::Text(text)) => text.parse().map(value).map(Some).map_err(Error::custom),
    }
}

/// Whole bytes of 0 or more.
fn whole<E: Error>(bytes: f64) -> Result<u64, E> {
    if (0.0..u64::MAX as f64).contains(&bytes) {
        return Ok(bytes as u64);
    }
    Err(E::custom(format!("{bytes} is no number of bytes")))
}

/// Seconds: `0.04` or `"40ms"`.
pub mod seconds {
    use serde::{Deserializer, Serialize, Serializer};

    use crate::time::Span;

    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        super::quantity(deserializer, |span: Span| span.seconds())
    }
}

/// Bytes per second: `200000` or `"200KB/s"`.
pub mod byte_rate {
    use serde::{Deserializer, Serialize, Serializer};

    use crate::parse::ByteRate;

    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        super::quantity(deserializer, |rate: ByteRate| rate.0)
    }
}

/// Bytes: `65536` or `"64KB"`.
pub mod byte_size {
    use serde::{Deserializer, Serialize, Serializer};

    use crate::parse::ByteSize;

    pub fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        let bytes = super::quantity(deserializer, |size: ByteSize| size.0 as f64)?;
        bytes.map(super::whole).transpose()
    }
}

/// A moment: `3` or `"3s"`.
pub mod span {
    use serde::de::Error;
    use serde::{Deserializer, Serialize, Serializer};

    use crate::time::Span;

    pub fn serialize<S: Serializer>(value: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_string().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let seconds = super::quantity(deserializer, |span: Span| span.seconds())?;
        seconds.unwrap_or_default().to_string().parse().map_err(D::Error::custom)
    }
}

/// Ops: `["6s:seek=30s", "10s:pause"]`.
pub mod ops {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::capture::Marker;
    use crate::peer::script::ScriptedOp;

    pub fn serialize<S: Serializer>(ops: &[ScriptedOp], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ops.iter().map(|ScriptedOp { at, op }| match op {
            Marker::Seek { to_s } => format!("{at}:seek={to_s}s"),
            Marker::Rate { rate } => format!("{at}:rate={rate}"),
            Marker::Pause => format!("{at}:pause"),
            Marker::Resume => format!("{at}:resume"),
            Marker::Point { name } => format!("{at}:mark={name}"),
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ScriptedOp>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}
