//! What is asked for at a time: ops of the listener, other links, other peers.

use std::collections::VecDeque;

use super::super::change::{Change, Later};
use super::super::generations::shifted;
use super::super::perturbation::Perturbation;
use super::super::trace::Trace;
use super::NEVER;
use crate::capture::Marker;
use crate::peer::link::LinkOptions;
use crate::peer::script::ScriptedOp;
use crate::time::{Nanos, Span};

/// Which link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Up,
    Down,
}

/// What is to happen, each list in the order of time.
pub(super) struct Commands<'a> {
    ops: VecDeque<(Nanos, Marker)>,
    links: VecDeque<(Nanos, Side, LinkOptions)>,
    later: VecDeque<(Nanos, &'a Later)>,
    /// How long after the first slice a listener goes on who waits for it.
    resumes_after: Option<Span>,
    next_at: Nanos,
}

impl<'a> Commands<'a> {
    pub fn new(trace: &Trace, change: &'a Change, perturbation: &Perturbation) -> Self {
        let at = |span: Span| perturbation.moment(trace.origin, span);
        let later = change.later.iter().map(|(span, later)| (at(*span), later)).collect();
        let up = change.up.iter().map(|(span, options)| (at(*span), Side::Up, options.clone()));
        let down =
            change.down.iter().map(|(span, options)| (at(*span), Side::Down, options.clone()));
        let mut links: Vec<_> = up.chain(down).collect();
        links.sort_by_key(|change| change.0);
        let ops = ops(trace, change, perturbation);
        let resumes_after = resumes_after(trace, change);
        let mut commands = Self { ops, links: links.into(), later, resumes_after, next_at: NEVER };
        commands.look_ahead();
        commands
    }

    /// The first op or change that the recording has not.
    pub fn differs_at(&self, trace: &Trace, change: &Change) -> Nanos {
        let from_the_beginning = Change {
            ops: None,
            up: Vec::new(),
            down: Vec::new(),
            later: Vec::new(),
            busy: Vec::new(),
            mended_from: None,
            ..change.clone()
        };
        if from_the_beginning != Change::default() {
            return trace.origin;
        }
        let mut recorded = trace.ops.iter().filter(|(at, op)| !waits(trace, *at, op));
        let op = self.ops.iter().find(|op| recorded.next() != Some(op)).map(|op| op.0);
        let dropped = recorded.next().map(|op| op.0);
        let link = self.links.front().map(|change| change.0);
        let later = self.later.front().map(|later| later.0);
        let mended = change.mended_from.map(|from| at(trace, from));
        [link, later, op, dropped, mended].into_iter().flatten().min().unwrap_or(Nanos(u64::MAX))
    }

    /// A slice lands: a listener who waited for it goes on.
    #[inline]
    pub fn has_audio(&mut self, now: Nanos) {
        if let Some(at) = self.resumes_after.take().and_then(|after| now.checked_add(after)) {
            self.ops.push_front((at, Marker::Resume));
            self.look_ahead();
        }
    }

    /// When the next of them is due.
    #[inline]
    pub fn next_at(&self) -> Nanos {
        self.next_at
    }

    fn look_ahead(&mut self) {
        let link = self.links.front().map(|change| change.0);
        let later = self.later.front().map(|later| later.0);
        let op = self.ops.front().map(|op| op.0);
        self.next_at = [link, later, op].into_iter().flatten().min().unwrap_or(NEVER);
    }

    /// Another link that is due.
    pub fn link(&mut self, now: Nanos) -> Option<(Side, LinkOptions)> {
        let (_, side, options) = self.links.pop_front_if(|(at, ..)| *at <= now)?;
        self.look_ahead();
        Some((side, options))
    }

    /// Whether peers or links change in the middle of the run, and not the listener alone.
    pub fn has_changes(&self) -> bool {
        !(self.links.is_empty() && self.later.is_empty())
    }

    /// A change of the peers that is due.
    pub fn later(&mut self, now: Nanos) -> Option<&'a Later> {
        let (_, later) = self.later.pop_front_if(|(at, _)| *at <= now)?;
        self.look_ahead();
        Some(later)
    }

    /// An op that is due.
    pub fn op(&mut self, now: Nanos) -> Option<Marker> {
        let (_, op) = self.ops.pop_front_if(|(at, _)| *at <= now)?;
        self.look_ahead();
        Some(op)
    }
}

/// The ops in their order, each at its moment or as much later as chance has it.
fn ops(trace: &Trace, change: &Change, perturbation: &Perturbation) -> VecDeque<(Nanos, Marker)> {
    let Some(scripted) = &change.ops else {
        return trace.ops.iter().filter(|(at, op)| !waits(trace, *at, op)).cloned().collect();
    };
    let mut scripted: Vec<_> = scripted
        .iter()
        .filter(|scripted| !waits(trace, at(trace, scripted.at), &scripted.op))
        .collect();
    scripted.sort_by_key(|op| op.at);
    let moment = |span| shifted(at(trace, span), perturbation.shift_ns).max(trace.begins);
    scripted.into_iter().map(|op| (moment(op.at), op.op.clone())).collect()
}

/// Whether that op is the listener's who goes on with the first slice, whenever it comes.
fn waits(trace: &Trace, at: Nanos, op: &Marker) -> bool {
    trace.resumed_at == Some(at) && *op == Marker::Resume
}

/// How long after the first slice the listener goes on, if it waits for that here too.
fn resumes_after(trace: &Trace, change: &Change) -> Option<Span> {
    let resumed_at = trace.resumed_at?;
    let first = trace.slices.first()?.at;
    let resumes = |scripted: &ScriptedOp| waits(trace, at(trace, scripted.at), &scripted.op);
    let still = change.ops.as_ref().is_none_or(|ops| ops.iter().any(resumes));
    still.then_some(Span(resumed_at.0 - first.0))
}

/// The moment so long after the initial buffer.
fn at(trace: &Trace, span: Span) -> Nanos {
    trace.origin.checked_add(span).unwrap_or(Nanos(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn trace() -> Trace {
        let at = Nanos(100 * MS);
        let ops = vec![(Nanos(150 * MS), Marker::Pause)];
        Trace { origin: at, begins: at, ops, ..Trace::default() }
    }

    fn op(at_ms: u64, op: Marker) -> ScriptedOp {
        ScriptedOp { at: Span(at_ms * MS), op }
    }

    #[test]
    fn what_is_asked_for_comes_when_it_is_due() {
        let change = Change {
            ops: Some(vec![op(30, Marker::Resume), op(20, Marker::Pause)]),
            up: vec![(Span(40 * MS), LinkOptions::default())],
            later: vec![(Span(60 * MS), Later { acknowledges: Some(true), ..Later::default() })],
            ..Change::default()
        };
        let trace = trace();
        let mut commands = Commands::new(&trace, &change, &Perturbation::default());
        assert_eq!(commands.next_at(), Nanos(120 * MS));
        assert_eq!(commands.op(Nanos(120 * MS - 1)), None);
        assert_eq!(commands.op(Nanos(120 * MS)), Some(Marker::Pause));
        assert_eq!(commands.next_at(), Nanos(130 * MS));
        assert_eq!(commands.op(Nanos(u64::MAX)), Some(Marker::Resume));
        assert!(commands.link(Nanos(140 * MS - 1)).is_none());
        assert_eq!(commands.link(Nanos(140 * MS)).map(|(side, _)| side), Some(Side::Up));
        assert_eq!(commands.next_at(), Nanos(160 * MS));
        assert!(commands.later(Nanos(160 * MS - 1)).is_none());
        assert_eq!(
            commands.later(Nanos(160 * MS)).and_then(|later| later.acknowledges),
            Some(true)
        );
        assert_eq!(commands.next_at(), NEVER);
    }

    #[track_caller]
    fn check_differs(change: &Change, expected_ms: Option<u64>) {
        let trace = trace();
        let commands = Commands::new(&trace, change, &Perturbation::default());
        let expected = expected_ms.map_or(Nanos(u64::MAX), |ms| Nanos(ms * MS));
        assert_eq!(commands.differs_at(&trace, change), expected, "{change:?}");
    }

    #[test]
    fn a_run_differs_from_the_first_change_on() {
        check_differs(&Change::default(), None);
        let ops = |ops| Change { ops: Some(ops), ..Change::default() };
        check_differs(&ops(vec![op(50, Marker::Pause)]), None);
        check_differs(&ops(vec![op(50, Marker::Resume)]), Some(150));
        check_differs(&ops(vec![op(20, Marker::Resume), op(50, Marker::Pause)]), Some(120));
        check_differs(&ops(vec![op(50, Marker::Pause), op(70, Marker::Resume)]), Some(170));
        check_differs(&ops(Vec::new()), Some(150));
        let down = vec![(Span(10 * MS), LinkOptions::default())];
        check_differs(&Change { down, ..Change::default() }, Some(110));
        check_differs(&Change { tick_factor: Some(2.0), ..Change::default() }, Some(100));
        let mended_from = Some(Span(70 * MS));
        check_differs(&Change { mended_from, ..Change::default() }, Some(170));
    }

    #[test]
    fn a_listener_who_waited_for_audio_goes_on_when_it_comes() {
        let mut trace = trace();
        let slice = crate::scenario::model::trace::TracedSlice {
            at: Nanos(180 * MS),
            header: Default::default(),
            bytes: 0,
            text_bytes: 0,
        };
        trace.slices = vec![slice];
        trace.resumed_at = Some(Nanos(190 * MS));
        trace.ops.push((Nanos(190 * MS), Marker::Resume));
        let change = Change::default();
        let mut commands = Commands::new(&trace, &change, &Perturbation::default());
        assert_eq!(commands.op(Nanos(u64::MAX)), Some(Marker::Pause));
        assert_eq!(commands.next_at(), NEVER);
        commands.has_audio(Nanos(500 * MS));
        assert_eq!(commands.next_at(), Nanos(510 * MS));
        assert_eq!(commands.op(Nanos(510 * MS)), Some(Marker::Resume));
        // Once.
        commands.has_audio(Nanos(600 * MS));
        assert_eq!(commands.next_at(), NEVER);
    }
}
