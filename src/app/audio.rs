//! `audio`: what the listener heard, or the buffer as it stands.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::analyze::CaptureReplay;
use super::whose;
use crate::edge::files;
use crate::edge::output::{self, OutputFile};
use crate::engine::{Engine, Options};
use crate::playhead::PlayheadSource;
use crate::report::{DamageReport, wav};
use crate::time::Span;

/// What to write.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AudioOptions {
    /// The final buffer instead of what was heard.
    pub buffer: bool,
    pub last: Option<Span>,
    /// Up to this moment from the initial buffer on, instead of the capture's end.
    pub at: Option<Span>,
    /// `None`: what suits the client that made the capture.
    pub playhead: Option<PlayheadSource>,
    pub force: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioSummary {
    /// Frames per channel.
    pub frames: u64,
    pub channels: u16,
    /// Frames per second.
    pub sample_rate: u32,
    /// What of the capture is damaged.
    pub damage: Option<DamageReport>,
}

/// Replays a capture and writes audio of it to `out`.
pub fn audio(path: &Path, out: &Path, options: &AudioOptions) -> Result<AudioSummary> {
    output::refuse_input(path, out)?;
    let output = OutputFile::create(out, options.force)?;
    let engine_options = Options {
        playhead: options.playhead,
        heard: (!options.buffer).then_some(None),
        ..Options::default()
    };
    let play = |engine: Options| CaptureReplay::of(files::open_stream(path)?, engine, options.at);
    let (replay, _) = play(engine_options.clone())
        .and_then(|replay| {
            let again = |source| play(Options { playhead: Some(source), ..engine_options });
            whose::by_evidence(path, replay, |replay| &replay.engine, again)
        })
        .with_context(|| format!("cannot replay {}", path.display()))?;
    let sound = Sound::of(path, &replay.engine, options.last)?;
    sound.write(output, out)?;
    Ok(AudioSummary {
        frames: sound.frames(),
        channels: sound.channels,
        sample_rate: sound.sample_rate,
        damage: replay.damage,
    })
}

/// Audio that an engine knows.
pub(super) struct Sound {
    samples: Vec<f32>,
    pub channels: u16,
    pub sample_rate: u32,
}

impl Sound {
    /// The audio that was heard if the engine kept it, or else the buffer; only its last part if `last`
    /// is given.
    pub fn of(path: &Path, engine: &Engine, last: Option<Span>) -> Result<Sound> {
        let Some(mirror) = engine.mirror() else {
            bail!(
                "{} holds no audio to play: {}",
                path.display(),
                if engine.origin().is_some() {
                    "its payloads were left out; capture with payloads to hear it"
                } else {
                    "no usable initial buffer came"
                }
            );
        };
        let sample_rate = engine.sample_rate();
        let channels = mirror.channels();
        let last_frames = last.map(|last| (last.seconds() * f64::from(sample_rate)).round() as u64);
        let samples = match engine.heard() {
            Some(heard) => heard.samples(last_frames),
            None => {
                let frames =
                    last_frames.map_or(mirror.frames(), |last| mirror.frames().min(last as usize));
                mirror.samples()[(mirror.frames() - frames) * usize::from(channels)..].to_vec()
            }
        };
        Ok(Sound { samples, channels, sample_rate })
    }

    /// Frames per channel.
    pub fn frames(&self) -> u64 {
        self.samples.len() as u64 / u64::from(self.channels)
    }

    /// Writes the audio as WAV to `output`, which becomes the file `out`.
    pub fn write(&self, mut output: OutputFile, out: &Path) -> Result<()> {
        wav::write(output.writer(), &self.samples, self.channels, self.sample_rate)
            .with_context(|| format!("cannot write {}", out.display()))?;
        output.finish()
    }
}
