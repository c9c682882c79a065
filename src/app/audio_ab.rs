//! `audio --ab`: what was heard and what would have been heard, side by side.
//!
//! Of a mono session both are one stereo file, the recording on the left; else they are two files of
//! one length, in which a frame is the same moment. The loop as it was rendered stands beside them.
//! Labels are the episodes of either side and what the listener did.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::audio::{AudioForm, AudioOptions, Sound, sound};
use super::part::SessionPart;
use super::what_if::{self, WhatIfVerb};
use crate::edge::output::{self, OutputFile, is_dash};
use crate::parse::Misuse;
use crate::report::DamageReport;
use crate::report::wav::AudioLabel;
use crate::report::what_if::headline;
use crate::time::{Nanos, Offset};

/// What to put side by side.
#[derive(Debug, Clone, Default)]
pub struct AbOptions {
    /// What would have been different, and how it is asked; its own files are not written.
    pub what_if: WhatIfVerb,
    /// Only this part.
    pub part: SessionPart,
    pub force: bool,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct AbFile {
    pub path: PathBuf,
    /// What it holds.
    pub what: &'static str,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct AbSummary {
    pub files: Vec<AbFile>,
    /// When in the session both sides begin, in seconds from the initial buffer.
    pub from_s: f64,
    /// Frames per channel of both sides.
    pub frames: u64,
    /// Frames per second.
    pub sample_rate: u32,
    /// Moments and stretches that the files name.
    pub labels: usize,
    /// What was heard as recorded, and with the change.
    pub headline: String,
    pub damage: Option<DamageReport>,
}

/// Writes both sides to `out`, and what has no room there to files whose names begin like it.
pub fn audio_ab(path: &Path, out: &Path, options: &AbOptions) -> Result<AbSummary> {
    let form = AudioForm::of(out)?;
    if is_dash(out) {
        bail!(Misuse::new("both sides and the loop are several files; name a file instead of -"));
    }
    let (heard, replay) = sound(path, &AudioOptions::default())?;
    let is_mono = heard.channels == 1;
    let files = names(out, form, is_mono);
    // All of them or none, and said before the model runs.
    let outputs = files.iter().map(|file| {
        output::refuse_input(path, &file.path)?;
        OutputFile::create(&file.path, options.force)
    });
    let outputs = outputs.collect::<Result<Vec<_>>>()?;
    let (answer, would) = what_if::sound(path, &options.what_if)?;
    let begins = |sound: &Sound| sound.skipped.unwrap_or(0);
    let first = begins(&heard).max(begins(&would));
    let end = [&heard, &would].map(|sound| begins(sound).saturating_add(sound.frames()));
    let whole = first..end[0].max(end[1]).max(first);
    let part = part(path, options.part, whole, heard.sample_rate)?;
    let count = part.end - part.start;
    let [a, b] = [("A", heard), ("B", would)].map(|(side, sound)| {
        let from = part.start - begins(&sound);
        let mut sound = sound.part(from, count);
        sound.labels.iter_mut().for_each(|label| label.text = format!("{side}: {}", label.text));
        sound
    });
    let labels = a.labels.len() + b.labels.len();
    let looped = Sound::of(path, &replay.engine, None)?;
    let sample_rate = looped.sample_rate;
    let mut sounds = if is_mono { vec![side_by_side(a, &b)] } else { vec![a, b] };
    sounds.push(looped);
    for ((file, sound), output) in files.iter().zip(&sounds).zip(outputs) {
        sound.write(output, &file.path, form)?;
    }
    Ok(AbSummary {
        files,
        from_s: part.start as f64 / f64::from(sample_rate.max(1)),
        frames: count,
        sample_rate,
        labels,
        headline: headline(&answer),
        damage: replay.damage,
    })
}

/// The files of both sides and of the loop.
fn names(out: &Path, form: AudioForm, is_mono: bool) -> Vec<AbFile> {
    let stem = out.file_stem().unwrap_or(out.as_os_str()).to_string_lossy();
    let beside = |part: &str, what| {
        let path = out.with_file_name(format!("{stem}-{part}.{}", form.ending()));
        AbFile { path, what }
    };
    let both = AbFile { path: out.to_owned(), what: "left as heard, right with the change" };
    let mut files = match is_mono {
        true => vec![both],
        false => vec![beside("a", "as heard"), beside("b", "with the change")],
    };
    files.push(beside("loop", "the loop at the end"));
    files
}

/// The frames of a part, of those of a session that are known.
fn part(path: &Path, part: SessionPart, known: Range<u64>, sample_rate: u32) -> Result<Range<u64>> {
    let part = part.resolved(path)?;
    let frame = |ns: u64| (ns as f64 * 1e-9 * f64::from(sample_rate)).round() as u64;
    let since_origin = |offset: Offset| offset.from(Nanos(0)).0;
    let Range { start, end } = known;
    let from = part.from.map_or(start, |from| frame(since_origin(from))).clamp(start, end);
    let to = part.until().map_or(end, |to| frame(to.0)).clamp(from, end);
    Ok(from..to)
}

/// Two mono sounds of one length as one, left and right, with the labels of both.
fn side_by_side(left: Sound, right: &Sound) -> Sound {
    let pairs = left.samples.iter().zip(&right.samples);
    let samples = pairs.flat_map(|(left, right)| [*left, *right]).collect();
    let mut labels: Vec<AudioLabel> = left.labels;
    labels.extend(right.labels.iter().cloned());
    labels.sort_by_key(|label| label.frame);
    let Sound { skipped, sample_rate, .. } = left;
    Sound { samples, skipped, channels: 2, sample_rate, labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mono(samples: &[f32], labels: &[(u64, u64, &str)]) -> Sound {
        let label = |&(frame, frames, text): &(u64, u64, &str)| AudioLabel {
            frame,
            frames,
            text: text.to_owned(),
        };
        let labels = labels.iter().map(label).collect();
        let samples = samples.to_vec();
        Sound { samples, skipped: Some(0), channels: 1, sample_rate: 48_000, labels }
    }

    #[test]
    fn a_frame_is_the_same_moment_on_both_sides() {
        let a = mono(&[0.1, 0.2, 0.3], &[(2, 1, "LAG")]);
        let b = mono(&[0.4, 0.5, 0.6], &[(0, 2, "LAG")]);
        let both = side_by_side(a, &b);
        assert_eq!((both.channels, both.frames()), (2, 3));
        assert_eq!(both.samples, [0.1, 0.4, 0.2, 0.5, 0.3, 0.6]);
        assert_eq!(both.labels.iter().map(|label| label.frame).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_part_keeps_its_labels_and_its_length() {
        let sound = mono(&[0.1, 0.2, 0.3, 0.4], &[(0, 1, "gone"), (0, 3, "over"), (3, 9, "in")]);
        let part = sound.clone().part(2, 2);
        assert_eq!((&part.samples[..], part.skipped), (&[0.3, 0.4][..], Some(2)));
        let labels: Vec<_> =
            part.labels.iter().map(|l| (l.frame, l.frames, l.text.as_str())).collect();
        assert_eq!(labels, [(0, 1, "over"), (1, 1, "in")]);
        assert_eq!(sound.part(3, 3).samples, [0.4, 0.0, 0.0]);
    }
}
