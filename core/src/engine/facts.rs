//! Counts, server events and oddities of a session, which reports show beside the figures.

use std::collections::VecDeque;
use std::fmt::Display;

use serde::Serialize;
use serde_json::{Map, Value};

use super::arrivals::Arrivals;
use super::ending::{Close, EndWatch};
use super::pings::Pings;
use crate::capture::{
    Body, Direction, End, Gap, Header, Marker, Message, Opcode, Record, ServerRefusal,
    SessionState, Totals,
};
use crate::family::{self, Contract, FamilyUse};
use crate::time::Nanos;
use crate::wire::json;
use crate::wire::message::kind_of;

/// Server events kept, newest first to stay; the reference keeps 200. What was dropped is counted.
pub const MAX_EVENTS: usize = 10_000;
/// Longest list or object, as JSON, that is kept of an event; catalogs and manifests are longer.
pub const MAX_NESTED_LEN: usize = 256;
/// Type of the event that stands for a message that could not be used, as the reference names it.
pub const DECODE_ERROR: &str = "_client_decode_error";

/// Longest `config` or `ready` that is kept for captures that begin later; real ones have some
/// kilobytes.
const MAX_OPENING_LEN: usize = 1 << 20;

/// Messages and bytes of one direction; bytes are payload bytes of whole messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// All messages.
    pub messages: u64,
    /// Payload bytes of all messages.
    pub bytes: u64,
    /// Text messages.
    pub text: u64,
    /// Binary messages.
    pub binary: u64,
    /// Pings, pongs and closes.
    pub control: u64,
    /// Messages whose sending failed; not in the counts above.
    pub failed: u64,
}

/// An event of the server, or a message that could not be used.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerEvent {
    pub t: Nanos,
    /// The record that holds it.
    pub seq: u64,
    /// Its fields; `type` is null where it has none, and of lists and objects those longer than
    /// [`MAX_NESTED_LEN`] are left out.
    pub fields: Map<String, Value>,
}

/// Something accepted as the reference accepts it that a peer should not have sent, or that limits
/// what the reports can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OddityKind {
    /// Slice flags other than 0 and 1: read raw, then added.
    UnknownFlags,
    /// A slice of one channel patched onto several.
    ChannelBroadcast,
    /// A slice that starts past the end: counted, patches nothing.
    StartPastEnd,
    /// Bytes after the slice's zstd frame: ignored.
    TrailingBytes,
    /// A slice whose zstd frame does not declare its length.
    UndeclaredLength,
    /// A sample rate other than 48000, which the reference client refuses.
    SampleRate,
    /// JSON that only Python's rules accept.
    LenientJson,
    /// Messages of another connection than the session's: counted, not interpreted.
    OtherConnection,
    /// Payloads left out of the capture: slices are read by their headers.
    PayloadLeftOut,
    /// Payloads kept as they were compressed, since what they refer to was lost.
    KeptCompressed,
    /// Records whose time lies before the one before them.
    ClockBackwards,
    /// Records lost while recording.
    Gap,
    /// Records whose numbers do not follow on the one before, without a gap record that says why.
    MissingRecords,
    /// Slices of an append-only session that lie behind its frontier.
    BehindFrontier,
    /// What the client asked for and what the server is are of different families.
    OtherFamily,
    /// Stems or a bounce that were announced and never came.
    NeverCame,
    /// Text of the client where it had announced PCM.
    TextForPcm,
    /// Reports without a position, which the server takes for the one before.
    PositionKept,
    /// The same to a server of June 2026, which takes them for 0.
    PositionZeroed,
    /// Records of a type this version does not know: skipped.
    UnknownRecord,
}

/// All oddities of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Oddity {
    pub kind: OddityKind,
    pub count: u64,
    pub first_seq: u64,
    pub first_t: Nanos,
}

/// Counts, events and oddities up to the last record.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub records: u64,
    /// Time of the first and of the last record.
    pub span: Option<(Nanos, Nanos)>,
    /// Where the capture begins in the middle of its session: the time of its context.
    pub resumed: Option<Nanos>,
    /// Nanoseconds of the stream that no record is of, with a context behind them: a part of the
    /// recording is missing.
    pub hole_ns: u64,
    /// Client to server, then server to client.
    pub traffic: [Traffic; 2],
    /// Slices applied and counted, of the whole session.
    pub slices: u64,
    /// Bytes of all slice messages, headers included and whether usable or not: what clients
    /// acknowledge as `slice_bytes_rx`.
    pub slice_bytes: u64,
    /// Ticks after the initial buffer, of the whole session.
    pub ticks: u64,
    pub swaps: u64,
    /// Messages that could not be used; each is an event too.
    pub decode_errors: u64,
    /// Server events, oldest first.
    pub events: VecDeque<ServerEvent>,
    /// Events dropped from the front of `events`.
    pub events_dropped: u64,
    /// The server's refusal of the session, unless another try was accepted: code and message.
    pub refusal: Option<(Option<String>, Option<String>)>,
    /// Close frames.
    pub closes: Vec<Close>,
    /// Markers: the ops, with their times.
    pub markers: Vec<(Nanos, Marker)>,
    pub gaps: Vec<(Nanos, Gap)>,
    /// The end record, of a complete capture.
    pub end: Option<(Nanos, End)>,
    pub oddities: Vec<Oddity>,
    /// Knobs as `params_echo` merged them.
    pub raw: Map<String, Value>,
    /// How many `params_echo` were merged, and the knobs of the last one.
    pub last_echo: (u64, Map<String, Value>),
    pub pings: Pings,
    /// What came and when, whatever it means.
    pub arrivals: Arrivals,
    /// What the end of the session follows from.
    pub ending: EndWatch,
    /// Latest time of a record that is no gap.
    pub(super) recorded_to: Nanos,
    /// A bounce that was announced and has not come: the record that did.
    pub awaited_bounce: Option<(u64, Nanos)>,
    /// The number that the next record should have.
    next_seq: u64,
    /// The last record was a gap: what happened in it is not known.
    after_gap: bool,
    /// Text of the last `params_update`.
    last_params_update: Vec<u8>,
    /// The client's first message, or empty, …
    config: String,
    /// … and the server's `ready`.
    ready_text: String,
    contract: Contract,
}

impl Facts {
    /// The `params` of the last `params_update`.
    #[must_use]
    pub fn last_params_update(&self) -> Map<String, Value> {
        let text = std::str::from_utf8(&self.last_params_update).unwrap_or_default();
        match json::parse_object(text).ok().and_then(|mut object| object.fields.remove("params")) {
            Some(Value::Object(params)) => params,
            _ => Map::new(),
        }
    }

    /// The traffic of one direction.
    #[must_use]
    pub fn traffic(&self, direction: Direction) -> &Traffic {
        &self.traffic[direction_index(direction)]
    }

    /// The number of the last record.
    pub(super) fn last_seq(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    /// Whether all is known up to and with the record of this number.
    pub(super) fn is_up_to(&self, seq: u64) -> bool {
        self.next_seq == seq.saturating_add(1) && !self.after_gap
    }

    /// Goes on from a state; what was counted so far stays. Where a stream was seen before, the time
    /// between is a hole in the capture.
    pub(super) fn resume(&mut self, state: &SessionState, has_streamed: bool) {
        let (first, last) = self.span.unwrap_or((state.latest, state.latest));
        self.span = Some((first, last.max(state.latest)));
        if has_streamed {
            let hole_ns = state.latest.0.saturating_sub(self.recorded_to.0);
            self.hole_ns = self.hole_ns.saturating_add(hole_ns);
        } else {
            self.resumed = Some(state.latest);
        }
        self.slice_bytes = state.slice_bytes;
        self.config = state.config.clone();
        self.ready_text = state.ready_text.clone();
        self.contract = Contract::of(&self.ready_text);
        self.refusal = state.refusal.clone().map(|refusal| (refusal.code, refusal.message));
        self.raw = serde_json::from_str(&state.knobs).unwrap_or_default();
        self.last_params_update = state.params_update.clone().into_bytes();
    }

    /// Writes down what coming records depend on.
    pub(super) fn save(&self, state: &mut SessionState) {
        state.latest = self.span.map_or(Nanos(0), |(_, last)| last);
        state.slice_bytes = self.slice_bytes;
        state.config = self.config.clone();
        state.ready_text = self.ready_text.clone();
        state.refusal = self.refusal.clone().map(|(code, message)| ServerRefusal { code, message });
        state.knobs = serde_json::to_string(&self.raw).unwrap_or_default();
        state.params_update = String::from_utf8_lossy(&self.last_params_update).into_owned();
    }

    /// Notes the time of a record that is only known from a checkpoint.
    pub(super) fn note_time(&mut self, t: Nanos) {
        let (first, last) = self.span.unwrap_or((t, t));
        self.span = Some((first, t.max(last)));
    }

    /// Takes over what was counted elsewhere.
    pub(super) fn recall(&mut self, totals: &Totals) {
        self.records = totals.records;
        let [up, down] = &mut self.traffic;
        (up.messages, up.bytes) = (totals.up_messages, totals.up_bytes);
        (down.messages, down.bytes) = (totals.down_messages, totals.down_bytes);
        self.pings = Pings::resume(totals.round_trips);
    }

    /// Counts a record; says whether others are missing before it.
    pub(super) fn note_record(&mut self, record: &Record<'_>) -> bool {
        if !record.is_numbered() {
            self.next_seq = record.seq.saturating_add(1);
            return false;
        }
        self.records += 1;
        self.ending.record(record);
        self.after_gap = matches!(record.body, Body::Gap(_));
        let (first, last) = self.span.unwrap_or((record.t, record.t));
        if record.t < last {
            self.odd(OddityKind::ClockBackwards, record);
        }
        self.span = Some((first, record.t.max(last)));
        if !self.after_gap {
            self.recorded_to = record.t.max(last);
        }
        let follows = follows(record, self.next_seq);
        if !follows {
            self.odd(OddityKind::MissingRecords, record);
        }
        self.next_seq = record.seq.saturating_add(1);
        match &record.body {
            Body::Gap(gap) => {
                self.gaps.push((record.t, gap.clone()));
                self.odd(OddityKind::Gap, record);
            }
            Body::End(end) => self.end = Some((record.t, end.clone())),
            Body::Other(_) => self.odd(OddityKind::UnknownRecord, record),
            Body::Message(message) if message.compressed => {
                self.odd(OddityKind::KeptCompressed, record);
            }
            Body::Message(message) if !message.is_whole() => {
                self.odd(OddityKind::PayloadLeftOut, record);
            }
            _ => {}
        }
        !follows || matches!(record.body, Body::Gap(_))
    }

    pub(super) fn note_message(&mut self, t: Nanos, message: &Message<'_>) {
        self.pings.see(t, message);
        let traffic = &mut self.traffic[direction_index(message.direction)];
        if message.failed {
            traffic.failed += 1;
            return;
        }
        self.ending.message(t, message);
        self.arrivals.note(t, message);
        traffic.messages += 1;
        traffic.bytes = traffic.bytes.saturating_add(message.len());
        match message.opcode {
            Opcode::Text => traffic.text += 1,
            Opcode::Binary => traffic.binary += 1,
            _ => traffic.control += 1,
        }
    }

    pub(super) fn note_params_update(&mut self, text: &[u8]) {
        self.last_params_update.clear();
        self.last_params_update.extend_from_slice(text);
    }

    pub(super) fn note_marker(&mut self, record: &Record<'_>, marker: &Marker) {
        self.ending.reports.doubt();
        self.markers.push((record.t, marker.clone()));
    }

    /// Counts a swap, after which the client begins anew.
    pub(super) fn note_swap(&mut self, t: Nanos) {
        self.swaps += 1;
        self.ending.audio(t);
        self.ending.reports.doubt();
    }

    /// Takes the time of a report and the position that it gives.
    pub(super) fn note_report(&mut self, t: Nanos, position_s: Option<f64>, loop_s: f64) {
        self.ending.spoke(t, Direction::ClientToServer);
        self.ending.reports.report(t, position_s, loop_s);
    }

    /// Notes a report that does not say where the listener is.
    pub(super) fn note_no_position(&mut self, record: &Record<'_>) {
        let kind = match self.contract {
            Contract::June => OddityKind::PositionZeroed,
            Contract::October => OddityKind::PositionKept,
        };
        self.odd(kind, record);
    }

    pub(super) fn odd(&mut self, kind: OddityKind, record: &Record<'_>) {
        match self.oddities.iter_mut().find(|oddity| oddity.kind == kind) {
            Some(oddity) => oddity.count += 1,
            None => self.oddities.push(Oddity {
                kind,
                count: 1,
                first_seq: record.seq,
                first_t: record.t,
            }),
        }
    }

    /// Keeps what opened the session.
    pub(super) fn note_config(&mut self, text: &str) {
        self.config = kept(Some(text));
    }

    /// Keeps what accepted it, a text with these fields. Says which family serves the session of a
    /// capture with that header.
    pub(super) fn note_ready(
        &mut self,
        text: Option<&str>,
        fields: Map<String, Value>,
        header: Option<&Header>,
    ) -> FamilyUse {
        self.ready_text = kept(text);
        // A text that is not kept says as little now as to whoever goes on from here.
        let fields = if self.ready_text.is_empty() { Map::new() } else { fields };
        self.contract = Contract::of_fields(&fields);
        FamilyUse::of_fields(&family::fields(&self.config), &fields, header)
    }

    pub(super) fn refused(
        &mut self,
        record: &Record<'_>,
        code: Option<String>,
        message: Option<String>,
    ) {
        self.ending.refused(record.t, code.as_deref(), message.as_deref());
        let texts =
            [("type", Some("error")), ("code", code.as_deref()), ("message", message.as_deref())];
        let fields = texts
            .into_iter()
            .filter_map(|(key, text)| Some((key.to_owned(), Value::from(text?))))
            .collect();
        self.push_event(record, fields);
        self.refusal = Some((code, message));
    }

    pub(super) fn closed(
        &mut self,
        record: &Record<'_>,
        direction: Direction,
        code: Option<u16>,
        reason: String,
    ) {
        let close = Close { t: record.t, direction, code, reason };
        self.ending.closed(&close);
        self.closes.push(close);
    }

    /// Keeps an event; `params_echo` also merges its knobs, and one that cannot be merged is an
    /// error beside the event.
    pub(super) fn server_event(&mut self, record: &Record<'_>, mut fields: Map<String, Value>) {
        if kind_of(&fields) == Some("error") {
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            self.ending.error(record.t, text("code"), text("message"));
        }
        if kind_of(&fields) == Some("bounce_ready") {
            self.awaited_bounce = Some((record.seq, record.t));
        }
        let is_echo = kind_of(&fields) == Some("params_echo");
        let raw = if is_echo { fields.remove("raw") } else { None };
        fields.retain(|_, value| match value {
            Value::Array(_) | Value::Object(_) => value.to_string().len() <= MAX_NESTED_LEN,
            _ => true,
        });
        fields.entry("type").or_insert(Value::Null);
        self.push_event(record, fields);
        match raw {
            Some(Value::Object(raw)) => {
                self.raw.extend(raw.clone());
                self.last_echo = (self.last_echo.0 + 1, raw);
            }
            Some(raw) if !json::is_nothing(&raw) => {
                self.undecodable(record, &"params_echo: raw is not an object");
            }
            _ => {}
        }
    }

    pub(super) fn undecodable(&mut self, record: &Record<'_>, error: &dyn Display) {
        self.decode_errors += 1;
        let mut fields = Map::new();
        fields.insert("type".to_owned(), Value::from(DECODE_ERROR));
        fields.insert("error".to_owned(), Value::from(error.to_string()));
        self.push_event(record, fields);
    }

    fn push_event(&mut self, record: &Record<'_>, fields: Map<String, Value>) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
            self.events_dropped += 1;
        }
        self.events.push_back(ServerEvent { t: record.t, seq: record.seq, fields });
    }
}

/// Whether a record is the one after number `next_seq - 1`; a gap stands for those it counts, which
/// a live engine may have seen although the capture lacks them.
fn follows(record: &Record<'_>, next_seq: u64) -> bool {
    match &record.body {
        Body::Gap(gap) => {
            // A recorder's gap has a number of its own; one of `recover` has that of the last
            // record that is missing.
            let after = gap.first_seq.saturating_add(gap.count);
            gap.first_seq <= next_seq
                && record.seq >= next_seq
                && (record.seq == after || record.seq.saturating_add(1) == after)
        }
        _ => record.seq == next_seq,
    }
}

fn kept(text: Option<&str>) -> String {
    text.filter(|text| text.len() <= MAX_OPENING_LEN).unwrap_or_default().to_owned()
}

fn direction_index(direction: Direction) -> usize {
    match direction {
        Direction::ClientToServer => 0,
        Direction::ServerToClient => 1,
    }
}
