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
            let recorded = at_that(&self.bytes_per_s, moment).copied();
            let recorded = recorded.filter(|bytes_per_s| bytes_per_s.is_finite());
            let mut options = at_that(asked, moment).cloned().unwrap_or_default();
            options.bytes_per_s = options.bytes_per_s.or(recorded);
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
}

/// What holds at a moment of what each holds from its own on, the earliest first.
fn at_that<T>(from: &[(Span, T)], moment: Span) -> Option<&T> {
    from.iter().rev().find(|(at, _)| *at <= moment).map(|(_, held)| held)
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
    /// `250 KB/s from 3.0 s on, with 64 KB in front of it`
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

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn link() -> Bottleneck {
        let bytes_per_s = vec![(Span(0), f64::INFINITY), (Span(3 * S), 250e3), (Span(9 * S), 90e3)];
        Bottleneck { bytes_per_s, buffer_bytes: Some(64_000) }
    }

    #[test]
    fn what_is_asked_for_stands_in_place_of_what_was() {
        let rates = |asked: &[(u64, Option<f64>)]| -> Vec<(u64, Option<f64>, Option<u64>)> {
            let options = |&(at_s, bytes_per_s)| {
                (Span(at_s * S), LinkOptions { bytes_per_s, ..LinkOptions::default() })
            };
            let with = link().with(&asked.iter().map(options).collect::<Vec<_>>());
            let rate =
                |(at, link): (Span, LinkOptions)| (at.0 / S, link.bytes_per_s, link.buffer_bytes);
            with.into_iter().map(rate).collect()
        };
        let buffer = Some(64_000);
        let (thin, thinner, wide) = (Some(250e3), Some(90e3), Some(1e6));
        assert_eq!(rates(&[]), [(0, None, buffer), (3, thin, buffer), (9, thinner, buffer)]);
        let asked = [(0, None, buffer), (3, thin, buffer), (5, wide, buffer), (9, wide, buffer)];
        assert_eq!(rates(&[(5, wide)]), asked);
        // What says nothing of the rate leaves it.
        assert_eq!(rates(&[(5, None)])[2], (5, thin, buffer));
    }

    #[test]
    fn a_link_in_words_and_numbers() {
        let words = "250 KB/s from 3.0 s on, 90 KB/s from 9.0 s on, with 64 KB in front of it";
        assert_eq!(link().to_string(), words);
        assert_eq!(link().narrowest(), 90e3);
        let json = serde_json::to_value(link()).unwrap();
        assert_eq!(json["bytes_per_s"][0], serde_json::json!({"at_s": 0.0, "bytes_per_s": null}));
        assert_eq!(json["bytes_per_s"][2], serde_json::json!({"at_s": 9.0, "bytes_per_s": 90e3}));
    }
}
