//! Sizes in bytes and rates in bytes per second, with decimal prefixes.

use std::fmt;
use std::str::FromStr;

/// Bytes per second: `200KB/s`, `1.5MB/s`, `9600B/s`. K and M are 1,000 and 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct ByteRate(pub f64);

/// Bytes: `256KB`, `1.5MB`, `900` or `900B`. K, M and G are powers of 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// The text is not a size or not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a {what}; write {example}")]
pub struct ByteUnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// Prefixes with their factors.
const PREFIXES: [(&str, f64); 4] = [("K", 1e3), ("k", 1e3), ("M", 1e6), ("G", 1e9)];

impl FromStr for ByteRate {
    type Err = ByteUnitError;

    fn from_str(text: &str) -> Result<Self, ByteUnitError> {
        let bytes = text.trim().strip_suffix("/s").and_then(|bytes| bytes.strip_suffix('B'));
        bytes.and_then(scaled).filter(|rate| *rate > 0.0).map(ByteRate).ok_or_else(|| {
            ByteUnitError {
                text: text.to_owned(),
                what: "rate",
                example: "200KB/s, 1.5MB/s or 9600B/s",
            }
        })
    }
}

impl FromStr for ByteSize {
    type Err = ByteUnitError;

    fn from_str(text: &str) -> Result<Self, ByteUnitError> {
        let bytes = text.trim();
        let bytes = scaled(bytes.strip_suffix('B').unwrap_or(bytes));
        bytes
            .filter(|bytes| *bytes < u64::MAX as f64)
            .map(|bytes| ByteSize(bytes as u64))
            .ok_or_else(|| ByteUnitError {
                text: text.to_owned(),
                what: "size",
                example: "256KB, 1.5MB or 900B",
            })
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, prefix) = unscaled(self.0);
        write!(f, "{number}{prefix}B/s")
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, prefix) = unscaled(self.0 as f64);
        write!(f, "{number}{prefix}B")
    }
}

/// A number with the largest prefix that leaves it whole.
fn unscaled(value: f64) -> (f64, &'static str) {
    let whole = |factor: f64| value >= factor && (value / factor).fract() == 0.0;
    match value {
        _ if whole(1e9) => (value / 1e9, "G"),
        _ if whole(1e6) => (value / 1e6, "M"),
        _ if whole(1e3) => (value / 1e3, "K"),
        _ => (value, ""),
    }
}

/// A number of 0 or more with or without a prefix behind it.
fn scaled(text: &str) -> Option<f64> {
    let (number, factor) = PREFIXES
        .iter()
        .find_map(|(prefix, factor)| Some((text.strip_suffix(prefix)?, *factor)))
        .unwrap_or((text, 1.0));
    let value: f64 = number.trim().parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_rate(text: &str, expected: Option<f64>) {
        let rate: Option<ByteRate> = text.parse().ok();
        assert_eq!(rate, expected.map(ByteRate), "{text}");
        assert_eq!(rate.and_then(|rate| rate.to_string().parse().ok()), rate, "{text}");
    }

    #[track_caller]
    fn check_size(text: &str, expected: Option<u64>) {
        let size: Option<ByteSize> = text.parse().ok();
        assert_eq!(size, expected.map(ByteSize), "{text}");
        assert_eq!(size.and_then(|size| size.to_string().parse().ok()), size, "{text}");
    }

    #[test]
    fn rates_and_sizes() {
        check_rate("200KB/s", Some(200e3));
        check_rate("1.5MB/s", Some(1.5e6));
        check_rate("9600B/s", Some(9600.0));
        check_rate("200", None);
        check_rate("200KB", None);
        check_rate("0B/s", None);
        check_rate("-1B/s", None);
        check_size("256KB", Some(256_000));
        check_size("900", Some(900));
        check_size("0B", Some(0));
        check_size("1e400", None);
        check_size("many", None);
    }
}
