//! Music for the simulated server: a loop's source, and what the model makes of it.
//!
//! A seed, a length in frames, a channel count and a sample rate enter; interleaved f32 audio within
//! ±[`CEILING`] leaves. The seed chooses key, progression, tempo, swing and patterns. The tempo is
//! fitted so that a whole number of bars fills the loop. Music is additions of short one-shots, each
//! made once, so any window of any variation is rendered without what stands before it.
//!
//! Invariants: the same arguments give the same bits on every platform (libm, plain f32 and f64
//! arithmetic, one order of additions); a window is a cut of the whole, bit for bit; no note crosses
//! the loop point, so the source and every variation join there in any order.
//!
//! It never measures, never reads a clock, and never keeps what it rendered.

mod arrangement;
mod bank;
mod drums;
mod dsp;
mod grid;
mod harmony;
mod mix;
mod random;
mod score;
mod tones;

use arrangement::Arrangement;
use bank::Bank;
use mix::{BLOCK_FRAMES, Frame};
use score::{Note, Song};

pub use mix::CEILING;

/// Sample rates the one-shots are made for; a rate outside is played as the nearest within.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 2_000..=384_000;

/// A loop's source: drums, bass and electric piano, `frames` × `channels` interleaved, seamless at
/// the loop point.
///
/// # Panics
/// When `channels` is 0.
pub fn source(seed: u64, frames: usize, channels: u16, sample_rate: u32) -> Vec<f32> {
    let mut player = Player::new(seed, frames, channels, sample_rate);
    let arrangement = Arrangement::source(seed);
    let mut out = vec![0.0; frames * usize::from(channels)];
    player.render(&arrangement, 0, &mut out);
    out
}

/// What the model makes of a [`source`]: its harmony, tempo and swing under another arrangement for
/// every lap, with a pad, a melody and sometimes an arpeggio that the source lacks.
#[derive(Debug)]
pub struct Variations {
    seed: u64,
    player: Player,
}

impl Variations {
    /// The variations of `source(seed, frames, channels, sample_rate)`.
    ///
    /// # Panics
    /// When `channels` is 0.
    pub fn new(seed: u64, frames: usize, channels: u16, sample_rate: u32) -> Self {
        Self { seed, player: Player::new(seed, frames, channels, sample_rate) }
    }

    /// Writes the frames `start..start + out.len() / channels` of one variation into `out`; frames
    /// past the end of the loop are those from its beginning.
    ///
    /// # Panics
    /// When `out` ends inside a frame.
    pub fn render(&mut self, variation: u32, start: usize, out: &mut [f32]) {
        let arrangement = Arrangement::variation(self.seed, variation);
        self.player.render(&arrangement, start, out);
    }
}

/// Plays arrangements of one song, block by block.
#[derive(Debug)]
struct Player {
    song: Song,
    bank: Bank,
    channels: usize,
    /// Scratch: one block before it is limited and laid out in channels.
    block: Vec<Frame>,
    /// Scratch: the notes of one bar.
    notes: Vec<Note>,
}

impl Player {
    fn new(seed: u64, frames: usize, channels: u16, sample_rate: u32) -> Self {
        assert!(channels > 0, "music needs at least one channel");
        let sample_rate = sample_rate.clamp(*SAMPLE_RATES.start(), *SAMPLE_RATES.end());
        let song = Song::new(seed, frames, sample_rate);
        let bank = Bank::new(sample_rate, frames, &song);
        Self { song, bank, channels: usize::from(channels), block: Vec::new(), notes: Vec::new() }
    }

    fn render(&mut self, arrangement: &Arrangement, start: usize, out: &mut [f32]) {
        assert!(out.len().is_multiple_of(self.channels), "a window is a whole number of frames");
        let loop_frames = self.song.grid.frames();
        if loop_frames == 0 {
            return out.fill(0.0);
        }
        let (mut at, mut rest) = (start % loop_frames, out);
        while !rest.is_empty() {
            let frames = BLOCK_FRAMES.min(loop_frames - at).min(rest.len() / self.channels);
            let (head, tail) = rest.split_at_mut(frames * self.channels);
            self.mix_block(arrangement, at, frames);
            mix::lay_out(&self.block, self.channels, head);
            (at, rest) = ((at + frames) % loop_frames, tail);
        }
    }

    /// Adds every note that sounds in `frames` frames from `at`, in the order of the score.
    fn mix_block(&mut self, arrangement: &Arrangement, at: usize, frames: usize) {
        self.block.clear();
        self.block.resize(frames, [0.0; 2]);
        for bar in self.song.grid.bars_sounding(at, at + frames) {
            self.notes.clear();
            self.song.write_bar(arrangement, bar, &mut self.notes);
            for note in self.notes.iter().filter(|note| note.sounds_in(at, at + frames)) {
                mix::add(&mut self.block, at, note, self.bank.one_shot(note.voice));
            }
        }
    }
}

#[cfg(test)]
mod tests;
