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
///
/// While audio is heard it grows older as time passes, so a stretch fills all bins between its first
/// and its last with just their width. Only where such a run of full bins begins and ends is put
/// down, so that a stretch costs the same however long it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ages {
    bins: Vec<Bin>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bin {
    /// Heard by stretches that begin or end in this bin.
    part_ns: u64,
    /// Stretches that fill this bin and did not fill the one before, less those the other way round.
    full_from_here: i64,
}

impl Ages {
    /// Audio was heard for so long, and was so old when that began.
    pub fn add(&mut self, age_ns: u64, heard_ns: u64) {
        let end_ns = age_ns.saturating_add(heard_ns);
        let (first, last) = (bin_of(age_ns / NS_PER_MS), bin_of(end_ns / NS_PER_MS));
        if self.bins.len() <= last {
            self.bins.resize(last + 1, Bin::default());
        }
        if first == last {
            self.bins[first].part_ns += end_ns - age_ns;
            return;
        }
        self.bins[first].part_ns += from_ns(first + 1) - age_ns;
        self.bins[last].part_ns += end_ns - from_ns(last);
        self.bins[first + 1].full_from_here += 1;
        self.bins[last].full_from_here -= 1;
    }

    /// Adds what was heard before.
    pub fn add_all(&mut self, before: &Ages) {
        if self.bins.len() < before.bins.len() {
            self.bins.resize(before.bins.len(), Bin::default());
        }
        for (bin, before) in self.bins.iter_mut().zip(&before.bins) {
            bin.part_ns += before.part_ns;
            bin.full_from_here += before.full_from_here;
        }
    }

    /// Nanoseconds heard in each bin.
    fn heard_ns(&self) -> Vec<u64> {
        let mut full = 0;
        let heard = self.bins.iter().enumerate().map(|(bin, counts)| {
            full += counts.full_from_here;
            counts.part_ns + full as u64 * (from_ns(bin + 1) - from_ns(bin))
        });
        heard.collect()
    }

    pub fn quantiles(&self) -> AgeQuantiles {
        let heard_ns = self.heard_ns();
        let quantile_s = |q| quantile_s(&heard_ns, q);
        AgeQuantiles { p50_s: quantile_s(0.5), p95_s: quantile_s(0.95), p99_s: quantile_s(0.99) }
    }
}

fn quantile_s(heard_ns: &[u64], q: f64) -> f64 {
    let wanted = heard_ns.iter().sum::<u64>() as f64 * q;
    let mut below = 0;
    for (bin, &heard) in heard_ns.iter().enumerate() {
        if heard > 0 && (below + heard) as f64 >= wanted {
            let share = (wanted - below as f64) / heard as f64;
            let (from, to) = (from_ns(bin) as f64, from_ns(bin + 1) as f64);
            return (from + share * (to - from)) / 1e9;
        }
        below += heard;
    }
    0.0
}

/// The bin of an age: below 64 ms one for each, above 32 for each octave.
fn bin_of(age_ms: u64) -> usize {
    let octave = u64::from(age_ms.max(1).ilog2().saturating_sub(DIGITS));
    (octave * BINS_PER_OCTAVE + (age_ms >> octave)) as usize
}

/// The first age of a bin, in nanoseconds.
fn from_ns(bin: usize) -> u64 {
    from_ms(bin).saturating_mul(NS_PER_MS)
}

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
        assert_eq!(ages.quantiles().p50_s, 0.015);
        ages.add(5_000 * NS_PER_MS, 30 * NS_PER_MS);
        let heard_ns = ages.heard_ns();
        assert_eq!(quantile_s(&heard_ns, 0.25), 0.02);
        assert!((quantile_s(&heard_ns, 0.95) / 5.05 - 1.0).abs() < 0.03);
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
            prop_assert_eq!(ages.heard_ns().iter().sum::<u64>(), heard_ns);
            prop_assert_eq!(ages.heard_ns(), halves.heard_ns());
        }
    }
}
