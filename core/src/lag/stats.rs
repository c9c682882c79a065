//! The arithmetic of lag as pure functions: leads, buckets, percentiles, means, rounding.
//!
//! Each equals the reference to the last bit, and every other path uses these functions. None panics,
//! whatever the numbers.

use std::ops::Range;

/// Most buckets that a loop is divided into, against absurd lengths: three days at the default
/// width, more than the `u32` start of a slice reaches. The last bucket takes the rest.
pub const MAX_BUCKETS: usize = 1 << 20;

/// Signed distance in frames from the playhead to a slice's start, folded to half a lap.
///
/// The half is `frames / 2` in integers and belongs to the negative side, so in a loop of one frame
/// every lead is -1. Without a loop the lead is 0.
#[must_use]
pub fn fold_lead(start: u32, playhead: u64, frames: u64) -> i64 {
    if frames == 0 {
        return 0;
    }
    // Nearly always inside the loop already, and a division costs more than all the rest.
    let inside = |frame| if frame < frames { frame } else { frame % frames };
    let (start, playhead) = (inside(u64::from(start)), inside(playhead));
    let ahead = if start >= playhead { start - playhead } else { frames - playhead + start };
    if ahead >= frames / 2 { ahead.wrapping_sub(frames) as i64 } else { ahead as i64 }
}

/// Age of audio that was refreshed at `refreshed_s`; a clock that went back makes it 0.
#[must_use]
pub fn staleness_s(now_s: f64, refreshed_s: f64) -> f64 {
    (now_s - refreshed_s).max(0.0)
}

/// How a loop is divided into stretches of equal length, each of which remembers when it was last
/// refreshed. The last one may be shorter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buckets {
    frames: u64,
    width: f64,
    count: usize,
}

impl Buckets {
    /// Divides a loop of `frames` into buckets of `bucket_s` seconds, but of one frame at least.
    #[must_use]
    pub fn new(frames: u64, sample_rate: u32, bucket_s: f64) -> Self {
        let frames = frames.max(1);
        let width = (bucket_s * f64::from(sample_rate)).max(1.0);
        let count = (frames as f64 / width).ceil() as usize;
        Self { frames, width, count: count.clamp(1, MAX_BUCKETS) }
    }

    /// Number of buckets, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bucket of a frame; frames past the end count as in the last one.
    #[must_use]
    #[inline]
    pub fn of_frame(&self, frame: u64) -> usize {
        ((frame as f64 / self.width) as usize).min(self.count - 1)
    }

    /// The first frame of the loop that lies in this bucket or a later one; the end of the loop
    /// where none does.
    #[must_use]
    pub fn first_frame(&self, bucket: usize) -> u64 {
        let is_there = |frame: u64| self.of_frame(frame) >= bucket;
        // The product is off by its rounding at most, and by the fraction of a frame.
        let mut frame = ((bucket as f64 * self.width) as u64).min(self.frames);
        while frame > 0 && is_there(frame - 1) {
            frame -= 1;
        }
        while frame < self.frames && !is_there(frame) {
            frame += 1;
        }
        frame
    }

    /// The buckets that a slice refreshes: those of its first to its last frame inside the loop,
    /// whole however little of them it covers. A slice of no frames refreshes one.
    ///
    /// Past the end this is the last bucket, or none where rounding puts the loop's last frame
    /// into the bucket before it; the reference stamps neither then.
    #[must_use]
    #[inline]
    pub fn of_slice(&self, start: u32, frames: u32) -> Range<usize> {
        let last = u64::from(start) + u64::from(frames.saturating_sub(1));
        let first_bucket = self.of_frame(start.into());
        let end_bucket = self.of_frame(last.min(self.frames - 1)) + 1;
        first_bucket..end_bucket.max(first_bucket)
    }
}

/// The `q`-quantile (0 to 1) by linear interpolation between neighbours, as numpy's `percentile`
/// computes it. Reorders `values`; not a number when there are none.
#[must_use]
pub fn percentile(values: &mut [f64], q: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let Rank { index, weight } = Rank::of(values.len(), q);
    let (_, &mut lower, above) = values.select_nth_unstable_by(index, f64::total_cmp);
    match above.iter().copied().min_by(f64::total_cmp) {
        Some(upper) => interpolate(lower, upper, weight),
        None => lower,
    }
}

/// Where a quantile lies among sorted values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank {
    /// The value at or below it.
    pub index: usize,
    /// How far it lies towards the next value, from 0 to 1.
    pub weight: f64,
}

impl Rank {
    /// The place of the `q`-quantile of that many values, at least one.
    #[must_use]
    pub fn of(count: usize, q: f64) -> Rank {
        let last = count.saturating_sub(1);
        let virtual_index = last as f64 * q;
        let index = (virtual_index as usize).min(last);
        Rank { index, weight: virtual_index - index as f64 }
    }
}

/// Between two neighbours, as numpy does it: from the nearer one. The other form differs in the
/// last bit.
#[must_use]
pub fn interpolate(lower: f64, upper: f64, weight: f64) -> f64 {
    if weight < 0.5 {
        lower + (upper - lower) * weight
    } else {
        upper - (upper - lower) * (1.0 - weight)
    }
}

/// The mean with numpy's pairwise sum; not a number when there are no values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    pairwise_sum(values) / values.len() as f64
}

/// The sum in the order of numpy's `add.reduce`: eight running sums over up to 128 values, halves
/// (rounded down to a multiple of eight) above. Another order gives other last bits.
fn pairwise_sum(values: &[f64]) -> f64 {
    const LANES: usize = 8;
    const BLOCK: usize = 128;
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % LANES);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let (eights, rest) = values.as_chunks::<LANES>();
    let sum = eights.iter().copied().reduce(|mut sums, eight| {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value);
        sums
    });
    let sum = sum.map_or(0.0, |[a, b, c, d, e, f, g, h]| ((a + b) + (c + d)) + ((e + f) + (g + h)));
    rest.iter().fold(sum, |sum, value| sum + value)
}

/// `value` to `decimals` places, half to even on the exact binary value, as Python's `round`.
///
/// Going through decimal text is what makes it exact near a tie: scaling by a power of ten rounds once
/// more.
#[must_use]
pub fn round(value: f64, decimals: usize) -> f64 {
    round_far_from_tie(value, decimals)
        .unwrap_or_else(|| format!("{value:.decimals$}").parse().unwrap_or(value))
}

/// The same by scaling, which takes a twentieth of the time; `None` where its own rounding could
/// decide. Both parts of the last division are exact, so that it gives the number that is
/// nearest to the decimal one, as reading that does.
fn round_far_from_tie(value: f64, decimals: usize) -> Option<f64> {
    const POWERS: [f64; 7] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
    const LARGEST: f64 = (1_u64 << 32) as f64;
    const TIE: f64 = 1e-6;
    let power = *POWERS.get(decimals)?;
    let scaled = value * power;
    let whole = scaled.round();
    let is_far = scaled.abs() < LARGEST && (scaled - whole).abs() < 0.5 - TIE;
    is_far.then(|| whole / power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_lead(start: u32, playhead: u64, frames: u64, expected: i64) {
        assert_eq!(fold_lead(start, playhead, frames), expected);
    }

    #[test]
    fn leads_fold_to_half_a_lap() {
        check_lead(7, 3, 0, 0);
        check_lead(0, 0, 1, -1);
        check_lead(1, 0, 2, -1);
        check_lead(4, 0, 10, 4);
        check_lead(5, 0, 10, -5);
        check_lead(4, 0, 9, -5);
        check_lead(0, 9, 10, 1);
        check_lead(u32::MAX, 0, u64::MAX, i64::from(u32::MAX));
        check_lead(0, 1, u64::MAX, -1);
        check_lead(0, u64::MAX / 2 + 2, u64::MAX, i64::MAX - 1);
        check_lead(0, u64::MAX / 2 + 1, u64::MAX, i64::MIN);
        check_lead(0, u64::MAX / 2, u64::MAX, i64::MIN + 1);
    }

    #[track_caller]
    fn check_first_frames(buckets: Buckets, frames: u64) {
        for bucket in 0..=buckets.count() {
            let first = (0..frames).find(|&frame| buckets.of_frame(frame) >= bucket);
            assert_eq!(
                buckets.first_frame(bucket),
                first.unwrap_or(frames),
                "{buckets:?} {bucket}"
            );
        }
    }

    #[test]
    fn buckets_begin_at_their_first_frames() {
        for (frames, width) in [(1, 1.0), (7, 2.0), (100, 33.3), (9_601, 4_800.7), (999, 0.1)] {
            check_first_frames(Buckets::new(frames, 1, width), frames);
        }
    }

    #[track_caller]
    fn check_buckets(buckets: Buckets, start: u32, frames: u32, expected: Range<usize>) {
        assert_eq!(buckets.of_slice(start, frames), expected, "{buckets:?}");
        assert!(expected.start <= expected.end && expected.end <= buckets.count());
    }

    #[test]
    fn slices_refresh_whole_buckets() {
        let ten_seconds = Buckets::new(480_000, 48_000, 0.25);
        assert_eq!(ten_seconds.count(), 40);
        check_buckets(ten_seconds, 0, 0, 0..1);
        check_buckets(ten_seconds, 0, 12_000, 0..1);
        check_buckets(ten_seconds, 11_999, 2, 0..2);
        check_buckets(ten_seconds, 479_999, 1_000, 39..40);
        check_buckets(ten_seconds, u32::MAX, u32::MAX, 39..40);
        // Buckets of 4,800.7 frames: the third begins after the start of the last frame.
        let rounded = Buckets::new(9_602, 48_007, 0.1);
        assert_eq!(rounded.count(), 3);
        check_buckets(rounded, 9_601, 1, 1..2);
        check_buckets(rounded, 20_000, 1, 2..2);
    }

    #[test]
    fn odd_shapes_stay_bounded() {
        for bucket_s in [0.0, -1.0, f64::NAN, 1e-300, f64::INFINITY] {
            for frames in [0, 1, 5, 48_000, u64::MAX] {
                for sample_rate in [0, 1, u32::MAX] {
                    let buckets = Buckets::new(frames, sample_rate, bucket_s);
                    assert!((1..=MAX_BUCKETS).contains(&buckets.count()));
                    let range = buckets.of_slice(u32::MAX, u32::MAX);
                    assert!(range.start <= range.end && range.end <= buckets.count());
                    assert!(buckets.of_frame(u64::MAX) < buckets.count());
                }
            }
        }
    }

    #[track_caller]
    fn check_round(value: f64, decimals: usize, expected: f64) {
        let rounded = round(value, decimals);
        assert_eq!(rounded.to_bits(), expected.to_bits(), "{rounded} is not {expected}");
    }

    #[test]
    fn rounding_is_half_to_even_on_the_binary_value() {
        check_round(0.125, 2, 0.12);
        check_round(0.375, 2, 0.38);
        check_round(2.5, 0, 2.0);
        check_round(3.5, 0, 4.0);
        check_round(0.5, 0, 0.0);
        check_round(0.03125, 4, 0.0312);
        check_round(0.09375, 4, 0.0938);
        check_round(-0.03125, 4, -0.0312);
        check_round(1.0625, 3, 1.062);
        check_round(1.1875, 3, 1.188);
        // 2.675 is stored a little below, 1.005 too: neither is a tie.
        check_round(2.675, 2, 2.67);
        check_round(1.005, 2, 1.0);
        check_round(-0.00001, 4, -0.0);
        check_round(0.99995, 4, 1.0);
        check_round(9_007_199_254_740_993.0, 4, 9_007_199_254_740_992.0);
        check_round(f64::MAX, 4, f64::MAX);
        check_round(f64::INFINITY, 4, f64::INFINITY);
        assert!(round(f64::NAN, 4).is_nan());
    }

    #[test]
    fn nothing_has_no_figures() {
        assert!(percentile(&mut [], 0.5).is_nan());
        assert!(mean(&[]).is_nan());
    }

    /// The same quantile from a full sort, as numpy documents it.
    fn percentile_by_sorting(mut values: Vec<f64>, q: f64) -> f64 {
        values.sort_by(f64::total_cmp);
        let v = (values.len() - 1) as f64 * q;
        let i = v.floor() as usize;
        let Some(&b) = values.get(i + 1) else { return values[i] };
        let (a, g) = (values[i], v - v.floor());
        if g < 0.5 { a + (b - a) * g } else { b - (b - a) * (1.0 - g) }
    }

    proptest! {
        #[test]
        fn selecting_equals_sorting(values in proptest::collection::vec(-1e3..1e3, 1..400)) {
            let mut reordered = values.clone();
            for q in [0.0, 0.05, 0.5, 0.95, 1.0] {
                let expected = percentile_by_sorting(values.clone(), q);
                prop_assert_eq!(percentile(&mut reordered, q).to_bits(), expected.to_bits());
            }
        }

        #[test]
        fn rounding_is_that_of_decimal_text(
            value in prop_oneof![any::<f64>(), -1e6..1e6, (-1e6..1e6).prop_map(f64::round)],
            fine in proptest::sample::select(vec![1.0, 10.0, 20.0, 2e3, 2e4, 16.0, 1024.0, 3e4]),
            nudge in -2_i64..=2,
            decimals in 0..8_usize,
        ) {
            let value = value / fine;
            let near = f64::from_bits(value.to_bits().wrapping_add_signed(nudge));
            let expected: f64 = format!("{near:.decimals$}").parse().unwrap();
            let rounded = round(near, decimals);
            prop_assert_eq!(rounded.to_bits(), expected.to_bits(), "{} is not {}", rounded, expected);
        }

        #[test]
        fn leads_lie_within_half_a_lap(start: u32, playhead: u64, frames in 1..u64::MAX / 2) {
            let lead = i128::from(fold_lead(start, playhead, frames));
            let frames = i128::from(frames);
            prop_assert!(2 * lead < frames && 2 * lead + 1 >= -frames);
            prop_assert_eq!((i128::from(playhead) + lead - i128::from(start)).rem_euclid(frames), 0);
        }
    }
}
