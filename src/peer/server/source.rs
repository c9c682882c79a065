//! The source audio of a loop: a fixture, an upload, or what the server was started with.

use super::pcm::Pcm;
use crate::peer::loop_audio::LoopAudio;
use crate::peer::music::{self, Variations};
use crate::time::DEFAULT_SAMPLE_RATE;

/// What a server plays when the client brings nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerSource {
    /// Built-in music.
    BuiltIn {
        /// Length of the loop in seconds.
        seconds: f64,
        /// Channels, at least one.
        channels: u16,
    },
    /// Given audio.
    Pcm(Pcm),
}

impl ServerSource {
    /// Built-in music, if its buffer fits one message of the protocol.
    pub fn built_in(seconds: f64, channels: u16) -> Result<Self, TooLong> {
        let frame_len = usize::from(channels) * size_of::<half::f16>();
        let most_s = (MAX_BUFFER_LEN / frame_len.max(1)) as f64 / f64::from(DEFAULT_SAMPLE_RATE);
        if seconds > most_s {
            return Err(TooLong { seconds, channels, most_s: most_s.floor() });
        }
        Ok(ServerSource::BuiltIn { seconds, channels })
    }
}

/// A loop whose buffer is longer than a message may be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "a loop of {seconds} s with {channels} channels is longer than one message; at most {most_s} s fit"
)]
pub struct TooLong {
    seconds: f64,
    channels: u16,
    most_s: f64,
}

impl Default for ServerSource {
    fn default() -> Self {
        ServerSource::BuiltIn { seconds: 24.0, channels: 2 }
    }
}

/// The fixture that stands for what the server was started with.
pub const BUILT_IN: &str = "built-in";
/// Other fixtures and their length in seconds.
const FIXTURES: [(&str, f64); 2] =
    [("low_fi_Gm_loop_60s_gnm.wav", 60.0), ("short_loop_8s.wav", 8.0)];
/// Longest buffer in bytes: what the protocol allows one message.
const MAX_BUFFER_LEN: usize = 100 << 20;
/// Longest loop of built-in music, in seconds.
const MAX_SECONDS: f64 = 3_600.0;

/// The fixtures by name, for `/api/fixtures`.
pub fn fixture_names() -> impl Iterator<Item = &'static str> {
    std::iter::once(BUILT_IN).chain(FIXTURES.iter().map(|&(name, _)| name))
}

/// What the fixture of that name plays on a server with that source and seed.
#[must_use]
pub fn fixture_audio(name: &str, source: &ServerSource, seed: u64) -> Option<Pcm> {
    Loaded::fixture(name, source, seed).map(|loaded| loaded.pcm)
}

/// The shape of a source: frames and channels.
#[derive(Clone, Copy)]
pub(super) struct LoopShape {
    pub frames: u32,
    pub channels: u16,
}

impl LoopShape {
    pub fn duration_s(self) -> f64 {
        f64::from(self.frames) / f64::from(DEFAULT_SAMPLE_RATE)
    }
}

/// Audio that is ready to be streamed.
pub(super) struct Loaded {
    pub pcm: Pcm,
    seed: u64,
    is_upload: bool,
}

impl Loaded {
    /// What the server was started with.
    pub fn own(source: &ServerSource, seed: u64) -> Self {
        match source {
            ServerSource::BuiltIn { seconds, channels } => Self::music(seed, *seconds, *channels),
            ServerSource::Pcm(pcm) => Self::upload(pcm.clone(), seed),
        }
    }

    /// A fixture, if there is one of that name.
    pub fn fixture(name: &str, source: &ServerSource, seed: u64) -> Option<Self> {
        if name == BUILT_IN {
            return Some(Self::own(source, seed));
        }
        let index = FIXTURES.iter().position(|&(known, _)| known == name)?;
        let channels = match source {
            ServerSource::BuiltIn { channels, .. } => *channels,
            ServerSource::Pcm(pcm) => pcm.channels,
        };
        Some(Self::music(seed.wrapping_add(1 + index as u64), FIXTURES[index].1, channels))
    }

    /// What the client brought.
    pub fn upload(pcm: Pcm, seed: u64) -> Self {
        Self { pcm, seed, is_upload: true }
    }

    fn music(seed: u64, seconds: f64, channels: u16) -> Self {
        let seconds = if seconds > 0.0 { seconds.min(MAX_SECONDS) } else { 1.0 };
        let frames = (seconds * f64::from(DEFAULT_SAMPLE_RATE)).round().max(1.0) as usize;
        let channels = channels.clamp(1, super::pcm::MAX_CHANNELS);
        let audio = music::source(seed, frames, channels, DEFAULT_SAMPLE_RATE);
        Self { pcm: Pcm { channels, audio }, seed, is_upload: false }
    }

    pub fn shape(&self) -> LoopShape {
        let frames = u32::try_from(self.pcm.frames()).expect("a message holds fewer frames");
        LoopShape { frames, channels: self.pcm.channels }
    }

    pub fn into_loop_audio(self) -> LoopAudio {
        let Pcm { channels, audio } = self.pcm;
        let frames = audio.len() / usize::from(channels);
        let variations = Variations::new(self.seed, frames, channels, DEFAULT_SAMPLE_RATE);
        LoopAudio::new(audio, channels, variations, self.is_upload)
    }
}
