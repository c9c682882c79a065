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
use timers::{Timer, Timers};

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
    timers: Timers,
    commands: Commands<'a>,
    client: ClientSide<'a>,
    links: Links,
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
        let mut run = Run {
            timers: Timers::default(),
            commands,
            client: ClientSide::new(trace, hypothesis, change, schedule, emitted),
            links: Links::new(change, perturbation, trace.begins, hypothesis.link),
            way: RecordedWay::new(hypothesis, perturbation, differs_at),
            server: ServerSide::new(trace, hypothesis, policy, change, (perturbation, differs_at)),
        };
        run.timers.set(Timer::Command, run.commands.next_at());
        run.timers.set(Timer::Tick, Some(run.client.reports_at()));
        run.timers.set(Timer::Generate, run.server.generates_at());
        run
    }

    fn run_until(mut self, end: Nanos) -> Predicted {
        while let Some((at, timer)) = self.timers.next().filter(|(at, _)| *at <= end) {
            self.handle(at, timer);
            self.watch_links(at);
        }
        let ServerSide { transport_peak_s, shed, .. } = self.server;
        Predicted { tracker: self.client.tracker, transport_peak_s, shed }
    }

    /// What the links are about to do depends on all that happens.
    #[inline]
    fn watch_links(&mut self, now: Nanos) {
        if self.links.any() {
            self.timers.set(Timer::ReportPassed, self.links.report_passes_at());
            self.timers.set(Timer::Departed, self.links.slice_passes_at());
            let send =
                self.server.sends_next().and_then(|made| self.links.accepts_at(made.max(now)));
            self.timers.set(Timer::Send, send);
        }
    }

    #[inline]
    fn handle(&mut self, now: Nanos, timer: Timer) {
        match timer {
            Timer::Command => self.command(now),
            Timer::Departed => {
                if let Some(slice) = self.links.passed_slice(now) {
                    self.deliver(now, slice);
                }
            }
            Timer::Landed => {
                self.client.land(now);
                self.commands.has_audio(now);
                self.timers.set(Timer::Command, self.commands.next_at());
                self.timers.set(Timer::Landed, self.client.lands_at());
            }
            Timer::Tick => self.report(now),
            Timer::ReportPassed => {
                if let Some((at, report)) = self.links.passed_report(now) {
                    self.hear(at, report);
                }
            }
            Timer::Generate => self.generate(now),
            Timer::Send => self.send(now),
        }
    }

    /// What somebody wants at this moment: another link, another server, another place to listen at.
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
        self.timers.set(Timer::Command, self.commands.next_at());
    }

    fn report(&mut self, now: Nanos) {
        let (report, bytes) = self.client.report(now);
        if let Some(report) = self.links.send_report(now, report, bytes) {
            self.hear(now, report);
        }
        self.timers.set(Timer::Tick, Some(self.client.reports_at()));
    }

    /// A report has passed the link that the scenario describes; the recorded way remains.
    fn hear(&mut self, now: Nanos, report: PacingReport) {
        self.server.hear(self.way.report_arrives(now), report);
        self.timers.set(Timer::Generate, self.server.generates_at());
    }

    fn generate(&mut self, now: Nanos) {
        let has_made = match self.server.generate(now) {
            Generated::Nothing => false,
            Generated::Turn(turn) => {
                self.way.leaves_out(turn);
                true
            }
            Generated::Chunk => true,
        };
        if has_made {
            while !self.links.has_down() && self.server.sends_next().is_some() {
                self.send(now);
            }
        }
        self.timers.set(Timer::Generate, self.server.generates_at());
    }

    fn send(&mut self, now: Nanos) {
        let Some((slice, texts)) = self.server.send(now) else { return };
        self.way.joins(slice.bytes);
        if let Some(slice) = self.links.send_slice(now, slice, texts) {
            self.deliver(now, slice);
        }
    }

    /// A slice has passed the link that the scenario describes; the recorded way remains.
    fn deliver(&mut self, now: Nanos, slice: MadeSlice) {
        let arrives = self.way.slice_arrives(now, slice.turn);
        self.client.receive(arrives, slice);
        self.timers.set(Timer::Landed, self.client.lands_at());
    }
}
