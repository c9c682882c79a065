//! One session from its initial buffer on: mirror, playheads, lag tracker and lag detector.

use std::collections::VecDeque;
use std::fmt;

use super::Options;
use super::facts::{Facts, OddityKind};
use super::hearing::Hearing;
use super::observed::Observed;
use super::whose::PlayheadEvidence;
use crate::capture::{BufferShape, Marker, Message, Record, RowKind, TickReport, crc32c};
use crate::event::Event;
use crate::family::FamilyUse;
use crate::heard::HeardAudio;
use crate::lag::{Arrival, LagTracker};
use crate::mirror::drift::DriftWatch;
use crate::mirror::old_source::{Holds, OldSource};
use crate::mirror::{ApplyError, Mirror, applied_range};
use crate::playhead::PlayheadSource;
use crate::time::Nanos;
use crate::wire::halves::HALF_LEN;
use crate::wire::message::{Params, Ready};
use crate::wire::slice::{
    Coding, HEADER_LEN, InflatedDelta, SliceDecoder, SliceError, SliceHeader,
};

/// The life of one source buffer; a swap begins the next.
#[derive(Debug)]
pub struct Epoch {
    pub began: Nanos,
    /// When the next one did; `None` for the last.
    pub ended: Option<Nanos>,
    /// Length of the loop in frames.
    pub frames: u64,
    pub channels: u16,
    /// The reference's records of this epoch.
    pub tracker: LagTracker,
    /// The leads that the client reports, and when: the worst since its report before.
    pub client_leads: VecDeque<(Nanos, f64)>,
}

/// A server that may rest does so once no slice came for this long, in seconds: until then it makes the
/// last lap.
const RESTS_AFTER_S: f64 = 1.0;

/// What a session has whose `ready` was not seen.
pub(super) const DEFAULT_READY: Ready = Ready {
    channels: crate::wire::message::DEFAULT_CHANNELS,
    sample_rate: crate::time::DEFAULT_SAMPLE_RATE,
};

/// Why a binary message could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undecodable {
    /// A slice's header or payload is damaged.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// A slice does not fit the buffer.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A raw slice has another length than its header announces.
    #[error("raw slice of {bytes} bytes, and its header announces {announced}")]
    RawLength { bytes: u64, announced: u64 },
    /// A whole buffer has the wrong size.
    #[error("buffer of {bytes} bytes is not a whole number of {channels}-channel f16 frames")]
    Buffer { bytes: u64, channels: u16 },
    /// A context does not describe a stream.
    #[error("the context cannot be used: {0}")]
    Context(#[from] ContextError),
}

mod state;

pub(super) use state::ContextError;

pub(super) struct Stream {
    sample_rate: u32,
    family: u8,
    tracker_bound: Option<usize>,
    mirror_bound: Option<u64>,
    headers_only: bool,
    decoder: SliceDecoder,
    pub mirror: Option<Mirror>,
    pub drift: DriftWatch,
    /// The sources before and after the last swap, while slices may bring the old one.
    old_audio: Option<OldSource>,
    pub heard: Option<HeardAudio>,
    pub hearing: Hearing,
    pub origin: Nanos,
    pub epochs: Vec<Epoch>,
    /// The meter began in the middle, and not from a state of its own.
    pub seeded: bool,
    pub last_report: TickReport,
    pub evidence: PlayheadEvidence,
    pub observed: Observed,
    ticked: bool,
    /// The first report that said where the client plays.
    placed_at: Option<Nanos>,
    raw: String,
    heard_to: Option<u64>,
    last_slice: Nanos,
    /// Spans in which the server rested, from its last slice on, as far as reports tell.
    pub idle: Vec<(Nanos, Nanos)>,
    /// Known while every slice's audio is.
    pub audio_crc: Option<u32>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("epochs", &self.epochs.len()).finish_non_exhaustive()
    }
}

impl Stream {
    pub fn begin(
        options: &Options,
        source: PlayheadSource,
        ready: Ready,
        family: u8,
        record: &Record<'_>,
        message: &Message<'_>,
    ) -> Result<Stream, Undecodable> {
        let Ready { channels, sample_rate } = ready;
        let shape = BufferShape {
            frames: frames_of(message.len(), channels)?,
            channels,
            sample_rate,
            family,
        };
        let mut stream = Stream::new(options, source, record.t, shape);
        stream.mirror = stream.read_buffer(message, channels);
        Ok(stream)
    }

    /// A stream of audio that is not known.
    pub fn new(options: &Options, source: PlayheadSource, t: Nanos, shape: BufferShape) -> Stream {
        let BufferShape { frames, channels, sample_rate, family } = shape;
        let hearing = Hearing::new(source, t, frames, sample_rate, options.heard_rule());
        let hearing = match FamilyUse::recalled(family).tape() {
            Some(rule) => hearing.on_tape(rule),
            None => hearing,
        };
        let ready = Ready { channels, sample_rate };
        let mut stream = Stream {
            sample_rate: ready.sample_rate,
            family,
            tracker_bound: options.tracker_bound,
            mirror_bound: options.mirror_bound,
            headers_only: options.headers_only,
            decoder: SliceDecoder::new(),
            mirror: None,
            drift: DriftWatch::default(),
            old_audio: None,
            heard: options.heard.map(|cap| HeardAudio::new(cap, ready.channels)),
            hearing,
            origin: t,
            epochs: Vec::new(),
            seeded: false,
            last_report: TickReport::default(),
            evidence: PlayheadEvidence::default(),
            observed: Observed::new(options.tracker_bound),
            ticked: false,
            placed_at: None,
            raw: String::new(),
            heard_to: None,
            last_slice: t,
            idle: Vec::new(),
            audio_crc: options.audio_crc.then_some(0),
        };
        stream.begin_epoch(t, frames, channels);
        stream
    }

    /// The delta that comes next, inflated.
    pub fn offer(&mut self, ahead: InflatedDelta) {
        self.decoder.offer(ahead);
    }

    pub fn take_spare(&mut self) -> Vec<u8> {
        self.decoder.take_spare()
    }

    /// Makes room at once for so many slices and ticks.
    pub fn reserve(&mut self, (slices, ticks): (usize, usize)) {
        self.observed.reserve(slices, ticks);
        let bound = self.tracker_bound.unwrap_or(usize::MAX);
        self.epoch_mut().tracker.reserve(slices.min(bound), ticks.min(bound));
        self.epoch_mut().client_leads.reserve_exact(ticks.min(bound));
    }

    /// The shape of the present buffer.
    pub fn shape(&self) -> BufferShape {
        let Epoch { frames, channels, .. } = *self.epoch();
        BufferShape { frames, channels, sample_rate: self.sample_rate, family: self.family }
    }

    pub fn handle(
        &mut self,
        record: &Record<'_>,
        message: &Message<'_>,
        event: Event<'_>,
        facts: &mut Facts,
    ) -> RowKind {
        self.observed.number(record.seq);
        let done = match event {
            Event::Slice => {
                facts.slice_bytes += message.len();
                self.apply(record, message, facts).map(|header| {
                    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
                    if self.landed(record.t, &header, len, facts) {
                        facts.odd(OddityKind::BehindFrontier, record);
                    }
                    RowKind::Slice { header: header.to_bytes(), len }
                })
            }
            Event::SwapBuffer { channels } => self.swap(record.t, message, channels).map(|()| {
                facts.note_swap(record.t);
                RowKind::Swap(self.shape())
            }),
            Event::Tick(params) => {
                if params.playback_pos.is_none() {
                    facts.note_no_position(record);
                }
                Ok(self.tick(record.t, &params, facts))
            }
            Event::Command(_) => {
                self.command(record.t);
                Ok(RowKind::Command)
            }
            _ => Ok(RowKind::Other),
        };
        done.unwrap_or_else(|error| {
            facts.undecodable(record, &error);
            RowKind::Refused
        })
    }

    /// The client sent a command other than a report.
    pub fn command(&mut self, t: Nanos) {
        self.observed.command(t);
        self.hearing.command(t);
    }

    /// Applies an op of the capture, which moves only a simulated playhead.
    pub fn operate(&mut self, t: Nanos, marker: &Marker) {
        self.observed.op(t, marker);
        self.hearing.operate(t, marker);
    }

    fn read_buffer(&self, message: &Message<'_>, channels: u16) -> Option<Mirror> {
        let audio_known = !self.headers_only && message.is_whole();
        let is_kept = fits(self.mirror_bound, (message.payload.len() / HALF_LEN) as u64);
        (audio_known && is_kept)
            .then(|| Mirror::from_wire(message.payload, channels).ok())
            .flatten()
    }

    fn begin_epoch(&mut self, t: Nanos, frames: u64, channels: u16) {
        self.mirror = None;
        self.drift.forget();
        self.old_audio = None;
        let tracker = LagTracker::with_limits(
            frames,
            self.sample_rate,
            t.seconds(),
            crate::lag::DEFAULT_BUCKET_S,
            self.tracker_bound,
        );
        if let Some(last) = self.epochs.last_mut() {
            last.ended = Some(t);
            last.tracker.end();
        }
        let client_leads = VecDeque::new();
        self.epochs.push(Epoch { began: t, ended: None, frames, channels, tracker, client_leads });
        let shape = self.shape();
        self.observed.buffer(t, &shape);
    }

    fn swap(
        &mut self,
        t: Nanos,
        message: &Message<'_>,
        declared: Option<u16>,
    ) -> Result<(), Undecodable> {
        let channels = declared.unwrap_or(self.epoch().channels);
        let frames = frames_of(message.len(), channels)?;
        let old = self.mirror.take();
        self.swap_to(t, frames, channels);
        self.mirror = self.read_buffer(message, channels);
        self.old_audio = old.zip(self.mirror.as_ref()).map(|(old, new)| OldSource::new(&old, new));
        Ok(())
    }

    /// Goes on with another buffer, whose audio is not known.
    pub fn swap_to(&mut self, t: Nanos, frames: u64, channels: u16) {
        self.begin_epoch(t, frames, channels);
        self.hearing.swap(t, frames);
        self.heard_to = None;
        if let Some(heard) = &mut self.heard {
            heard.clear(channels);
        }
    }

    /// Decodes a slice, once, and patches the mirror; without audio, checks what a header shows.
    fn apply(
        &mut self,
        record: &Record<'_>,
        message: &Message<'_>,
        facts: &mut Facts,
    ) -> Result<SliceHeader, Undecodable> {
        let Epoch { frames, channels, .. } = *self.epoch();
        let header = SliceHeader::parse(message.payload)?;
        let (trailing, undeclared) = if self.headers_only || !message.is_whole() {
            check_raw_length(&header, message.len())?;
            applied_range(&header, frames as usize, channels)?;
            self.mirror = None;
            self.drift.forget();
            self.audio_crc = None;
            (false, false)
        } else {
            let slice = self.decoder.decode(message.payload)?;
            match &mut self.mirror {
                Some(mirror) => {
                    applied_range(&header, frames as usize, channels)?;
                    self.drift.slice((record.t, record.seq), mirror, &slice);
                    let frames = mirror.apply(&slice)?;
                    if let Some(old) = &mut self.old_audio {
                        if old.slice(mirror, frames.clone()) == Holds::OldAudio {
                            self.observed.old_audio(record.t);
                        }
                        self.old_audio = self.old_audio.take().filter(OldSource::is_expected);
                    }
                    frames
                }
                None => applied_range(&header, frames as usize, channels)?,
            };
            let covered = [&message.payload[..HEADER_LEN], slice.halves];
            self.audio_crc = self.audio_crc.map(|crc| crc32c(crc, covered));
            (slice.trailing > 0, slice.undeclared_len)
        };
        let odd = [
            (trailing, OddityKind::TrailingBytes),
            (undeclared, OddityKind::UndeclaredLength),
            (header.coding() == Coding::RawAdd, OddityKind::UnknownFlags),
            (u64::from(header.start) >= frames, OddityKind::StartPastEnd),
            (header.channels != channels, OddityKind::ChannelBroadcast),
        ];
        for (_, kind) in odd.into_iter().filter(|(is_so, _)| *is_so) {
            facts.odd(kind, record);
        }
        Ok(header)
    }

    /// A slice of so many bytes could be used. Says whether it lies behind the frontier of a tape.
    pub fn landed(&mut self, t: Nanos, header: &SliceHeader, len: u32, facts: &mut Facts) -> bool {
        let now_s = t.seconds();
        let playhead = self.hearing.playhead.frame(now_s);
        let arrival = Arrival {
            start: header.start,
            frames: header.frames,
            playhead,
            tick_ms: f64::from(header.tick_ms),
            dec_ms: f64::from(header.dec_ms),
            generations: header.generations,
        };
        let record = self.epoch_mut().tracker.on_slice(now_s, arrival);
        self.observed.slice(t, header, len, &record);
        facts.slices += 1;
        self.last_slice = t;
        facts.ending.audio(t);
        self.hearing.slice(t, header.start, header.frames, len)
    }

    fn tick(&mut self, t: Nanos, params: &Params<'_>, facts: &mut Facts) -> RowKind {
        let others = params.raw.as_deref().filter(|raw| *raw != self.raw);
        let turned = self.ticked && others.is_some();
        if let Some(raw) = others {
            self.raw.clear();
            self.raw.push_str(raw);
        }
        let report = tick_report(params);
        self.observed.asked_for(t, &params.asked_for_s);
        self.tick_of(t, report, turned, facts);
        RowKind::Tick { report, turned }
    }

    /// A tick that says this of the client, with other knobs than before if they were turned.
    pub fn tick_of(&mut self, t: Nanos, report: TickReport, turned: bool, facts: &mut Facts) {
        let now_s = t.seconds();
        self.last_report = report;
        self.ticked = true;
        if let Some(position_s) = report.playback_pos {
            self.placed_at.get_or_insert(t);
            self.evidence.note(t, self.hearing.playhead.apart_s(position_s, now_s));
        }
        self.hearing.report(t, &report, turned);
        self.observed.report(t, report, turned, self.hearing.received());
        self.note_idle(t);
        let playhead = self.hearing.playhead.frame(now_s);
        self.epoch_mut().tracker.on_tick(now_s, playhead);
        self.heard_to = Some(playhead);
        self.note_lead(t, report.slice_lead_s);
        if let (Some(heard), Some(mirror)) = (&mut self.heard, &self.mirror) {
            heard.on_tick(playhead, mirror.samples());
        }
        facts.ticks += 1;
        let loop_s = self.epoch().frames as f64 / f64::from(self.sample_rate);
        facts.note_report(t, report.playback_pos, loop_s);
    }

    fn note_idle(&mut self, t: Nanos) {
        if !self.hearing.meter.idles(t) || t.seconds_since(self.last_slice) < RESTS_AFTER_S {
            return;
        }
        match self.idle.last_mut().filter(|(from, _)| *from == self.last_slice) {
            Some((_, to)) => *to = t,
            None => self.idle.push((self.last_slice, t)),
        }
    }

    fn note_lead(&mut self, t: Nanos, lead_s: Option<f64>) {
        let Some(lead_s) = lead_s.filter(|lead_s| lead_s.is_finite()) else { return };
        let bound = self.tracker_bound;
        let leads = &mut self.epoch_mut().client_leads;
        if bound.is_some_and(|bound| leads.len() >= bound) {
            leads.pop_front();
        }
        leads.push_back((t, lead_s));
    }

    /// From when somebody listens: of a client that is seen from outside, since it first said where.
    pub fn listens_from(&self) -> Option<Nanos> {
        match self.hearing.playhead.source() {
            PlayheadSource::Simulated => Some(self.origin),
            PlayheadSource::Reported => self.placed_at,
        }
    }

    fn epoch(&self) -> &Epoch {
        self.epochs.last().expect("a stream begins with its first epoch")
    }

    fn epoch_mut(&mut self) -> &mut Epoch {
        self.epochs.last_mut().expect("a stream begins with its first epoch")
    }
}

/// Whether a buffer of so many samples is kept.
fn fits(bound: Option<u64>, samples: u64) -> bool {
    bound.is_none_or(|bound| samples <= bound)
}

/// What can be told of a payload that is not read: the length of a raw one.
fn check_raw_length(header: &SliceHeader, bytes: u64) -> Result<(), Undecodable> {
    let announced = HEADER_LEN as u64 + header.payload_len();
    if header.coding() != Coding::Delta && bytes != announced {
        return Err(Undecodable::RawLength { bytes, announced });
    }
    Ok(())
}

fn tick_report(params: &Params<'_>) -> TickReport {
    TickReport {
        playback_pos: params.playback_pos,
        client_time: params.client_time,
        slice_bytes_rx: params.slice_bytes_rx,
        slice_lead_s: params.slice_lead_s,
    }
}

/// Frames of a whole buffer of f16 samples.
fn frames_of(bytes: u64, channels: u16) -> Result<u64, Undecodable> {
    let frame_len = u64::from(channels) * 2;
    if frame_len == 0 || !bytes.is_multiple_of(frame_len) {
        return Err(Undecodable::Buffer { bytes, channels });
    }
    Ok(bytes / frame_len)
}
