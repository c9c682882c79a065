//! The loop as the server believes the client holds it, and the audio rendered into it.
//!
//! A region repeats what is already there and adds only what the previous region did not contain, so
//! that the delta against the client's audio is mostly zeros and compresses as the real server's does.
//! Equal regions in equal order give equal bits. Audio is `f32` with interleaved channels.

use std::ops::Range;

use crate::peer::music::Variations;
use crate::peer::pacing::Region;
use crate::wire::halves::{narrow, widen};

/// Frames over which new audio gives way to what was there: 25 ms at 48 kHz.
const FADE_FRAMES: usize = 1_200;

/// The loop as the server renders it.
#[derive(Debug)]
pub struct LoopAudio {
    audio: Vec<f32>,
    channels: usize,
    variations: Variations,
    /// Audio that the client brought, which variations are mixed with.
    upload: Option<Vec<f32>>,
    variation: u32,
    last: Option<Region>,
}

impl LoopAudio {
    /// A loop_audio that holds `source` as the client gets it: rounded to halves.
    #[must_use]
    pub fn new(source: Vec<f32>, channels: u16, variations: Variations, is_upload: bool) -> Self {
        let audio = source.iter().map(|&sample| widen(narrow(sample))).collect();
        Self {
            audio,
            channels: usize::from(channels.max(1)),
            variations,
            upload: is_upload.then_some(source),
            variation: 1,
            last: None,
        }
    }

    /// All of it, channels interleaved.
    #[must_use]
    pub fn audio(&self) -> &[f32] {
        &self.audio
    }

    /// From now on regions sound different.
    pub fn vary(&mut self) {
        self.variation = self.variation.wrapping_add(1);
        self.last = None;
    }

    /// Renders a region and returns it. A region that begins a lap anew begins a new variation,
    /// unless the model has `settled`.
    pub fn render(&mut self, region: Region, settled: bool) -> Vec<f32> {
        let begins_lap = self.last.is_some_and(|last| {
            last.start > region.start && (last.start - region.start) as usize > self.frames() / 2
        });
        if begins_lap && !settled {
            self.vary();
        }
        let whole = region.start as usize..(region.end() as usize).min(self.frames());
        match self.already_there(region) {
            Some(there) => self.paint(whole.start.max(there)..whole.end, false),
            None => self.paint(whole.clone(), true),
        }
        self.last = Some(region);
        self.audio[whole.start * self.channels..whole.end * self.channels].to_vec()
    }

    /// Mixes audio in at that frame, over the loop's end if need be; returns the frames touched.
    pub fn write(&mut self, start: usize, audio: &[f32], sum: bool) -> usize {
        let whole = self.audio.len();
        let offset = start * self.channels;
        let len = audio.len().min(whole);
        for (i, &sample) in audio[..len].iter().enumerate() {
            let held = &mut self.audio[(offset + i) % whole];
            *held = if sum { *held + sample } else { sample };
        }
        len / self.channels
    }

    /// A slice was encoded: the client now holds `held` where it was sent `sent`. Frames that
    /// nothing has painted since take the client's rounding, so that repeating them costs nothing.
    pub fn settle(&mut self, start: u32, sent: &[f32], held: &[f32]) {
        let offset = start as usize * self.channels;
        let Some(audio) = self.audio.get_mut(offset..) else { return };
        for ((sample, sent), &held) in audio.iter_mut().zip(sent).zip(held) {
            if sample.to_bits() == sent.to_bits() {
                *sample = held;
            }
        }
    }

    fn frames(&self) -> usize {
        self.audio.len() / self.channels
    }

    /// The frame up to which the region before this one left nothing to do; `None` when this one
    /// does not continue it.
    fn already_there(&self, region: Region) -> Option<usize> {
        let last = self.last?;
        let end = last.end() as usize;
        let there = if end >= self.frames() { end } else { end.saturating_sub(FADE_FRAMES) };
        (last.start <= region.start && region.start as usize <= there).then_some(there)
    }

    /// Puts the variation there, faded into what was at its end and, where it does not continue
    /// itself, at its beginning.
    fn paint(&mut self, frames: Range<usize>, fade_in: bool) {
        if frames.is_empty() {
            return;
        }
        let fresh = self.fresh(&frames);
        let len = frames.len();
        let fade_out = frames.end < self.frames();
        let held = &mut self.audio[frames.start * self.channels..frames.end * self.channels];
        let pairs = held.chunks_exact_mut(self.channels).zip(fresh.chunks_exact(self.channels));
        for (i, (held, fresh)) in pairs.enumerate() {
            let risen = if fade_in { share(i) } else { 1.0 };
            let fallen = if fade_out { share(len - 1 - i) } else { 1.0 };
            let weight = risen.min(fallen);
            for (held, &fresh) in held.iter_mut().zip(fresh) {
                *held = if weight < 1.0 { *held + weight * (fresh - *held) } else { fresh };
            }
        }
    }

    fn fresh(&mut self, frames: &Range<usize>) -> Vec<f32> {
        let mut fresh = vec![0.0; frames.len() * self.channels];
        self.variations.render(self.variation, frames.start, &mut fresh);
        if let Some(upload) = &self.upload {
            let upload = &upload[frames.start * self.channels..frames.end * self.channels];
            for (sample, &brought) in fresh.iter_mut().zip(upload) {
                *sample = 0.5 * *sample + 0.5 * brought;
            }
        }
        fresh
    }
}

/// How much of the new audio sounds that many frames from its edge.
fn share(frames_from_edge: usize) -> f32 {
    (frames_from_edge.min(FADE_FRAMES) as f32) / FADE_FRAMES as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: usize = 48_000;

    fn loop_audio() -> LoopAudio {
        let variations = Variations::new(3, FRAMES, 1, 48_000);
        LoopAudio::new(vec![0.25; FRAMES], 1, variations, false)
    }

    fn region(start: u32, frames: u32) -> Region {
        Region { start, frames }
    }

    #[test]
    fn a_continued_region_repeats_what_is_there() {
        let mut loop_audio = loop_audio();
        let first = loop_audio.render(region(1_920, 17_280), false);
        let second = loop_audio.render(region(3_840, 17_280), false);
        let kept = 17_280 - 1_920 - FADE_FRAMES;
        assert_eq!(second[..kept], first[1_920..1_920 + kept]);
        assert_ne!(second[kept + 600..], first[1_920 + kept..][600..]);
    }

    #[test]
    fn edges_meet_what_was_there() {
        let mut loop_audio = loop_audio();
        let first = loop_audio.render(region(1_920, 17_280), false);
        assert_eq!((first[0], first[17_279]), (0.25, 0.25));
        assert_ne!(first[8_000], 0.25);
    }

    #[test]
    fn the_end_of_the_loop_is_not_faded_and_costs_nothing_twice() {
        let mut loop_audio = loop_audio();
        let first = loop_audio.render(region(30_720, 17_280), false);
        assert_eq!(loop_audio.render(region(32_640, 15_360), false), first[1_920..]);
    }

    #[test]
    fn each_lap_is_another_variation_until_the_model_settles() {
        for (settled, changes) in [(false, true), (true, false)] {
            let mut loop_audio = loop_audio();
            loop_audio.render(region(0, 17_280), settled);
            let before = loop_audio.audio().to_vec();
            loop_audio.render(region(40_000, 8_000), settled);
            loop_audio.render(region(0, 17_280), settled);
            assert_eq!(before[2_000..16_000] != loop_audio.audio()[2_000..16_000], changes);
        }
    }

    #[test]
    fn settled_frames_take_the_clients_rounding_unless_painted_since() {
        let mut loop_audio = loop_audio();
        let sent = loop_audio.render(region(0, 4), false);
        loop_audio.audio[1] = 9.0;
        loop_audio.settle(0, &sent, &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(loop_audio.audio[..4], [1.0, 9.0, 3.0, 4.0]);
        loop_audio.settle(u32::MAX, &sent, &sent);
    }

    #[test]
    fn written_audio_wraps_and_stays_within_the_loop() {
        let mut loop_audio = loop_audio();
        assert_eq!(loop_audio.write(FRAMES - 1, &[1.0, 2.0], false), 2);
        assert_eq!((loop_audio.audio[FRAMES - 1], loop_audio.audio[0]), (1.0, 2.0));
        assert_eq!(loop_audio.write(0, &vec![0.5; 2 * FRAMES], true), FRAMES);
        assert_eq!(loop_audio.audio[0], 2.5);
    }
}
