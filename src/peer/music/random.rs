//! Seeded choices. A list of keys enters, a stream of numbers leaves: splitmix64, whose stream is
//! written here so that it never changes with a dependency.

/// What a stream is for; each part of the music draws from its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Song = 1,
    Arrangement,
    Drums,
    Bass,
    Keys,
    Arpeggio,
    Melody,
    MelodyFeel,
    Vinyl,
    Noise,
    Phases,
}

/// A splitmix64 stream.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of one part of one song, told apart further by `keys` (a variation, a bar).
    pub(super) fn of(part: Part, seed: u64, keys: [u64; 2]) -> Self {
        let mut state = mix(seed.wrapping_add(GOLDEN_GAMMA));
        for key in [part as u64, keys[0], keys[1]] {
            state = mix(state.wrapping_add(GOLDEN_GAMMA) ^ key);
        }
        Self(state)
    }

    /// An index below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// A number in [0, 1).
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// A number in [-1, 1).
    pub(super) fn signed(&mut self) -> f32 {
        self.unit() * 2.0 - 1.0
    }

    /// A number in [low, high).
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + self.unit() * (high - low)
    }

    /// Any 32 bits.
    pub(super) fn bits(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    /// One of `items`, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// One of `items`, which must be at least two and all different, but not `avoided`.
    pub(super) fn pick_other<T: Copy + PartialEq>(&mut self, items: &[T], avoided: T) -> T {
        let last = items.len() - 1;
        let picked = items[self.below(last)];
        if picked == avoided { items[last] } else { picked }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        mix(self.0)
    }
}

/// The increment and finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_the_published_one() {
        // The first outputs of the reference implementation for the state 1234567.
        let mut random = Random(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn parts_and_keys_have_their_own_streams() {
        let first = |part, seed, keys| Random::of(part, seed, keys).next();
        let one = first(Part::Song, 1, [0, 0]);
        for other in [
            first(Part::Drums, 1, [0, 0]),
            first(Part::Song, 2, [0, 0]),
            first(Part::Song, 1, [1, 0]),
            first(Part::Song, 1, [0, 1]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn numbers_stay_in_range() {
        let mut random = Random::of(Part::Noise, 3, [0, 0]);
        for _ in 0..1_000 {
            assert!(random.below(7) < 7);
            assert!((0.0..1.0).contains(&random.unit()));
            assert!((-1.0..1.0).contains(&random.signed()));
        }
    }
}
