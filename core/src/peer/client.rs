//! The headless client.
//!
//! [`Client::see`] takes the records of its own session and hands them to its engine; [`Client::poll`]
//! returns what to send or mark, and when to finish. The driver stamps every message once, records it,
//! shows it to the client and only then sends it, so that the client, its engine and the capture see
//! exactly the same session.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::Outgoing;
use super::upload::Upload;
use crate::capture::{Body, Marker, Record, SessionPhase};
use crate::engine::Engine;
use crate::playhead::wrapped;
use crate::time::{Nanos, Span};
use crate::wire::json::parse_object;

mod finish;
mod options;

pub use finish::Finish;
pub use options::{
    ClientOptions, DEFAULT_PARAMS_HZ, DEFAULT_PING_EVERY, DEFAULT_READY_TIMEOUT, Dialect,
    MAX_PARAMS_HZ,
};

/// Something that a client does to the server beside reporting.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientCommand {
    /// Turns knobs, which go out with the next report and persist.
    Knobs(Map<String, Value>),
    /// Sends a message.
    Send(Outgoing),
    /// Asks for slices at these positions, in seconds, with the next report.
    RenderAt(Vec<f64>),
    /// Sends a report that another client made. Its knobs and its position stay; what it says about
    /// its connection becomes true of this one: time, bytes received, and in the modern dialect leads.
    Report(String),
}

/// What a client wants done next.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientStep {
    /// Record this message, show it to the client, send it.
    Send(Outgoing),
    /// Record this marker and show it to the client.
    Mark(Marker),
    /// The session is over: close, and write the end.
    Finish(Finish),
}

/// The client side of one session.
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    engine: Engine,
    started: Nanos,
    config: Option<Outgoing>,
    upload: Upload,
    next_op: usize,
    /// Ops that were not scripted.
    ops: VecDeque<Marker>,
    commands: VecDeque<(Span, ClientCommand)>,
    rate_set: bool,
    /// The listener waits for the first slice, and that is in the capture.
    waits: bool,
    next_tick: Option<Nanos>,
    next_ping: Option<Nanos>,
    pings: u64,
    queue: VecDeque<Outgoing>,
    slices_seen: u64,
    echoes_seen: u64,
    lowest_lead_s: Option<f64>,
    /// Positions to ask for with the next report.
    asked_for_s: Vec<f64>,
    is_paused: bool,
    /// The playhead at the last report, in seconds.
    reported_s: f64,
    finish: Option<Finish>,
}

impl Client {
    /// A client that begins its session at `now`.
    #[must_use]
    pub fn new(mut options: ClientOptions, now: Nanos) -> Self {
        options.script.sort_by_key(|scripted| scripted.at);
        options.commands.sort_by_key(|(at, _)| *at);
        let commands = std::mem::take(&mut options.commands).into();
        let config = std::mem::take(&mut options.config);
        let upload = Upload::of(&config, options.upload.take());
        let config = Value::Object(config).to_string();
        Client {
            engine: Engine::new(options.engine.clone()),
            started: now,
            config: Some(Outgoing::Text(config)),
            upload,
            next_op: 0,
            ops: VecDeque::new(),
            commands,
            rate_set: options.rate == 1.0,
            waits: false,
            next_tick: None,
            next_ping: None,
            pings: 0,
            queue: VecDeque::new(),
            slices_seen: 0,
            echoes_seen: 0,
            lowest_lead_s: None,
            asked_for_s: Vec::new(),
            is_paused: false,
            reported_s: 0.0,
            finish: None,
            options,
        }
    }

    /// Everything known of the session.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Sends a message of the caller's as soon as the stream runs.
    pub fn enqueue(&mut self, message: Outgoing) {
        self.queue.push_back(message);
    }

    /// Has the listener do something as soon as the stream runs, beside what is scripted.
    pub fn operate(&mut self, op: Marker) {
        self.ops.push_back(op);
    }

    /// Changes knobs; they go out with the next report and persist.
    pub fn set_knobs(&mut self, knobs: Map<String, Value>) {
        self.options.knobs.extend(knobs);
    }

    /// Takes a record of this session, of whatever direction.
    pub fn see(&mut self, record: &Record<'_>) {
        self.engine.handle(record);
        if let Body::Message(message) = &record.body {
            self.upload.see(message);
        }
        let reports = self.options.params_hz > 0.0;
        if reports && self.next_tick.is_none() && self.engine.origin().is_some() {
            self.next_tick = Some(record.t);
            self.next_ping = self.options.ping_every.map(|_| record.t);
        }
        match record.body {
            Body::Marker(Marker::Pause) => self.is_paused = true,
            Body::Marker(Marker::Resume) => self.is_paused = false,
            _ => {}
        }
        self.note_lead(record.t);
        self.take_echo();
        if matches!(record.body, Body::Message(_)) {
            self.note_end();
        }
    }

    /// What to do now; to be asked until there is nothing.
    pub fn poll(&mut self, now: Nanos) -> Option<ClientStep> {
        self.poll_with(now, true)
    }

    /// The same, for a client that leaves out reports while there is no room to send them.
    pub fn poll_with(&mut self, now: Nanos, has_room: bool) -> Option<ClientStep> {
        if let Some(finish) = self.finish.clone() {
            return Some(ClientStep::Finish(finish));
        }
        if let Some(config) = self.config.take() {
            self.upload.asked(now);
            return Some(ClientStep::Send(config));
        }
        if let Some(pcm) = self.upload.due(now) {
            return Some(ClientStep::Send(pcm));
        }
        let Some(origin) = self.engine.origin() else {
            let late = now.seconds_since(self.started) >= self.options.ready_timeout.seconds();
            return late
                .then_some(ClientStep::Finish(Finish::NoBuffer(self.options.ready_timeout)));
        };
        if !self.rate_set {
            self.rate_set = true;
            return Some(ClientStep::Mark(Marker::Rate { rate: self.options.rate }));
        }
        if let Some(op) = self.wait_for_audio() {
            return Some(ClientStep::Mark(op));
        }
        if let Some(op) = self.due_op(now, origin).or_else(|| self.ops.pop_front()) {
            return Some(ClientStep::Mark(op));
        }
        if self.ends_at(origin).is_some_and(|end| now >= end) {
            return Some(ClientStep::Finish(Finish::TimeUp));
        }
        self.do_commands(now, origin);
        if let Some(message) = self.queue.pop_front() {
            return Some(ClientStep::Send(message));
        }
        if let Some(ping) = self.due_ping(now) {
            return Some(ClientStep::Send(ping));
        }
        if self.next_tick.is_some_and(|tick| now >= tick) {
            self.next_tick = Some(self.tick_after(now, origin));
            if let Some(op) = self.wrap(now) {
                return Some(ClientStep::Mark(op));
            }
            if has_room && (self.options.reports_while_paused || !self.is_paused) {
                return Some(ClientStep::Send(Outgoing::Text(self.params(now))));
            }
        }
        None
    }

    /// When to poll again although nothing came.
    #[must_use]
    pub fn wake_at(&self) -> Option<Nanos> {
        let Some(origin) = self.engine.origin() else {
            let late = self.started.checked_add(self.options.ready_timeout);
            return late.into_iter().chain(self.upload.wake_at()).min();
        };
        let op = self.options.script.get(self.next_op).and_then(|op| origin.checked_add(op.at));
        let command = self.commands.front().and_then(|(at, _)| origin.checked_add(*at));
        [op, command, self.next_ping, self.next_tick, self.ends_at(origin)]
            .into_iter()
            .flatten()
            .min()
    }

    /// The listener stands before the first slice, and goes on with it.
    fn wait_for_audio(&mut self) -> Option<Marker> {
        let has_audio = self.engine.facts().slices > 0;
        if self.options.waits_for_audio {
            self.options.waits_for_audio = false;
            self.waits = !has_audio;
            return self.waits.then_some(Marker::Pause);
        }
        if !(self.waits && has_audio) {
            return None;
        }
        self.waits = false;
        Some(Marker::Resume)
    }

    fn ends_at(&self, origin: Nanos) -> Option<Nanos> {
        origin.checked_add(self.options.run_for?)
    }

    fn due_op(&mut self, now: Nanos, origin: Nanos) -> Option<Marker> {
        let scripted = self.options.script.get(self.next_op)?;
        if origin.checked_add(scripted.at)? > now {
            return None;
        }
        self.next_op += 1;
        Some(scripted.op.clone())
    }

    fn do_commands(&mut self, now: Nanos, origin: Nanos) {
        let is_due =
            |(at, _): &(Span, ClientCommand)| origin.checked_add(*at).is_some_and(|at| at <= now);
        while self.commands.front().is_some_and(is_due) {
            if let Some((_, command)) = self.commands.pop_front() {
                self.command(now, command);
            }
        }
    }

    /// A ping whose time has come, numbered so that its pong is known.
    fn due_ping(&mut self, now: Nanos) -> Option<Outgoing> {
        let every = self.options.ping_every?;
        self.next_ping.filter(|&due| now >= due)?;
        self.next_ping = now.checked_add(Span(every.0.max(1)));
        self.pings += 1;
        Some(Outgoing::Ping(self.pings.to_be_bytes().to_vec()))
    }

    /// Does something to the server as soon as the stream runs.
    pub fn command(&mut self, now: Nanos, command: ClientCommand) {
        match command {
            ClientCommand::Knobs(knobs) => self.set_knobs(knobs),
            ClientCommand::Send(message) => self.enqueue(message),
            ClientCommand::RenderAt(positions_s) => self.asked_for_s.extend(positions_s),
            ClientCommand::Report(text) => {
                let report = self.report_of_this_connection(now, text);
                self.enqueue(Outgoing::Text(report));
            }
        }
    }

    /// The jump at the end of a lap, for players that do not go on at the loop's beginning.
    fn wrap(&mut self, now: Nanos) -> Option<Marker> {
        let position_s = self.engine.playhead_s(now)?;
        let before_s = std::mem::replace(&mut self.reported_s, position_s);
        let frames = self.engine.epochs().last()?.frames;
        let loop_s = frames as f64 / f64::from(self.engine.sample_rate());
        let has_lapped = before_s - position_s > loop_s / 2.0;
        let to_s = self.options.wraps_to_s;
        (to_s > 0.0 && has_lapped && position_s < to_s).then_some(Marker::Seek { to_s })
    }

    /// The next tick of a steady cadence; ticks that were missed are left out.
    fn tick_after(&self, now: Nanos, origin: Nanos) -> Nanos {
        let period_ns = 1e9 / self.options.params_hz.clamp(f64::MIN_POSITIVE, MAX_PARAMS_HZ);
        let elapsed_ns = now.0.saturating_sub(origin.0) as f64;
        // Half a period of slack, so that a tick that came a little early is not made twice.
        let done = (elapsed_ns / period_ns + 0.5).floor();
        let next_ns = ((done + 1.0) * period_ns).min(u64::MAX as f64) as u64;
        Nanos(origin.0.saturating_add(next_ns).max(now.0.saturating_add(1)))
    }

    /// The report of a tick at `now`, which counts as sent.
    pub fn params(&mut self, now: Nanos) -> String {
        let sample_rate = self.engine.sample_rate();
        let frame = self.engine.playhead_frame(now).unwrap_or_default();
        let frame = frame - frame % u64::from(self.options.position_step.max(1));
        let mut params = Map::new();
        params.insert("type".to_owned(), json!("params"));
        params.insert("raw".to_owned(), Value::Object(self.options.knobs.clone()));
        params.insert("playback_pos".to_owned(), json!(frame as f64 / f64::from(sample_rate)));
        if self.options.dialect != Dialect::Legacy {
            params.insert("client_time".to_owned(), json!(now.seconds()));
            params.insert("slice_bytes_rx".to_owned(), json!(self.engine.facts().slice_bytes));
        }
        if self.options.dialect == Dialect::Modern
            && let Some(lead_s) = self.lowest_lead_s.take()
        {
            params.insert("slice_lead_s".to_owned(), json!(lead_s));
        }
        if !self.asked_for_s.is_empty() {
            let positions_s = std::mem::take(&mut self.asked_for_s);
            params.insert("render_anchor_queue_s".to_owned(), json!(positions_s));
        }
        Value::Object(params).to_string()
    }

    /// A report of another client's, with what this connection has received.
    fn report_of_this_connection(&mut self, now: Nanos, text: String) -> String {
        let Ok(object) = parse_object(&text) else { return text };
        let mut fields = object.fields;
        let own = [
            ("client_time", json!(now.seconds())),
            ("slice_bytes_rx", json!(self.engine.facts().slice_bytes)),
        ];
        for (key, value) in own {
            if let Some(field) = fields.get_mut(key) {
                *field = value;
            }
        }
        fields.shift_remove("slice_lead_s");
        if self.options.dialect == Dialect::Modern
            && let Some(lead_s) = self.lowest_lead_s.take()
        {
            fields.insert("slice_lead_s".to_owned(), json!(lead_s));
        }
        Value::Object(fields).to_string()
    }

    /// Notes the lead of a slice that was just applied, as modern clients measure it: unlike the
    /// tracker, against the playhead before it is cut to a whole frame.
    fn note_lead(&mut self, now: Nanos) {
        let applied = self.engine.facts().slices;
        if applied == self.slices_seen {
            return;
        }
        self.slices_seen = applied;
        let Some(epoch) = self.engine.epochs().last() else { return };
        let (Some(slice), Some(playhead_s)) =
            (epoch.tracker.slices().next_back(), self.engine.playhead_s(now))
        else {
            return;
        };
        let sample_rate = self.engine.sample_rate();
        let lead_s = reported_lead_s(slice.start, playhead_s, epoch.frames, sample_rate);
        self.lowest_lead_s = Some(self.lowest_lead_s.map_or(lead_s, |lowest| lowest.min(lead_s)));
    }

    /// Merges knobs that were changed elsewhere, so that the next report confirms them.
    fn take_echo(&mut self) {
        let (echoes, knobs) = &self.engine.facts().last_echo;
        if *echoes > self.echoes_seen {
            self.echoes_seen = *echoes;
            self.options.knobs.extend(knobs.clone());
        }
    }

    /// Notices that the session is over.
    fn note_end(&mut self) {
        let facts = self.engine.facts();
        if let Some((code, message)) = &facts.refusal {
            let parts: Vec<_> = [code, message].into_iter().flatten().map(String::as_str).collect();
            self.finish = Some(Finish::Refused(parts.join(": ")));
        } else if let Some(close) = facts.closes.first() {
            self.finish = Some(Finish::Closed(close.code, close.reason.clone()));
        } else if self.engine.interpreter().phase() == SessionPhase::Streaming
            && self.engine.origin().is_none()
        {
            let reason = facts.events.back().and_then(|event| event.fields.get("error")?.as_str());
            self.finish = Some(Finish::BadBuffer(reason.unwrap_or("wrong size").to_owned()));
        }
    }
}

/// The lead that a modern client reports: from playhead to slice start, folded to half a loop.
pub(crate) fn reported_lead_s(start: u32, playhead_s: f64, frames: u64, sample_rate: u32) -> f64 {
    let loop_s = frames.max(1) as f64 / f64::from(sample_rate);
    let ahead_s = f64::from(start) / f64::from(sample_rate) - playhead_s;
    wrapped(ahead_s + loop_s / 2.0, loop_s) - loop_s / 2.0
}
