//! The link to the client that slices of a recording waited for.

use crate::peer::link::LinkOptions;
use crate::time::{Nanos, Span};

/// What a recorded link let through.
#[derive(Clone, Debug, PartialEq)]
pub struct Bottleneck {
    /// How many bytes a second from when on, counted from the initial buffer, the earliest first and
    /// that from the beginning; infinite where nothing waited.
    pub bytes_per_s: Vec<(Span, f64)>,
    /// Bytes that waited in front of it at most; `None`: any number, as far as the recording shows.
    pub buffer_bytes: Option<u64>,
}

impl Bottleneck {
    /// The link as it was, but for what `asked` says of it from when on.
    #[must_use]
    pub fn with(&self, asked: &[(Span, LinkOptions)]) -> Vec<(Span, LinkOptions)> {
        let mut moments: Vec<Span> =
            self.bytes_per_s.iter().map(|rate| rate.0).chain(asked.iter().map(|asked| asked.0)).collect();
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

    fn recorded_at(&self, moment: Span) -> Option<f64> {
        let recorded = self.bytes_per_s.iter().rev().find(|rate| rate.0 <= moment);
        recorded.map(|rate| rate.1).filter(|rate| rate.is_finite())
    }
}

/// Where a link begins that is run anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAnew {
    /// When the server began: with the initial buffer, or before all of it had passed the link.
    pub began: Nanos,
    /// Bytes of the initial buffer that were still to pass then.
    pub first_bytes: u64,
}
