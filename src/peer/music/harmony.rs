//! Keys and chords. A tonic and a progression enter; MIDI pitches leave. All chords are diatonic to
//! one natural minor scale, so its pentatonic melody fits over each of them.

use super::random::Random;

/// Chords in a progression.
pub(super) const CHORDS: usize = 4;
/// Notes in the right hand of a chord.
pub(super) const VOICING: usize = 4;

/// A chord as it is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chord {
    /// The root in the bass register.
    pub(super) root: u8,
    /// Third, fifth and seventh in one octave and the ninth above, lowest first.
    pub(super) voicing: [u8; VOICING],
}

/// A key and its progression.
#[derive(Clone, Debug)]
pub(super) struct Harmony {
    pub(super) chords: [Chord; CHORDS],
    tonic: u8,
}

impl Harmony {
    pub(super) fn choose(random: &mut Random) -> Self {
        let tonic = random.below(12) as u8;
        let chords = random.pick(&PROGRESSIONS).map(|chord| chord.voiced(tonic));
        Self { chords, tonic }
    }

    /// The melody's scale, a note per degree, upwards from the middle register.
    pub(super) fn scale(&self, degree: usize) -> u8 {
        let octave = (degree / PENTATONIC.len()) as u8;
        lift(self.tonic, MELODY_LOWEST) + 12 * octave + PENTATONIC[degree % PENTATONIC.len()]
    }
}

impl Chord {
    /// The pitch nearest to `pitch` that belongs to the chord.
    pub(super) fn nearest(&self, pitch: u8) -> u8 {
        let belongs = |candidate: &u8| self.tones().any(|tone| tone % 12 == candidate % 12);
        let mut near =
            [0, 1, -1, 2, -2, 3, -3].iter().map(|&step| pitch.saturating_add_signed(step));
        near.find(belongs).unwrap_or(pitch)
    }

    fn tones(&self) -> impl Iterator<Item = u8> {
        self.voicing.into_iter().take(3).chain([self.root])
    }
}

/// Frequency of a MIDI pitch in Hz, equal temperament from A4 = 440 Hz.
pub(super) fn hertz(pitch: u8) -> f64 {
    440.0 * libm::exp2((f64::from(pitch) - 69.0) / 12.0)
}

/// Lowest pitches of the registers: A1, F3, E4.
const BASS_LOWEST: u8 = 33;
const CHORD_LOWEST: u8 = 53;
const MELODY_LOWEST: u8 = 64;

/// The minor pentatonic scale in semitones.
const PENTATONIC: [u8; 5] = [0, 3, 5, 7, 10];

/// A chord relative to its key: semitones of the root above the tonic, and its kind.
#[derive(Clone, Copy, Debug)]
struct Degree(u8, Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Minor9,
    Major9,
    Dominant9,
    /// A minor seventh with the eleventh for the ninth, which would leave the key.
    Minor11,
}

const I: Degree = Degree(0, Kind::Minor9);
const III: Degree = Degree(3, Kind::Major9);
const IV: Degree = Degree(5, Kind::Minor9);
const V: Degree = Degree(7, Kind::Minor11);
const VI: Degree = Degree(8, Kind::Major9);
const VII: Degree = Degree(10, Kind::Dominant9);

const PROGRESSIONS: [[Degree; CHORDS]; 7] = [
    [I, IV, VI, V],
    [VI, V, I, III],
    [IV, VII, III, I],
    [I, III, IV, VI],
    [VI, VII, I, V],
    [I, VI, IV, V],
    [IV, V, VI, I],
];

impl Degree {
    fn voiced(self, tonic: u8) -> Chord {
        let Degree(above, kind) = self;
        let root = tonic + above;
        let [third, fifth, seventh, top] = match kind {
            Kind::Minor9 => [3, 7, 10, 14],
            Kind::Major9 => [4, 7, 11, 14],
            Kind::Dominant9 => [4, 7, 10, 14],
            Kind::Minor11 => [3, 7, 10, 17],
        };
        let mut voicing =
            [third, fifth, seventh].map(|interval| lift(root + interval, CHORD_LOWEST));
        voicing.sort_unstable();
        let [low, middle, high] = voicing;
        let top = lift(root + top, CHORD_LOWEST + 12);
        Chord { root: lift(root, BASS_LOWEST), voicing: [low, middle, high, top] }
    }
}

/// The pitch of the same name within the octave that begins at `lowest`.
fn lift(pitch: u8, lowest: u8) -> u8 {
    lowest + (pitch + 12 - lowest % 12) % 12
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::music::random::Part;

    #[test]
    fn chords_and_melodies_stay_in_the_key() {
        const NATURAL_MINOR: [u8; 7] = [0, 2, 3, 5, 7, 8, 10];
        for seed in 0..200 {
            let harmony = Harmony::choose(&mut Random::of(Part::Song, seed, [0, 0]));
            let in_key = |pitch: u8| NATURAL_MINOR.contains(&((pitch + 12 - harmony.tonic) % 12));
            for chord in &harmony.chords {
                assert!(in_key(chord.root) && chord.voicing.iter().all(|&pitch| in_key(pitch)));
                assert!(chord.voicing.is_sorted());
            }
            assert!((0..8).map(|degree| harmony.scale(degree)).all(in_key));
        }
    }

    #[test]
    fn concert_pitch() {
        assert_eq!(hertz(69), 440.0);
        assert_eq!(hertz(57), 220.0);
    }
}
