//! What can be seen of a live session at one moment: its state, its audio, and how it ended.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::ServerEvent;
use crate::heard::HeardEpisode;
use crate::peer::client::Client;
use crate::report::Analysis;
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos, Span};

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LivePhase {
    /// Audio is decoded, and the server called.
    Connecting,
    /// Connected; the server has not sent its initial buffer.
    Waiting,
    /// Slices are expected.
    Streaming,
    /// Over; the capture is sealed.
    Ended,
}

/// A session at a moment.
#[derive(Debug, Clone)]
pub struct LiveState {
    /// How far it has come.
    pub phase: LivePhase,
    /// The moment, on the session's clock.
    pub at: Nanos,
    /// Since the initial buffer, in seconds.
    pub stream_s: Option<f64>,
    pub slices: u64,
    pub ticks: u64,
    /// Lead of the newest slice.
    pub lead_s: Option<f64>,
    /// Age of the audio at the newest tick.
    pub staleness_s: Option<f64>,
    /// The position of the playhead.
    pub playhead_s: Option<f64>,
    /// The lag episode that is under way; times are on the session's clock.
    pub lag: Option<HeardEpisode>,
    pub end: Option<Arc<LiveEnd>>,
}

/// How a session ended.
#[derive(Debug)]
pub struct LiveEnd {
    pub reason: String,
    /// Why the session could not start or broke, in a sentence.
    pub failure: Option<String>,
    /// The live engine's analysis; `None` when there was no session.
    pub analysis: Option<Analysis>,
    /// The last events of the server, oldest first.
    pub events: VecDeque<ServerEvent>,
}

/// Audio of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveAudio {
    /// Interleaved samples.
    pub samples: Vec<f32>,
    pub channels: u16,
    /// Frames per second.
    pub sample_rate: u32,
}

impl LiveState {
    pub(super) fn first() -> LiveState {
        LiveState {
            phase: LivePhase::Connecting,
            at: Nanos(0),
            stream_s: None,
            slices: 0,
            ticks: 0,
            lead_s: None,
            staleness_s: None,
            playhead_s: None,
            lag: None,
            end: None,
        }
    }

    pub(super) fn of(client: &Client, at: Nanos) -> LiveState {
        let engine = client.engine();
        let facts = engine.facts();
        let tracker = engine.epochs().last().map(|epoch| &epoch.tracker);
        let (slice, tick) = match tracker {
            Some(tracker) => (tracker.slices().next_back(), tracker.ticks().next_back()),
            None => (None, None),
        };
        LiveState {
            phase: if engine.origin().is_some() {
                LivePhase::Streaming
            } else {
                LivePhase::Waiting
            },
            at,
            stream_s: engine.origin().map(|origin| at.seconds_since(origin)),
            slices: facts.slices,
            ticks: facts.ticks,
            lead_s: slice.map(|slice| slice.lead_s),
            staleness_s: tick.map(|tick| tick.staleness_s),
            playhead_s: engine.playhead_s(at),
            lag: engine.current_episode(),
            end: None,
        }
    }
}

/// Audio of the client as it is now; `None` before the initial buffer.
pub(super) fn audio_of(client: &Client, buffer: bool, last: Option<Span>) -> Option<LiveAudio> {
    let engine = client.engine();
    let mirror = engine.mirror()?;
    let sample_rate = engine.ready().map_or(DEFAULT_SAMPLE_RATE, |ready| ready.sample_rate);
    let channels = mirror.channels();
    let frames = last.map(|last| (last.seconds() * f64::from(sample_rate)).round() as u64);
    let samples = if buffer {
        let kept = frames.map_or(mirror.frames(), |frames| mirror.frames().min(frames as usize));
        mirror.samples()[(mirror.frames() - kept) * usize::from(channels)..].to_vec()
    } else {
        engine.heard()?.samples(frames)
    };
    Some(LiveAudio { samples, channels, sample_rate })
}
