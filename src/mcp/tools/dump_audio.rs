//! The tools that write audio: what was heard, the loop, or what would have been heard.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::app::{self, AbOptions, AudioOptions, FoundCapture, LiveAudio, WhatIfVerb};
use crate::edge::output::OutputFile;
use crate::mcp::answer::{ToolAnswer, clipped};
use crate::mcp::args::span;
use crate::mcp::call::Call;
use crate::mcp::change::ChangeArgs;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::mcp::wording::ARGUMENTS;
use crate::report::text::{Bytes, Figure};
use crate::report::wav;
use crate::scenario::model::DEFAULT_MEMBERS;

// Without a description: its words say what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AudioChoice {
    /// What the listener heard.
    #[default]
    Heard,
    /// The loop as it stood.
    Buffer,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct CaptureAudioArgs {
    /// Its id or path
    capture: String,
    #[serde(default)]
    what: AudioChoice,
    /// Only so many seconds before the end
    last_s: Option<f64>,
    /// Up to then
    at_s: Option<f64>,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Both sides and the loop
    #[serde(default)]
    ab: bool,
}

/// A WAV file that was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AudioFile {
    path: PathBuf,
    seconds: f64,
    /// When in the session it begins, if not with the initial buffer
    #[serde(skip_serializing_if = "Option::is_none")]
    from_s: Option<f64>,
    channels: u16,
    sample_rate: u32,
    bytes: u64,
}

impl AudioFile {
    /// Reads the facts of a file that was just written and begins at that second of the session.
    fn of(path: PathBuf, from_s: Option<f64>) -> Result<AudioFile> {
        let read = || format!("cannot read {}", path.display());
        let file = hound::WavReader::open(&path).with_context(read)?;
        let (spec, frames) = (file.spec(), file.duration());
        let bytes = std::fs::metadata(&path).with_context(read)?.len();
        let seconds = f64::from(frames) / f64::from(spec.sample_rate.max(1));
        let (channels, sample_rate) = (spec.channels, spec.sample_rate);
        let from_s = from_s.filter(|from_s| *from_s > 0.0);
        Ok(AudioFile { path, seconds, from_s, channels, sample_rate, bytes })
    }
}

/// The tool [`capture_dump_audio`].
pub(super) const CAPTURE_DUMP_AUDIO: AboutTool = AboutTool {
    name: "capture_dump_audio",
    title: "Audio of a capture",
    description: "Writes a WAV file of what the listener heard, of the loop as it stood (what: buffer), or of what \
     would have been heard (set, ops). Answers with its path.",
    set: Toolset::Replay,
    effect: Effect::WritesFiles,
};

pub(super) async fn capture_dump_audio(
    shared: Arc<Shared>,
    args: CaptureAudioArgs,
    call: Call,
) -> Result<ToolAnswer<AudioFile>> {
    let found = shared.captures.find(&args.capture)?;
    ensure!(
        !args.ab || !args.change.is_empty(),
        "ab compares: say with set or ops what is different"
    );
    if !args.change.is_empty() {
        return counterfactual_audio(&shared, found, &args, &call).await;
    }
    let options = AudioOptions {
        buffer: args.what == AudioChoice::Buffer,
        last: args.last_s.map(|s| span("last_s", s)).transpose()?,
        at: args.at_s.map(|s| span("at_s", s)).transpose()?,
        force: true,
        ..AudioOptions::default()
    };
    let out = shared.captures.place(&audio_name(&found.id, &args))?;
    let written = out.clone();
    let (summary, bytes) = call
        .work("replaying", move || {
            let summary = app::audio(&found.path, &written, &options)?;
            Ok((summary, std::fs::metadata(&written)?.len()))
        })
        .await?;
    let damaged = summary
        .damage
        .as_ref()
        .map(|d| format!("; the capture is damaged: {}", clipped(&d.reason)));
    let file = AudioFile {
        path: out,
        seconds: summary.frames as f64 / f64::from(summary.sample_rate.max(1)),
        from_s: summary.from_s.filter(|from_s| *from_s > 0.0),
        channels: summary.channels,
        sample_rate: summary.sample_rate,
        bytes,
    };
    Ok(audio_answer(file, &damaged.unwrap_or_default()))
}

/// Writes what would have been heard.
async fn counterfactual_audio(
    shared: &Shared,
    found: FoundCapture,
    args: &CaptureAudioArgs,
    call: &Call,
) -> Result<ToolAnswer<AudioFile>> {
    ensure!(
        args.what == AudioChoice::Heard && args.last_s.is_none() && args.at_s.is_none(),
        "with set or ops all that would have been heard is written; leave what, last_s and at_s out"
    );
    let words = args.change.flags();
    let digest = Sha256::digest(words.as_bytes());
    let name = format!(
        "out/{}-would-{:02x}{:02x}{:02x}.wav",
        flat(&found.id),
        digest[0],
        digest[1],
        digest[2]
    );
    let out =
        shared.captures.place(&if args.ab { name.replace("-would-", "-ab-") } else { name })?;
    let verb = WhatIfVerb {
        scenario: args.change.scenario()?,
        members: DEFAULT_MEMBERS,
        audio: (!args.ab).then(|| out.clone()),
        force: true,
        wording: ARGUMENTS,
        ..WhatIfVerb::default()
    };
    if args.ab {
        return both_sides(found, out, verb, call).await;
    }
    let replay = move || {
        let answer = app::what_if(&found.path, &verb)?;
        Ok((views::TrustView::of(&answer), AudioFile::of(out, answer.audio_from_s)?))
    };
    let (trust, file) = call.work("replaying", replay).await?;
    let remark = format!(", heard with{words} ({}: {})", trust.tier, trust.reason);
    Ok(audio_answer(file, &remark))
}

/// Writes what was heard and what would have been.
async fn both_sides(
    found: FoundCapture,
    out: PathBuf,
    what_if: WhatIfVerb,
    call: &Call,
) -> Result<ToolAnswer<AudioFile>> {
    let options = AbOptions { what_if, force: true, ..AbOptions::default() };
    let write = move || {
        let summary = app::audio_ab(&found.path, &out, &options)?;
        let first = AudioFile::of(summary.files[0].path.clone(), Some(summary.from_s))?;
        Ok((summary, first))
    };
    let (summary, first) = call.work("replaying", write).await?;
    let all = summary.files.iter().map(|file| format!("{}: {}", file.path.display(), file.what));
    let remark = format!(" ({}); {}", summary.headline, all.collect::<Vec<_>>().join(", "));
    Ok(audio_answer(first, &remark))
}

/// An answer about a file of audio.
fn audio_answer(file: AudioFile, remark: &str) -> ToolAnswer<AudioFile> {
    let path = file.path.clone();
    let (seconds, bytes) = (Figure(file.seconds).to_string(), Bytes(file.bytes).to_string());
    let from = file.from_s;
    let from = from.map_or(String::new(), |from_s| format!(" from {} s on", Figure(from_s)));
    ToolAnswer::new(
        format!("wrote {seconds} s of audio{from}, {bytes}, to {}{remark}", path.display()),
        file,
    )
    .next(["give the path to the person; agents cannot listen"])
    .file(&path)
}

/// An id as a part of a file's name.
fn flat(id: &str) -> String {
    id.replace('/', "-")
}

fn audio_name(id: &str, args: &CaptureAudioArgs) -> String {
    let what = if args.what == AudioChoice::Buffer { "buffer" } else { "heard" };
    let seconds =
        |name: &str, value: Option<f64>| value.map_or(String::new(), |s| format!("-{name}{s}s"));
    let (last, at) = (seconds("last", args.last_s), seconds("at", args.at_s));
    format!("out/{}-{what}{last}{at}.wav", flat(id))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct LiveAudioArgs {
    handle: String,
    #[serde(default)]
    what: AudioChoice,
    /// Only the last so many seconds
    last_s: Option<f64>,
}

/// The tool [`headless_dump_audio`].
pub(super) const HEADLESS_DUMP_AUDIO: AboutTool = AboutTool {
    name: "headless_dump_audio",
    title: "Audio of a live session",
    description: "Writes a WAV file of what was heard (the last 120 s at most), or of the loop as it stands \
     (what: buffer). Answers with its path.",
    set: Toolset::Live,
    effect: Effect::WritesFiles,
};

pub(super) async fn headless_dump_audio(
    shared: Arc<Shared>,
    args: LiveAudioArgs,
    call: Call,
) -> Result<ToolAnswer<AudioFile>> {
    let held = shared.sessions.find(&args.handle)?;
    let last = args.last_s.map(|s| span("last_s", s)).transpose()?;
    let buffer = args.what == AudioChoice::Buffer;
    let what = if buffer { "buffer" } else { "heard" };
    let at_ms = held.session.state().at.0 / 1_000_000;
    let name = format!("out/{}-{what}-{at_ms}.wav", held.capture);
    let out = shared.captures.place(&name)?;
    if let Some(audio) = held.session.audio(buffer, last).await {
        let write = move || write_audio(&audio, out);
        return Ok(audio_answer(call.work("writing", write).await?, ""));
    }
    ensure!(!held.is_running(), "{} has no audio yet; ask headless_status", held.handle);
    let capture = held.path.clone();
    let options =
        AudioOptions { buffer, as_reference: true, last, force: true, ..AudioOptions::default() };
    let write = move || {
        app::audio(&capture, &out, &options)?;
        AudioFile::of(out, None)
    };
    Ok(audio_answer(call.work("replaying", write).await?, ", of the sealed capture"))
}

fn write_audio(audio: &LiveAudio, out: PathBuf) -> Result<AudioFile> {
    let mut output = OutputFile::create(&out, true)?;
    wav::write(output.writer(), &audio.samples, audio.channels, audio.sample_rate, &[])
        .with_context(|| format!("cannot write {}", out.display()))?;
    output.finish()?;
    AudioFile::of(out, None)
}
