//! Figures of a long list without sorting it, equal to [`Figures::of`] to the last bit.
//!
//! A coarse histogram shows which bins contain the requested ranks, and only the values of those bins
//! are examined again. Bins are ordered like their values, so the result is exact. The bin boundaries
//! come from a few samples: staleness is either a fraction of a second or several laps of the loop, and
//! bins of equal width would hold thousands of values each.

use super::figures::Figures;
use super::stats::{Rank, interpolate, mean};
use crate::wire::kernel::{self, WideLoop};

/// Bins of the histogram; all of its counters fit in a processor's first cache.
const BINS: usize = 1 << 10;
/// Histograms that take turns, so that equal neighbours do not wait for each other.
const TURNS: usize = 4;
/// Lists shorter than this are sorted out directly; in longer ones each rank asked for lies above
/// the one before.
const SHORT: usize = 2 * SAMPLES;
/// Values of a list that tell how the bins should lie.
const SAMPLES: usize = 128;
/// Samples at either end that bins need not tell apart: no rank is expected beyond them, and a single
/// one may be far from all others.
const OUTER: usize = 2;
/// Bins of either ramp of the scale.
const STEPS: f32 = (BINS / 2 - 1) as f32;
/// Values whose bins are found and counted before the next: as many as stay in the first cache.
const BLOCK: usize = 1 << 10;
/// Values of which one look tells whether any is wanted.
const LOOKED_AT: usize = 16;
/// Values compared side by side.
const LANES: usize = 8;

/// Scratch of [`Quantiles::of`], reused from list to list.
#[derive(Clone, Debug)]
pub struct Quantiles {
    counts: Box<[[u32; BINS]; TURNS]>,
    /// All false between two lists.
    wanted: Box<[bool; BINS]>,
    /// The bin of each value.
    bins: Vec<u16>,
    kept: Vec<f64>,
}

impl Default for Quantiles {
    fn default() -> Self {
        Quantiles {
            counts: Box::new([[0; BINS]; TURNS]),
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
/// two ramps, one on either side of the widest gap, since what is fresh and what is stale may be laps
/// apart. Rounding to `f32` keeps the order, and twice as many are computed side by side.
#[derive(Clone, Copy)]
struct Scale([Ramp; 2]);

#[derive(Clone, Copy, Default)]
struct Ramp {
    from: f32,
    steps_per_unit: f32,
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
            *sample = values[i * stride + anywhere as usize % stride] as f32;
        }
        samples.sort_unstable_by(f32::total_cmp);
        let inner = &samples[OUTER..SAMPLES - OUTER];
        let gap = |&i: &usize| inner[i + 1] - inner[i];
        let last = inner.len() - 1;
        let widest = (0..last).max_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or(0);
        Scale([
            Ramp::between(inner[0], inner[widest]),
            Ramp::between(inner[widest + 1], inner[last]),
        ])
    }

    #[inline(always)]
    fn bin(self, value: f64) -> u16 {
        /// Added to a number up to 2²² it leaves the nearest whole number in the lowest bits.
        const WHOLE: f32 = (1_u32 << 23) as f32;
        let [lower, upper] = self.0;
        let value = value as f32;
        (lower.steps(value) + upper.steps(value) + WHOLE).to_bits() as u16
    }
}

impl Ramp {
    fn between(from: f32, to: f32) -> Ramp {
        Ramp { from, steps_per_unit: if to > from { STEPS / (to - from) } else { 0.0 } }
    }

    /// From 0 to [`STEPS`]; each operation keeps the order of values, and so does their rounding.
    #[inline(always)]
    fn steps(self, value: f32) -> f32 {
        let steps = (value - self.from) * self.steps_per_unit;
        // Not `clamp`: no number times infinity is no number, and counts as 0.
        let steps = if steps > 0.0 { steps } else { 0.0 };
        if steps < STEPS { steps } else { STEPS }
    }
}

impl Quantiles {
    /// The figures of any list, `None` when it is empty.
    pub fn figures(&mut self, values: &[f64]) -> Option<Figures> {
        let mean = mean(values);
        // A sum of what is no number, or infinite, is neither a number nor finite.
        if !mean.is_finite() {
            return Figures::of(values.to_vec());
        }
        self.with_mean(values, mean).map(|found| found.figures)
    }

    /// The figures of a list of finite numbers, `None` when it is empty.
    pub fn of(&mut self, values: &[f64]) -> Option<ListSummary> {
        self.with_mean(values, mean(values))
    }

    fn with_mean(&mut self, values: &[f64], mean: f64) -> Option<ListSummary> {
        if values.len() < SHORT {
            let highest = extremes(values).1;
            return Figures::of(values.to_vec()).map(|figures| ListSummary { figures, highest });
        }
        let (lowest, highest) = self.count(values, Scale::of(values));
        // Zeros may have different signs.
        let is_one_value = lowest == highest && lowest != 0.0;
        let quantiles = if is_one_value { [lowest; 3] } else { self.quantiles(values) };
        let figures = Figures::rounded(lowest, quantiles, highest, mean);
        Some(ListSummary { figures, highest })
    }

    fn quantiles(&mut self, values: &[f64]) -> [f64; 3] {
        let ranks = Figures::QUANTILES.map(|q| Rank::of(values.len(), q));
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
        self.counts.as_flattened_mut().fill(0);
        self.bins.resize(values.len(), 0);
        let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
        for (values, bins) in values.chunks(BLOCK).zip(self.bins.chunks_mut(BLOCK)) {
            let (low, high) = kernel::wide(FindBins { scale, values, bins: &mut *bins });
            (lowest, highest) = (lowest.min(low), highest.max(high));
            let (turns, rest) = bins.as_chunks::<TURNS>();
            for turn in turns {
                for (counts, &bin) in self.counts.iter_mut().zip(turn) {
                    counts[index(bin)] += 1;
                }
            }
            for &bin in rest {
                self.counts[0][index(bin)] += 1;
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
            let count = self.counts.iter().map(|counts| counts[bin] as usize).sum::<usize>();
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
        let Quantiles { bins, wanted: is_wanted, kept, .. } = self;
        kernel::wide(Keep { values, bins, wanted, is_wanted, kept });
        wanted.iter().for_each(|&bin| self.wanted[index(bin)] = false);
    }
}

/// Finds the bin of each value, and the extremes of all.
struct FindBins<'a> {
    scale: Scale,
    values: &'a [f64],
    bins: &'a mut [u16],
}

impl WideLoop for FindBins<'_> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run(self) -> (f64, f64) {
        for (bin, &value) in self.bins.iter_mut().zip(self.values) {
            *bin = self.scale.bin(value);
        }
        extremes(self.values)
    }
}

/// Copies the values of the wanted bins.
struct Keep<'a> {
    values: &'a [f64],
    bins: &'a [u16],
    wanted: [u16; 6],
    is_wanted: &'a [bool; BINS],
    kept: &'a mut Vec<f64>,
}

impl WideLoop for Keep<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Keep { wanted: [a, b, c, d, e, f], is_wanted, .. } = self;
        for (values, bins) in self.values.chunks(LOOKED_AT).zip(self.bins.chunks(LOOKED_AT)) {
            // Most often there is none among many.
            let is_any = bins.iter().fold(false, |any, &bin| {
                any | (bin == a) | (bin == b) | (bin == c) | (bin == d) | (bin == e) | (bin == f)
            });
            if !is_any {
                continue;
            }
            let mut few = [0.0; LOOKED_AT];
            let mut count = 0;
            for (&value, &bin) in values.iter().zip(bins) {
                // Written always and kept by counting: a branch would be guessed wrong too often.
                few[count] = value;
                count += usize::from(is_wanted[index(bin)]);
            }
            self.kept.extend_from_slice(&few[..count]);
        }
    }
}

/// A bin as an index that needs no check.
fn index(bin: u16) -> usize {
    usize::from(bin) % BINS
}

/// The lowest and the highest of a list of numbers; infinities of none.
#[inline(always)]
fn extremes(values: &[f64]) -> (f64, f64) {
    let lower = |a: f64, b: f64| if a < b { a } else { b };
    let higher = |a: f64, b: f64| if a > b { a } else { b };
    (in_lanes(values, f64::INFINITY, lower), in_lanes(values, f64::NEG_INFINITY, higher))
}

/// What `fold` makes of all values in any order.
#[inline(always)]
fn in_lanes(values: &[f64], first: f64, fold: impl Fn(f64, f64) -> f64) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [first; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = fold(*lane, value);
        }
    }
    lanes.iter().chain(rest).fold(first, |folded, &value| fold(folded, value))
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
