//! Seeded random numbers that are the same on every platform.
//!
//! Each subject draws from a stream of its own, so that an additional draw in one changes no other.
//! SplitMix64, from Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. Not
//! for secrets.

/// What random numbers are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// How long the model works.
    Durations,
    /// How long a message travels to the server.
    Uplink,
    /// How long a message travels to the client.
    Downlink,
    /// Names such as a session's.
    Names,
    /// What the client does.
    Client,
    /// What the server plays.
    Tune,
    /// How long a change takes until it is heard.
    Revisions,
    /// Which sessions a fleet has.
    Fleet,
}

impl Stream {
    /// A constant of the stream that stays when streams are added.
    fn salt(self) -> u64 {
        match self {
            Stream::Durations => 1,
            Stream::Uplink => 2,
            Stream::Downlink => 3,
            Stream::Names => 4,
            Stream::Client => 5,
            Stream::Tune => 6,
            Stream::Revisions => 7,
            Stream::Fleet => 8,
        }
    }
}

/// A stream of random numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of that name under that seed.
    #[must_use]
    pub fn new(seed: u64, stream: Stream) -> Self {
        let mut salted = Self { state: stream.salt() };
        let salt = salted.next_u64();
        Self { state: seed ^ salt }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number in `[0, 1)`, with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next number in `[least, most)`.
    pub fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// The next number in `[mean·(1 − spread), mean·(1 + spread))`.
    pub fn around(&mut self, mean: f64, spread: f64) -> f64 {
        mean * (1.0 + spread * (2.0 * self.unit() - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence() {
        let mut rng = Rng { state: 1_234_567 };
        let drawn: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(
            drawn,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream| Rng::new(seed, stream).next_u64();
        assert_eq!(draw(7, Stream::Uplink), draw(7, Stream::Uplink));
        assert_ne!(draw(7, Stream::Uplink), draw(7, Stream::Downlink));
        assert_ne!(draw(7, Stream::Uplink), draw(8, Stream::Uplink));
    }

    #[test]
    fn draws_stay_within_their_spread() {
        let mut rng = Rng::new(1, Stream::Durations);
        let drawn: Vec<f64> = (0..1_000).map(|_| rng.around(40.0, 0.25)).collect();
        assert!(drawn.iter().all(|&ms| (30.0..50.0).contains(&ms)));
        let mean = drawn.iter().sum::<f64>() / 1_000.0;
        assert!((mean - 40.0).abs() < 0.6, "{mean}");
    }
}
