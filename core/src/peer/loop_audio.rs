//! The loop as the server believes the client holds it, and the audio rendered into it.
//!
//! A region repeats what is already there and adds only what the previous region did not contain, so
//! that the delta against the client's audio is mostly zeros and compresses as the real server's does.
//! Equal regions in equal order give equal bits. Audio is `f32` with interleaved channels.

use std::ops::Range;

use crate::peer::pacing::Region;
use crate::peer::tune::Variations;
use crate::wire::halves::{narrow, widen};

/// Frames over which new audio gives way to what was there: 25 ms at 48 kHz.
pub const FADE_FRAMES: usize = 1_200;

/// Of so many frames the first ones keep their rounding to be made up for: a thirty-second of all.
const MADE_UP_FOR_EVERY: usize = 2_048;
/// How many these are.
const MADE_UP_FOR: usize = 64;

/// The loop as the server renders it.
#[derive(Clone, Debug)]
pub struct LoopAudio {
    audio: Vec<f32>,
    channels: usize,
    variations: Variations,
    /// Audio that the client brought, which variations are mixed with.
    upload: Option<Vec<f32>>,
    variation: u32,
    last: Option<Region>,
    /// The frames of the variation that faded last, and the first one's number: a region that goes on
    /// there has them again.
    faded: Option<(usize, Vec<f32>)>,
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
            faded: None,
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
        self.faded = None;
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

    /// Puts audio there, or adds it to what is there; what lies past the loop's end is cut off.
    /// Where audio is replaced, its edges fade over that many frames into what they meet. Returns
    /// the frames written.
    pub fn write(&mut self, start: usize, audio: &[f32], sum: bool, fade: usize) -> usize {
        let room = self.frames().saturating_sub(start);
        let frames = (audio.len() / self.channels).min(room);
        let (at, whole) = (start * self.channels, frames * self.channels);
        let fade = fade.min(frames / 2);
        let fades_in = start > 0;
        let fades_out = start + frames < self.frames();
        let held = self.audio[at..at + whole].chunks_exact_mut(self.channels);
        for (i, (held, fresh)) in held.zip(audio.chunks_exact(self.channels)).enumerate() {
            let risen = if fades_in && i < fade { i as f32 / fade as f32 } else { 1.0 };
            let left = frames - 1 - i;
            let fallen = if fades_out && left < fade { left as f32 / fade as f32 } else { 1.0 };
            for (held, &fresh) in held.iter_mut().zip(fresh) {
                *held = mixed(*held, fresh, sum, risen.min(fallen));
            }
        }
        frames
    }

    /// Repeats audio all over the loop, so that one of its beginnings is at that frame.
    pub fn fill(&mut self, start: usize, audio: &[f32], sum: bool) {
        let period = audio.len() / self.channels;
        if period == 0 {
            return;
        }
        let first = (period - start % period) % period;
        for (i, held) in self.audio.chunks_exact_mut(self.channels).enumerate() {
            let from = (first + i) % period * self.channels;
            for (held, &fresh) in held.iter_mut().zip(&audio[from..]) {
                *held = mixed(*held, fresh, sum, 1.0);
            }
        }
    }

    /// A slice was encoded: the client now holds `held` where it was sent `sent`. Frames that
    /// nothing has painted since take the client's rounding, so that repeating them costs nothing.
    /// [`MADE_UP_FOR`] of [`MADE_UP_FOR_EVERY`] stay as they were made: their next delta makes up for the
    /// rounding, which the real server's does everywhere, at a cost in bytes that this one does not have.
    pub fn settle(&mut self, start: u32, sent: &[f32], held: &[f32]) {
        let at = start as usize * self.channels;
        let Some(audio) = self.audio.get_mut(at..) else { return };
        take_rounding(audio, start, sent, held, self.channels);
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
        let risen_at = if fade_in { FADE_FRAMES.min(len) } else { 0 };
        let falls_at = if fade_out { len.saturating_sub(FADE_FRAMES) } else { len }.max(risen_at);
        for i in (0..risen_at).chain(falls_at..len) {
            let risen = if fade_in { share(i) } else { 1.0 };
            let fallen = if fade_out { share(len - 1 - i) } else { 1.0 };
            let weight = risen.min(fallen);
            let samples = i * self.channels..(i + 1) * self.channels;
            for (held, &fresh) in held[samples.clone()].iter_mut().zip(&fresh[samples]) {
                *held = if weight < 1.0 { *held + weight * (fresh - *held) } else { fresh };
            }
        }
        let between = risen_at * self.channels..falls_at * self.channels;
        held[between.clone()].copy_from_slice(&fresh[between]);
        let faded = || (frames.start + falls_at, fresh[falls_at * self.channels..].to_vec());
        self.faded = fade_out.then(faded);
    }

    /// The variation there.
    fn fresh(&mut self, frames: &Range<usize>) -> Vec<f32> {
        let samples = frames.len() * self.channels;
        let faded = self.faded.take();
        let known = faded.filter(|(start, known)| *start == frames.start && known.len() <= samples);
        let mut fresh = known.map(|(_, known)| known).unwrap_or_default();
        let known = fresh.len();
        fresh.resize(samples, 0.0);
        let begin = frames.start + known / self.channels;
        self.variations.render(self.variation, begin, &mut fresh[known..]);
        if let Some(upload) = &self.upload {
            let upload = &upload[begin * self.channels..frames.end * self.channels];
            for (sample, &brought) in fresh[known..].iter_mut().zip(upload) {
                *sample = 0.5 * *sample + 0.5 * brought;
            }
        }
        fresh
    }
}

/// Sums are clipped at full scale, as in the real server.
fn mixed(held: f32, fresh: f32, sum: bool, weight: f32) -> f32 {
    match sum {
        true => (held + fresh).clamp(-1.0, 1.0),
        false if weight < 1.0 => held + weight * (fresh - held),
        false => fresh,
    }
}

/// How much of the new audio sounds that many frames from its edge.
fn share(frames_from_edge: usize) -> f32 {
    (frames_from_edge.min(FADE_FRAMES) as f32) / FADE_FRAMES as f32
}

/// In `audio` from the frame `start` on samples that are still as they were `sent` become those that the
/// client `held`. [`MADE_UP_FOR`] of [`MADE_UP_FOR_EVERY`] frames stay.
fn take_rounding(audio: &mut [f32], start: u32, sent: &[f32], held: &[f32], channels: usize) {
    let samples = audio.len().min(sent.len()).min(held.len());
    let (begin, end) = (start as usize, start as usize + samples / channels);
    let mut frame = begin;
    while frame < end {
        let stretch = frame - frame % MADE_UP_FOR_EVERY;
        let to = end.min(stretch + MADE_UP_FOR_EVERY);
        let from = to.min(frame.max(stretch + MADE_UP_FOR));
        let taken = (from - begin) * channels..(to - begin) * channels;
        let both = sent[taken.clone()].iter().zip(&held[taken.clone()]);
        for (sample, (sent, &held)) in audio[taken].iter_mut().zip(both) {
            *sample = if sample.to_bits() == sent.to_bits() { held } else { *sample };
        }
        frame = to;
    }
}

/// The same in a slice over `region` that was rendered and waits: it repeats the frames that it shares with
/// the one that was sent, and costs as little as if it had been rendered after it.
pub fn settle_waiting(
    (region, audio): (Region, &mut [f32]),
    start: u32,
    sent: &[f32],
    held: &[f32],
    channels: u16,
) {
    let channels = usize::from(channels.max(1));
    let from = region.start.max(start);
    let own = (from - region.start) as usize * channels;
    let other = (from - start) as usize * channels;
    if let (Some(audio), Some(sent), Some(held)) =
        (audio.get_mut(own..), sent.get(other..), held.get(other..))
    {
        take_rounding(audio, from, sent, held, channels);
    }
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
    fn what_faded_is_rendered_once_and_sounds_as_if_it_were_rendered_again() {
        let upload = || (0..FRAMES).map(|i| (i % 100) as f32 / 100.0).collect();
        let variations = Variations::new(3, FRAMES, 1, 48_000);
        let mut kept = LoopAudio::new(upload(), 1, variations, true);
        let check = |kept: &mut LoopAudio, start: u32| {
            let region = region(start, 17_280.min(FRAMES as u32 - start));
            let mut anew = LoopAudio { faded: None, ..kept.clone() };
            assert_eq!(kept.render(region, false), anew.render(region, false), "{start}");
            let end = region.end() as usize;
            let faded_at = kept.faded.as_ref().map(|(at, _)| *at);
            assert_eq!(faded_at, (end < FRAMES).then(|| end - FADE_FRAMES));
        };
        for start in [0, 1_920, 3_840, 4_000, 30_000, 31_920, 46_080, 0, 1_920] {
            check(&mut kept, start);
        }
        // Another variation begins just where the last one faded.
        kept.vary();
        check(&mut kept, 18_000);
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
        let sent = loop_audio.render(region(62, 4), false);
        loop_audio.audio[64] = 9.0;
        loop_audio.settle(62, &sent, &[1.0, 2.0, 3.0, 4.0]);
        // The first 64 frames of all stay as they were made.
        assert_eq!(loop_audio.audio[62..66], [sent[0], sent[1], 9.0, 4.0]);
        loop_audio.settle(u32::MAX, &sent, &sent);
    }

    #[test]
    fn a_slice_that_waits_takes_the_rounding_of_the_frames_that_it_shares() {
        let settled = |start: u32, sent: &[f32]| {
            let mut audio = [1.0, 2.0, 3.0, 4.0];
            settle_waiting((region(100, 4), &mut audio), start, sent, &[9.0; 4], 1);
            audio
        };
        assert_eq!(settled(100, &[1.0, 2.0, 7.0, 4.0]), [9.0, 9.0, 3.0, 9.0]);
        assert_eq!(settled(98, &[1.0, 2.0, 1.0, 2.0]), [9.0, 9.0, 3.0, 4.0]);
        assert_eq!(settled(102, &[3.0, 4.0, 5.0, 6.0]), [1.0, 2.0, 9.0, 9.0]);
        assert_eq!(settled(104, &[3.0; 4]), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(settled(90, &[1.0; 4]), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn written_audio_is_cut_at_the_end_of_the_loop() {
        let mut loop_audio = loop_audio();
        assert_eq!(loop_audio.write(FRAMES - 1, &[1.0, 2.0], false, 0), 1);
        assert_eq!((loop_audio.audio[FRAMES - 1], loop_audio.audio[0]), (1.0, 0.25));
        assert_eq!(loop_audio.write(FRAMES, &[1.0], false, 0), 0);
        assert_eq!(loop_audio.write(0, &vec![0.5; 2 * FRAMES], true, 9), FRAMES);
        assert_eq!((loop_audio.audio[0], loop_audio.audio[FRAMES - 1]), (0.75, 1.0));
    }

    #[test]
    fn the_edges_of_what_is_written_meet_what_was_there() {
        let mut loop_audio = loop_audio();
        loop_audio.write(4, &[1.25; 8], false, 2);
        let expected = [0.25, 0.25, 0.75, 1.25, 1.25, 1.25, 1.25, 0.75, 0.25, 0.25];
        assert_eq!(loop_audio.audio[3..13], expected);
        loop_audio.write(0, &[1.25; 4], false, 2);
        assert_eq!(loop_audio.audio[..4], [1.25, 1.25, 0.75, 0.25]);
    }

    #[test]
    fn audio_fills_the_loop_in_phase() {
        let mut loop_audio = loop_audio();
        loop_audio.fill(4, &[1.0, 2.0, 3.0], false);
        assert_eq!(loop_audio.audio[..6], [3.0, 1.0, 2.0, 3.0, 1.0, 2.0]);
        assert_eq!(loop_audio.audio[FRAMES - 1], 2.0);
        loop_audio.fill(0, &[], true);
    }
}
