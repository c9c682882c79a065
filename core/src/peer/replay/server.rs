//! The recorded server: what to send to a live client, and when.
//!
//! The tape begins when the client sends its first message. In a causal replay a recorded reply waits
//! for the message that it answered: `ready` and `swap_ready` block the tape, since what follows
//! belongs to them; any other reply waits alone. No reply is early: it keeps its recorded distance
//! both from the beginning and from its cause. Going back reaches the client as a swap to the initial
//! buffer, since the protocol has no other way.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::causes::{ClientActions, ReplyCause};
use super::divergence::{ActionCounts, Comparer, Divergence, Drift, TimeKeeper};
use super::options::{Control, MAX_AHEAD_BYTES, ReplayOptions, ReplayStatus, Wanted};
use super::schedule::{PartDue, ReplyCost, Schedule};
use super::tape::{ClientAction, PartBody, ReplyKind, TapePart, TapeReply};
use crate::lag::stats::round;
use crate::peer::Outgoing;
use crate::peer::server::Incoming;
use crate::time::Nanos;
use crate::wire::json::parse_object;
use crate::wire::message::{ClientText, client_text};

/// Replies that may wait for their causes; further ones are sent at once.
const MAX_WAITING: usize = 4096;

/// Where a replay is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client has not begun its session.
    Waiting,
    Playing,
    /// The tape has to be brought back to its beginning.
    Rewinding,
    /// The beginning is being repeated, up to its buffer.
    BeginningAgain,
    /// Nothing more is played.
    Over,
}

/// The server side of a replay.
#[derive(Debug)]
pub struct ReplayServer {
    options: ReplayOptions,
    stage: Stage,
    parts: VecDeque<TapePart>,
    held_bytes: usize,
    /// No parts follow those that are held.
    is_tape_ended: bool,
    schedule: Schedule,
    /// Replies whose causes are still to come.
    waiting: VecDeque<(ReplyCause, Outgoing)>,
    outbox: VecDeque<Outgoing>,
    comparer: Comparer,
    time: TimeKeeper,
    /// The moment of the last part played.
    position: Nanos,
    rounds: u64,
    left_out: u64,
    /// The end of the tape was played, in this round or an earlier one.
    is_whole: bool,
    /// The first recorded report, for which the tape waits until the client makes its own, is behind.
    is_aligned: bool,
}

/// What the tape waits for where that is no action: the client's first report.
pub const FIRST_REPORT: &str = "first report";

impl ReplayServer {
    /// A replay that waits for its client.
    #[must_use]
    pub fn new(options: ReplayOptions) -> ReplayServer {
        ReplayServer {
            schedule: Schedule::new(&options),
            position: options.origin,
            options,
            stage: Stage::Waiting,
            parts: VecDeque::new(),
            held_bytes: 0,
            is_tape_ended: false,
            waiting: VecDeque::new(),
            outbox: VecDeque::new(),
            comparer: Comparer::default(),
            time: TimeKeeper::default(),
            rounds: 0,
            left_out: 0,
            is_whole: false,
            is_aligned: false,
        }
    }

    /// What the driver should bring next.
    #[must_use]
    pub fn wants(&self) -> Wanted {
        let has_room = !self.is_tape_ended && self.held_bytes < MAX_AHEAD_BYTES;
        match self.stage {
            Stage::Over => Wanted::Nothing,
            Stage::Rewinding => Wanted::Rewind,
            _ if has_room => Wanted::Parts,
            _ => Wanted::Nothing,
        }
    }

    /// Takes the next part.
    pub fn offer(&mut self, part: TapePart) {
        self.held_bytes += part.bytes();
        self.parts.push_back(part);
    }

    /// Notes that no further parts follow.
    pub fn end_of_tape(&mut self) {
        self.is_tape_ended = true;
    }

    /// Notes that the tape is at its beginning again.
    pub fn rewound(&mut self) {
        self.stage = Stage::BeginningAgain;
        self.is_tape_ended = false;
        self.rounds += 1;
        self.parts.clear();
        self.held_bytes = 0;
        self.waiting.clear();
        self.schedule.actions = ClientActions::reopened();
        self.comparer.stop();
        self.time.jump();
        self.is_aligned = true;
    }

    /// Whether the tape is ready for the client's first message, with which it begins.
    #[must_use]
    pub fn can_begin(&self) -> bool {
        self.has_begun() || self.is_tape_ended || !self.parts.is_empty()
    }

    /// Whether the client has begun its session.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.schedule.has_begun()
    }

    /// Takes a message of the client; its first text begins the session.
    pub fn receive(&mut self, now: Nanos, message: Incoming<'_>) {
        let is_closed = matches!(message, Incoming::Closed);
        let begins = matches!(message, Incoming::Text(_)) || (self.options.is_plain && !is_closed);
        let is_first = !self.has_begun() && begins;
        if is_first {
            self.begin(now);
        }
        let (at_s, tape) = (self.at_s(now), self.tape_at(now));
        match message {
            Incoming::Text(text) => {
                if let (false, Ok(ClientText::Params(params))) = (is_first, client_text(text)) {
                    self.schedule.reported(now);
                    self.comparer.live_tick(at_s, tape, &params, self.schedule.pace());
                    return;
                }
                let object = parse_object(text).ok();
                let kind =
                    self.schedule.actions.text(now, object.as_ref().map(|object| &object.fields));
                self.compare(at_s, ClientAction::of_text(text, kind));
            }
            Incoming::Binary(bytes) => {
                let kind = self.schedule.actions.binary(now);
                self.compare(at_s, ClientAction::of_binary(bytes, kind));
            }
            Incoming::Pong => {}
            Incoming::Closed => self.stage = Stage::Over,
        }
    }

    fn begin(&mut self, now: Nanos) {
        self.position = self.parts.front().map_or(self.options.origin, |part| part.t);
        self.schedule.begin(now, self.position);
        self.enter(Stage::Playing);
    }

    /// Whether the recorded server spoke first, unasked.
    fn speaks_first(&self) -> bool {
        let first = self.parts.front().map(|part| &part.body);
        let is_servers = matches!(first, Some(PartBody::Reply(_) | PartBody::Close { .. }));
        self.options.is_plain && self.stage == Stage::Waiting && is_servers
    }

    fn compare(&mut self, at_s: f64, action: ClientAction) {
        if !self.options.unknown.contains(&action.kind.as_str()) {
            self.comparer.live_action(at_s, action);
        }
    }

    /// Pauses, resumes, changes the rate or jumps.
    pub fn control(&mut self, now: Nanos, control: Control) {
        match control {
            Control::Pause => self.schedule.pause(now, self.position),
            Control::Resume => {
                let paused_ns = self.schedule.resume(now);
                self.time.paused_ns += paused_ns;
                self.time.stood(paused_ns);
            }
            Control::Rate(rate) if rate.is_finite() && rate > 0.0 => {
                self.schedule.set_rate(now, self.position, rate);
                self.time.jump();
            }
            Control::Jump(to_s) if to_s.is_finite() => {
                let to_ns = (to_s.max(0.0) * 1e9) as u64;
                let to = Nanos(self.options.origin.0.saturating_add(to_ns));
                self.comparer.stop();
                self.time.jump();
                self.is_aligned = true;
                if to < self.position {
                    self.enter(Stage::Rewinding);
                }
                self.schedule.catch_up_to(Some(to));
            }
            Control::Rate(_) | Control::Jump(_) => {}
        }
    }

    /// Where the replay is.
    #[must_use]
    pub fn status(&self, now: Nanos) -> ReplayStatus {
        ReplayStatus {
            at_s: round(self.at_s(now), 6),
            rate: self.schedule.rate(),
            paused: self.schedule.paused_at().is_some(),
            rounds: self.rounds,
        }
    }

    /// The next message to send, if one is due at `now`.
    pub fn poll(&mut self, now: Nanos) -> Option<Outgoing> {
        if self.speaks_first() {
            self.begin(now);
        }
        loop {
            if let Some(message) = self.outbox.pop_front() {
                return Some(message);
            }
            if !self.is_running() {
                return None;
            }
            if let Some(message) = self.take_waiting(now) {
                return Some(message);
            }
            let ends = |part: &TapePart| self.options.until.is_some_and(|until| part.t > until);
            match self.parts.front() {
                Some(part) if !ends(part) => {
                    let (tape, due) = (part.t, self.due(part));
                    if self.stage != Stage::BeginningAgain
                        && let Some(target) = self.schedule.catch_up(now, tape)
                    {
                        self.position = target;
                        self.time.jump();
                        continue;
                    }
                    match due {
                        PartDue::Now => {}
                        PartDue::At(at) if at <= now => {}
                        PartDue::At(_) | PartDue::Never => return None,
                    }
                    self.play_next(now);
                }
                None if !self.is_tape_ended => return None,
                _ => self.finish(),
            }
        }
    }

    /// When to poll again although nothing came.
    #[must_use]
    pub fn wake_at(&self) -> Option<Nanos> {
        if !self.is_running() {
            return None;
        }
        let waiting = self.waiting.iter().filter_map(|(cause, _)| self.schedule.waits_until(cause));
        let next = self.parts.front().and_then(|part| match self.due(part) {
            PartDue::At(at) => Some(at),
            PartDue::Now => Some(Nanos(0)),
            PartDue::Never => None,
        });
        waiting.chain(next).min()
    }

    /// How far client and clock strayed, as of `now`.
    #[must_use]
    pub fn divergence(&self, now: Nanos) -> Divergence {
        let first_difference = self.comparer.first_difference();
        let held = self.held_for().map(str::to_owned);
        let unanswered = self.waiting.iter().map(|(cause, _)| cause.kind.clone()).chain(held);
        let mut time = self.time.kept(self.schedule.rate());
        if let Some(since) = self.schedule.paused_at() {
            time.paused_s += now.seconds_since(since);
        }
        let from_s = round(self.from().seconds_since(self.options.origin), 6);
        Divergence {
            same: first_difference.is_none(),
            first_difference,
            actions: ActionCounts::of(&self.comparer.actions),
            knobs: ActionCounts::of(&self.comparer.knobs),
            ticks: self.comparer.ticks,
            position: self.comparer.position.map(Drift::rounded),
            time,
            strayed: from_s == 0.0
                && self.comparer.position.is_some_and(|drift| drift.has_strayed()),
            from_s,
            played_s: round(self.position.seconds_since(self.from()).max(0.0), 6),
            whole: self.is_whole,
            rounds: self.rounds,
            unanswered: unanswered.collect(),
            left_out: self.left_out,
        }
    }

    /// The kind of message that the tape waits for.
    #[must_use]
    pub fn held_for(&self) -> Option<&str> {
        let part = self.parts.front().filter(|_| self.stage != Stage::BeginningAgain)?;
        if self.aligns(part) && !self.schedule.has_reported() {
            return Some(FIRST_REPORT);
        }
        self.schedule.held_for(part).map(|cause| cause.kind.as_str())
    }

    /// Whether the tape came to its end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether a part is the recorded report at which the tape waits for the client's first.
    fn aligns(&self, part: &TapePart) -> bool {
        let is_report = matches!(&part.body, PartBody::Tick(tick) if tick.position_s.is_some());
        is_report && !self.is_aligned && self.schedule.is_paced()
    }

    /// By how much everything was slowed because client or machine did not keep up, in seconds.
    #[must_use]
    pub fn slowed_s(&self) -> f64 {
        self.time.slowed_ns as f64 / 1e9
    }

    /// Moves on to a stage, unless the replay is over.
    fn enter(&mut self, stage: Stage) {
        if self.stage != Stage::Over {
            self.stage = stage;
        }
    }

    /// Whether parts are being played, as far as there are any.
    fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Playing | Stage::BeginningAgain)
    }

    /// Where the replay begins, on the tape's clock.
    fn from(&self) -> Nanos {
        self.options.start_at.map_or(self.options.began, |at| at.max(self.options.began))
    }

    fn tape_at(&self, now: Nanos) -> Nanos {
        self.schedule.tape_at(now, self.position)
    }

    fn at_s(&self, now: Nanos) -> f64 {
        self.tape_at(now).seconds_since(self.options.origin)
    }

    fn due(&self, part: &TapePart) -> PartDue {
        match self.stage {
            Stage::BeginningAgain => PartDue::Now,
            _ if self.aligns(part) => self.schedule.due_with_report(part),
            _ => self.schedule.due(part),
        }
    }

    fn play_next(&mut self, now: Nanos) {
        let Some(part) = self.parts.pop_front() else { return };
        self.held_bytes = self.held_bytes.saturating_sub(part.bytes());
        self.position = part.t;
        if self.stage == Stage::BeginningAgain {
            self.begin_again(now, part);
            return;
        }
        if self.aligns(&part) {
            self.is_aligned = true;
            let waited_ns = self.schedule.wait_for_report(part.t);
            self.time.waited_ns += waited_ns;
            self.time.stood(waited_ns);
        }
        let at_s = part.t.seconds_since(self.options.origin);
        match part.body {
            PartBody::Action(action) => self.comparer.recorded_action(at_s, action),
            PartBody::Tick(tick) => self.comparer.recorded_tick(at_s, part.t, tick),
            PartBody::LeftOut => self.left_out += 1,
            PartBody::End => {}
            PartBody::Close { code, reason } => {
                self.outbox.push_back(Outgoing::Close { code, reason });
                self.stage = Stage::Over;
                self.is_whole = true;
            }
            PartBody::Reply(reply) => {
                self.keep_time(now, part.t, &reply);
                self.say(now, part.t, reply);
            }
        }
    }

    fn keep_time(&mut self, now: Nanos, tape: Nanos, reply: &TapeReply) {
        match self.schedule.spend(now, tape, reply) {
            ReplyCost::OnTheWay => self.time.sent_at_once(),
            ReplyCost::AtOnce => self.time.sent(tape, now, None),
            ReplyCost::Paced { late_ns, waited_ns, slowed_ns } => {
                self.time.waited_ns += waited_ns;
                self.time.stood(waited_ns);
                self.time.slowed_ns += slowed_ns;
                self.time.sent(tape, now, Some(late_ns));
            }
        }
    }

    fn say(&mut self, now: Nanos, tape: Nanos, reply: TapeReply) {
        match reply.kind {
            ReplyKind::InitialBuffer { frames, sample_rate } => {
                self.comparer.buffer(tape, frames, Some(sample_rate));
            }
            ReplyKind::SwapBuffer { frames } => self.comparer.buffer(tape, frames, None),
            _ => {}
        }
        let waits_alone =
            self.waiting.len() < MAX_WAITING && self.schedule.waits_alone(now, &reply);
        match reply.cause.filter(|_| waits_alone) {
            Some(cause) => self.waiting.push_back((cause, reply.message)),
            None => self.outbox.push_back(reply.message),
        }
    }

    /// Of the beginning, only the buffer is repeated, announced as a swap's.
    fn begin_again(&mut self, now: Nanos, part: TapePart) {
        let PartBody::Reply(TapeReply { message, kind: ReplyKind::InitialBuffer { .. }, .. }) =
            part.body
        else {
            return;
        };
        self.stage = Stage::Playing;
        self.outbox.push_back(Outgoing::Text(self.swap_ready()));
        self.outbox.push_back(message);
        self.schedule.jump(now, part.t);
    }

    fn swap_ready(&self) -> String {
        const SHARED: [&str; 6] =
            ["duration", "sample_rate", "channels", "bpm", "key", "time_signature"];
        let mut fields = Map::new();
        fields.insert("type".to_owned(), json!("swap_ready"));
        let shared = SHARED.iter().filter_map(|key| self.options.ready.get_key_value(*key));
        fields.extend(shared.map(|(key, value)| (key.clone(), value.clone())));
        fields.insert("fixture_name".to_owned(), Value::Null);
        fields.insert("source_epoch".to_owned(), json!(self.rounds));
        Value::Object(fields).to_string()
    }

    fn take_waiting(&mut self, now: Nanos) -> Option<Outgoing> {
        let is_due = |(cause, _): &(ReplyCause, Outgoing)| {
            self.schedule.waits_until(cause).is_some_and(|at| at <= now)
        };
        let at = self.waiting.iter().position(is_due)?;
        self.waiting.remove(at).map(|(_, message)| message)
    }

    fn finish(&mut self) {
        self.is_whole = true;
        if self.options.looped {
            self.stage = Stage::Rewinding;
            self.schedule.catch_up_to(self.options.start_at);
            return;
        }
        self.stage = Stage::Over;
        let reason = "the replay ends here".to_owned();
        self.outbox.push_back(Outgoing::Close { code: 1000, reason });
    }
}
