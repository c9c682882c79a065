//! Figures of a long list without sorting it, equal to [`Figures::of`] to the last bit.
//!
//! A coarse histogram shows which bins contain the requested ranks, and only the values of those bins
//! are examined again. Bins are ordered like their values, so the result is exact. The bin boundaries
//! come from a few samples: staleness is either a fraction of a second or several laps of the loop, and
//! bins of equal width would hold thousands of values each.

use super::figures::Figures;
use super::stats::{Rank, interpolate, mean};
use crate::wire::kernel;

/// Bins of the histogram; as counters they fit in a processor's first cache.
const BINS: usize = 1 << 11;
/// Lists shorter than this are sorted out directly; in longer ones each rank asked for lies above
/// the one before.
const SHORT: usize = 2 * SAMPLES;
/// Values of a list that tell where its ranks will lie.
const SAMPLES: usize = 128;
/// Ranks of the samples between which each of [`Figures::QUANTILES`] is expected.
const EXPECTED: [(usize, usize); 3] = [(0, 20), (44, 84), (107, SAMPLES - 1)];
/// Ramps of the scale, two for each of them.
const RAMPS: usize = 2 * EXPECTED.len();
/// Bins of the histogram for each ramp.
const STEPS: f64 = (BINS / RAMPS - 1) as f64;
/// Values whose bins are found and counted before the next: as many as stay in the first cache.
const BLOCK: usize = 1 << 10;
/// Values of which one look tells whether any is wanted.
const LOOKED_AT: usize = 32;
/// Values compared side by side.
const LANES: usize = 8;

/// Scratch of [`Quantiles::of`], reused from list to list.
#[derive(Clone, Debug)]
pub struct Quantiles {
    /// Two histograms, of every other value: equal neighbours do not wait for each other.
    counts: [Box<[u32; BINS]>; 2],
    /// All false between two lists.
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

/// What a list comes to.
#[derive(Clone, Copy, Debug)]
pub struct ListSummary {
    pub figures: Figures,
    /// The highest value, not rounded.
    pub highest: f64,
}

/// Divides all numbers into bins, below [`BINS`], so that no lower value has a higher bin: the sum of
/// ramps. Two rise over each stretch where a rank is expected, one on either side of its widest gap:
/// what is fresh and what is stale may be a lap apart.
#[derive(Clone, Copy)]
struct Scale([Ramp; RAMPS]);

#[derive(Clone, Copy, Default)]
struct Ramp {
    from: f64,
    steps_per_unit: f64,
}

impl Scale {
    /// The scale that suits a list of finite numbers, at least [`SHORT`] of them.
    fn of(values: &[f64]) -> Scale {
        let stride = values.len() / SAMPLES;
        let mut samples = [0.0; SAMPLES];
        for (i, sample) in samples.iter_mut().enumerate() {
            // Somewhere in its stretch: at equal distances they would see nothing but one phase of
            // what repeats, as ticks do against buckets.
            let anywhere = (i as u32).wrapping_mul(0x9e37_79b9) >> 16;
            *sample = values[i * stride + anywhere as usize % stride];
        }
        samples.sort_unstable_by(f64::total_cmp);
        let mut ramps = [Ramp::default(); RAMPS];
        for (pair, (from, to)) in ramps.as_chunks_mut::<2>().0.iter_mut().zip(EXPECTED) {
            let gap = |&i: &usize| samples[i + 1] - samples[i];
            let widest = (from..to).max_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or(from);
            *pair = [
                Ramp::between(samples[from], samples[widest]),
                Ramp::between(samples[widest + 1], samples[to]),
            ];
        }
        Scale(ramps)
    }

    #[inline(always)]
    fn bin(self, value: f64) -> u16 {
        /// Added to a number up to 2⁵¹ it leaves the nearest whole number in the lowest bits.
        const WHOLE: f64 = (1_u64 << 52) as f64;
        let steps = self.0.iter().fold(0.0, |sum, ramp| sum + ramp.steps(value));
        (steps + WHOLE).to_bits() as u16
    }
}

impl Ramp {
    fn between(from: f64, to: f64) -> Ramp {
        Ramp { from, steps_per_unit: if to > from { STEPS / (to - from) } else { 0.0 } }
    }

    /// From 0 to [`STEPS`]; each operation keeps the order of values, and so does their rounding.
    #[inline(always)]
    fn steps(self, value: f64) -> f64 {
        let steps = (value - self.from) * self.steps_per_unit;
        // Not `clamp`: no number times infinity is no number, and counts as 0.
        let steps = if steps > 0.0 { steps } else { 0.0 };
        if steps < STEPS { steps } else { STEPS }
    }
}

impl Quantiles {
    /// The figures of any list, `None` when it is empty.
    pub fn figures(&mut self, values: &[f64]) -> Option<Figures> {
        // In one pass over all, which goes many at a time.
        if kernel::wide(|| values.iter().fold(true, |all, value| all & value.is_finite())) {
            self.of(values).map(|found| found.figures)
        } else {
            Figures::of(values.to_vec())
        }
    }

    /// The figures of a list of finite numbers, `None` when it is empty.
    pub fn of(&mut self, values: &[f64]) -> Option<ListSummary> {
        if values.len() < SHORT {
            let highest = extremes(values).1;
            return Figures::of(values.to_vec()).map(|figures| ListSummary { figures, highest });
        }
        let ranks = Figures::QUANTILES.map(|q| Rank::of(values.len(), q));
        let (lowest, highest) = self.count(values, Scale::of(values));
        let quantiles = self.quantiles(values, ranks);
        let figures = Figures::rounded(lowest, quantiles, highest, mean(values));
        Some(ListSummary { figures, highest })
    }

    fn quantiles(&mut self, values: &[f64], ranks: [Rank; 3]) -> [f64; 3] {
        let mut wanted = [0; 6];
        for (rank, pair) in ranks.iter().zip(wanted.as_chunks_mut::<2>().0) {
            *pair = [rank.index, (rank.index + 1).min(values.len() - 1)];
        }
        let (bins, skipped) = self.bins_of(wanted);
        self.keep(values, bins);
        // From the highest rank down, so that what is left to look at shrinks.
        let mut end = self.kept.len();
        let mut found = [0.0; 3];
        for (i, rank) in ranks.iter().enumerate().rev() {
            let place = rank.index - skipped[2 * i];
            let (_, &mut lower, above) =
                self.kept[..end].select_nth_unstable_by(place, f64::total_cmp);
            // The next value is the least above, or the one that was selected before.
            let above = above.iter().copied().min_by(f64::total_cmp);
            let upper = above.or(self.kept.get(end).copied()).unwrap_or(lower);
            found[i] = interpolate(lower, upper, rank.weight);
            end = place;
        }
        found
    }

    /// Finds the bin of each value and counts the values of each bin. Returns the extremes.
    fn count(&mut self, values: &[f64], scale: Scale) -> (f64, f64) {
        let [even, odd] = &mut self.counts;
        even.fill(0);
        odd.fill(0);
        self.bins.resize(values.len(), 0);
        let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
        for (values, bins) in values.chunks(BLOCK).zip(self.bins.chunks_mut(BLOCK)) {
            let (low, high) = kernel::wide(|| {
                for (bin, &value) in bins.iter_mut().zip(values) {
                    *bin = scale.bin(value);
                }
                extremes(values)
            });
            (lowest, highest) = (lowest.min(low), highest.max(high));
            let (pairs, rest) = bins.as_chunks::<2>();
            for &[a, b] in pairs {
                even[index(a)] += 1;
                odd[index(b)] += 1;
            }
            for &bin in rest {
                even[index(bin)] += 1;
            }
        }
        (lowest, highest)
    }

    /// The bin of each rank asked for, which rise; and for each how many lower values lie in other
    /// bins than these.
    fn bins_of(&self, ranks: [usize; 6]) -> ([u16; 6], [usize; 6]) {
        let (mut bins, mut skipped_below) = ([0; 6], [0; 6]);
        let (mut below, mut skipped, mut next) = (0, 0, 0);
        for bin in 0..BINS {
            let count = (self.counts[0][bin] + self.counts[1][bin]) as usize;
            let first = next;
            while next < ranks.len() && ranks[next] < below + count {
                (bins[next], skipped_below[next]) = (bin as u16, skipped);
                next += 1;
            }
            if next == first {
                skipped += count;
            }
            below += count;
            if next == ranks.len() {
                break;
            }
        }
        (bins, skipped_below)
    }

    /// Keeps the values of these bins, in their order.
    fn keep(&mut self, values: &[f64], wanted: [u16; 6]) {
        wanted.iter().for_each(|&bin| self.wanted[index(bin)] = true);
        self.kept.clear();
        for (values, bins) in values.chunks(LOOKED_AT).zip(self.bins.chunks(LOOKED_AT)) {
            // Most often there is none among many.
            let is_wanted = |bin: u16| wanted.iter().fold(false, |is, &it| is | (bin == it));
            if !kernel::wide(|| bins.iter().fold(false, |any, &bin| any | is_wanted(bin))) {
                continue;
            }
            let mut few = [0.0; LOOKED_AT];
            let mut count = 0;
            for (&value, &bin) in values.iter().zip(bins) {
                // Written always and kept by counting: a branch would be guessed wrong too often.
                few[count] = value;
                count += usize::from(self.wanted[index(bin)]);
            }
            self.kept.extend_from_slice(&few[..count]);
        }
        wanted.iter().for_each(|&bin| self.wanted[index(bin)] = false);
    }
}

/// A bin as an index that needs no check.
fn index(bin: u16) -> usize {
    usize::from(bin) % BINS
}

/// The lowest and the highest of a list of numbers; infinities of none.
#[inline(always)]
fn extremes(values: &[f64]) -> (f64, f64) {
    let mut min = [f64::INFINITY; LANES];
    let mut max = [f64::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for ((min, max), &value) in min.iter_mut().zip(&mut max).zip(chunk) {
            *min = if value < *min { value } else { *min };
            *max = if value > *max { value } else { *max };
        }
    }
    for &value in rest {
        (min[0], max[0]) = (min[0].min(value), max[0].max(value));
    }
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
                proptest::collection::vec(prop_oneof![0.1..0.2, 59.0..60.0, Just(120.0)], 200..3000),
                proptest::collection::vec(
                    prop_oneof![Just(-f64::MAX), Just(1e-310), Just(2e-310), Just(f64::MAX)],
                    200..400,
                ),
                proptest::collection::vec(prop_oneof![Just(1e-310), Just(0.0), Just(f64::MAX)], 0..9),
            ],
        ) {
            let mut quantiles = Quantiles::default();
            quantiles.of(&[1.0, 2.0]);
            let expected = Figures::of(values.clone());
            let found = quantiles.of(&values);
            let figures = found.map(|found| found.figures);
            prop_assert_eq!(format!("{figures:?}"), format!("{expected:?}"));
            prop_assert_eq!(format!("{:?}", quantiles.figures(&values)), format!("{expected:?}"));
            let highest = values.iter().copied().reduce(f64::max);
            prop_assert_eq!(found.map(|found| found.highest), highest);
        }
    }

    #[test]
    fn odd_numbers_are_left_to_the_slow_way() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let values: Vec<f64> = (0..2 * SHORT).map(|i| i as f64).chain([odd]).collect();
            let figures = Quantiles::default().figures(&values);
            assert_eq!(format!("{figures:?}"), format!("{:?}", Figures::of(values)));
        }
    }
}
