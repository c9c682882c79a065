//! When the parts of a recording are due, and how late and how long delayed a reply is.
//!
//! This depends on the clock and on what the live client has done, never on what a part contains.

use super::causes::{CONFIG, ClientActions, ReplyCause};
use super::options::{ReplayOptions, Timing};
use super::pace::{MAX_LATE_NS, Pace};
use super::tape::{PartBody, ReplyKind, TapePart, TapeReply};
use crate::time::Nanos;

/// When a part may be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartDue {
    At(Nanos),
    Now,
    Never,
}

/// What sending a reply cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyCost {
    /// It is not timed: the tape is catching up with the start or with a jump.
    OnTheWay,
    /// It is not timed: everything is sent as fast as the client reads.
    AtOnce,
    /// It was late, the tape had waited for the client, and everything after it comes later.
    Paced { late_ns: u64, waited_ns: u64, slowed_ns: u64 },
}

/// Which replies wait for their causes.
#[derive(Debug, Clone, Copy)]
struct Waits {
    for_all: bool,
    /// A page that did not ask for a swap takes the slices after it for those of the buffer before.
    for_swaps: bool,
}

/// The clock of a replay, and what it waits for.
#[derive(Debug)]
pub(super) struct Schedule {
    timing: Timing,
    waits: Waits,
    /// From the client's first message on.
    pace: Option<Pace>,
    paused_at: Option<Nanos>,
    /// Parts before this one are not paced.
    catch_up_to: Option<Nanos>,
    /// When the client first reported its playhead.
    reported_at: Option<Nanos>,
    pub actions: ClientActions,
}

impl Schedule {
    pub fn new(options: &ReplayOptions) -> Schedule {
        Schedule {
            timing: options.timing,
            waits: Waits {
                for_all: options.causal,
                for_swaps: !options.unasked && options.timing != Timing::Max,
            },
            pace: None,
            paused_at: None,
            // A recording without the session's beginning has nothing to catch up with before its own.
            catch_up_to: options
                .start_at
                .filter(|at| options.began == options.origin || *at > options.began),
            reported_at: None,
            actions: ClientActions::default(),
        }
    }

    pub fn has_begun(&self) -> bool {
        self.pace.is_some()
    }

    /// The tape is at `first` from `now` on.
    pub fn begin(&mut self, now: Nanos, first: Nanos) {
        self.pace = Some(Pace::new(first, now, self.rate().unwrap_or(1.0)));
    }

    /// Seconds of the tape in a second; `None`: as fast as the client reads.
    pub fn rate(&self) -> Option<f64> {
        match self.timing {
            Timing::Recorded { rate } => Some(rate),
            Timing::Max => None,
        }
    }

    /// The clock, where the client's can be compared with it.
    pub fn pace(&self) -> Option<&Pace> {
        self.pace.as_ref().filter(|_| self.timing != Timing::Max)
    }

    pub fn paused_at(&self) -> Option<Nanos> {
        self.paused_at
    }

    /// The moment of the tape at `now`; the last part played was at `position`.
    pub fn tape_at(&self, now: Nanos, position: Nanos) -> Nanos {
        let pace = self.pace().filter(|_| self.catch_up_to.is_none());
        pace.map_or(position, |pace| pace.tape_at(now))
    }

    /// Stops the clock at `now`.
    pub fn pause(&mut self, now: Nanos, position: Nanos) {
        let tape = self.tape_at(now, position);
        if let Some(pace) = self.pace.as_mut().filter(|_| self.paused_at.is_none()) {
            pace.jump(now, tape);
            pace.pause(now);
            self.paused_at = Some(now);
        }
    }

    /// Starts the clock again; returns how long it stood still.
    pub fn resume(&mut self, now: Nanos) -> u64 {
        if let Some(pace) = &mut self.pace {
            pace.resume(now);
        }
        self.paused_at.take().map_or(0, |since| now.0.saturating_sub(since.0))
    }

    /// Changes the rate from `now` on, also from as fast as possible.
    pub fn set_rate(&mut self, now: Nanos, position: Nanos, rate: f64) {
        let tape = self.tape_at(now, position);
        if let Some(pace) = &mut self.pace {
            pace.jump(now, tape);
            pace.set_rate(now, rate);
        }
        self.timing = Timing::Recorded { rate };
    }

    /// Moves the clock to `tape` at `now`.
    pub fn jump(&mut self, now: Nanos, tape: Nanos) {
        if let Some(pace) = &mut self.pace {
            pace.jump(now, tape);
        }
    }

    /// Sends everything before `target` at once.
    pub fn catch_up_to(&mut self, target: Option<Nanos>) {
        self.catch_up_to = target;
    }

    /// The target of catching up, once a part at `tape` reaches it; the clock then continues there.
    pub fn catch_up(&mut self, now: Nanos, tape: Nanos) -> Option<Nanos> {
        let target = self.catch_up_to.take_if(|target| tape >= *target)?;
        self.jump(now, target);
        Some(target)
    }

    /// When a part may be played.
    pub fn due(&self, part: &TapePart) -> PartDue {
        let Some(pace) = &self.pace else { return PartDue::Never };
        let cause = holding(part, self.waits);
        let caused = cause.map(|cause| self.caused_at(cause));
        if caused == Some(None) {
            return PartDue::Never;
        }
        if self.catch_up_to.is_some() {
            return PartDue::Now;
        }
        match (self.timing, pace.now_at(part.t)) {
            (_, None) => PartDue::Never,
            (Timing::Max, Some(_)) => PartDue::Now,
            (_, Some(paced)) => {
                PartDue::At(caused.flatten().map_or(paced, |caused| caused.max(paced)))
            }
        }
    }

    /// The client reports.
    pub fn reported(&mut self, now: Nanos) {
        self.reported_at.get_or_insert(now);
    }

    /// Whether the client has reported.
    pub fn has_reported(&self) -> bool {
        self.reported_at.is_some()
    }

    /// Whether parts are played at their times.
    pub fn is_paced(&self) -> bool {
        self.timing != Timing::Max && self.catch_up_to.is_none()
    }

    /// When the first recorded report may be passed: in its time, and not before the client's first.
    pub fn due_with_report(&self, part: &TapePart) -> PartDue {
        match (self.due(part), self.reported_at) {
            (PartDue::At(at), Some(reported_at)) => PartDue::At(at.max(reported_at)),
            (PartDue::At(_), None) => PartDue::Never,
            (due, _) => due,
        }
    }

    /// Everything after the first recorded report, at `tape`, comes as much later as the client's own.
    /// Returns by how much.
    pub fn wait_for_report(&mut self, tape: Nanos) -> u64 {
        let paced = self.pace.as_ref().and_then(|pace| pace.now_at(tape));
        let (Some(paced), Some(reported_at)) = (paced, self.reported_at) else { return 0 };
        let waited_ns = reported_at.0.saturating_sub(paced.0);
        if let Some(pace) = &mut self.pace {
            pace.delay(waited_ns);
        }
        waited_ns
    }

    /// The cause that a part waits for while it blocks the tape.
    pub fn held_for<'a>(&self, part: &'a TapePart) -> Option<&'a ReplyCause> {
        holding(part, self.waits).filter(|cause| self.actions.done_at(cause).is_none())
    }

    /// When a reply may follow its cause, if that has happened.
    fn caused_at(&self, cause: &ReplyCause) -> Option<Nanos> {
        let done = self.actions.done_at(cause)?;
        let after_ns = self.rate().map_or(0, |rate| (cause.after_ns as f64 / rate) as u64);
        Some(Nanos(done.0.saturating_add(after_ns)))
    }

    /// When a reply that waits alone may be sent; never while the clock stands still.
    pub fn waits_until(&self, cause: &ReplyCause) -> Option<Nanos> {
        self.caused_at(cause).filter(|_| self.paused_at.is_none())
    }

    /// Whether a reply whose turn it is has to wait alone for its cause.
    pub fn waits_alone(&self, now: Nanos, reply: &TapeReply) -> bool {
        let is_its_own = self.waits.for_all && self.catch_up_to.is_none();
        let cause = reply.cause.as_ref().filter(|_| is_its_own && !blocks_tape(reply, self.waits));
        cause.is_some_and(|cause| self.caused_at(cause).is_none_or(|at| at > now))
    }

    /// Delays the clock for a reply at `tape` that had to wait, or that is too late to catch up.
    pub fn spend(&mut self, now: Nanos, tape: Nanos, reply: &TapeReply) -> ReplyCost {
        if self.catch_up_to.is_some() {
            return ReplyCost::OnTheWay;
        }
        let Some(paced) = self.pace().and_then(|pace| pace.now_at(tape)) else {
            return ReplyCost::AtOnce;
        };
        let caused = reply.cause.as_ref().filter(|_| blocks_tape(reply, self.waits));
        let caused = caused.and_then(|cause| self.caused_at(cause));
        let waited_ns = caused.map_or(0, |caused| caused.0.saturating_sub(paced.0));
        let late_ns = now.0.saturating_sub(paced.0.saturating_add(waited_ns));
        let slowed_ns = late_ns.saturating_sub(MAX_LATE_NS);
        if let Some(pace) = &mut self.pace {
            pace.delay(waited_ns + slowed_ns);
        }
        ReplyCost::Paced { late_ns, waited_ns, slowed_ns }
    }
}

/// The cause for which a part blocks the tape, whether or not it has happened.
fn holding(part: &TapePart, waits: Waits) -> Option<&ReplyCause> {
    match &part.body {
        PartBody::Reply(reply) if blocks_tape(reply, waits) => reply.cause.as_ref(),
        _ => None,
    }
}

/// Whether a reply blocks the tape until its cause: nothing is sent before the config, nothing of a swap
/// before it is asked for, and in a causal replay nothing of a session before the audio that it is about.
fn blocks_tape(reply: &TapeReply, waits: Waits) -> bool {
    match (reply.kind, &reply.cause) {
        (ReplyKind::Handshake, Some(cause)) => waits.for_all || cause.kind == CONFIG,
        (ReplyKind::SwapReady, Some(_)) => waits.for_all || waits.for_swaps,
        _ => false,
    }
}
