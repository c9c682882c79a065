//! The closed loop: client and server anew, on the moments that a recording fixed.
//!
//! Everything happens in the order of time; at one moment slices come first, then ops and changes,
//! ticks, the server. [`predict`] leaves what the listener's tracker would have recorded, [`emit`]
//! what would have stood in a capture.

mod client;
mod commands;
mod emitted;
mod gated;
mod links;
mod server;
mod slice;
mod timers;

pub use emitted::{Emitted, EmittedReport};

use super::change::Change;
use super::hypothesis::Hypothesis;
use super::pacing::PacingReport;
use super::perturbation::Perturbation;
use super::trace::Trace;
use crate::lag::LagTracker;
use crate::peer::policy::Policy;
use crate::time::Nanos;
use client::{ClientSide, ReportSchedule};
use commands::Commands;
use links::{Links, RecordedWay};
use server::{Generated, ServerSide};
use slice::MadeSlice;
use timers::{Moments, Timer, earliest};

/// When what does not happen happens.
const NEVER: Nanos = Nanos(u64::MAX);

/// One run of the model.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// What the listener's tracker recorded.
    pub tracker: LagTracker,
    /// Most transport lead that the server took, in seconds.
    pub transport_peak_s: f64,
    /// Slices made and not sent.
    pub shed: u64,
}

/// Runs the model once. `policy` is that of the counterfactual server.
#[must_use]
pub fn predict(
    trace: &Trace,
    hypothesis: &Hypothesis,
    policy: &Policy,
    change: &Change,
    perturbation: &Perturbation,
) -> Predicted {
    let server = hypothesis.of_run(perturbation);
    Run::new(trace, &server, policy, change, perturbation, None).run_until(trace.end)
}

/// The same run, of which everything is kept that would stand in a capture.
#[must_use]
pub fn emit(
    trace: &Trace,
    hypothesis: &Hypothesis,
    policy: &Policy,
    change: &Change,
    perturbation: &Perturbation,
) -> Emitted {
    let mut emitted = Emitted::new(trace, change);
    let sink = Some(&mut emitted);
    let server = hypothesis.of_run(perturbation);
    let run = Run::new(trace, &server, policy, change, perturbation, sink);
    let _tracker_says_no_more = run.run_until(trace.end);
    emitted
}

struct Run<'a> {
    commands: Commands<'a>,
    client: ClientSide<'a>,
    links: Links<'a>,
    way: RecordedWay<'a>,
    server: ServerSide<'a>,
}

impl<'a> Run<'a> {
    fn new(
        trace: &'a Trace,
        hypothesis: &'a Hypothesis,
        policy: &Policy,
        change: &'a Change,
        perturbation: &Perturbation,
        emitted: Option<&'a mut Emitted>,
    ) -> Self {
        let commands = Commands::new(trace, change, perturbation);
        let differs_at = commands.differs_at(trace, change);
        let schedule = ReportSchedule::new(trace, change, perturbation, differs_at);
        Run {
            commands,
            client: ClientSide::new(trace, change, schedule, emitted),
            links: Links::new(change, perturbation, trace.begins, hypothesis.link),
            way: RecordedWay::new(hypothesis, perturbation, differs_at),
            server: ServerSide::new(trace, hypothesis, policy, change, (perturbation, differs_at)),
        }
    }

    fn run_until(mut self, end: Nanos) -> Predicted {
        let is_plain = !(self.links.any() || self.commands.has_changes() || self.server.appends());
        if is_plain {
            self.run_by_turns(end);
        } else {
            self.run_by_moments(end);
        }
        let ServerSide { transport_peak_s, shed, .. } = self.server;
        Predicted { tracker: self.client.tracker, transport_peak_s, shed }
    }

    /// Where nothing but the recorded way lies between the peers, and nothing but the listener changes, it
    /// is known when the server takes a report before the client makes it. So none waits to be taken: the
    /// client lags behind the server by the way, and makes each report when the server takes it. What is
    /// next has to be found only among what happens at the client.
    fn run_by_turns(&mut self, end: Nanos) {
        let mut taken_at = self.takes_next_at();
        loop {
            let now = self.server.generates_at();
            while taken_at <= now.min(end) {
                taken_at = self.take_next(taken_at);
            }
            if now > end {
                break;
            }
            self.generate(now);
        }
        // What is reported or made at the end is still heard of, though no turn follows from it.
        while self.client.reports_at() <= end {
            taken_at = self.take_next(taken_at);
        }
        self.client_until(end);
        while self.client.lands_at() <= end {
            self.land(end);
        }
        self.client_until(end);
    }

    /// When the server takes the report that the client makes next.
    #[inline]
    fn takes_next_at(&mut self) -> Nanos {
        self.server.takes_at(self.way.report_arrives(self.client.reports_at()))
    }

    /// The client makes its next report, which the server takes at that moment. Leaves when it takes the one
    /// after that.
    fn take_next(&mut self, taken_at: Nanos) -> Nanos {
        let now = self.client.reports_at();
        self.client_until(now);
        let (report, _) = self.client.report(now);
        self.server.take(taken_at, &report);
        self.takes_next_at()
    }

    /// What happens at the client until then.
    #[inline]
    fn client_until(&mut self, until: Nanos) {
        loop {
            let asked_at = self.commands.next_at();
            if let Some(now) = self.client.lands_before(asked_at.min(until)) {
                self.land(now);
            } else if asked_at <= until {
                self.command(asked_at);
            } else {
                break;
            }
        }
    }

    /// One thing after the other, at both peers and on the links, which depend on all that happens. Any run
    /// goes like this; where [`Run::run_by_turns`] suffices it takes longer.
    fn run_by_moments(&mut self, end: Nanos) {
        let mut now = Nanos(0);
        while let Some((at, timer)) = earliest(self.moments(now)).filter(|(at, _)| *at <= end) {
            now = at;
            match timer {
                Timer::Departed => {
                    if let Some(slice) = self.links.passed_slice(now) {
                        self.deliver(now, slice);
                    }
                }
                Timer::Landed => self.land(now),
                Timer::Command => self.command(now),
                Timer::Tick => self.report(now),
                Timer::ReportPassed => {
                    if let Some((at, report)) = self.links.passed_report(now) {
                        self.hear(at, report);
                    }
                }
                Timer::Generate => self.generate(now),
                Timer::Send => {
                    if let Some(slice) = self.server.unqueue() {
                        self.send(now, slice);
                    }
                }
            }
        }
    }

    fn moments(&self, now: Nanos) -> Moments {
        let room_at = |made: Nanos| self.links.accepts_at(made.max(now));
        [
            self.links.slice_passes_at().unwrap_or(NEVER),
            self.client.lands_at(),
            self.commands.next_at(),
            self.client.reports_at(),
            self.links.report_passes_at().unwrap_or(NEVER),
            self.server.generates_at(),
            self.server.sends_next().and_then(room_at).unwrap_or(NEVER),
        ]
    }

    #[inline]
    fn land(&mut self, now: Nanos) {
        self.client.land(now);
        self.commands.has_audio(now);
    }

    /// What somebody wants at this moment: another link, another server, another place to listen at.
    #[cold]
    fn command(&mut self, now: Nanos) {
        while let Some((side, options)) = self.commands.link(now) {
            self.links.change(side, &options);
        }
        while let Some(later) = self.commands.later(now) {
            self.server.change(later);
            self.client.change(later);
        }
        while let Some(op) = self.commands.op(now) {
            self.client.operate(now, op);
        }
    }

    #[inline]
    fn report(&mut self, now: Nanos) {
        let (report, bytes) = self.client.report(now);
        if self.links.has_up() {
            self.links.send_report(now, report, bytes);
        } else {
            self.hear(now, report);
        }
    }

    /// A report has passed the link that the scenario describes; the recorded way remains.
    #[inline]
    fn hear(&mut self, now: Nanos, report: PacingReport) {
        self.server.hear(self.way.report_arrives(now), report);
    }

    #[inline]
    fn generate(&mut self, now: Nanos) {
        match self.server.generate(now) {
            Generated::Nothing => {}
            Generated::Turn(generation, placed) => {
                self.way.leaves_out(generation);
                for region in [Some(placed.region), placed.spill].into_iter().flatten() {
                    self.offer(now, MadeSlice::new(generation, region, now));
                }
            }
            Generated::Chunk => {
                while !self.links.has_down()
                    && let Some(slice) = self.server.unqueue()
                {
                    self.send(now, slice);
                }
            }
        }
    }

    /// A slice is sent, or waits for room on the link.
    #[inline]
    fn offer(&mut self, now: Nanos, slice: MadeSlice<'a>) {
        if self.links.has_down() {
            self.server.queue(slice);
        } else {
            self.send(now, slice);
        }
    }

    #[inline]
    fn send(&mut self, now: Nanos, mut slice: MadeSlice<'a>) {
        let Some(bytes) = self.server.send(now, &slice) else { return };
        slice.bytes = bytes;
        self.way.joins(bytes);
        if self.links.has_down() {
            self.links.send_slice(now, slice);
        } else {
            self.deliver(now, slice);
        }
    }

    /// A slice has passed the link that the scenario describes; the recorded way remains.
    #[inline]
    fn deliver(&mut self, now: Nanos, slice: MadeSlice<'a>) {
        let arrives = self.way.slice_arrives(now, slice.generation);
        self.client.receive(arrives, slice);
    }
}

#[cfg(test)]
mod tests {
    use super::super::generations::Generation;
    use super::super::hypothesis::tests::with_transits;
    use super::super::trace::{TracedSlice, TracedTick};
    use super::*;
    use crate::capture::Marker;
    use crate::peer::rng::{Rng, Stream};
    use crate::peer::script::ScriptedOp;
    use crate::time::Span;
    use crate::wire::slice::SliceHeader;

    const MS: u64 = 1_000_000;
    const BEGINS_MS: u64 = 100;

    /// A session and a server whose moments are whole milliseconds, so that many things happen at one.
    fn session(rng: &mut Rng) -> (Trace, Hypothesis) {
        let mut ms = |least: u64, most: u64| least + rng.next_u64() % (most - least + 1);
        let header = SliceHeader { frames: 17_280, channels: 1, ..SliceHeader::default() };
        let at = Nanos((BEGINS_MS + 30) * MS);
        let slices = vec![TracedSlice { at, header, bytes: 999, text_bytes: 0 }];
        let mut at_ms = BEGINS_MS;
        let ticks = (0..150).map(|number| {
            at_ms += ms(0, 25);
            TracedTick {
                at: Nanos(at_ms * MS),
                position_s: Some(f64::from(number) * 0.0125),
                client_time: Some(at_ms as f64 / 1e3),
                acked: Some(f64::from(number) * 5e3),
                lead_s: Some(0.1),
                bytes: 99,
            }
        });
        let ticks = ticks.collect();
        let mut ops: Vec<_> = [Marker::Pause, Marker::Resume, Marker::Seek { to_s: 1.0 }]
            .map(|op| (Nanos((BEGINS_MS + ms(0, 900)) * MS), op))
            .into();
        ops.sort_by_key(|op| op.0);
        let begins = Nanos(BEGINS_MS * MS);
        // Whoever waits for the first slice goes on with it or later.
        let resumed = ops.iter().find(|op| op.1 == Marker::Resume && op.0 >= at);
        let trace = Trace {
            origin: begins,
            begins,
            end: Nanos((BEGINS_MS + 1_500) * MS),
            frames: 96_000,
            sample_rate: 48_000,
            reported_playhead: ms(0, 1) == 0,
            resumed_at: resumed.map(|op| op.0),
            slices,
            ticks,
            ops,
            ..Trace::default()
        };
        let mut server = with_transits(&[0; 40]);
        server.round_trip_ns = (ms(0, 2) * MS) as i64;
        for turn in &mut server.generations {
            *turn = Generation {
                rest_ns: (ms(0, 2) * MS) as i64,
                tick_ns: (ms(1, 30) * MS) as i64,
                decode_ns: (ms(0, 5) * MS) as i64,
                transit_ns: (ms(0, 3).saturating_sub(1) * MS) as i64,
                bytes_per_frame: 0.5,
                ..Generation::default()
            };
        }
        server.policy.intake.backlog_per_s = (ms(0, 2) == 0).then_some(100.0);
        server.policy.flow.window_bytes = ms(0, 1) * 40_000 + 20_000;
        (trace, server)
    }

    fn emitted(
        (trace, server): &(Trace, Hypothesis),
        change: &Change,
        perturbation: &Perturbation,
        run_until: fn(&mut Run<'_>, Nanos),
    ) -> (Emitted, f64, u64) {
        let mut emitted = Emitted::new(trace, change);
        let sink = Some(&mut emitted);
        let mut run = Run::new(trace, server, &server.policy, change, perturbation, sink);
        run_until(&mut run, trace.end);
        let (transport_peak_s, shed) = (run.server.transport_peak_s, run.server.shed);
        (emitted, transport_peak_s, shed)
    }

    #[test]
    fn a_run_by_turns_is_the_run_by_moments() {
        let mut rng = Rng::new(5, Stream::Names);
        let (mut slices, mut shed) = (0, 0);
        for _ in 0..300 {
            let session = session(&mut rng);
            let mut some = |one: Change, other: Change| if rng.unit() < 0.5 { one } else { other };
            let op = |ms, op| ScriptedOp { at: Span(ms * MS), op };
            let ops = Some(vec![op(60, Marker::Seek { to_s: 0.5 }), op(400, Marker::Pause)]);
            let change = some(Change::default(), Change { ops, ..Change::default() });
            let slow = Change { apply_delay_s: 0.01, params_hz: Some(100.0), ..change.clone() };
            let change = some(change, slow);
            let perturbation = Perturbation {
                seed: rng.next_u64(),
                shift_ns: (rng.next_u64() % 5 * MS) as i64,
                tick_shift_ns: (rng.next_u64() % 9 * MS) as i64 - 4 * MS as i64,
                new_frames_cost: 0.1,
                jitters: rng.unit() < 0.5,
            };
            let by_turns =
                emitted(&session, &change, &perturbation, |run, end| run.run_by_turns(end));
            let by_moments =
                emitted(&session, &change, &perturbation, |run, end| run.run_by_moments(end));
            assert_eq!(by_turns, by_moments, "{change:?} {perturbation:?}");
            (slices, shed) = (slices + by_turns.0.slices.len(), shed + by_turns.2);
        }
        assert!(slices > 3_000 && shed > 100, "{slices} slices, {shed} shed");
    }
}
