//! What a recording fixes, whatever else had been different.
//!
//! Enters: the records of one capture, once, in their order. Leaves: when the client reported and
//! what, which slices arrived when and how long each was worked on, and what the listener did.
//! Times are the capture's. Only headers of slices are read; a slice without a sound one is left out.

use serde_json::{Map, Value};

use super::busy::BusySpells;
use super::spell::Spell;
use crate::capture::{
    Body, ClientKind, Header, Marker, Message, Record, SessionState, StreamState,
};
use crate::engine::pings::Pings;
use crate::event::{Event, Interpreter};
use crate::family::{Contract, FamilyKind, FamilyUse};
use crate::lag::LagTracker;
use crate::peer::link::websocket_len;
use crate::peer::pacing::PlayheadClock;
use crate::peer::policy::ClockPolicy;
use crate::playhead::{PlayheadSim, ReportedPlayhead};
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};
use crate::wire::message::Ready;
use crate::wire::slice::SliceHeader;

/// One slice that arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TracedSlice {
    pub at: Nanos,
    pub header: SliceHeader,
    /// Length of its message in bytes.
    pub bytes: u32,
    /// Bytes on the wire of the texts that followed it, until the next slice.
    pub text_bytes: u32,
}

impl TracedSlice {
    fn is_sound(&self) -> bool {
        let SliceHeader { tick_ms, dec_ms, .. } = self.header;
        [tick_ms, dec_ms].iter().all(|ms| ms.abs() <= MAX_GENERATION_MS)
    }
}

/// One report of the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TracedTick {
    pub at: Nanos,
    /// `playback_pos`.
    pub position_s: Option<f64>,
    /// `client_time`.
    pub client_time: Option<f64>,
    /// `slice_bytes_rx`.
    pub acked: Option<f64>,
    /// `slice_lead_s`.
    pub lead_s: Option<f64>,
    /// Bytes on the wire.
    pub bytes: u32,
}

impl TracedTick {
    fn is_sound(&self) -> bool {
        let numbers = [self.position_s, self.client_time, self.acked, self.lead_s];
        numbers.into_iter().flatten().all(f64::is_finite)
    }
}

/// The factual session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// When the initial buffer arrived.
    pub origin: Nanos,
    /// When the recording begins: then, or in the middle of the session.
    pub begins: Nanos,
    /// How the stream stood where it begins in the middle.
    pub stood: Option<Box<StreamState>>,
    pub end: Nanos,
    /// Length of the loop in frames.
    pub frames: u64,
    /// Frames per second.
    pub sample_rate: u32,
    /// Whether the playhead is known from the reports alone, as with foreign clients.
    pub reported_playhead: bool,
    pub config: Map<String, Value>,
    pub family: FamilyUse,
    /// What the server makes of a report without a position.
    pub contract: Contract,
    /// The lead that the knob of a gate asks for, in seconds.
    pub gate_lead_s: Option<f64>,
    /// When the listener went on who had stood until the first slice came. One that comes later is waited
    /// for longer.
    pub resumed_at: Option<Nanos>,
    /// Slices in the order of their arrival.
    pub slices: Vec<TracedSlice>,
    /// Reports in the order of their sending.
    pub ticks: Vec<TracedTick>,
    pub ops: Vec<(Nanos, Marker)>,
    /// Spells in which a client that acknowledges what it applied applied nothing of what came. Slices
    /// are those that arrived, and nothing here says when they were applied.
    pub busy: Vec<Spell>,
    /// The shortest time from a ping of the client to its pong, in nanoseconds.
    pub shortest_ping_ns: Option<u64>,
}

/// Why a recording cannot be modelled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// There is no stream.
    #[error("the capture holds no stream to model; give one that reaches its first slices")]
    NoStream,
    /// Nobody read what the peers said to each other.
    #[error("the capture was read for its playhead only, and the model needs its messages")]
    ColumnsOnly,
    /// Too little to learn from.
    #[error(
        "the capture holds {slices} slices and {ticks} reports; the model needs at least \
         {MIN_SLICES} slices and {MIN_TICKS} reports"
    )]
    TooShort { slices: usize, ticks: usize },
    /// The same of a session that is long enough for others: its server sends rarely.
    #[error(
        "the capture holds {slices} slices and {ticks} reports; the model needs at least \
         {MIN_SLICES} slices and {MIN_TICKS} reports, more than such a session has in {seconds:.0} s"
    )]
    TooFew {
        slices: usize,
        ticks: usize,
        /// From its beginning to its end.
        seconds: f64,
    },
    /// More time than its records can fill: a clock that was wrong, or a file that was made.
    #[error(
        "the capture has {records} records in {seconds:.0} s, and no session is so quiet for so \
         long; its times are wrong, and the model repeats every moment of them"
    )]
    TooQuiet {
        /// Slices and reports in it.
        records: usize,
        /// From its beginning to its end.
        seconds: f64,
    },
    /// Something that the model has no part for.
    #[error("the session has {what}, which the model does not know")]
    Unknown { what: &'static str },
}

/// Fewest slices to learn from.
pub const MIN_SLICES: usize = 16;
/// Fewest reports to learn from.
pub const MIN_TICKS: usize = 16;

/// A recording of this length has enough to learn from, unless its peers say little.
const LONG_S: f64 = 20.0;
/// A session may stand still for so long, …
const MAX_STILL_S: f64 = 600.0;
/// … and longer if it has so many slices and reports a second, of about 40.
const MIN_RECORDS_PER_S: f64 = 1.0;
/// Whoever waits for the first slice goes on within this of it.
const MAX_RESUME_NS: u64 = 50_000_000;
/// No generation takes longer than this, in milliseconds.
const MAX_GENERATION_MS: f32 = 1e9;

/// Makes a [`Trace`] of the records of one capture.
#[derive(Debug, Default)]
pub struct Tracer {
    interpreter: Interpreter,
    trace: Trace,
    ready: Option<Ready>,
    pings: Pings,
    busy: BusySpells,
    /// Bytes of slices that the client had received before the recording begins.
    received_before: u64,
    header: Option<Header>,
    /// The client's first message and the server's `ready`.
    config_text: String,
    ready_text: String,
    unknown: Option<&'static str>,
}

impl Tracer {
    /// Before the first record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next record.
    pub fn handle(&mut self, record: &Record<'_>) {
        self.trace.end = self.trace.end.max(record.t);
        match &record.body {
            Body::Header(header) => {
                self.trace.reported_playhead = header.client == ClientKind::Foreign;
                self.trace.config = header.config.as_deref().map(object).unwrap_or_default();
                self.header = Some(header.clone());
            }
            Body::Context(context) => self.resume(record.t, &context.state),
            Body::Marker(marker) => self.trace.ops.push((record.t, marker.clone())),
            Body::Message(message) => self.message(record, message),
            Body::Gap(_) => self.unknown = Some("a gap"),
            Body::Clock(_)
            | Body::End(_)
            | Body::Checkpoint(_)
            | Body::Break(_)
            | Body::Other(_) => {}
        }
    }

    /// The trace of what was handled.
    ///
    /// # Errors
    /// Where there is too little to model, or something that the model does not know.
    pub fn finish(self) -> Result<Trace, TraceError> {
        let mut trace = self.trace;
        trace.family =
            FamilyUse::of_session(&self.config_text, &self.ready_text, self.header.as_ref());
        trace.contract = Contract::of(&self.ready_text);
        trace.resumed_at = trace.resumed_with_audio();
        let pings = self.pings.round_trips();
        trace.shortest_ping_ns = (!pings.is_empty()).then_some(pings.shortest_ns);
        if trace.reported_playhead {
            trace.busy = self.busy.finish();
        }
        if trace.frames == 0 {
            return Err(TraceError::NoStream);
        }
        if let Some(what) = self.unknown {
            return Err(TraceError::Unknown { what });
        }
        let (slices, ticks) = (trace.slices.len(), trace.ticks.len());
        let seconds = trace.end.seconds_since(trace.begins);
        if slices < MIN_SLICES || ticks < MIN_TICKS {
            return Err(match seconds > LONG_S {
                true => TraceError::TooFew { slices, ticks, seconds },
                false => TraceError::TooShort { slices, ticks },
            });
        }
        if i64::try_from(trace.end.0).is_err() {
            return Err(TraceError::Unknown { what: "times of centuries" });
        }
        let records = slices + ticks;
        if seconds > MAX_STILL_S.max(records as f64 / MIN_RECORDS_PER_S) {
            return Err(TraceError::TooQuiet { records, seconds });
        }
        if !(trace.slices.iter().all(TracedSlice::is_sound)
            && trace.ticks.iter().all(TracedTick::is_sound)
            && trace.ops.iter().all(|(_, op)| is_sound(op)))
        {
            return Err(TraceError::Unknown { what: "durations or positions that are no numbers" });
        }
        Ok(trace)
    }

    fn message(&mut self, record: &Record<'_>, message: &Message<'_>) {
        self.pings.see(record.t, message);
        let bytes = |masked| u32::try_from(websocket_len(message.payload.len(), masked));
        match self.interpreter.read(record.conn, message) {
            Event::Config(text) => {
                self.trace.config = object(text);
                text.clone_into(&mut self.config_text);
            }
            Event::Ready { declared, .. } => {
                self.ready = Some(declared);
                message.text().unwrap_or_default().clone_into(&mut self.ready_text);
            }
            Event::InitialBuffer => self.begin(record.t, message.len()),
            Event::Slice => self.slice(record.t, message),
            Event::SwapBuffer { .. } => self.unknown = Some("a swap of its source"),
            Event::ParamsUpdate | Event::Server { .. } => {
                if let Some(slice) = self.trace.slices.last_mut() {
                    slice.text_bytes = slice.text_bytes.saturating_add(bytes(false).unwrap_or(0));
                }
            }
            Event::Tick(params) if self.trace.frames > 0 => {
                params.raw.as_deref().into_iter().for_each(|raw| self.knobs(raw));
                let acked = params.slice_bytes_rx.map(|acked| acked - self.received_before as f64);
                acked.into_iter().for_each(|acked| self.busy.acknowledge(record.t, acked));
                self.trace.ticks.push(TracedTick {
                    at: record.t,
                    position_s: params.playback_pos,
                    client_time: params.client_time,
                    acked,
                    lead_s: params.slice_lead_s,
                    bytes: bytes(true).unwrap_or(u32::MAX),
                });
            }
            Event::Command(fields)
                if fields.get("type").and_then(Value::as_str) == Some("loop_band") =>
            {
                self.unknown = Some("a loop band");
            }
            _ => {}
        }
    }

    /// Notes the lead of a gate among the knobs of a report.
    fn knobs(&mut self, raw: &str) {
        const GATES: [&str; 2] = ["mrt2_lead", "minimax_lead"];
        if !GATES.iter().any(|knob| raw.contains(knob)) {
            return;
        }
        let knobs = object(raw);
        let lead_s = GATES.iter().find_map(|knob| knobs.get(*knob)?.as_f64());
        let was_s = std::mem::replace(&mut self.trace.gate_lead_s, lead_s);
        if was_s.is_some() && was_s != lead_s {
            self.unknown = Some("a gate whose lead changes");
        }
    }

    fn begin(&mut self, t: Nanos, bytes: u64) {
        let Some(ready) = self.ready else { return };
        (self.trace.origin, self.trace.begins) = (t, t);
        self.trace.sample_rate = ready.sample_rate.max(1);
        self.has_loop_of(bytes / 2 / u64::from(ready.channels.max(1)));
    }

    fn has_loop_of(&mut self, frames: u64) {
        self.trace.frames = frames;
        if u32::try_from(frames).is_err() {
            self.unknown = Some("a loop longer than a day");
        }
    }

    /// The recording begins in the middle of a session. Parts that follow on others say so too.
    fn resume(&mut self, t: Nanos, state: &SessionState) {
        if self.trace.frames > 0 {
            return;
        }
        self.interpreter = Interpreter::resume(state);
        self.ready = state.ready;
        self.received_before = state.slice_bytes;
        self.config_text.clone_from(&state.config);
        self.ready_text.clone_from(&state.ready_text);
        if let Some(stream) = &state.stream {
            (self.trace.origin, self.trace.begins) = (stream.origin, t);
            self.trace.sample_rate =
                state.ready.map_or(DEFAULT_SAMPLE_RATE, |r| r.sample_rate.max(1));
            self.trace.stood = Some(Box::new(stream.clone()));
            self.has_loop_of(stream.frames);
        }
    }

    fn slice(&mut self, t: Nanos, message: &Message<'_>) {
        let Ok(header) = SliceHeader::parse(message.payload) else { return };
        let bytes = u32::try_from(message.len()).unwrap_or(u32::MAX);
        self.busy.arrive(t, bytes);
        self.trace.slices.push(TracedSlice { at: t, header, bytes, text_bytes: 0 });
    }
}

fn is_sound(op: &Marker) -> bool {
    match op {
        Marker::Seek { to_s } => to_s.is_finite(),
        Marker::Rate { rate } => rate.is_finite(),
        Marker::Pause | Marker::Resume | Marker::Point { .. } => true,
    }
}

/// A JSON object; an empty one where it is none.
fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

impl Trace {
    /// Length of the loop in frames, as the server counts it.
    #[must_use]
    pub(super) fn loop_frames(&self) -> u32 {
        u32::try_from(self.frames).unwrap_or(u32::MAX)
    }

    /// The playhead where the recording begins, if it is simulated.
    #[must_use]
    pub(super) fn simulated(&self) -> PlayheadSim {
        let (frames, sample_rate) = (self.frames, self.sample_rate);
        match &self.stood {
            Some(stood) => PlayheadSim::resume(&stood.simulated, frames, sample_rate),
            None => PlayheadSim::new(frames, sample_rate, self.begins.seconds()),
        }
    }

    /// The playhead where the recording begins, as far as it is reported.
    #[must_use]
    pub(super) fn reported(&self) -> ReportedPlayhead {
        let (frames, sample_rate) = (self.frames, self.sample_rate);
        match &self.stood {
            Some(stood) => ReportedPlayhead::resume(&stood.reported, frames, sample_rate),
            None => ReportedPlayhead::new(frames, sample_rate, self.begins.seconds()),
        }
    }

    /// A tracker as it is where the recording begins, with room for as much as was recorded.
    #[must_use]
    pub(super) fn tracker(&self) -> LagTracker {
        let (frames, sample_rate) = (self.frames, self.sample_rate);
        let resumed = self.stood.as_ref().and_then(|stood| {
            let refreshed_s = stood.refreshed_s.clone();
            LagTracker::resume(frames, sample_rate, None, refreshed_s, stood.last_slice_s)
        });
        let fresh = || LagTracker::new(frames, sample_rate, self.begins.seconds());
        let mut tracker = resumed.unwrap_or_else(fresh);
        tracker.reserve(self.slices.len(), self.ticks.len());
        tracker
    }

    /// What a server that began at `began` believes about the listener; one that had begun long
    /// before the recording knows of the last report before it.
    #[must_use]
    pub(super) fn server_clock(&self, policy: &ClockPolicy, began: Nanos) -> PlayheadClock {
        let mut clock = PlayheadClock::new(policy, self.loop_frames(), self.sample_rate, began);
        if let Some(stood) = &self.stood {
            clock.report(began, stood.reported.position_s, None);
            clock.look(began);
        }
        clock
    }

    /// Whether its server only appends.
    #[must_use]
    pub fn appends(&self) -> bool {
        self.family.kind == FamilyKind::AppendOnlyTape
    }

    /// Where the server takes the listener to be by a report; `None`: where it did before.
    #[must_use]
    pub(super) fn position_s(&self, tick: &TracedTick) -> Option<f64> {
        self.said(tick, tick.position_s)
    }

    /// The same of a report like that one, with another position.
    #[must_use]
    pub(super) fn said(&self, tick: &TracedTick, position_s: Option<f64>) -> Option<f64> {
        match (tick.position_s, self.contract) {
            (Some(_), _) => position_s,
            (None, Contract::June) => Some(0.0),
            (None, Contract::October) => None,
        }
    }

    /// When a listener went on that paused before the first slice and resumed with it.
    fn resumed_with_audio(&self) -> Option<Nanos> {
        let first = self.slices.first()?.at;
        let mut ops =
            self.ops.iter().filter(|(_, op)| matches!(op, Marker::Pause | Marker::Resume));
        match (ops.next()?, ops.next()?) {
            ((paused, Marker::Pause), (resumed, Marker::Resume)) => {
                let with_it = first.0..=first.0.saturating_add(MAX_RESUME_NS);
                (*paused <= first && with_it.contains(&resumed.0)).then_some(*resumed)
            }
            _ => None,
        }
    }

    /// Length of the loop in seconds.
    #[must_use]
    pub fn loop_s(&self) -> f64 {
        self.frames as f64 / f64::from(self.sample_rate)
    }

    /// Whether the client says what modern clients say.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        self.ticks.iter().any(|tick| tick.client_time.is_some())
    }

    /// Whether the client acknowledges slices.
    #[must_use]
    pub fn acknowledges(&self) -> bool {
        self.ticks.iter().any(|tick| tick.acked.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Direction, Gap};
    use crate::engine::Options;
    use crate::engine::session_tests::Session;

    /// The trace of a session of twenty slices and ticks with something more in it.
    fn traced(more: impl FnOnce(&mut Session<'_>)) -> Result<Trace, TraceError> {
        let mut tracer = Tracer::new();
        let mut session = Session::watched(Options::default(), |_, record| tracer.handle(record));
        session.tick(9.0, "");
        session.begin(&[0.5; 48_000]);
        for turn in 0..20 {
            session.slice(24_000, &[0.25; 480]);
            session.text(Direction::ServerToClient, r#"{"type":"params_update"}"#);
            session.tick(f64::from(turn) * 0.03, r#","slice_bytes_rx":9"#);
        }
        more(&mut session);
        drop(session);
        tracer.finish()
    }

    #[test]
    fn a_trace_has_what_came_and_how_long_it_was_on_the_wire() {
        let trace = traced(|_| ()).unwrap();
        assert_eq!((trace.frames, trace.sample_rate), (48_000, 48_000));
        assert_eq!((trace.slices.len(), trace.ticks.len()), (20, 20), "none before the buffer");
        let slice = trace.slices[3];
        assert_eq!((slice.header.start, slice.bytes, slice.text_bytes), (24_000, 983, 2 + 24));
        // A client masks what it sends: four bytes more than the two of a short header.
        let text = r#"{"type":"params","playback_pos":0,"slice_bytes_rx":9}"#;
        assert_eq!(
            (trace.ticks[0].bytes as usize, trace.ticks[0].acked),
            (6 + text.len(), Some(9.0))
        );
        assert!(trace.acknowledges() && !trace.is_modern());
        assert_eq!(trace.loop_s(), 1.0);
    }

    #[test]
    fn too_little_is_told_apart_by_how_long_it_took() {
        let short = |seconds: u64| {
            let mut tracer = Tracer::new();
            let mut session =
                Session::watched(Options::default(), |_, record| tracer.handle(record));
            session.begin(&[0.5; 48_000]);
            session.tick(0.0, "");
            for _ in 0..seconds * 100 {
                session.text(Direction::ServerToClient, r#"{"type":"params_update"}"#);
            }
            drop(session);
            tracer.finish().unwrap_err().to_string()
        };
        let needs = "0 slices and 1 reports; the model needs at least 16 slices and 16 reports";
        assert!(short(5).ends_with(needs), "{}", short(5));
        assert!(short(60).ends_with("more than such a session has in 60 s"), "{}", short(60));
    }

    #[track_caller]
    fn check_unknown(more: impl FnOnce(&mut Session<'_>), expected: &'static str) {
        assert_eq!(traced(more), Err(TraceError::Unknown { what: expected }));
    }

    #[test]
    fn what_the_model_does_not_know_is_refused() {
        let no_numbers = "durations or positions that are no numbers";
        let op = |op: Marker| move |session: &mut Session<'_>| session.body(Body::Marker(op));
        check_unknown(op(Marker::Seek { to_s: f64::NAN }), no_numbers);
        check_unknown(op(Marker::Rate { rate: f64::INFINITY }), no_numbers);
        check_unknown(|session| session.body(Body::Gap(Gap::default())), "a gap");
        let band = r#"{"type":"loop_band","start":0}"#;
        check_unknown(|session| session.text(Direction::ClientToServer, band), "a loop band");
        assert!(traced(op(Marker::Rate { rate: 2.0 })).is_ok());
    }

    #[test]
    fn a_report_without_a_position_says_what_its_server_reads() {
        let tick = |position_s| TracedTick {
            at: Nanos(0),
            position_s,
            client_time: None,
            acked: None,
            lead_s: None,
            bytes: 0,
        };
        let of = |contract, position_s| {
            let trace = Trace { contract, ..Trace::default() };
            (trace.position_s(&tick(position_s)), trace.said(&tick(position_s), Some(7.0)))
        };
        for contract in [Contract::June, Contract::October] {
            assert_eq!(of(contract, Some(3.0)), (Some(3.0), Some(7.0)));
        }
        assert_eq!(of(Contract::June, None), (Some(0.0), Some(0.0)));
        assert_eq!(of(Contract::October, None), (None, None));
    }
}
