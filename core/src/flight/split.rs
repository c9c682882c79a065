//! Where a long recording is split into parts.

use std::fmt;
use std::str::FromStr;

use crate::parse::ByteSize;
use crate::time::Span;

/// The most that a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitAt {
    /// So much time, at least 1 s.
    Time(Span),
    /// So many bytes, at least 1 MB, checkpoints not counted; a single record and the context of its
    /// part may exceed it.
    Size(ByteSize),
}

/// Why a text is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no length of a part; write a time of 1s or more (10min) or a size of 1MB or more (500MB)"
)]
pub struct SplitAtError(String);

const SHORTEST: Span = Span(1_000_000_000);
const SMALLEST: ByteSize = ByteSize(1_000_000);

impl FromStr for SplitAt {
    type Err = SplitAtError;

    fn from_str(text: &str) -> Result<Self, SplitAtError> {
        let refuse = || SplitAtError(text.to_owned());
        let trimmed = text.trim();
        // A bare number would be seconds to one reader and bytes to the next.
        if !trimmed.ends_with(char::is_alphabetic) {
            return Err(refuse());
        }
        if trimmed.ends_with('B') {
            let size = trimmed.parse().map_err(|_| refuse())?;
            return if size >= SMALLEST { Ok(SplitAt::Size(size)) } else { Err(refuse()) };
        }
        let span = trimmed.parse().map_err(|_| refuse())?;
        if span >= SHORTEST { Ok(SplitAt::Time(span)) } else { Err(refuse()) }
    }
}

impl fmt::Display for SplitAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitAt::Time(span) => span.fmt(f),
            SplitAt::Size(size) => size.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<SplitAt>) {
        assert_eq!(text.parse::<SplitAt>().ok(), expected, "{text:?}");
    }

    #[test]
    fn parts_have_a_length_or_a_size() {
        check("10min", Some(SplitAt::Time(Span(600_000_000_000))));
        check("1s", Some(SplitAt::Time(Span(1_000_000_000))));
        check("500MB", Some(SplitAt::Size(ByteSize(500_000_000))));
        check("900ms", None);
        check("900KB", None);
        check("10", None);
        check("", None);
        check("long", None);
    }
}
