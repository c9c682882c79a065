//! The audio that the listener heard: the mirror under the moving playhead, tick by tick.
//!
//! At each tick the frames between the previous and the present playhead are copied from the mirror as
//! it is then. Audio is interleaved `f32`, lengths are in frames. The ring keeps whole chunks, one for
//! each tick that moved the playhead, and exceeds its cap only by part of a single chunk.

use std::collections::VecDeque;
use std::ops::Range;

/// A ring of the audio that was heard, as a draft of the reference client records it.
#[derive(Clone, Debug)]
pub struct HeardAudio {
    cap: Option<u64>,
    channels: u16,
    samples: VecDeque<f32>,
    chunks: VecDeque<u64>,
    frames: u64,
    read_to: Option<u64>,
}

impl HeardAudio {
    /// An empty ring. `cap` is in frames: `None` keeps everything, `Some(0)` records nothing.
    #[must_use]
    pub fn new(cap: Option<u64>, channels: u16) -> Self {
        Self {
            cap,
            channels,
            samples: VecDeque::new(),
            chunks: VecDeque::new(),
            frames: 0,
            read_to: None,
        }
    }

    /// An empty ring whose playhead was at this frame at the last tick.
    #[must_use]
    pub fn resume(cap: Option<u64>, channels: u16, read_to: Option<u64>) -> Self {
        Self { read_to, ..Self::new(cap, channels) }
    }

    /// Takes over what was heard before a hole in the capture.
    pub fn follow(&mut self, before: HeardAudio) {
        *self = HeardAudio { read_to: self.read_to, ..before };
    }

    /// Appends the mirror from the last tick's playhead up to this one, around the end of the loop
    /// if need be.
    ///
    /// The first tick only notes where the playhead is. So does one that moved more than half a
    /// lap: it jumped, and what lies between was not heard. `mirror` is interleaved.
    pub fn on_tick(&mut self, playhead: u64, mirror: &[f32]) {
        let lap = mirror.len().checked_div(self.channels.into()).unwrap_or(0) as u64;
        if self.cap == Some(0) || lap == 0 {
            return;
        }
        let to = playhead % lap;
        let Some(from) = self.read_to.replace(to) else { return };
        let from = from % lap;
        let distance = if to >= from { to - from } else { lap - from + to };
        if distance == 0 || distance > lap / 2 {
            return;
        }
        if from < to {
            self.copy(mirror, from..to);
        } else {
            self.copy(mirror, from..lap);
            self.copy(mirror, 0..to);
        }
        self.chunks.push_back(distance);
        self.frames += distance;
        self.drop_oldest();
    }

    /// Forgets audio and playhead, as a swap does; the next mirror has `channels`.
    pub fn clear(&mut self, channels: u16) {
        *self = Self::new(self.cap, channels);
    }

    /// Frames kept.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Samples in a frame.
    #[must_use]
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// Lengths in frames of the chunks kept, oldest first; a full ring drops whole chunks.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.chunks.iter().copied()
    }

    /// The frame up to which the mirror has been read: the playhead of the last tick.
    #[must_use]
    pub fn read_to(&self) -> Option<u64> {
        self.read_to
    }

    /// The newest `last` frames, or everything kept; interleaved.
    #[must_use]
    pub fn samples(&self, last: Option<u64>) -> Vec<f32> {
        let wanted = last.map_or(self.frames, |last| last.min(self.frames));
        let skipped = self.sample_index(self.frames - wanted);
        self.samples.range(skipped..).copied().collect()
    }

    fn copy(&mut self, mirror: &[f32], frames: Range<u64>) {
        let samples = self.sample_index(frames.start)..self.sample_index(frames.end);
        self.samples.extend(&mirror[samples]);
    }

    fn drop_oldest(&mut self) {
        let Some(cap) = self.cap else { return };
        while self.frames > cap && self.chunks.len() > 1 {
            let dropped = self.chunks.pop_front().unwrap_or(0);
            self.frames -= dropped;
            self.samples.drain(..self.sample_index(dropped));
        }
    }

    fn sample_index(&self, frame: u64) -> usize {
        frame as usize * usize::from(self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds ticks over a mirror whose samples are their own index and compares what is kept.
    #[track_caller]
    fn check(heard: &mut HeardAudio, ticks: &[u64], last: Option<u64>, expected: &[f32]) {
        let mirror: Vec<f32> = (0..8 * heard.channels()).map(f32::from).collect();
        for &playhead in ticks {
            heard.on_tick(playhead, &mirror);
        }
        assert_eq!(heard.samples(last), expected);
    }

    #[test]
    fn keeps_what_the_playhead_crossed() {
        check(&mut HeardAudio::new(None, 1), &[6, 7, 1], None, &[6.0, 7.0, 0.0]);
        check(&mut HeardAudio::new(None, 1), &[6, 7, 1], Some(2), &[7.0, 0.0]);
        check(&mut HeardAudio::new(None, 1), &[6, 7, 1], Some(9), &[6.0, 7.0, 0.0]);
        check(&mut HeardAudio::new(None, 1), &[6, 7, 1], Some(0), &[]);
        check(&mut HeardAudio::new(None, 2), &[7, 1], None, &[14.0, 15.0, 0.0, 1.0]);
        check(&mut HeardAudio::new(Some(2), 2), &[0, 1, 2, 3], None, &[2.0, 3.0, 4.0, 5.0]);
        check(&mut HeardAudio::new(Some(0), 1), &[0, 1, 2], None, &[]);
        check(&mut HeardAudio::new(None, 0), &[0, 1, 2], None, &[]);
        check(&mut HeardAudio::new(None, 1), &[8, 9, u64::MAX], None, &[0.0]);
    }

    #[test]
    fn a_clear_begins_anew_with_other_channels() {
        let mut heard = HeardAudio::new(None, 1);
        check(&mut heard, &[0, 2], None, &[0.0, 1.0]);
        heard.clear(2);
        assert_eq!((heard.frames(), heard.read_to()), (0, None));
        check(&mut heard, &[2, 3], None, &[4.0, 5.0]);
    }

    #[test]
    fn a_mirror_that_shrank_without_a_clear_is_read_modulo_its_length() {
        let mut heard = HeardAudio::new(None, 1);
        heard.on_tick(7, &[0.0; 8]);
        heard.on_tick(2, &[1.0; 4]);
        assert_eq!((heard.read_to(), heard.frames()), (Some(2), 0));
    }
}
