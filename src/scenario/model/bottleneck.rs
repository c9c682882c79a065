//! The link to the client that slices of a recording waited for.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::lag::stats::round;
use crate::peer::link::LinkOptions;
use crate::time::{Nanos, Span};

/// What a recorded link let through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bottleneck {
    /// How many bytes a second from when on, counted from the initial buffer, the earliest first and
    /// that from the beginning; infinite where nothing waited.
    #[serde(serialize_with = "rates")]
    pub bytes_per_s: Vec<(Span, f64)>,
    /// Bytes that waited in front of it at most; `None`: any number, as far as the recording shows.
    pub buffer_bytes: Option<u64>,
}

impl Bottleneck {
    /// The link as it was, but for what `asked` says of it from when on.
    #[must_use]
    pub fn with(&self, asked: &[(Span, LinkOptions)]) -> Vec<(Span, LinkOptions)> {
        let mut moments: Vec<Span> = self
            .bytes_per_s
            .iter()
            .map(|rate| rate.0)
            .chain(asked.iter().map(|asked| asked.0))
            .collect();
        moments.sort_unstable();
        moments.dedup();
        let at = |moment: Span| {
            let asked = asked.iter().rev().find(|asked| asked.0 <= moment);
            let mut options = asked.map(|asked| asked.1.clone()).unwrap_or_default();
            options.bytes_per_s = options.bytes_per_s.or_else(|| self.recorded_at(moment));
            options.buffer_bytes = options.buffer_bytes.or(self.buffer_bytes);
            (moment, options)
        };
        moments.into_iter().map(at).collect()
    }

    /// The lowest rate that it had, in bytes a second.
    #[must_use]
    pub fn narrowest(&self) -> f64 {
        self.bytes_per_s.iter().map(|rate| rate.1).fold(f64::INFINITY, f64::min)
    }

    fn recorded_at(&self, moment: Span) -> Option<f64> {
        let recorded = self.bytes_per_s.iter().rev().find(|rate| rate.0 <= moment);
        recorded.map(|rate| rate.1).filter(|rate| rate.is_finite())
    }
}

/// `[{"at_s": 3.0, "bytes_per_s": 250000}]`; `null` where nothing waited.
fn rates<S: Serializer>(rates: &[(Span, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Rate {
        at_s: f64,
        bytes_per_s: Option<f64>,
    }
    let rate = |&(at, bytes_per_s): &(Span, f64)| Rate {
        at_s: round(at.seconds(), 3),
        bytes_per_s: bytes_per_s.is_finite().then(|| bytes_per_s.round()),
    };
    serializer.collect_seq(rates.iter().map(rate))
}

impl fmt::Display for Bottleneck {
    /// `250 KB/s from 3.0 s on, 64 KB wait in front of it`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (at, bytes_per_s) in &self.bytes_per_s {
            match (bytes_per_s.is_finite(), at.seconds()) {
                (true, at_s) if at_s > 0.0 => {
                    write!(f, "{before}{:.0} KB/s from {at_s:.1} s on", bytes_per_s / 1e3)?;
                }
                (true, _) => write!(f, "{before}{:.0} KB/s", bytes_per_s / 1e3)?,
                (false, at_s) if at_s > 0.0 => write!(f, "{before}free from {at_s:.1} s on")?,
                (false, _) => continue,
            }
            before = ", ";
        }
        match self.buffer_bytes {
            Some(bytes) => write!(f, ", with {} KB in front of it", bytes.div_ceil(1000)),
            None => Ok(()),
        }
    }
}

/// Where a link begins that is run anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAnew {
    /// When the server began: with the initial buffer, or before all of it had passed the link.
    pub began: Nanos,
    /// Bytes of the initial buffer that were still to pass then.
    pub first_bytes: u64,
    /// Whether the recorded link was too thin for the stream from the beginning on.
    pub thin_at_first: bool,
}
