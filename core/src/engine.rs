//! The engine: the only interpreter of a session, driven by live clients and replays alike.
//!
//! [`Engine::handle`] takes one capture record at a time, cannot fail, and is the only method that
//! changes state; reports, the verdict, facts and audio of any moment are read from it. Times are those
//! of the records: the engine has no clock.
//!
//! Messages of the session's connection are interpreted; those of other connections in the same
//! capture count only as traffic (see [`crate::event`]).

mod arrivals;
pub mod doubts;
mod ending;
#[cfg(test)]
mod ending_tests;
mod facts;
mod gaps;
mod hearing;
mod listener;
mod observed;
pub mod pings;
mod queries;
#[cfg(test)]
mod recall_tests;
mod seed;
#[cfg(test)]
pub(crate) mod session_tests;
mod stream;
pub mod timing;
pub mod whose;

pub use arrivals::{Arrivals, Burst, SILENT_S, SideArrivals, Volume};
pub use ending::{Close, EndKind, EndWatch, SILENT_AFTER_S, SessionEnd, StreamAtEnd};
pub use facts::{Facts, MAX_EVENTS, MAX_NESTED_LEN, Oddity, OddityKind, ServerEvent, Traffic};
pub use gaps::{GAP_S, GAP_TIMES, MAX_GAPS, ReportGap};
pub use hearing::{Hearing, LateReports};
pub use observed::{
    BufferSeen, MAX_REPORTS, MAX_SLICES, Observed, OldAudioSeen, RegionAsked, ReportSeen, SliceSeen,
};
pub use stream::Epoch;

use crate::capture::{
    Body, BufferShape, CheckpointRow, Context, Digest, Direction, Header, Marker, Message,
    PackedBuffer, Record, RowKind, SessionState, Totals, crc32c,
};
use crate::event::{Contradiction, Event, Interpreter};
use crate::family::FamilyUse;
use crate::heard::{BehindRule, HeardRule};
use crate::lag::LagTracker;
use crate::playhead::PlayheadSource;
use crate::time::Nanos;
use crate::wire::message::{Params, Ready};
use crate::wire::slice::{InflatedDelta, SliceHeader};
use stream::{DEFAULT_READY, Stream};
use timing::TimeEvidence;

/// What the engine keeps and how it looks at a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `None`: simulated for headless clients, reported for foreign ones.
    pub playhead: Option<PlayheadSource>,
    /// Samples of a buffer that is kept at most; nothing but the audio itself depends on one that is
    /// longer. `None` keeps every buffer.
    pub mirror_bound: Option<u64>,
    /// Read slice headers only; the mirror stays unknown and corrupt payloads unnoticed.
    pub headers_only: bool,
    /// Keep what the listener heard: `Some(None)` all of it, `Some(Some(n))` the last n frames.
    pub heard: Option<Option<u64>>,
    /// Age over which audio that is heard is stale, in seconds.
    pub stale_threshold_s: f64,
    /// What counts as slices behind the listener.
    pub behind: BehindRule,
    /// Most slices and most ticks kept per source buffer; `None` is unbounded.
    pub tracker_bound: Option<usize>,
    /// Compute a checksum over all slices, to prove that two engines had the same audio.
    pub audio_crc: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            playhead: None,
            mirror_bound: None,
            headers_only: false,
            heard: None,
            stale_threshold_s: crate::lag::DEFAULT_STALE_THRESHOLD_S,
            behind: BehindRule::default(),
            tracker_bound: None,
            audio_crc: false,
        }
    }
}

impl Options {
    /// By which bounds audio is old and slices are late.
    #[must_use]
    pub fn heard_rule(&self) -> HeardRule {
        HeardRule::new(self.stale_threshold_s, self.behind)
    }
}

/// Everything known of a session up to the last record handled.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    header: Option<Header>,
    interpreter: Interpreter,
    ready: Option<Ready>,
    family: FamilyUse,
    stream: Option<Stream>,
    facts: Facts,
    timing: TimeEvidence,
    did: RowKind,
    /// Slices and ticks that the first stream is going to have, as far as is known.
    expected: (usize, usize),
}

impl Engine {
    /// Before the first record.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Engine {
            options,
            header: None,
            interpreter: Interpreter::new(),
            ready: None,
            family: FamilyUse::default(),
            stream: None,
            facts: Facts::default(),
            timing: TimeEvidence::default(),
            did: RowKind::Other,
            expected: (0, 0),
        }
    }

    /// Takes the next record.
    pub fn handle(&mut self, record: &Record<'_>) {
        self.did = RowKind::Other;
        if self.is_known(record) {
            return;
        }
        if self.facts.note_record(record) {
            self.interpreter.doubt();
        }
        match &record.body {
            Body::Header(header) => self.header = Some(header.clone()),
            Body::Message(message) => self.handle_message(record, message),
            Body::Marker(marker) => self.handle_marker(record, marker),
            Body::Context(context) => self.resume(record, context),
            Body::Clock(clock) => self.timing.note_clock(clock),
            Body::Gap(_) | Body::End(_) | Body::Checkpoint(_) | Body::Break(_) | Body::Other(_) => {
            }
        }
    }

    /// The delta of the record that comes next, which another thread has inflated. The engine is then in
    /// no other state than if it had done that itself.
    pub fn offer(&mut self, ahead: InflatedDelta) {
        if let Some(stream) = &mut self.stream {
            stream.offer(ahead);
        }
    }

    /// Gives back the memory of what was offered for the last record.
    pub fn take_spare(&mut self) -> Option<Vec<u8>> {
        self.stream.as_mut().map(Stream::take_spare)
    }

    /// Whether a record repeats what is known: parts of a recording that are read in their order
    /// each begin with the header and with the context that the part before ended in.
    fn is_known(&self, record: &Record<'_>) -> bool {
        match record.body {
            Body::Header(_) => self.header.is_some(),
            Body::Context(_) => self.facts.records > 1 && self.facts.is_up_to(record.seq),
            Body::Checkpoint(_) => true,
            _ => false,
        }
    }

    fn resume(&mut self, record: &Record<'_>, context: &Context<'_>) {
        let SessionState { config, ready_text, .. } = &*context.state;
        let family = FamilyUse::of_session(config, ready_text, self.header.as_ref());
        match Stream::resume(&self.options, self.playhead_source(), family.id(), context) {
            Ok(mut stream) => {
                self.interpreter = Interpreter::resume(&context.state);
                self.ready = context.state.ready;
                self.family = family;
                let before = self.stream.take();
                let recorded_to = self.facts.recorded_to;
                self.facts.resume(&context.state, before.is_some());
                if let (Some(stream), Some(before)) = (&mut stream, before) {
                    stream.follow(before);
                    stream.observed.hole(recorded_to, context.state.latest);
                }
                self.stream = stream;
            }
            Err(error) => self.facts.undecodable(record, &error),
        }
    }

    /// The state after the last record, with which another capture can begin: the record to stand
    /// after its header. Only an engine of the default [`Options`] makes one that suits all others.
    #[must_use]
    pub fn context(&self) -> Record<'static> {
        let state = Box::new(self.state());
        let buffer = self.mirror().and_then(|mirror| PackedBuffer::pack(mirror.samples()));
        Record {
            seq: self.facts.last_seq(),
            t: state.latest,
            conn: 0,
            body: Body::Context(Context { state, buffer }),
        }
    }

    /// The effect of the last record on playheads, leads and staleness: its row in a checkpoint.
    #[must_use]
    pub fn did(&self) -> &RowKind {
        &self.did
    }

    /// So many slices and ticks are going to be recalled: room for them is made at once. No more than an
    /// engine would keep in any case, so that a number that is wrong costs little.
    pub fn expect(&mut self, slices: u64, ticks: u64) {
        let most = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        self.expected = (most(slices).min(MAX_SLICES), most(ticks).min(MAX_REPORTS));
    }

    /// Handles a checkpoint's row in place of its record. Lag reports, the verdict and the playhead
    /// come out the same; audio, events and traffic stay unknown.
    pub fn recall(&mut self, row: &CheckpointRow) {
        self.facts.note_time(row.t);
        self.recall_time(row);
        self.did = row.what.clone();
        if let RowKind::Begin(shape) = row.what {
            let BufferShape { channels, sample_rate, .. } = shape;
            self.ready = Some(Ready { channels, sample_rate });
            self.family = FamilyUse::recalled(shape.family);
            let source = self.playhead_source();
            let mut stream = Stream::new(&self.options, source, row.t, shape);
            stream.reserve(std::mem::take(&mut self.expected));
            self.stream = Some(stream);
        }
        let Some(stream) = &mut self.stream else { return };
        stream.observed.number(0);
        match &row.what {
            RowKind::Slice { header, len } => {
                self.facts.slice_bytes += u64::from(*len);
                if let Ok(header) = SliceHeader::parse(header) {
                    stream.landed(row.t, &header, *len, &mut self.facts);
                }
            }
            RowKind::Tick { report, turned } => {
                stream.tick_of(row.t, *report, *turned, &mut self.facts);
            }
            RowKind::Command => {
                self.facts.ending.spoke(row.t, Direction::ClientToServer);
                stream.command(row.t);
            }
            RowKind::Swap(shape) => {
                stream.swap_to(row.t, shape.frames, shape.channels);
                self.facts.note_swap(row.t);
            }
            RowKind::Op(marker) => {
                self.facts.ending.reports.doubt();
                stream.operate(row.t, marker);
            }
            RowKind::Refused => self.facts.decode_errors += 1,
            RowKind::Begin(_) | RowKind::Other => {}
        }
    }

    /// Takes what a record says about the end of the session, after its row was recalled.
    pub fn recall_end(&mut self, record: &Record<'_>) {
        self.facts.ending.recall(record, self.stream.is_some());
    }

    /// Notes the time of a message of which only its row is known.
    fn recall_time(&mut self, row: &CheckpointRow) {
        match &row.what {
            RowKind::Slice { .. } | RowKind::Swap(_) | RowKind::Begin(_) => {
                self.timing.note_time(row.t, Direction::ServerToClient);
            }
            RowKind::Tick { report, .. } => {
                self.timing.note_time(row.t, Direction::ClientToServer);
                if let Some(client_time_s) = report.client_time {
                    self.timing.note_client_time(row.t, client_time_s);
                }
            }
            _ => {}
        }
    }

    /// Takes over the counts of a checkpoint.
    pub fn recall_totals(&mut self, totals: &Totals) {
        self.facts.recall(totals);
    }

    /// The state in a few numbers, to compare with that of another engine.
    #[must_use]
    pub fn digest(&self, at: Nanos) -> Digest {
        let tracker = self.epochs().last().map(|epoch| &epoch.tracker);
        let stamps = tracker.map(LagTracker::refreshed_s);
        Digest {
            playhead: self.playhead_frame(at),
            buckets_crc: stamps.map(|stamps| {
                let bytes: Vec<_> = stamps.iter().map(|stamp_s| stamp_s.to_be_bytes()).collect();
                crc32c(0, [bytes.as_flattened()])
            }),
            audio_crc: self.stream.as_ref().and_then(|stream| stream.audio_crc),
            slices: self.facts.slices,
            ticks: self.facts.ticks,
        }
    }

    /// Everything that later records depend on, except the audio.
    #[must_use]
    pub fn state(&self) -> SessionState {
        let mut state = SessionState::default();
        self.interpreter.save(&mut state);
        self.facts.save(&mut state);
        state.ready = self.ready;
        state.stream = self.stream.as_ref().map(Stream::state);
        state
    }

    fn handle_message(&mut self, record: &Record<'_>, message: &Message<'_>) {
        self.facts.note_message(record.t, message);
        self.timing.note_message(record.t, message);
        let event = self.interpreter.read(record.conn, message);
        match self.interpreter.contradiction() {
            Some(Contradiction::NeverCame) => {
                self.facts.awaited_bounce = None;
                self.facts.odd(OddityKind::NeverCame, record);
            }
            Some(Contradiction::TextForPcm) => self.facts.odd(OddityKind::TextForPcm, record),
            None => {}
        }
        if let Event::Tick(Params { client_time: Some(client_time_s), .. }) = event {
            self.timing.note_client_time(record.t, client_time_s);
        }
        match event {
            Event::Elsewhere => self.facts.odd(OddityKind::OtherConnection, record),
            Event::Config(text) => self.facts.note_config(text),
            Event::Ready { declared, fields } => {
                self.ready = Some(declared);
                self.facts.ending.ready();
                let header = self.header.as_ref();
                self.family = self.facts.note_ready(message.text(), fields, header);
                if self.family.contradicts {
                    self.facts.odd(OddityKind::OtherFamily, record);
                }
                self.facts.refusal = None;
                if declared.sample_rate != crate::time::DEFAULT_SAMPLE_RATE {
                    self.facts.odd(OddityKind::SampleRate, record);
                }
            }
            Event::Refused { code, message } => self.facts.refused(record, code, message),
            Event::InitialBuffer => self.begin(record, message),
            Event::Close { code, reason } => {
                self.facts.closed(record, message.direction, code, reason);
            }
            Event::Server { fields, lenient } => {
                if lenient {
                    self.facts.odd(OddityKind::LenientJson, record);
                }
                self.facts.server_event(record, fields);
            }
            Event::Unreadable(error) => self.facts.undecodable(record, &error),
            Event::ParamsUpdate => self.facts.note_params_update(message.payload),
            Event::Slice | Event::SwapBuffer { .. } | Event::Tick(_) | Event::Command(_) => {
                if let Some(stream) = &mut self.stream {
                    self.did = stream.handle(record, message, event, &mut self.facts);
                }
            }
            Event::Aside => self.facts.awaited_bounce = None,
            Event::Upload | Event::Skipped | Event::Compressed | Event::Nothing => {}
        }
    }

    fn begin(&mut self, record: &Record<'_>, message: &Message<'_>) {
        let ready = self.ready.unwrap_or(DEFAULT_READY);
        let (source, family) = (self.playhead_source(), self.family.id());
        match Stream::begin(&self.options, source, ready, family, record, message) {
            Ok(stream) => {
                self.did = RowKind::Begin(stream.shape());
                self.stream = Some(stream);
            }
            Err(error) => {
                self.did = RowKind::Refused;
                self.facts.undecodable(record, &error);
            }
        }
    }

    fn handle_marker(&mut self, record: &Record<'_>, marker: &Marker) {
        self.facts.note_marker(record, marker);
        self.did = RowKind::Op(marker.clone());
        if let Some(stream) = &mut self.stream {
            stream.operate(record.t, marker);
        }
    }
}
