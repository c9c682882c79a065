//! What the listener heard, true to the session's clock: a second of it is a second of the session.
//!
//! It begins where the records do, and its frames are those of the whole session, so that a part of a
//! session sounds as that stretch of the whole. Before anything changes, the frames that the playhead
//! crossed until then are taken from the mirror as it is; where it stood still, there is silence, and a
//! jump leaves nothing behind. Audio is interleaved `f32`.

use crate::capture::PlayheadLine;
use crate::time::Nanos;

/// A reported position that lies so close to where the listener is taken to be moves nobody, in seconds:
/// reports come with the jitter of the client's timers, which nobody hears.
const REPORT_JITTER_S: f64 = 0.05;
/// Longest audio that is kept, in seconds: an hour of it is more than a gigabyte.
pub const MAX_AUDIO_S: u64 = 3_600;
/// The same of a simulated playhead, in frames: what rounding costs.
const ROUNDING_FRAMES: f64 = 2.0;
/// A position that lies so close to a frame is on it: times are whole nanoseconds, and positions that
/// follow from different ones differ by less.
const ON_FRAME: f64 = 1e-3;

/// The buffer of the client, as it is while the playhead crosses it.
#[derive(Clone, Copy, Debug)]
pub struct CrossedBuffer<'a> {
    /// Interleaved.
    pub samples: &'a [f32],
    pub channels: u16,
}

/// The audio of a session from one moment on.
#[derive(Clone, Debug)]
pub struct SessionAudio {
    /// The initial buffer.
    origin: Nanos,
    /// Frames of the session before the first of these.
    skipped: u64,
    sample_rate: u32,
    /// Of the first buffer; those of others are fitted.
    channels: u16,
    samples: Vec<f32>,
    /// Where the listener is, in frames of the loop.
    cursor: Option<f64>,
    /// How far the playhead may lie from there, in frames, without having jumped.
    slack: f64,
    is_too_long: bool,
}

impl SessionAudio {
    /// Of a session with its initial buffer at `origin`, begins at a moment. `reported` playheads jitter.
    #[must_use]
    pub fn new(
        (origin, begins): (Nanos, Nanos),
        sample_rate: u32,
        channels: u16,
        reported: bool,
    ) -> SessionAudio {
        let jitter = REPORT_JITTER_S * f64::from(sample_rate);
        let slack = if reported { jitter } else { ROUNDING_FRAMES };
        let samples = Vec::new();
        SessionAudio {
            origin,
            skipped: frame_of(begins, origin, sample_rate),
            sample_rate,
            channels,
            samples,
            cursor: None,
            slack,
            is_too_long: false,
        }
    }

    /// Samples in a frame.
    #[must_use]
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.samples.len() as u64 / u64::from(self.channels.max(1))
    }

    /// Frames of the session, from its initial buffer on, before the first of these.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// When in the session the first of these was heard, in seconds from the initial buffer.
    #[must_use]
    pub fn begins_s(&self) -> f64 {
        self.skipped as f64 / f64::from(self.sample_rate.max(1))
    }

    /// The frame of a moment; 0 before the beginning.
    #[must_use]
    pub fn frame_at(&self, t: Nanos) -> u64 {
        frame_of(t, self.origin, self.sample_rate).saturating_sub(self.skipped)
    }

    /// Whether the session went on for longer than [`MAX_AUDIO_S`], and the rest is missing.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// Everything so far, interleaved.
    #[must_use]
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }

    /// Goes on to a moment: the playhead moves along `line`, over a buffer that is known or not.
    pub fn play_to(&mut self, t: Nanos, line: PlayheadLine, buffer: Option<CrossedBuffer<'_>>) {
        self.is_too_long |= self.frame_at(t) > MAX_AUDIO_S * u64::from(self.sample_rate);
        let frames = self.frame_at(t).saturating_sub(self.frames());
        if frames == 0 || self.is_too_long {
            return;
        }
        let is_moving = line.speed != 0.0;
        match buffer.filter(|buffer| is_moving && buffer.frames() > 0) {
            Some(buffer) => self.cross(frames, line, buffer),
            None => {
                // Where it goes on, nothing joins on to what was heard before.
                self.cursor = None;
                let silence = frames as usize * usize::from(self.channels);
                self.samples.resize(self.samples.len() + silence, 0.0);
            }
        }
    }

    fn cross(&mut self, frames: u64, line: PlayheadLine, buffer: CrossedBuffer<'_>) {
        let lap = buffer.frames() as f64;
        let rate = f64::from(self.sample_rate);
        let from_s = self.origin.seconds() + (self.skipped as f64 + self.frames() as f64) / rate;
        let due = (line.position + (from_s - line.at.seconds()) * line.speed).rem_euclid(lap);
        let cursor = self.cursor.filter(|at| apart(*at, due, lap) <= self.slack).unwrap_or(due);
        let near = cursor.round();
        let cursor = if (cursor - near).abs() < ON_FRAME { near.rem_euclid(lap) } else { cursor };
        let step = line.speed / rate;
        let is_plain = (step - 1.0).abs() < 1e-9;
        self.samples.reserve(frames as usize * usize::from(self.channels));
        for i in 0..frames {
            let at = (cursor + i as f64 * step).rem_euclid(lap);
            let whole = (at as usize).min(buffer.frames() - 1);
            let next = if whole + 1 == buffer.frames() { 0 } else { whole + 1 };
            let part = if is_plain { 0.0 } else { (at - at.floor()) as f32 };
            for channel in 0..self.channels {
                let (a, b) = (buffer.sample(whole, channel), buffer.sample(next, channel));
                self.samples.push(a + (b - a) * part);
            }
        }
        self.cursor = Some((cursor + frames as f64 * step).rem_euclid(lap));
    }
}

impl CrossedBuffer<'_> {
    fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.max(1))
    }

    /// A sample; a buffer of fewer channels repeats its last.
    fn sample(&self, frame: usize, channel: u16) -> f32 {
        let channel = channel.min(self.channels.saturating_sub(1));
        self.samples[frame * usize::from(self.channels) + usize::from(channel)]
    }
}

/// The frame of a session at a moment, counted from its initial buffer; 0 before that.
fn frame_of(t: Nanos, origin: Nanos, sample_rate: u32) -> u64 {
    (t.seconds_since(origin) * f64::from(sample_rate)).round().max(0.0) as u64
}

/// How far two positions of a loop lie apart, the shorter way round.
fn apart(a: f64, b: f64, lap: f64) -> f64 {
    let way = (a - b).rem_euclid(lap);
    way.min(lap - way)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four frames a second over a loop of eight whose samples are their own index.
    const RATE: u32 = 4;

    fn line(at_s: f64, position: f64, speed: f64) -> PlayheadLine {
        PlayheadLine { at: Nanos((at_s * 1e9) as u64), position, speed }
    }

    /// Plays along the lines, each up to its moment in seconds, from second 1 on.
    #[track_caller]
    fn check(reported: bool, lines: &[(f64, PlayheadLine)], expected: &[f32]) {
        let samples: Vec<f32> = (0..8u8).map(f32::from).collect();
        let mut audio = SessionAudio::new((Nanos(0), Nanos(1_000_000_000)), RATE, 1, reported);
        for (to_s, line) in lines {
            let buffer = CrossedBuffer { samples: &samples, channels: 1 };
            audio.play_to(Nanos((to_s * 1e9) as u64), *line, Some(buffer));
        }
        assert_eq!(audio.frames(), expected.len() as u64);
        assert_eq!(audio.into_samples(), expected);
    }

    #[test]
    fn a_second_of_audio_is_a_second_of_the_session() {
        let plain = |at_s, position| line(at_s, position, 4.0);
        check(false, &[(2.0, plain(1.0, 6.0))], &[6.0, 7.0, 0.0, 1.0]);
        // In pieces it is the same.
        let pieces = [(1.3, plain(1.0, 6.0)), (1.9, plain(1.3, 7.2)), (2.0, plain(1.9, 9.6))];
        check(false, &pieces, &[6.0, 7.0, 0.0, 1.0]);
        // A pause is silent.
        let paused = [(1.5, plain(1.0, 0.0)), (2.5, line(1.5, 2.0, 0.0)), (3.0, plain(2.5, 2.0))];
        check(false, &paused, &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 3.0]);
        // A seek leaves nothing behind, and inserts nothing.
        check(false, &[(1.5, plain(1.0, 0.0)), (2.0, plain(1.5, 6.0))], &[0.0, 1.0, 6.0, 7.0]);
        // Half as fast sounds so, and backwards too.
        check(false, &[(2.0, line(1.0, 2.0, 2.0))], &[2.0, 2.5, 3.0, 3.5]);
        check(false, &[(2.0, line(1.0, 2.0, -4.0))], &[2.0, 1.0, 0.0, 7.0]);
    }

    #[test]
    fn a_part_is_that_stretch_of_the_whole() {
        let samples: Vec<f32> = (0..8u8).map(f32::from).collect();
        let played = |begins_ms: u64, lines: &[(u64, PlayheadLine)]| {
            let begins = (Nanos(1_000_000_000), Nanos(begins_ms * 1_000_000));
            let mut audio = SessionAudio::new(begins, RATE, 1, false);
            for (to_ms, line) in lines {
                let buffer = CrossedBuffer { samples: &samples, channels: 1 };
                audio.play_to(Nanos(to_ms * 1_000_000), *line, Some(buffer));
            }
            (audio.skipped(), audio.begins_s(), audio.into_samples())
        };
        // The part begins between two frames, and its positions are rounded.
        let line = line(1.0, 6.0, 4.0);
        let (_, _, whole) = played(1_000, &[(4_000, line)]);
        let near = PlayheadLine { position: 6.0 - 1e-7, ..line };
        let (skipped, from_s, part) = played(2_600, &[(3_100, near), (4_000, near)]);
        assert_eq!((skipped, from_s), (6, 1.5));
        assert_eq!(part, whole[6..]);
    }

    #[test]
    fn jitter_of_reports_is_not_heard_and_jumps_are() {
        let samples: Vec<f32> = (0..100u8).map(f32::from).collect();
        let mut audio = SessionAudio::new((Nanos(0), Nanos(0)), 1000, 1, true);
        let mut play = |to_ms: u64, from_ms: u64, position| {
            let line = PlayheadLine { at: Nanos(from_ms * 1_000_000), position, speed: 1000.0 };
            let buffer = CrossedBuffer { samples: &samples, channels: 1 };
            audio.play_to(Nanos(to_ms * 1_000_000), line, Some(buffer));
        };
        play(3, 0, 0.0);
        play(6, 3, 43.0);
        play(8, 6, 99.0);
        assert_eq!(audio.into_samples(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);

        let samples: Vec<f32> = (0..200u8).map(f32::from).collect();
        let mut audio = SessionAudio::new((Nanos(0), Nanos(0)), 1000, 1, true);
        for (to_ms, from_ms, position) in [(2u64, 0u64, 0.0), (4, 2, 102.0)] {
            let line = PlayheadLine { at: Nanos(from_ms * 1_000_000), position, speed: 1000.0 };
            let buffer = CrossedBuffer { samples: &samples, channels: 1 };
            audio.play_to(Nanos(to_ms * 1_000_000), line, Some(buffer));
        }
        assert_eq!(audio.into_samples(), [0.0, 1.0, 102.0, 103.0]);
    }

    #[test]
    fn buffers_of_other_channels_are_fitted() {
        let mut audio = SessionAudio::new((Nanos(0), Nanos(0)), 2, 2, false);
        let mono = CrossedBuffer { samples: &[1.0, 2.0], channels: 1 };
        audio.play_to(Nanos(1_000_000_000), line(0.0, 0.0, 2.0), Some(mono));
        audio.play_to(Nanos(1_500_000_000), line(1.0, 0.0, 2.0), None);
        assert_eq!(audio.into_samples(), [1.0, 1.0, 2.0, 2.0, 0.0, 0.0]);
    }

    #[test]
    fn an_hour_is_not_too_long() {
        let mut audio = SessionAudio::new((Nanos(0), Nanos(0)), 1, 1, false);
        audio.play_to(Nanos(MAX_AUDIO_S * 1_000_000_000), line(0.0, 0.0, 1.0), None);
        assert!(!audio.is_too_long());
        assert_eq!(audio.frames(), MAX_AUDIO_S);
        audio.play_to(Nanos((MAX_AUDIO_S + 1) * 1_000_000_000), line(0.0, 0.0, 1.0), None);
        assert!(audio.is_too_long());
        assert_eq!(audio.frames(), MAX_AUDIO_S);
    }
}
