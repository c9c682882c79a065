//! Faults that an incident injects into a server. Times are seconds from the initial buffer.

use serde::{Deserialize, Serialize};

use crate::peer::generator::Durations;
use crate::peer::interval::{Interval, Pulses};
use crate::peer::keepalive::KeepaliveOptions;
use crate::time::Span;

/// What is wrong with a server. The default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerFaults {
    /// Spells in which no generation begins.
    pub stalls: Vec<Interval>,
    /// A spell in which slices are placed behind the listener.
    pub behind: Option<Behind>,
    /// Spells in which the model takes longer.
    pub slow: Vec<Slow>,
    /// Slices come in bursts.
    pub bursts: Option<Bursts>,
    /// How long the pipeline is rebuilt after a change of steps, guidance or LoRAs, in seconds.
    pub rebuild_s: f64,
    /// How long a LoRA is refitted after each change of its strength, in seconds.
    pub refit_s: f64,
    /// The server begins cold: what it composes first takes longest.
    pub cold: bool,
    /// A spell in which a generator that appends makes less audio than is heard.
    pub below_real_time: Option<BelowRealTime>,
    /// minimax does not begin a commit early enough for the time that it takes.
    pub gates_on_lead_alone: bool,
    /// A spell in which the memory of the card is paged.
    pub paging: Option<Paging>,
    /// From then on the window at the end of the loop is not clamped, which kills the pipeline.
    pub unclamped_from_s: Option<f64>,
    /// For how long after a swap the generator goes on with the source before it, in seconds.
    pub bleed_s: f64,
    /// Slices are coded against the audio that was wanted before, not against what halves made of it.
    pub codes_against_wanted: bool,
    /// The server pings, and does not handle what comes back.
    pub deaf: Option<Deaf>,
    /// The session ends early.
    pub ending: Option<EarlyEnding>,
    /// The server answers the config with this error and closes.
    pub refusal: Option<InjectedRefusal>,
}

/// Slices are placed behind the listener. Leads that the client reports are not heeded meanwhile
/// nor in the second after, so that the fault is the placement alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Behind {
    /// When.
    pub interval: Interval,
    /// How far, in seconds.
    pub by_s: f64,
}

/// The model takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    /// When.
    pub interval: Interval,
    /// How many times as long ticks take, …
    pub tick_factor: f64,
    /// … and decodes.
    pub decode_factor: f64,
    /// Only within these spells, the first of which begins with the interval.
    pub pulses: Option<Pulses>,
}

/// The server stops handling pongs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deaf {
    /// From a pong to the next ping, in seconds.
    pub ping_every_s: f64,
    /// From a ping to the close, in seconds.
    pub pong_within_s: f64,
    /// From when on, in seconds from the initial buffer.
    pub from_s: f64,
}

/// A generator makes less audio than is heard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BelowRealTime {
    /// When.
    pub interval: Interval,
    /// Audio made a second.
    pub real_time: f64,
}

/// The memory of the card is paged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paging {
    /// When.
    pub interval: Interval,
    /// How many times as long ticks and decodes of a loop take.
    pub factor: f64,
}

/// Every tick takes either of two times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bursts {
    /// The shorter, in milliseconds.
    pub short_ms: f64,
    /// The longer, in milliseconds.
    pub long_ms: f64,
}

/// The session ends early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyEnding {
    /// When, in seconds from the initial buffer.
    pub at_s: f64,
    pub how: SessionEnding,
}

/// How a session ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnding {
    /// Another session took the server: close 4001.
    Preempted,
    /// `error` with the code `pipeline_error`, then close 1000.
    PipelineError,
    /// The same, because the worker that composes has died.
    WorkerDied,
    /// The same, because the sidecar that composes has not answered for 8 s.
    SidecarLost,
    /// Something on the way resets the connection: no close, and what is under way is lost.
    Reset,
}

impl SessionEnding {
    /// What the error says; `None` of an end without one.
    pub(super) fn message(self) -> Option<&'static str> {
        match self {
            SessionEnding::Preempted | SessionEnding::Reset => None,
            SessionEnding::PipelineError => Some("the pipeline died"),
            SessionEnding::WorkerDied => Some("the worker died"),
            SessionEnding::SidecarLost => Some("the sidecar is lost"),
        }
    }
}

/// An `error` instead of `ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectedRefusal {
    /// The error's code.
    pub code: String,
    /// The error's message.
    pub message: String,
}

impl ServerFaults {
    /// When the stall ends that holds at that moment.
    pub(super) fn stalled_until(&self, at_s: f64) -> Option<f64> {
        self.stalls.iter().find(|stall| stall.contains(at_s)).map(|stall| stall.end_s())
    }

    /// How far behind the listener a slice goes that is placed at that moment.
    pub(super) fn behind_by(&self, at_s: f64) -> Option<f64> {
        self.behind.filter(|behind| behind.interval.contains(at_s)).map(|behind| behind.by_s)
    }

    /// Whether a window that begins at that moment may reach past the end of the loop.
    pub(super) fn is_unclamped(&self, at_s: f64) -> bool {
        self.unclamped_from_s.is_some_and(|from_s| at_s >= from_s)
    }

    pub(super) fn ignores_leads(&self, at_s: f64) -> bool {
        self.behind.is_some_and(|Behind { interval, .. }| {
            Interval { for_s: interval.for_s + 1.0, ..interval }.contains(at_s)
        })
    }

    /// How many times as long a commit takes that begins at that moment.
    pub(super) fn slow_factor(&self, at_s: f64) -> f64 {
        let slow = self.slow.iter().filter(|slow| slow.holds(at_s));
        slow.map(|slow| slow.tick_factor.max(0.0)).product()
    }

    /// How much audio a second is made at that moment, where that is less than usual.
    pub(super) fn real_time_at(&self, at_s: f64) -> Option<f64> {
        let slow = self.below_real_time.filter(|slow| slow.interval.contains(at_s));
        slow.map(|slow| slow.real_time)
    }

    pub(super) fn is_paging(&self, at_s: f64) -> bool {
        self.paging.is_some_and(|paging| paging.interval.contains(at_s))
    }

    /// What becomes of the durations drawn for a generation that begins at that moment.
    pub(super) fn bend(
        &self,
        at_s: f64,
        mut work: Durations,
        draw: impl FnOnce() -> f64,
    ) -> Durations {
        if let Some(Bursts { short_ms, long_ms }) = self.bursts {
            work.tick_ms = if draw() < 0.5 { short_ms } else { long_ms };
        }
        for slow in self.slow.iter().filter(|slow| slow.holds(at_s)) {
            work.tick_ms *= slow.tick_factor.max(0.0);
            work.decode_ms *= slow.decode_factor.max(0.0);
        }
        if let Some(paging) = self.paging.filter(|paging| paging.interval.contains(at_s)) {
            work.tick_ms *= paging.factor.max(0.0);
            work.decode_ms *= paging.factor.max(0.0);
        }
        work
    }
}

impl Deaf {
    pub(super) fn keepalive(self) -> KeepaliveOptions {
        let span = |s: f64| Span((s.max(0.0) * 1e9) as u64);
        KeepaliveOptions {
            ping_every: span(self.ping_every_s),
            pong_within: span(self.pong_within_s),
            ..KeepaliveOptions::default()
        }
    }
}

impl Slow {
    fn holds(&self, at_s: f64) -> bool {
        let since_s = at_s - self.interval.at_s;
        self.interval.contains(at_s)
            && self.pulses.is_none_or(|pulses| pulses.end_s(since_s).is_some())
    }
}
