//! The source audio of a loop: a fixture, an upload, or what the server was started with.

use super::library::{TrackLibrary, UserTrack};
use super::music::Music;
use super::pcm::Pcm;
use crate::peer::loop_audio::LoopAudio;
use crate::peer::tune::{self, Variations};
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
/// Longest buffer in bytes: what the protocol allows one message.
const MAX_BUFFER_LEN: usize = 100 << 20;
/// Longest loop of built-in music, in seconds.
const MAX_SECONDS: f64 = 3_600.0;

/// A recording that the server has.
struct Fixture {
    name: &'static str,
    /// Shorter names, for people; the real server knows none.
    aliases: &'static [&'static str],
    seconds: f64,
    bpm: u32,
    key: &'static str,
    /// Added to the server's seed.
    seed: u64,
    /// What a swap says of key and time signature counts for nothing, as the real server knows its
    /// own recordings.
    is_known_music: bool,
}

impl Fixture {
    fn music(&self) -> Music {
        Music { bpm: self.bpm, key: self.key.to_owned(), ..Music::default() }
    }
}

const FIXTURES: [Fixture; 5] = [
    Fixture {
        name: "inside_confusion_loop_60s_gsm.wav",
        aliases: &["inside_confusion"],
        seconds: 56.6,
        bpm: 134,
        key: "G# minor",
        seed: 3,
        is_known_music: true,
    },
    Fixture {
        name: "low_fi_Gm_loop_60s_gnm.wav",
        aliases: &["low_fi", "low-fi", "lofi", "lo-fi"],
        seconds: 57.6,
        bpm: 152,
        key: "G minor",
        seed: 1,
        is_known_music: true,
    },
    Fixture {
        name: "prog_rock_loop_60s_enm.wav",
        aliases: &["prog_rock"],
        seconds: 60.0,
        bpm: 120,
        key: "E minor",
        seed: 4,
        is_known_music: true,
    },
    Fixture {
        name: "short_loop_8s.wav",
        aliases: &[],
        seconds: 8.0,
        bpm: 96,
        key: "G minor",
        seed: 2,
        is_known_music: false,
    },
    Fixture {
        name: "thrash_metal_loop_60s_enm.wav",
        aliases: &["thrash_metal"],
        seconds: 60.0,
        bpm: 180,
        key: "E minor",
        seed: 5,
        is_known_music: true,
    },
];

/// The fixtures by name, sorted, for `/api/fixtures`.
pub fn fixture_names() -> impl Iterator<Item = &'static str> {
    std::iter::once(BUILT_IN).chain(FIXTURES.iter().map(|fixture| fixture.name))
}

/// Other names under which fixtures are loaded, without `.wav`.
pub fn fixture_aliases() -> impl Iterator<Item = &'static str> {
    let stem = |fixture: &Fixture| fixture.name.strip_suffix(".wav");
    FIXTURES.iter().flat_map(move |fixture| fixture.aliases.iter().copied().chain(stem(fixture)))
}

/// Whether there is a fixture of that name; an alias, and a name without `.wav`, count too.
#[must_use]
pub fn is_fixture(name: &str) -> bool {
    name == BUILT_IN || fixture_of(name).is_some()
}

/// What the fixture of that name plays on a server with that source and seed.
#[must_use]
pub fn fixture_audio(name: &str, source: &ServerSource, seed: u64) -> Option<Pcm> {
    Loaded::fixture(name, source, seed).map(|loaded| loaded.pcm)
}

/// How many frames a fixture has, which is known without rendering it.
pub(super) fn fixture_frames(name: &str, source: &ServerSource) -> Option<usize> {
    let own_s = match source {
        _ if name != BUILT_IN => fixture_of(name)?.seconds,
        ServerSource::Pcm(pcm) => return Some(pcm.frames()),
        ServerSource::BuiltIn { seconds, .. } => *seconds,
    };
    Some(tune_frames(own_s))
}

fn tune_frames(seconds: f64) -> usize {
    let seconds = if seconds > 0.0 { seconds.min(MAX_SECONDS) } else { 1.0 };
    (seconds * f64::from(DEFAULT_SAMPLE_RATE)).round().max(1.0) as usize
}

fn fixture_of(name: &str) -> Option<&'static Fixture> {
    let stem = |name: &str| name.strip_suffix(".wav").unwrap_or(name).to_ascii_lowercase();
    let wanted = stem(name);
    let is_wanted = |fixture: &&Fixture| {
        stem(fixture.name) == wanted || fixture.aliases.contains(&wanted.as_str())
    };
    FIXTURES.iter().find(is_wanted)
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
    pub music: Music,
    /// Nothing that a client says changes `music`.
    pub is_known_music: bool,
    seed: u64,
    is_upload: bool,
}

impl Loaded {
    /// What the server was started with.
    pub fn own(source: &ServerSource, seed: u64) -> Self {
        match source {
            ServerSource::BuiltIn { seconds, channels } => Self::tune(seed, *seconds, *channels),
            ServerSource::Pcm(pcm) => Self::upload(pcm.clone(), seed),
        }
    }

    /// A fixture, if there is one of that name.
    pub fn fixture(name: &str, source: &ServerSource, seed: u64) -> Option<Self> {
        if name == BUILT_IN {
            return Some(Self::own(source, seed));
        }
        let fixture = fixture_of(name)?;
        let channels = match source {
            ServerSource::BuiltIn { channels, .. } => *channels,
            ServerSource::Pcm(pcm) => pcm.channels,
        };
        Some(Self {
            music: fixture.music(),
            is_known_music: fixture.is_known_music,
            ..Self::tune(seed.wrapping_add(fixture.seed), fixture.seconds, channels)
        })
    }

    /// What the client brought.
    pub fn upload(pcm: Pcm, seed: u64) -> Self {
        Self { pcm, music: Music::default(), is_known_music: false, seed, is_upload: true }
    }

    /// What the client brought, under a name: where that is a fixture's, and of its length, or a
    /// track's of the library, its music is known.
    pub fn known_as(self, name: Option<&str>, library: &TrackLibrary) -> Self {
        let track = name.and_then(|name| library.track(name)).map(|track| track.music);
        let fixture = name.and_then(fixture_of).filter(|fixture| {
            let frames = (fixture.seconds * f64::from(DEFAULT_SAMPLE_RATE)).round();
            fixture.is_known_music && self.pcm.frames() as f64 == frames
        });
        match track.or_else(|| fixture.map(Fixture::music)) {
            Some(music) => Self { music, is_known_music: true, ..self },
            None => self,
        }
    }

    /// A track of the library.
    pub fn track(track: &UserTrack, seed: u64) -> Self {
        let pcm = Pcm::clone(&track.pcm);
        Self { music: track.music.clone(), is_known_music: true, ..Self::upload(pcm, seed) }
    }

    /// What a session plays that brings no audio.
    pub fn silence(seed: u64) -> Self {
        const SECONDS: usize = 60;
        let channels = 2;
        let samples = SECONDS * DEFAULT_SAMPLE_RATE as usize * usize::from(channels);
        Self::upload(Pcm { channels, audio: vec![0.0; samples] }, seed)
    }

    /// What a model composes by itself that needs no audio: so many frames in stereo of what the
    /// server was started with, over again where that is shorter.
    pub fn composed(source: &ServerSource, seed: u64, frames: usize) -> Self {
        let mut composed = match source {
            ServerSource::BuiltIn { .. } => {
                Self::tune(seed, frames as f64 / f64::from(DEFAULT_SAMPLE_RATE), 2)
            }
            ServerSource::Pcm(_) => Self::own(source, seed).in_stereo(),
        };
        let Pcm { audio, .. } = &mut composed.pcm;
        *audio = audio.iter().copied().cycle().take(2 * frames).collect();
        composed
    }

    /// The same in stereo.
    pub fn in_stereo(mut self) -> Self {
        if let Some(audio) = super::pcm::for_channels(&self.pcm, 2) {
            self.pcm = Pcm { channels: 2, audio };
        }
        self
    }

    /// So many frames of it; zeros follow what is shorter.
    pub fn cut_to(mut self, frames: usize) -> Self {
        self.pcm.audio.resize(frames * usize::from(self.pcm.channels), 0.0);
        self
    }

    /// This source, with what a client says about its music.
    pub fn said_to_be(mut self, key: Option<&str>, time_signature: Option<&str>) -> Self {
        if !self.is_known_music {
            self.music = self.music.with(key, time_signature);
        }
        self
    }

    fn tune(seed: u64, seconds: f64, channels: u16) -> Self {
        let frames = tune_frames(seconds);
        let channels = channels.clamp(1, super::pcm::MAX_CHANNELS);
        let audio = tune::source(seed, frames, channels, DEFAULT_SAMPLE_RATE);
        let pcm = Pcm { channels, audio };
        Self { is_upload: false, ..Self::upload(pcm, seed) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures_have_aliases() {
        let rows = [
            ("built-in", true),
            ("low_fi_Gm_loop_60s_gnm.wav", true),
            ("low_fi_Gm_loop_60s_gnm", true),
            ("lofi.wav", true),
            ("Lo-Fi", true),
            ("thrash_metal", true),
            ("nosuch", false),
            ("", false),
            ("built-in.wav", false),
        ];
        for (name, expected) in rows {
            assert_eq!(is_fixture(name), expected, "{name}");
        }
    }

    #[test]
    fn a_fixture_that_the_client_brings_is_known() {
        let library = TrackLibrary::default();
        let brought = |frames: usize, name: &str| {
            let loaded = Loaded::upload(Pcm { channels: 1, audio: vec![0.0; frames] }, 0);
            loaded.known_as(Some(name), &library).music.bpm
        };
        assert_eq!(brought(2_764_800, "low_fi_Gm_loop_60s_gnm.wav"), 152);
        assert_eq!(brought(48_000, "low_fi_Gm_loop_60s_gnm.wav"), 96, "of another length");
        assert_eq!(brought(2_764_800, "mine.wav"), 96);
        let music = Music { bpm: 70, ..Music::default() };
        let pcm = Pcm { channels: 1, audio: vec![0.5] };
        library.keep("mine", Some(music), pcm).unwrap();
        assert_eq!(brought(48_000, "mine.wav"), 70);
    }

    #[test]
    fn what_a_client_says_of_music_counts_where_nobody_knows_better() {
        let source = ServerSource::BuiltIn { seconds: 1.0, channels: 1 };
        let said = |name: &str, key: &str, beats: &str| {
            let loaded = Loaded::fixture(name, &source, 0).unwrap();
            let Music { key, time_signature, .. } = loaded.said_to_be(Some(key), Some(beats)).music;
            [key, time_signature]
        };
        assert_eq!(said(BUILT_IN, "A minor", "3"), ["A minor", "3"]);
        assert_eq!(said(BUILT_IN, " ", "17"), ["G minor", "4"]);
        assert_eq!(said("thrash_metal", "A minor", "3"), ["E minor", "4"]);
    }
}
