//! How old the audio was, by time heard.
//!
//! Enters: stretches of listening during which the audio grew older. Leaves: quantiles. Ages are
//! counted in bins, each a thirty-second of its octave wide and the first ones a millisecond, so a
//! quantile is right to 3 % or to a millisecond. Bins hold whole nanoseconds: no order of adding
//! changes them.

use serde::{Deserialize, Serialize};

/// Binary digits of a millisecond age that a bin tells apart.
const DIGITS: u32 = 5;
const BINS_PER_OCTAVE: u64 = 1 << DIGITS;
const NS_PER_MS: u64 = 1_000_000;

/// Quantiles of the age of what was heard, weighted by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgeQuantiles {
    /// Half of what was heard was younger, in seconds.
    pub p50_s: f64,
    /// In seconds.
    pub p95_s: f64,
    /// In seconds.
    pub p99_s: f64,
}

/// Nanoseconds heard of each age.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ages {
    heard_ns: Vec<u64>,
}

impl Ages {
    /// Audio was heard for so long, and was so old when that began.
    pub fn add(&mut self, age_ns: u64, heard_ns: u64) {
        let end = age_ns.saturating_add(heard_ns);
        let mut at = age_ns;
        while at < end {
            let bin = bin_of(at / NS_PER_MS);
            let to = from_ms(bin + 1).saturating_mul(NS_PER_MS).min(end);
            if self.heard_ns.len() <= bin {
                self.heard_ns.resize(bin + 1, 0);
            }
            self.heard_ns[bin] += to - at;
            at = to;
        }
    }

    pub fn quantiles(&self) -> AgeQuantiles {
        AgeQuantiles {
            p50_s: self.quantile_s(0.5),
            p95_s: self.quantile_s(0.95),
            p99_s: self.quantile_s(0.99),
        }
    }

    fn quantile_s(&self, q: f64) -> f64 {
        let wanted = self.heard_ns.iter().sum::<u64>() as f64 * q;
        let mut below = 0;
        for (bin, &heard) in self.heard_ns.iter().enumerate() {
            if heard > 0 && (below + heard) as f64 >= wanted {
                let share = (wanted - below as f64) / heard as f64;
                let (from, to) = (from_ms(bin) as f64, from_ms(bin + 1) as f64);
                return (from + share * (to - from)) / 1e3;
            }
            below += heard;
        }
        0.0
    }
}

/// The bin of an age: below 64 ms one for each, above 32 for each octave.
fn bin_of(age_ms: u64) -> usize {
    let octave = u64::from(age_ms.max(1).ilog2().saturating_sub(DIGITS));
    (octave * BINS_PER_OCTAVE + (age_ms >> octave)) as usize
}

/// The first age of a bin.
fn from_ms(bin: usize) -> u64 {
    let bin = bin as u64;
    let octave = (bin / BINS_PER_OCTAVE).saturating_sub(1);
    (bin - octave * BINS_PER_OCTAVE).checked_shl(octave as u32).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ages_fall_into_bins_that_follow_on_each_other() {
        for bin in 0..500 {
            assert!(from_ms(bin) < from_ms(bin + 1));
            assert_eq!((bin_of(from_ms(bin)), bin_of(from_ms(bin + 1) - 1)), (bin, bin));
        }
    }

    #[test]
    fn ages_have_quantiles_by_time() {
        let mut ages = Ages::default();
        assert_eq!(ages.quantiles(), AgeQuantiles::default());
        ages.add(10 * NS_PER_MS, 10 * NS_PER_MS);
        assert_eq!(ages.quantile_s(0.5), 0.015);
        ages.add(5_000 * NS_PER_MS, 30 * NS_PER_MS);
        assert_eq!(ages.quantile_s(0.25), 0.02);
        assert!((ages.quantile_s(0.95) / 5.05 - 1.0).abs() < 0.02);
        ages.add(u64::MAX - 5, 100);
    }

    proptest! {
        #[test]
        fn ages_count_every_nanosecond(spans in proptest::collection::vec(
            (0_u64..40_000_000_000, 0_u64..5_000_000_000), 0..50,
        )) {
            let mut ages = Ages::default();
            let mut halves = Ages::default();
            for &(age, heard) in &spans {
                ages.add(age, heard);
                halves.add(age + heard / 3, heard - heard / 3);
                halves.add(age, heard / 3);
            }
            let heard_ns: u64 = spans.iter().map(|span| span.1).sum();
            prop_assert_eq!(ages.heard_ns.iter().sum::<u64>(), heard_ns);
            prop_assert_eq!(ages, halves);
        }
    }
}
