//! Who plays, and which patterns. A seed and a variation's number enter; instruments, levels and
//! patterns leave. All patterns are written out here, a character for each step.

use super::bank::Voice;
use super::harmony::VOICING;
use super::random::{Part, Random};

/// A pattern has a character for each step of a bar; `.` is nothing. In rhythms `X`, `x` and `-` are
/// loud, middle and quiet, and `o` is an open hat.
pub(super) type Pattern = &'static str;

/// Who plays, and what.
#[derive(Clone, Debug)]
pub(super) struct Arrangement {
    /// Tells the streams of one arrangement from those of another: 0 for the source.
    pub(super) id: u64,
    pub(super) kick: Pattern,
    pub(super) snare: Pattern,
    pub(super) hat: Pattern,
    pub(super) bass: Pattern,
    pub(super) keys: Pattern,
    pub(super) keys_level: f32,
    pub(super) lead: Option<Lead>,
}

/// What a variation has over its source.
#[derive(Clone, Debug)]
pub(super) struct Lead {
    pub(super) melody: Instrument,
    pub(super) melody_level: f32,
    pub(super) arpeggio: Option<(Instrument, Pattern)>,
}

/// A voice for every pitch.
pub(super) type Instrument = fn(u8) -> Voice;

impl Arrangement {
    pub(super) fn source(seed: u64) -> Self {
        let mut random = Random::of(Part::Arrangement, seed, [0, 0]);
        Self {
            id: 0,
            kick: random.pick(&KICKS),
            snare: random.pick(&SNARES),
            hat: random.pick(&HATS),
            bass: random.pick(&BASSES),
            keys: random.pick(&COMPINGS),
            keys_level: 1.0,
            lead: None,
        }
    }

    /// No pattern is the source's; neighbouring variations have different melody instruments.
    pub(super) fn variation(seed: u64, variation: u32) -> Self {
        let id = u64::from(variation) + 1;
        let first = Random::of(Part::Arrangement, seed, [0, 1]).below(MELODIES.len());
        let turn = (first + variation as usize % MELODIES.len()) % MELODIES.len();
        let mut random = Random::of(Part::Arrangement, seed, [id, 0]);
        let (melody, melody_level) = MELODIES[turn];
        let arpeggio = random.pick(&ARPEGGIATORS[turn]);
        let arpeggio = arpeggio.map(|instrument| (instrument, random.pick(&ARPEGGIOS)));
        let lead = Lead { melody, melody_level, arpeggio };
        let source = Self::source(seed);
        Self {
            id,
            kick: random.pick_other(&KICKS, source.kick),
            snare: random.pick_other(&SNARES, source.snare),
            hat: random.pick_other(&HATS, source.hat),
            bass: random.pick_other(&BASSES, source.bass),
            keys: random.pick_other(&COMPINGS, source.keys),
            keys_level: 0.7,
            lead: Some(lead),
        }
    }
}

/// The instruments of the melody and their levels.
const MELODIES: [(Instrument, f32); 4] =
    [(Voice::Vibraphone, 0.3), (Voice::Flute, 0.22), (Voice::Guitar, 0.42), (Voice::Synth, 0.32)];

/// For each of [`MELODIES`], who may play beside it.
const ARPEGGIATORS: [[Option<Instrument>; 3]; 4] = [
    [Some(Voice::Guitar), Some(Voice::Guitar), None],
    [Some(Voice::Guitar), Some(Voice::MusicBox), Some(Voice::Vibraphone)],
    [Some(Voice::MusicBox), Some(Voice::Vibraphone), None],
    [Some(Voice::MusicBox), Some(Voice::Guitar), None],
];

const KICKS: [Pattern; 5] = [
    "X......x..X.....",
    "X.......x.X.....",
    "X..x......X..-..",
    "X......xX.......",
    "X.x.......X....-",
];
const SNARES: [Pattern; 4] =
    ["....X.......X...", "....X..-....X...", "....X....-..X..-", "....X.......X.-."];
/// Replaces the snare in every fourth bar.
pub(super) const FILL: Pattern = "....X..-.-..X-xx";
const HATS: [Pattern; 5] = [
    "x.-.x.-.x.-.x.-.",
    "x-x-x-x-x-x-x-o.",
    "X.x.X.x-X.x.X.o.",
    "--x---x---x---x-",
    "x..-x.-.x..-x.o.",
];
/// `R` is the root, `5` the fifth below or above it, `8` the octave, `7` the seventh, and `a` the
/// step below the next chord's root; each lasts until the next.
const BASSES: [Pattern; 5] = [
    "R.........R.....",
    "R.....R...5...a.",
    "R..R......8.5...",
    "R......RR.....7.",
    "R.....8...R.5.a.",
];
/// `X`, `x` and `-` are the whole chord, digits are its notes from the lowest; each rings until the
/// next chord.
const COMPINGS: [Pattern; 6] = [
    "X.........x.....",
    "X.....x.........",
    "X..x......-...-.",
    "0.1.2.3...x.....",
    "X.......0.2.3...",
    "..X...-...x.....",
];
const ARPEGGIOS: [Pattern; 4] =
    ["0.1.2.3.2.1.2.3.", "0..1..2..3..2.1.", "3.2.1.0.3.2.1.0.", "012.3.2.012.3.2."];
pub(super) const MELODY_RHYTHMS: [Pattern; 7] = [
    "x..x..x...x.....",
    "..x.x.x...x...x.",
    "x...x.x.x.......",
    "x.....x.x..x....",
    "....x.x.x..x..x.",
    "x.xx..x.........",
    "......x.x.x.x...",
];
pub(super) const MELODY_ENDINGS: [Pattern; 3] =
    ["x.x.x...........", "x...x...........", "..x.x.x........."];

/// One character of a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onset {
    pub(super) step: usize,
    pub(super) symbol: u8,
    /// Steps until the next onset or the end of the bar.
    pub(super) gap: usize,
}

/// The onsets of a pattern within the steps that a bar has.
pub(super) fn onsets(pattern: Pattern, bar_steps: usize) -> impl Iterator<Item = Onset> {
    let symbols = &pattern.as_bytes()[..bar_steps.min(pattern.len())];
    symbols.iter().enumerate().filter(|&(_, &symbol)| symbol != b'.').map(|(step, &symbol)| {
        let rest = symbols[step + 1..].iter().take_while(|&&symbol| symbol == b'.').count();
        Onset { step, symbol, gap: rest + 1 }
    })
}

/// The note of a chord that a digit names.
pub(super) fn digit(symbol: u8) -> Option<usize> {
    symbol.is_ascii_digit().then(|| usize::from(symbol - b'0') % VOICING)
}

/// How loud a symbol of a rhythm is.
pub(super) fn loudness(symbol: u8) -> f32 {
    match symbol {
        b'X' => 1.0,
        b'-' => 0.3,
        b'o' => 0.6,
        _ => 0.7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_a_bar_long() {
        let patterns = [&KICKS[..], &SNARES, &HATS, &BASSES, &COMPINGS, &ARPEGGIOS, &[FILL]];
        let melodies = [&MELODY_RHYTHMS[..], &MELODY_ENDINGS];
        for pattern in patterns.iter().chain(&melodies).flat_map(|patterns| patterns.iter()) {
            assert_eq!(pattern.len(), 16, "{pattern}");
        }
    }

    #[test]
    fn neighbouring_variations_have_different_melody_instruments() {
        let voice = |id| {
            let lead = Arrangement::variation(5, id).lead.expect("a variation has a lead");
            (lead.melody)(60)
        };
        for id in 0..8 {
            assert_ne!(voice(id), voice(id + 1));
        }
    }
}
