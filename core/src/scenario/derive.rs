//! The counterfactual session as a capture of its own.
//!
//! Renders a [`Counterfactual`] into the records of its recording: of what leaves an engine makes just
//! the report that the answer gives, and the audio that would have been heard. Without a model the
//! slices are the recorded ones and the ops are others. With one the slices and reports are those that
//! a run emitted, and hold what the recording's loop held there at that moment: an approximation, for
//! nobody knows what the server would have rendered. Messages that are neither slices nor reports
//! stay where they were. Neither reads nor writes a file.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::Playback;
use super::advice::Advice;
use super::model::{Emitted, EmittedReport};
use super::playhead_plan::{first_ops, skewed, stays};
use crate::capture::{Body, Direction, Gap, Header, Marker, Message, Opcode, Record};
use crate::engine::{Engine, Options};
use crate::event::{Event, Interpreter};
use crate::lag::SliceRecord;
use crate::peer::client::reported_lead_s;
use crate::playhead::PlayheadSource;
use crate::time::Nanos;
use crate::wire::slice::{HEADER_LEN, SliceEncoder, SliceHeader};

/// What would have happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Counterfactual {
    /// The recorded slices came, and the listener was elsewhere.
    Moved(Playback),
    /// A run of the model.
    Modelled(Emitted),
}

/// Positions in quanta follow from no op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position in quanta has no audio and no capture")]
pub struct Quantised;

impl Quantised {
    /// What to do.
    #[must_use]
    pub fn advice(self) -> Advice {
        Advice::LeaveOut("quantum")
    }
}

/// Strength of zstd for slices made anew, as the server has it.
const ZSTD_LEVEL: i32 = 1;
/// How a slice is announced whose audio is not known.
const FLAGS_DELTA: u8 = 1;

/// Turns the records of a recording into those of the counterfactual.
pub struct Deriver<'a> {
    counterfactual: &'a Counterfactual,
    mark: &'a dyn Fn(&mut Header),
    out: &'a mut dyn FnMut(&Record<'_>),
    interpreter: Interpreter,
    /// What was rendered so far, which knows where the listener is.
    rendered: Engine,
    lowest_lead_s: Option<f64>,
    next_seq: u64,
    /// Records rendered beyond those recorded.
    extra: i64,
    conn: u32,
    ops: VecDeque<(Nanos, Marker)>,
    remade: Option<Remade>,
    ends: bool,
}

/// What is rendered, in the order in which simultaneous things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rendered {
    Slice,
    Op,
    Report,
}

/// What it takes to make slices and reports anew.
struct Remade {
    /// The recording itself, with its audio.
    recorded: Engine,
    encoder: Option<SliceEncoder>,
    slices: VecDeque<(Nanos, SliceRecord)>,
    reports: VecDeque<EmittedReport>,
    /// The newest recorded report, after which those rendered are made.
    report: Option<String>,
    slice_bytes: u64,
}

impl<'a> Deriver<'a> {
    /// Before the first record. `mark` writes into the header that it is no recording, and `out`
    /// takes what is rendered.
    ///
    /// # Errors
    /// Where the counterfactual cannot be rendered as ops.
    pub fn new(
        counterfactual: &'a Counterfactual,
        mark: &'a dyn Fn(&mut Header),
        out: &'a mut dyn FnMut(&Record<'_>),
    ) -> Result<Self, Quantised> {
        let mut remade = None;
        match counterfactual {
            Counterfactual::Moved(playback) if playback.quantum_frames.is_some_and(|q| q > 1) => {
                return Err(Quantised);
            }
            Counterfactual::Modelled(emitted) if emitted.in_quanta => return Err(Quantised),
            Counterfactual::Moved(_) => {}
            Counterfactual::Modelled(emitted) => {
                remade = Some(Remade {
                    recorded: Engine::new(Options { tracker_bound: Some(1), ..Options::default() }),
                    encoder: None,
                    slices: emitted.slices.iter().copied().collect(),
                    reports: emitted.reports.iter().copied().collect(),
                    report: None,
                    slice_bytes: 0,
                });
            }
        }
        let options = Options { headers_only: true, tracker_bound: Some(1), ..Options::default() };
        Ok(Deriver {
            counterfactual,
            mark,
            out,
            interpreter: Interpreter::new(),
            rendered: Engine::new(options),
            lowest_lead_s: None,
            next_seq: 0,
            extra: 0,
            conn: 0,
            ops: VecDeque::new(),
            remade,
            ends: false,
        })
    }

    /// Takes the next record of the recording. Its end is left out: the counterfactual has its own.
    pub fn handle(&mut self, record: &Record<'_>) {
        if self.rendered.origin().is_some() {
            self.render_until(record.t);
        }
        let event = match &record.body {
            Body::Message(message) => Some(self.interpreter.read(record.conn, message)),
            _ => None,
        };
        let begins = self.rendered.origin().is_none();
        if let Some(remade) = &mut self.remade {
            remade.recorded.handle(record);
        }
        match (&record.body, event) {
            (Body::Header(header), _) => {
                let mut header = header.clone();
                (self.mark)(&mut header);
                self.copy(record, Body::Header(header));
            }
            // It speaks of places in another file, and has no number.
            (Body::Checkpoint(_), _) => {}
            (Body::Context(context), _) if begins => {
                self.interpreter = Interpreter::resume(&context.state);
                self.conn = context.state.connection.unwrap_or_default();
                if let Some(remade) = &mut self.remade {
                    remade.slice_bytes = context.state.slice_bytes;
                }
                self.copy(record, record.body.clone());
            }
            (Body::End(_) | Body::Other(_), _) => self.extra -= 1,
            (Body::Marker(op), _) => self.recorded_op(record, op),
            (Body::Message(message), Some(Event::InitialBuffer)) => {
                self.conn = record.conn;
                self.copy(record, Body::Message(*message));
            }
            (Body::Message(message), Some(Event::Tick(_))) => self.recorded_tick(record, message),
            (Body::Message(_), Some(Event::Slice)) if self.remade.is_some() => self.extra -= 1,
            (Body::Gap(gap), _) => {
                let first_seq = gap.first_seq.saturating_add_signed(self.extra);
                self.copy(record, Body::Gap(Gap { first_seq, ..gap.clone() }));
            }
            (body, _) => self.copy(record, body.clone()),
        }
        if let Some(origin) = self.rendered.origin().filter(|_| begins) {
            self.begin(record.t, origin);
        }
    }

    /// Tells the rest of the counterfactual, which is over at `end`. Leaves the number of the next record.
    pub fn finish(mut self, end: Nanos) -> u64 {
        self.ends = true;
        if self.rendered.origin().is_some() {
            self.render_until(Nanos(end.0.saturating_add(1)));
        }
        self.next_seq
    }

    /// The stream begins, with the initial buffer at `origin` or later in its middle.
    fn begin(&mut self, t: Nanos, origin: Nanos) {
        match self.counterfactual {
            Counterfactual::Moved(playback) => {
                let at = |op: &crate::peer::script::ScriptedOp| origin.checked_add(op.at);
                let ops = playback.ops.iter();
                let mut ops: Vec<_> =
                    ops.filter_map(|op| Some((at(op)?, skewed(&op.op, playback)))).collect();
                ops.sort_by_key(|(t, _)| *t);
                self.ops = ops.into();
                if let Some(playhead) = self.rendered.simulated_playhead() {
                    let ops = first_ops(playback, playhead);
                    ops.for_each(|op| self.insert(t, Body::Marker(op)));
                }
            }
            Counterfactual::Modelled(emitted) => {
                self.ops = emitted.ops.iter().cloned().collect();
                if let Some(remade) = &mut self.remade
                    && let Some(mirror) = remade.recorded.mirror()
                {
                    let (audio, channels) = (mirror.samples().to_vec(), mirror.channels());
                    remade.encoder = Some(SliceEncoder::new(audio, channels, ZSTD_LEVEL));
                }
            }
        }
    }

    /// Tells what happens before `t`: at one moment slices first, then ops, then reports.
    fn render_until(&mut self, t: Nanos) {
        // Reports are made after a recorded one, and the first may come a little before it.
        if !self.ends && self.remade.as_ref().is_some_and(|remade| remade.report.is_none()) {
            return;
        }
        loop {
            let op = self.ops.front().map(|op| op.0);
            let remade = self.remade.as_ref();
            let slice = remade.and_then(|remade| remade.slices.front()).map(|slice| slice.0);
            let report = remade.and_then(|remade| remade.reports.front()).map(|report| report.t);
            let next = [(slice, Rendered::Slice), (op, Rendered::Op), (report, Rendered::Report)];
            let next = next.into_iter().filter_map(|(at, what)| Some((at?, what))).min();
            match next.filter(|(at, _)| *at < t) {
                None => return,
                Some((_, Rendered::Slice)) => self.render_slice(),
                Some((_, Rendered::Op)) => self.render_op(),
                Some((_, Rendered::Report)) => self.render_report(),
            }
        }
    }

    fn render_op(&mut self) {
        if let Some((at, op)) = self.ops.pop_front() {
            self.insert(at, self.op_as_rendered(op));
        }
    }

    /// Positions that are reported follow no op, and would follow this one again in a what-if of the
    /// counterfactual: there it is only a moment with a name.
    fn op_as_rendered(&self, op: Marker) -> Body<'static> {
        let reported = self.rendered.playhead_source() == PlayheadSource::Reported;
        let name = |op: &Marker| match op {
            Marker::Seek { to_s } => format!("what-if: seek to {to_s} s"),
            Marker::Rate { rate } => format!("what-if: rate {rate}"),
            Marker::Pause => "what-if: pause".to_owned(),
            Marker::Resume => "what-if: resume".to_owned(),
            Marker::Point { name } => name.clone(),
        };
        Body::Marker(if reported { Marker::Point { name: name(&op) } } else { op })
    }

    fn recorded_op(&mut self, record: &Record<'_>, op: &Marker) {
        match self.counterfactual {
            Counterfactual::Moved(playback) if stays(op, playback) => {
                self.copy(record, Body::Marker(skewed(op, playback)));
            }
            _ => self.extra -= 1,
        }
    }

    fn recorded_tick(&mut self, record: &Record<'_>, message: &Message<'_>) {
        let text = message.text().map(str::to_owned);
        if let Some(remade) = &mut self.remade {
            remade.report = text.or(remade.report.take());
            self.extra -= 1;
            return;
        }
        match text.and_then(|text| self.moved_report(record.t, &text)) {
            None => self.copy(record, Body::Message(*message)),
            Some(text) => {
                let payload = text.as_bytes();
                let message = Message { payload, whole_len: None, sha256: None, ..*message };
                self.copy(record, Body::Message(message));
            }
        }
        self.lowest_lead_s = None;
    }

    /// A recorded report as the moved listener makes it; `None` where it is the same.
    fn moved_report(&self, t: Nanos, text: &str) -> Option<String> {
        if self.rendered.playhead_source() == PlayheadSource::Reported {
            return None;
        }
        let mut fields: Map<String, Value> = serde_json::from_str(text).ok()?;
        let sample_rate = self.rendered.sample_rate();
        let position_s = self.rendered.playhead_frame(t)? as f64 / f64::from(sample_rate);
        let said = [("playback_pos", Some(position_s)), ("slice_lead_s", self.lowest_lead_s)];
        let mut changed = false;
        for (key, value) in said {
            if let (Some(field), Some(value)) = (fields.get_mut(key), value)
                && field.as_f64().is_some_and(|recorded| recorded != value)
            {
                *field = json!(value);
                changed = true;
            }
        }
        changed.then(|| Value::Object(fields).to_string())
    }

    fn render_slice(&mut self) {
        let Counterfactual::Modelled(emitted) = self.counterfactual else { return };
        let Some(remade) = &mut self.remade else { return };
        let Some((t, slice)) = remade.slices.pop_front() else { return };
        let (bytes, whole_len) = remade.slice(&slice, emitted);
        remade.slice_bytes += whole_len.unwrap_or(bytes.len() as u64);
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, &bytes);
        self.insert(t, Body::Message(Message { whole_len, ..message }));
    }

    fn render_report(&mut self) {
        let Some(remade) = &mut self.remade else { return };
        let Some(report) = remade.reports.pop_front() else { return };
        let recorded = remade.report.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mut fields: Map<String, Value> = recorded.unwrap_or_default();
        if fields.is_empty() {
            fields.insert("type".to_owned(), json!("params"));
        }
        let acked = report.acknowledges.then_some(remade.slice_bytes);
        let modern = report.client_time.is_some();
        let lead_s = if modern { self.lowest_lead_s.take() } else { None };
        let said = [
            ("playback_pos", report.position_s.map(Value::from)),
            ("client_time", report.client_time.map(Value::from)),
            ("slice_bytes_rx", acked.map(Value::from)),
            ("slice_lead_s", lead_s.map(Value::from)),
        ];
        for (key, value) in said {
            match value {
                Some(value) => _ = fields.insert(key.to_owned(), value),
                None => _ = fields.shift_remove(key),
            }
        }
        let text = Value::Object(fields).to_string();
        let message = Message::new(Direction::ClientToServer, Opcode::Text, text.as_bytes());
        self.insert(report.t, Body::Message(message));
    }

    /// A recorded record with another body.
    fn copy(&mut self, record: &Record<'_>, body: Body<'_>) {
        let seq = record.seq.saturating_add_signed(self.extra);
        self.render(&Record { seq, body, ..*record });
    }

    /// A record that the recording does not have.
    fn insert(&mut self, t: Nanos, body: Body<'_>) {
        self.extra += 1;
        self.render(&Record { seq: self.next_seq, t, conn: self.conn, body });
    }

    fn render(&mut self, record: &Record<'_>) {
        let slices = self.rendered.facts().slices;
        self.rendered.handle(record);
        self.next_seq = record.seq.saturating_add(1);
        if self.rendered.facts().slices > slices {
            self.note_lead(record.t);
        }
        (self.out)(record);
    }

    /// The lead of the slice that was just rendered, as a client measures it.
    fn note_lead(&mut self, t: Nanos) {
        let Some(epoch) = self.rendered.epochs().last() else { return };
        let slice = epoch.tracker.slices().next_back();
        let (Some(slice), Some(playhead_s)) = (slice, self.rendered.playhead_s(t)) else { return };
        let sample_rate = self.rendered.sample_rate();
        let lead_s = reported_lead_s(slice.start, playhead_s, epoch.frames, sample_rate);
        self.lowest_lead_s = Some(self.lowest_lead_s.map_or(lead_s, |lowest| lowest.min(lead_s)));
    }
}

impl Remade {
    /// The message of a slice, and its whole length where its audio is not known.
    fn slice(&mut self, slice: &SliceRecord, emitted: &Emitted) -> (Vec<u8>, Option<u64>) {
        let (tick_ms, dec_ms) = (slice.tick_ms as f32, slice.dec_ms as f32);
        if let (Some(encoder), Some(mirror)) = (&mut self.encoder, self.recorded.mirror()) {
            let channels = usize::from(mirror.channels());
            let from = (slice.start as usize).min(mirror.frames());
            let until = from.saturating_add(slice.frames as usize).min(mirror.frames());
            let audio = &mirror.samples()[from * channels..until * channels];
            let made = encoder.encode(slice.start, audio, tick_ms, dec_ms, slice.generations);
            if let Some(message) = made {
                return (message, None);
            }
        }
        let header = SliceHeader {
            flags: FLAGS_DELTA,
            start: slice.start,
            frames: slice.frames,
            channels: emitted.channels,
            tick_ms,
            dec_ms,
            generations: slice.generations,
        };
        let audio_len = (emitted.bytes_per_frame * f64::from(slice.frames)) as u64;
        (header.to_bytes().to_vec(), Some(HEADER_LEN as u64 + audio_len.max(1)))
    }
}
