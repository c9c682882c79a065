//! What a stream goes on from: its state as contexts keep it, and what was seen before a hole.

use std::collections::VecDeque;

use super::{DEFAULT_READY, Epoch, Stream, Undecodable, fits};
use crate::capture::{BufferError, Context, HeardState, SessionState, StreamState};
use crate::engine::hearing::Hearing;
use crate::engine::listener::Listener;
use crate::engine::observed::Observed;
use crate::engine::whose::PlayheadEvidence;
use crate::engine::{Options, seed};
use crate::heard::HeardAudio;
use crate::lag::LagTracker;
use crate::mirror::Mirror;
use crate::mirror::drift::DriftWatch;
use crate::playhead::PlayheadSource;
use crate::wire::slice::SliceDecoder;

/// Why a snapshot is not the state of a stream.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("its buckets do not fit its loop")]
    Buckets,
    #[error("its last writes are not those of a loop")]
    Writes,
    #[error(transparent)]
    Buffer(#[from] BufferError),
}

impl Stream {
    /// A stream that goes on from a context; `None` where that has none yet.
    pub fn resume(
        options: &Options,
        source: PlayheadSource,
        family: u8,
        context: &Context<'_>,
    ) -> Result<Option<Stream>, Undecodable> {
        let Some(state) = &context.state.stream else { return Ok(None) };
        let sample_rate = context.state.ready.unwrap_or(DEFAULT_READY).sample_rate;
        let tracker = LagTracker::resume(
            state.frames,
            sample_rate,
            options.tracker_bound,
            state.refreshed_s.clone(),
            state.last_slice_s,
        );
        let tracker = tracker.ok_or(Undecodable::Context(ContextError::Buckets))?;
        let mirror = match &context.buffer {
            Some(buffer) if !options.headers_only => {
                let len = state.frames.saturating_mul(state.channels.into());
                if fits(options.mirror_bound, len) {
                    let samples = buffer.unpack(len).map_err(ContextError::Buffer)?;
                    Mirror::from_samples(samples, state.channels)
                } else {
                    buffer.check(len).map_err(ContextError::Buffer)?;
                    None
                }
            }
            _ => None,
        };
        let heard =
            options.heard.map(|cap| HeardAudio::resume(cap, state.channels, state.heard_to));
        let playhead = Listener::resume(source, state, sample_rate);
        let (at, rule) = (context.state.latest, options.heard_rule());
        let (heard_state, seeded) = heard_state(&playhead, &context.state, sample_rate);
        let hearing = Hearing::resume(playhead, at, heard_state, sample_rate, rule);
        let hearing = hearing.ok_or(Undecodable::Context(ContextError::Writes))?;
        Ok(Some(Stream {
            sample_rate,
            family,
            tracker_bound: options.tracker_bound,
            mirror_bound: options.mirror_bound,
            headers_only: options.headers_only,
            decoder: SliceDecoder::new(),
            mirror,
            drift: DriftWatch::default(),
            old_audio: None,
            heard,
            hearing,
            origin: state.origin,
            epochs: vec![Epoch {
                began: state.began,
                ended: None,
                frames: state.frames,
                channels: state.channels,
                tracker,
                client_leads: VecDeque::new(),
            }],
            seeded,
            last_report: state.last_tick,
            evidence: PlayheadEvidence::default(),
            observed: Observed::new(options.tracker_bound),
            ticked: state.ticked,
            placed_at: state.ticked.then_some(at),
            raw: state.tick_knobs.clone(),
            heard_to: state.heard_to,
            last_slice: at,
            idle: Vec::new(),
            audio_crc: state.audio_crc.filter(|_| options.audio_crc),
        }))
    }

    /// Takes over what was seen of the same session before a hole in the capture, behind which a
    /// context knows the state again.
    pub fn follow(&mut self, before: Stream) {
        if before.origin != self.origin {
            return;
        }
        self.hearing.follow(before.hearing);
        self.placed_at = before.placed_at.or(self.placed_at);
        self.evidence = before.evidence;
        self.observed = before.observed;
        self.drift.follow(&before.drift);
        self.idle.splice(0..0, before.idle);
        self.seeded |= before.seeded;
        let now = std::mem::replace(&mut self.epochs, before.epochs);
        let Some(last) = self.epochs.last_mut() else { return };
        for mut epoch in now {
            if (last.began, last.frames) != (epoch.began, epoch.frames) {
                last.ended = Some(epoch.began);
                last.tracker.end();
                self.epochs.push(epoch);
                return;
            }
            std::mem::swap(&mut last.tracker, &mut epoch.tracker);
            last.tracker.follow(epoch.tracker);
        }
        if let (Some(heard), Some(before)) = (&mut self.heard, before.heard) {
            heard.follow(before);
        }
    }

    /// All that the coming of this stream follows from, but for its audio.
    pub fn state(&self) -> StreamState {
        let epoch = self.epoch();
        let (simulated, reported) = self.hearing.playhead.state();
        StreamState {
            origin: self.origin,
            began: epoch.began,
            frames: epoch.frames,
            channels: epoch.channels,
            refreshed_s: epoch.tracker.refreshed_s().to_vec(),
            last_slice_s: epoch.tracker.last_slice_s(),
            simulated,
            reported,
            heard_to: self.heard_to,
            last_tick: self.last_report,
            ticked: self.ticked,
            tick_knobs: self.raw.clone(),
            judge: seed::judge(&self.hearing.meter),
            heard: Some(self.hearing.meter.state()),
            audio_crc: self.audio_crc,
        }
    }
}

/// The state of the measure in a context, and whether it had to be made up from what that says of
/// buckets.
fn heard_state(
    listener: &Listener,
    context: &SessionState,
    sample_rate: u32,
) -> (HeardState, bool) {
    let foreign = listener.source() == PlayheadSource::Reported;
    let line = listener.line(context.latest);
    match context.stream.as_ref().and_then(|stream| stream.heard.as_ref()) {
        Some(state) => (state.clone(), false),
        None => (seed::heard(context, sample_rate, foreign, line), true),
    }
}
