//! Figures of a long list without sorting it.
//!
//! Enters: values in their order. Leaves: [`Figures`], equal to [`Figures::of`] to the last bit.
//! A coarse histogram tells which bins hold the ranks that are asked for; only their values are
//! looked at again. Values in a lower bin are lower, so the result is exact.

use crate::lag::Figures;
use crate::lag::stats::{Rank, interpolate, mean};

/// Bins of the histogram; as counters they fit in a processor's first cache.
const BINS: usize = 1 << 11;
/// Lists shorter than this are sorted out directly; in longer ones each rank asked for lies above
/// the one before.
const SHORT: usize = 64;
/// Values compared side by side.
const LANES: usize = 8;

/// Scratch of [`Quantiles::figures`], reused from list to list.
#[derive(Clone, Debug)]
pub(super) struct Quantiles {
    /// Two histograms, of every other value: equal neighbours do not wait for each other.
    counts: [Box<[u32; BINS]>; 2],
    wanted: Box<[bool; BINS]>,
    /// The bin of each value.
    bins: Vec<u16>,
    kept: Vec<f64>,
}

impl Default for Quantiles {
    fn default() -> Self {
        Quantiles {
            counts: [Box::new([0; BINS]), Box::new([0; BINS])],
            wanted: Box::new([false; BINS]),
            bins: Vec::new(),
            kept: Vec::new(),
        }
    }
}

/// Divides a range into bins, all below [`BINS`], so that no lower value has a higher bin.
#[derive(Clone, Copy)]
struct Scale {
    min: f64,
    bins_per_unit: f64,
}

impl Scale {
    fn bin(self, value: f64) -> u16 {
        // Through i32, which processors convert to at once.
        ((value - self.min) * self.bins_per_unit) as i32 as u16
    }
}

impl Quantiles {
    /// The figures of a list of finite numbers, `None` when it is empty.
    pub fn figures(&mut self, values: &[f64]) -> Option<Figures> {
        if values.len() < SHORT {
            return Figures::of(values.to_vec());
        }
        let (min, max) = extremes(values);
        let bins_per_unit = (BINS as f64 - 1.5) / (max - min);
        if !bins_per_unit.is_finite() {
            return Figures::of(values.to_vec());
        }
        let ranks = Figures::QUANTILES.map(|q| Rank::of(values.len(), q));
        let quantiles = self.quantiles(values, ranks, Scale { min, bins_per_unit });
        Some(Figures::rounded(min, quantiles, max, mean(values)))
    }

    fn quantiles(&mut self, values: &[f64], ranks: [Rank; 3], scale: Scale) -> [f64; 3] {
        self.count(values, scale);
        let mut wanted = [0; 6];
        for (rank, pair) in ranks.iter().zip(wanted.as_chunks_mut::<2>().0) {
            *pair = [rank.index, (rank.index + 1).min(values.len() - 1)];
        }
        let skipped = self.mark(wanted);
        self.keep(values);
        // From the highest rank down, so that what is left to look at shrinks.
        let mut found = [0.0; 6];
        let mut above = self.kept.len();
        for i in (0..wanted.len()).rev() {
            let place = wanted[i] - skipped[i];
            if place >= above {
                found[i] = found[i + 1];
                continue;
            }
            let (_, &mut value, _) =
                self.kept[..above].select_nth_unstable_by(place, f64::total_cmp);
            found[i] = value;
            above = place;
        }
        [0, 1, 2].map(|i| interpolate(found[2 * i], found[2 * i + 1], ranks[i].weight))
    }

    fn count(&mut self, values: &[f64], scale: Scale) {
        self.bins.clear();
        self.bins.extend(values.iter().map(|&value| scale.bin(value)));
        let [even, odd] = &mut self.counts;
        even.fill(0);
        odd.fill(0);
        let (pairs, rest) = self.bins.as_chunks::<2>();
        for &[a, b] in pairs {
            even[index(a)] += 1;
            odd[index(b)] += 1;
        }
        for &bin in rest {
            even[index(bin)] += 1;
        }
    }

    /// Marks the bins of the ranks asked for, which rise. Returns for each how many lower values
    /// lie in bins that are not marked.
    fn mark(&mut self, ranks: [usize; 6]) -> [usize; 6] {
        self.wanted.fill(false);
        let mut skipped_below = [0; 6];
        let (mut below, mut skipped, mut next) = (0, 0, 0);
        for bin in 0..BINS {
            let count = (self.counts[0][bin] + self.counts[1][bin]) as usize;
            let first = next;
            while next < ranks.len() && ranks[next] < below + count {
                skipped_below[next] = skipped;
                next += 1;
            }
            self.wanted[bin] = next > first;
            if !self.wanted[bin] {
                skipped += count;
            }
            below += count;
            if next == ranks.len() {
                break;
            }
        }
        skipped_below
    }

    /// Keeps the values of the marked bins.
    fn keep(&mut self, values: &[f64]) {
        self.kept.resize(values.len(), 0.0);
        let mut kept = 0;
        for (&value, &bin) in values.iter().zip(&self.bins) {
            // Written always and kept by counting: a branch would be guessed wrong too often.
            self.kept[kept] = value;
            kept += usize::from(self.wanted[index(bin)]);
        }
        self.kept.truncate(kept);
    }
}

/// A bin as an index that needs no check.
fn index(bin: u16) -> usize {
    usize::from(bin) % BINS
}

fn extremes(values: &[f64]) -> (f64, f64) {
    let mut min = [f64::INFINITY; LANES];
    let mut max = [f64::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut take = |lane: usize, value: f64| {
        min[lane] = if value < min[lane] { value } else { min[lane] };
        max[lane] = if value > max[lane] { value } else { max[lane] };
    };
    for chunk in chunks {
        for (lane, &value) in chunk.iter().enumerate() {
            take(lane, value);
        }
    }
    rest.iter().for_each(|&value| take(0, value));
    (
        min.into_iter().fold(f64::INFINITY, f64::min),
        max.into_iter().fold(f64::NEG_INFINITY, f64::max),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn figures_are_those_of_the_report(
            values in prop_oneof![
                proptest::collection::vec(-1.0..1.0, 0..400),
                proptest::collection::vec(0_u8..4, 0..400)
                    .prop_map(|values| values.into_iter().map(f64::from).collect()),
                proptest::collection::vec(prop_oneof![0.2..0.3, Just(1e9), Just(0.25)], 0..3000),
                proptest::collection::vec(prop_oneof![Just(1e-310), Just(0.0), Just(f64::MAX)], 0..9),
            ],
        ) {
            let mut quantiles = Quantiles::default();
            quantiles.figures(&[1.0, 2.0]);
            let expected = Figures::of(values.clone());
            prop_assert_eq!(format!("{:?}", quantiles.figures(&values)), format!("{expected:?}"));
        }
    }
}
