//! What is played. A seed gives a song (key, progression, tempo, swing); an arrangement and a bar's
//! number give that bar's notes, in a fixed order, without the bars before it.

use super::arrangement::{
    Arrangement, FILL, Lead, MELODY_ENDINGS, MELODY_RHYTHMS, Onset, Pattern, digit, loudness,
    onsets,
};
use super::bank::{Side, Voice};
use super::drums::VINYL_RELEASE;
use super::grid::Grid;
use super::harmony::{CHORDS, Chord, Harmony};
use super::random::{Part, Random};
use super::tones::PAD_RELEASE;

/// One sounding of a one-shot. Positions are frames of the loop.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) voice: Voice,
    pub(super) at: usize,
    /// Frames until silence.
    pub(super) frames: usize,
    /// Frames of `frames` in which it fades.
    pub(super) release: usize,
    /// Gains of the two sides.
    pub(super) left: f32,
    pub(super) right: f32,
}

impl Note {
    pub(super) fn end(&self) -> usize {
        self.at + self.frames
    }

    pub(super) fn release_at(&self) -> usize {
        self.end() - self.release
    }

    pub(super) fn sounds_in(&self, start: usize, end: usize) -> bool {
        self.at < end && start < self.end()
    }
}

/// What the source and all its variations share.
#[derive(Debug)]
pub(super) struct Song {
    pub(super) grid: Grid,
    pub(super) harmony: Harmony,
    seed: u64,
    /// Steps by which every second step is late.
    swing: f32,
}

impl Song {
    pub(super) fn new(seed: u64, frames: usize, sample_rate: u32) -> Self {
        let mut random = Random::of(Part::Song, seed, [0, 0]);
        let harmony = Harmony::choose(&mut random);
        let grid = Grid::fit(frames, sample_rate, random.between(70.0, 90.0));
        Self { grid, harmony, seed, swing: random.between(0.1, 0.32) }
    }

    /// Appends the notes of one bar.
    pub(super) fn write_bar(&self, arrangement: &Arrangement, bar: usize, notes: &mut Vec<Note>) {
        let mut page = Page { song: self, arrangement, bar, notes };
        page.drums();
        page.bass();
        page.keys();
        page.vinyl();
        if let Some(lead) = &arrangement.lead {
            page.pad();
            page.arpeggio(lead);
            page.melody(lead);
        }
    }

    /// The chord of a bar. The last bar has the last chord, which leads back to the first.
    fn chord(&self, bar: usize) -> usize {
        if bar + 1 == self.grid.bars() && bar > 0 { CHORDS - 1 } else { bar % CHORDS }
    }
}

/// Degrees of the melody's scale that it moves over.
const MELODY_DEGREES: i32 = 8;

/// A bar as it is written.
struct Page<'a> {
    song: &'a Song,
    arrangement: &'a Arrangement,
    bar: usize,
    notes: &'a mut Vec<Note>,
}

impl Page<'_> {
    fn drums(&mut self) {
        let mut random = self.random(Part::Drums);
        let arrangement = self.arrangement;
        let snare = if self.bar % 4 == 3 { FILL } else { arrangement.snare };
        let kit =
            [(arrangement.kick, 0.85, 0.0), (snare, 0.6, 0.05), (arrangement.hat, 0.6, -0.25)];
        for (line, (pattern, level, pan)) in kit.into_iter().enumerate() {
            for onset in self.onsets(pattern) {
                let voice = match (line, onset.symbol) {
                    (0, _) => Voice::Kick,
                    (1, _) => Voice::Snare,
                    (_, b'o') => Voice::OpenHat,
                    _ => Voice::Hat,
                };
                let level = level * loudness(onset.symbol) * random.between(0.85, 1.0);
                // A lazy snare, and hats that are never quite on time.
                let late = [0.0, 0.06, 0.0][line] + random.between(0.0, [0.01, 0.04, 0.06][line]);
                let at = self.swung(onset.step) + late;
                self.play(voice, Span { at, steps: 4.0, release: 0.02 }, level, pan);
            }
        }
    }

    fn bass(&mut self) {
        let mut random = self.random(Part::Bass);
        let root = self.chord().root;
        let next = self.song.harmony.chords[self.song.chord(self.bar + 1)].root;
        for onset in self.onsets(self.arrangement.bass) {
            let pitch = match onset.symbol {
                b'5' if root >= 40 => root - 5,
                b'5' => root + 7,
                b'7' => root + 10,
                b'8' => root + 12,
                b'a' => next - 2,
                _ => root,
            };
            let level = 0.5 * random.between(0.85, 1.0);
            let at = self.swung(onset.step) + random.between(0.0, 0.05);
            let steps = (onset.gap as f32 * 0.92).min(9.0);
            self.play(Voice::Bass(pitch), Span { at, steps, release: 0.05 }, level, 0.0);
        }
    }

    fn keys(&mut self) {
        let mut random = self.random(Part::Keys);
        let voicing = self.chord().voicing;
        for onset in self.onsets(self.arrangement.keys) {
            let level = 0.26 * self.arrangement.keys_level * loudness(onset.symbol);
            let picked = digit(onset.symbol);
            for (i, pitch) in voicing.into_iter().enumerate() {
                if picked.is_some_and(|picked| picked != i) {
                    continue;
                }
                let strum = if picked.is_some() { 0.0 } else { i as f32 * 0.09 };
                let at = self.swung(onset.step) + strum + random.between(0.0, 0.06);
                let level = level * random.between(0.8, 1.0);
                // Single notes ring on under each other.
                let steps = onset.gap as f32 + if picked.is_some() { 3.0 } else { -0.2 };
                let pan = 0.15 * (i as f32 - 1.5);
                self.play(Voice::Keys(pitch), Span { at, steps, release: 0.12 }, level, pan);
            }
        }
    }

    fn vinyl(&mut self) {
        let mut random = self.random(Part::Vinyl);
        let first = random.below(3) as u8;
        let span = Span { at: 0.0, steps: self.bar_steps(), release: VINYL_RELEASE };
        self.play(Voice::Vinyl(first), span, 0.05, -1.0);
        self.play(Voice::Vinyl((first + 1) % 3), span, 0.05, 1.0);
    }

    fn pad(&mut self) {
        let chord = self.song.chord(self.bar);
        let span = Span { at: 0.0, steps: self.bar_steps(), release: PAD_RELEASE };
        self.play(Voice::Pad { chord, side: Side::Left }, span, 0.15, -0.7);
        self.play(Voice::Pad { chord, side: Side::Right }, span, 0.15, 0.7);
    }

    fn arpeggio(&mut self, lead: &Lead) {
        let Some((instrument, pattern)) = lead.arpeggio else { return };
        let mut random = self.random(Part::Arpeggio);
        let voicing = self.chord().voicing;
        for onset in self.onsets(pattern) {
            let pitch = voicing[digit(onset.symbol).unwrap_or(0)] + 12;
            let level = 0.17 * random.between(0.7, 1.0);
            let at = self.swung(onset.step) + random.between(0.0, 0.05);
            let pan = if onset.step % 4 < 2 { -0.55 } else { 0.55 };
            self.play(instrument(pitch), Span { at, steps: 6.0, release: 0.15 }, level, pan);
        }
    }

    /// A phrase of four bars: a motif, its answer, the motif again, an ending. Every note has two
    /// echoes from the sides.
    fn melody(&mut self, lead: &Lead) {
        let (rhythm, degrees) = self.motif();
        let mut random = self.random(Part::MelodyFeel);
        for (onset, degree) in self.onsets(rhythm).zip(degrees) {
            let scale = self.song.harmony.scale(degree);
            let strong = onset.step % 4 == 0 || onset.gap > 3;
            let pitch = if strong { self.chord().nearest(scale) } else { scale };
            let level = lead.melody_level * random.between(0.75, 1.0);
            let at = self.swung(onset.step) + random.between(0.0, 0.09);
            let steps = (onset.gap as f32).min(7.0);
            for (late, quieter, pan) in [(0.0, 1.0, 0.1), (3.0, 0.3, -0.7), (6.0, 0.14, 0.7)] {
                let span = Span { at: at + late, steps, release: 0.12 };
                self.play((lead.melody)(pitch), span, level * quieter, pan);
            }
        }
    }

    /// The rhythm of this bar's motif and its degrees of the scale.
    fn motif(&self) -> (Pattern, [usize; 16]) {
        let (phrase, place) = (self.bar / 8, [0, 1, 0, 2][self.bar % 4]);
        let key = (phrase * 4 + place) as u64;
        let mut random = Random::of(Part::Melody, self.song.seed, [self.arrangement.id, key]);
        let rhythm =
            if place == 2 { random.pick(&MELODY_ENDINGS) } else { random.pick(&MELODY_RHYTHMS) };
        let mut degree = random.below(4) as i32 + 2;
        let degrees = std::array::from_fn(|_| {
            let here = degree;
            degree += random.pick(&[-2, -1, -1, 0, 1, 1, 2]);
            degree = degree.clamp(0, MELODY_DEGREES - 1);
            here as usize
        });
        (rhythm, degrees)
    }

    /// Writes a note, ended where the bar's reach or the loop ends.
    fn play(&mut self, voice: Voice, span: Span, level: f32, pan: f32) {
        let grid = &self.song.grid;
        let at = grid.frame_at(self.bar, span.at);
        let release = grid.seconds(span.release);
        let room = grid.last_frame_of(self.bar).saturating_sub(at);
        let frames = (grid.steps(span.steps) + release).min(room);
        if frames == 0 {
            return;
        }
        let [left, right] = [1.0 - pan, 1.0 + pan].map(|share| level * (0.5 * share).sqrt());
        let release = release.clamp(1, frames);
        self.notes.push(Note { voice, at, frames, release, left, right });
    }

    fn chord(&self) -> &Chord {
        &self.song.harmony.chords[self.song.chord(self.bar)]
    }

    fn bar_steps(&self) -> f32 {
        self.song.grid.bar_steps() as f32
    }

    fn onsets(&self, pattern: Pattern) -> impl Iterator<Item = Onset> + use<> {
        onsets(pattern, self.song.grid.bar_steps())
    }

    /// A step with its swing.
    fn swung(&self, step: usize) -> f32 {
        step as f32 + if step % 2 == 1 { self.song.swing } else { 0.0 }
    }

    fn random(&self, part: Part) -> Random {
        Random::of(part, self.song.seed, [self.arrangement.id, self.bar as u64])
    }
}

/// Where a note is within its bar: begin and length in steps, and then the fade in seconds.
#[derive(Clone, Copy, Debug)]
struct Span {
    at: f32,
    steps: f32,
    release: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_note_outlives_its_bars_reach_or_the_loop() {
        for (seed, frames) in
            (0..12).zip([1, 7, 100, 4_800, 48_000, 200_000, 1_000_003].iter().cycle())
        {
            let song = Song::new(seed, *frames, 48_000);
            for id in 0..4 {
                let mut notes = Vec::new();
                for bar in 0..song.grid.bars() {
                    notes.clear();
                    song.write_bar(&Arrangement::variation(seed, id), bar, &mut notes);
                    for note in &notes {
                        assert!(note.at >= song.grid.frame_at(bar, 0.0));
                        assert!(note.end() <= song.grid.last_frame_of(bar));
                        assert!(note.end() <= *frames);
                    }
                }
            }
        }
    }
}
