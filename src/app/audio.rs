//! `audio`: what the listener heard, or the buffer as it stands.

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::collected::{cannot_replay, collected};
use super::part::SessionPart;
use crate::capture::Marker;
use crate::edge::output::{self, OutputFile, is_dash};
use crate::engine::{Engine, Options};
use crate::heard::{MAX_AUDIO_S, SessionAudio};
use crate::parse::Misuse;
use crate::playhead::PlayheadSource;
use crate::report::wav::AudioLabel;
use crate::report::{DamageReport, flac, text, wav};
use crate::review::{CaptureReplay, SessionFollower};
use crate::time::{Nanos, Offset, Span};

/// What to write.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AudioOptions {
    /// The final buffer instead of what was heard.
    pub buffer: bool,
    /// What was heard as the reference client keeps it: without pauses, of the last source buffer only.
    pub as_reference: bool,
    /// Only this part; its end goes before `at`.
    pub part: SessionPart,
    /// Only so much of the end.
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
    /// When in the session the first frame was heard, in seconds from the initial buffer; `None` where
    /// a second of it is no second of the session.
    pub from_s: Option<f64>,
    /// Frames per channel.
    pub frames: u64,
    pub channels: u16,
    /// Frames per second.
    pub sample_rate: u32,
    /// The largest sample; 1 is full scale.
    pub peak: f32,
    /// The root of the mean square of all samples.
    pub rms: f64,
    /// Moments and stretches that the file names.
    pub labels: usize,
    /// Samples that are beyond full scale, where the form of the file ends there.
    pub clipped: usize,
    /// What of the capture is damaged.
    pub damage: Option<DamageReport>,
}

/// Replays a capture and writes audio of it to `out`.
pub fn audio(path: &Path, out: &Path, options: &AudioOptions) -> Result<AudioSummary> {
    output::refuse_input(path, out)?;
    let form = AudioForm::of(out)?;
    let output = OutputFile::create(out, options.force)?;
    let (sound, replay) = sound(path, options)?;
    let clipped = sound.write(output, out, form)?;
    let (peak, rms) = sound.level();
    Ok(AudioSummary {
        from_s: sound.begins_s(),
        frames: sound.frames(),
        channels: sound.channels,
        sample_rate: sound.sample_rate,
        peak,
        rms,
        labels: sound.labels.len(),
        clipped,
        damage: replay.damage,
    })
}

/// Replays a capture and returns audio of it: samples from -1 to 1, frame after frame, the channels, and the
/// frames per second.
pub fn audio_samples(path: &Path, options: &AudioOptions) -> Result<(Vec<f32>, u16, u32)> {
    let Sound { samples, channels, sample_rate, .. } = sound(path, options)?.0;
    Ok((samples, channels, sample_rate))
}

/// Audio of a capture, and its replay.
pub(super) fn sound(path: &Path, options: &AudioOptions) -> Result<(Sound, CaptureReplay)> {
    let part = options.part.resolved(path)?.or_until(options.at);
    let is_ring = options.as_reference && !options.buffer;
    let engine_options = Options {
        playhead: options.playhead,
        heard: is_ring.then_some(None),
        ..Options::default()
    };
    let by_clock = !options.buffer && !options.as_reference;
    let begin = || by_clock.then(|| SessionFollower::new(part.from));
    let (replay, follower, _) =
        collected(path, part, &engine_options, begin, |follower, engine, record| {
            follower.iter_mut().for_each(|follower| follower.before(engine, record));
            engine.handle(record);
        })
        .with_context(|| cannot_replay(path))?;
    let heard = follower.and_then(|follower| follower.end(&replay.engine, replay.at));
    let sound = match heard {
        Some(heard) => Sound::by_clock(path, &replay.engine, heard, options.last)?,
        None => Sound::of(path, &replay.engine, options.last)?,
    };
    Ok((sound, replay))
}

/// The form of audio in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AudioForm {
    Wav,
    Flac,
}

impl AudioForm {
    /// How the names of such files end.
    pub fn ending(self) -> &'static str {
        match self {
            AudioForm::Wav => "wav",
            AudioForm::Flac => "flac",
        }
    }

    /// The form that a file's name asks for; stdout gets WAV, and so does a name without an ending.
    pub fn of(out: &Path) -> Result<AudioForm> {
        let Some(ending) = out.extension().filter(|_| !is_dash(out)) else {
            return Ok(AudioForm::Wav);
        };
        if ending.eq_ignore_ascii_case("wav") {
            return Ok(AudioForm::Wav);
        }
        if ending.eq_ignore_ascii_case("flac") {
            return Ok(AudioForm::Flac);
        }
        let wav = out.with_extension("wav");
        let (out, wav) = (out.display(), wav.display());
        bail!(Misuse(format!(
            "{out} would not be what its name says: the audio is written as WAV or FLAC; name it \
             {wav}, and then: ffmpeg -i {wav} {out}"
        )))
    }
}

/// Audio that an engine knows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sound {
    /// Interleaved.
    pub samples: Vec<f32>,
    /// Frames of the session before the first of these, from its initial buffer on; `None` of what does
    /// not go by the session's clock.
    pub skipped: Option<u64>,
    pub channels: u16,
    pub sample_rate: u32,
    /// By their frames.
    pub labels: Vec<AudioLabel>,
}

impl Sound {
    /// The ring of what was heard if the engine kept it, or else the buffer; only its last part if `last`
    /// is given.
    pub fn of(path: &Path, engine: &Engine, last: Option<Span>) -> Result<Sound> {
        let Some(mirror) = engine.mirror() else { bail!(no_audio(path, engine)) };
        let sample_rate = engine.sample_rate();
        let channels = mirror.channels();
        let last_frames = last.map(|last| frames_in(last, sample_rate));
        let samples = match engine.heard() {
            Some(heard) => heard.samples(last_frames),
            None => {
                let frames =
                    last_frames.map_or(mirror.frames(), |last| mirror.frames().min(last as usize));
                mirror.samples()[(mirror.frames() - frames) * usize::from(channels)..].to_vec()
            }
        };
        Ok(Sound { samples, skipped: None, channels, sample_rate, labels: Vec::new() })
    }

    /// What was heard by the session's clock, with what happened in it.
    pub fn by_clock(
        path: &Path,
        engine: &Engine,
        heard: SessionAudio,
        last: Option<Span>,
    ) -> Result<Sound> {
        if engine.mirror().is_none() {
            bail!(no_audio(path, engine));
        }
        if heard.is_too_long() {
            let hours = MAX_AUDIO_S / 3_600;
            bail!(Misuse(format!(
                "{} lasts longer than the {hours} h of audio that are written at a time; say which \
                 part with --from and --to",
                path.display()
            )));
        }
        let sample_rate = engine.sample_rate();
        let last = last.map_or(u64::MAX, |last| frames_in(last, sample_rate));
        let dropped = heard.frames().saturating_sub(last);
        let labels = labels(engine, &heard, dropped);
        let channels = heard.channels();
        let skipped = Some(heard.skipped().saturating_add(dropped));
        let mut samples = heard.into_samples();
        samples.drain(..dropped as usize * usize::from(channels));
        Ok(Sound { samples, skipped, channels, sample_rate, labels })
    }

    /// When in the session it begins, in seconds from the initial buffer.
    pub fn begins_s(&self) -> Option<f64> {
        Some(self.skipped? as f64 / f64::from(self.sample_rate.max(1)))
    }

    /// Frames per channel.
    pub fn frames(&self) -> u64 {
        self.samples.len() as u64 / u64::from(self.channels.max(1))
    }

    /// The largest sample, and the root of the mean square.
    fn level(&self) -> (f32, f64) {
        let peak = self.samples.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs()));
        let squares: f64 = self.samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        (peak, (squares / self.samples.len().max(1) as f64).sqrt())
    }

    /// The same audio up to or from a frame on, and filled up with silence to `frames`.
    pub fn part(mut self, from: u64, frames: u64) -> Sound {
        let channels = usize::from(self.channels);
        let skipped = from.min(self.frames());
        self.skipped = self.skipped.map(|before| before.saturating_add(skipped));
        self.samples.drain(..skipped as usize * channels);
        self.samples.resize(frames as usize * channels, 0.0);
        self.labels.retain_mut(|label| {
            let end = (label.frame + label.frames).saturating_sub(skipped).min(frames);
            let begins = label.frame >= skipped || end > 0;
            label.frame = label.frame.saturating_sub(skipped);
            label.frames = label.frames.min(end.saturating_sub(label.frame));
            begins && label.frame < frames
        });
        self
    }

    /// The audio as a WAV file.
    pub fn wav(&self) -> Result<Vec<u8>> {
        let mut file = Cursor::new(Vec::new());
        let Sound { samples, channels, sample_rate, labels, .. } = self;
        wav::write(&mut file, samples, *channels, *sample_rate, labels)?;
        Ok(file.into_inner())
    }

    /// Writes the audio to `output`, which becomes the file `out`. Gives the samples that were clipped.
    pub fn write(&self, mut output: OutputFile, out: &Path, form: AudioForm) -> Result<usize> {
        let Sound { samples, channels, sample_rate, labels, .. } = self;
        let (channels, sample_rate) = (*channels, *sample_rate);
        let writer = output.writer();
        let written = match form {
            AudioForm::Wav => {
                let written = wav::write(writer, samples, channels, sample_rate, labels);
                written.map(|()| 0).map_err(anyhow::Error::from)
            }
            AudioForm::Flac => {
                flac::write(writer, samples, channels, sample_rate, labels).map_err(Into::into)
            }
        };
        let clipped = written.with_context(|| format!("cannot write {}", out.display()))?;
        output.finish()?;
        Ok(clipped)
    }
}

fn frames_in(span: Span, sample_rate: u32) -> u64 {
    (span.seconds() * f64::from(sample_rate)).round() as u64
}

fn no_audio(path: &Path, engine: &Engine) -> String {
    let why = match engine.origin() {
        Some(_) => "its payloads were left out; capture with payloads to hear it",
        None => "no usable initial buffer came",
    };
    format!("{} holds no audio to play: {why}", path.display())
}

/// Labels at episodes of lag, at what the listener did and at swaps, by their frames behind the first
/// `skipped`.
fn labels(engine: &Engine, heard: &SessionAudio, skipped: u64) -> Vec<AudioLabel> {
    let end = heard.frames();
    let label = |from: Nanos, to: Nanos, text: String| {
        let (from, to) = (heard.frame_at(from), heard.frame_at(to).min(end));
        let frame = from.checked_sub(skipped).filter(|_| from < end)?;
        Some(AudioLabel { frame, frames: to.saturating_sub(from), text })
    };
    let origin = engine.origin().unwrap_or_default();
    let moment = |s: f64| Offset((s * 1e9) as i64).from(origin);
    let alarms = engine.episodes().into_iter().filter(|episode| episode.alarm);
    let episodes = alarms.map(|episode| {
        let text = format!("LAG: {}", text::what(&episode.what));
        label(moment(episode.from_s), moment(episode.to_s), text)
    });
    let ops = engine.facts().markers.iter();
    let ops = ops.map(|(t, op)| label(*t, *t, done(op)));
    let swaps = engine.epochs().iter().skip(1);
    let swaps = swaps.map(|epoch| label(epoch.began, epoch.began, "swap".to_owned()));
    let mut labels: Vec<_> = episodes.chain(ops).chain(swaps).flatten().collect();
    labels.sort_by_key(|label| label.frame);
    labels
}

/// What the listener did, in words.
fn done(op: &Marker) -> String {
    match op {
        Marker::Seek { to_s } => format!("seek to {} s", text::Figure(*to_s)),
        Marker::Rate { rate } => format!("rate {rate}"),
        Marker::Pause => "pause".to_owned(),
        Marker::Resume => "resume".to_owned(),
        Marker::Point { name } => name.clone(),
    }
}
