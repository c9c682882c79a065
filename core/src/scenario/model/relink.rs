//! A recording over a link that was too thin, with that link run anew.
//!
//! Enters: a trace. Leaves: a [`Relinked`]: its server with the turns that it really took, those
//! included whose slices were shed, and the [`Bottleneck`] that its slices waited for. From both a run
//! goes with the recorded link or with another one: what waits and what is shed follows from it.

use super::bottleneck::{Bottleneck, LinkAnew};
use super::change::Change;
use super::fit::{self, FactualError, Fit, FitError, MAX_RANK_ERROR_S};
use super::generations::{Generation, SHORTEST_TURN_NS, shifted};
use super::listener::Listener;
use super::perturbation::Perturbation;
use super::run::predict;
use super::trace::{Trace, TracedSlice};
use crate::lag::stats::{fold_lead, percentile};
use crate::peer::link::LinkOptions;
use crate::time::Nanos;

/// Buffers that are tried: any number of bytes, and from this on each so much larger than the one before.
const LEAST_BUFFER: f64 = 16384.0;
const LARGER: f64 = 1.189_207_115; // Fourth root of 2.
const BUFFERS: i32 = 34;
/// By how much longer than known the way may be behind a link that no ping passed unhindered, in
/// nanoseconds.
const LONGER_WAYS_NS: [i64; 4] = [0, 10_000_000, 25_000_000, 50_000_000];
/// A run with so many more or fewer slices than its recording says nothing of another link, as a share.
const MAX_OTHER_COUNT: f64 = 0.15;
/// The first slices tell when the server began.
const EARLY: usize = 24;
/// Ranks of the lead at which runs are compared.
const RANKS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

fn buffers() -> impl Iterator<Item = Option<u64>> {
    let sizes = (0..BUFFERS).map(|step| Some((LEAST_BUFFER * LARGER.powi(step)) as u64));
    [None].into_iter().chain(sizes)
}

/// A recording whose link is run anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Relinked {
    /// How well a run over the recorded link repeats the recording is its error: by how much leads of one
    /// rank differ at most.
    pub fit: Fit,
    pub bottleneck: Bottleneck,
    /// Bytes of the initial buffer.
    initial_bytes: u64,
    /// Whether the server began when what was left of the initial buffer found room, and not when all of
    /// it had passed.
    streams: bool,
}

impl Relinked {
    /// The recording of `trace` without its link; `None` where nothing waited for it.
    ///
    /// # Errors
    /// Where no link that was tried repeats the recording.
    pub fn of(trace: &Trace) -> Result<Option<Relinked>, FitError> {
        let Some((fit, link)) = fit::behind_link(trace) else { return Ok(None) };
        let channels = trace.slices.first().map_or(1, |slice| u64::from(slice.header.channels));
        let initial_bytes = trace.frames * channels * 2;
        let rates = link.bytes_per_s.map(|bytes_per_s| Relinked {
            fit: fit.clone(),
            bottleneck: Bottleneck { bytes_per_s, buffer_bytes: None },
            initial_bytes,
            streams: false,
        });
        let count = if rates[0] == rates[1] { 1 } else { 2 };
        let recorded = Leads::of(leads_s(trace));
        let tried = rates.into_iter().take(count).map(|rate| rate.nearest(trace, &recorded));
        let nearest = tried.min_by(|a, b| a.cost().total_cmp(&b.cost()));
        nearest.map(Relinked::checked).transpose()
    }

    /// The variant that is most like the recording, the first of equals. One after the other is tried in place:
    /// a session of an hour has some megabytes of turns.
    fn nearest(mut self, trace: &Trace, recorded: &Leads) -> Relinked {
        let tried = self.variants().into_iter().map(|variant| {
            self.vary(variant);
            self.fit.factual_error = self.error(trace, recorded);
            (self.cost(), variant, self.fit.factual_error)
        });
        if let Some((_, variant, error)) = tried.min_by(|a, b| a.0.total_cmp(&b.0)) {
            self.vary(variant);
            self.fit.factual_error = error;
        }
        self
    }

    /// How unlike the recording it is.
    fn cost(&self) -> f64 {
        self.fit.factual_error.lead_error_p95_s + self.fit.factual_error.missing_share
    }

    fn vary(&mut self, Variant { buffer_bytes, round_trip_ns, streams }: Variant) {
        self.bottleneck.buffer_bytes = buffer_bytes;
        self.fit.server.round_trip_ns = round_trip_ns;
        self.streams = streams;
    }

    /// What may differ with each buffer, and where the link was thin from the beginning on with each way, and
    /// with a server that began with the initial buffer or earlier.
    fn variants(&self) -> Vec<Variant> {
        let is_hidden = self.is_thin_from_beginning();
        let ways = if is_hidden { &LONGER_WAYS_NS[..] } else { &LONGER_WAYS_NS[..1] };
        let streams = if is_hidden { &[false, true][..] } else { &[false] };
        let mut variants = Vec::new();
        for longer_ns in ways {
            let round_trip_ns = self.fit.server.round_trip_ns + longer_ns;
            for buffer_bytes in buffers() {
                let variant = |&streams| Variant { buffer_bytes, round_trip_ns, streams };
                variants.extend(streams.iter().map(variant));
            }
        }
        variants
    }

    /// This, if it is like enough to its recording.
    fn checked(self) -> Result<Relinked, FitError> {
        let FactualError { lead_error_p95_s, missing_share, .. } = self.fit.factual_error;
        if missing_share > MAX_OTHER_COUNT {
            return Err(FitError::OtherCount { missing_share });
        }
        if lead_error_p95_s > MAX_RANK_ERROR_S || lead_error_p95_s.is_nan() {
            return Err(FitError::OtherLink { lead_error_p95_s });
        }
        Ok(self)
    }

    /// Whether the link was too thin for the stream when the initial buffer passed it.
    fn is_thin_from_beginning(&self) -> bool {
        self.bottleneck.bytes_per_s.first().is_some_and(|rate| rate.1.is_finite())
    }

    /// The server and the change with which a run goes over this link, or over what the change has in
    /// its place.
    #[must_use]
    pub fn under(&self, trace: &Trace, change: &Change) -> (Fit, Change) {
        let down = self.bottleneck.with(&change.down);
        let first = &down[0].1;
        let (ahead_ns, first_bytes) = self.ahead(first);
        let began = shifted(trace.begins, -ahead_ns);
        let mut fit = self.fit.clone();
        fit.server.link =
            Some(LinkAnew { began, first_bytes, thin_at_first: self.is_thin_from_beginning() });
        begin_earlier(&mut fit.server.generations, ahead_ns);
        (fit, Change { down, ..change.clone() })
    }

    /// How long before the initial buffer has passed such a link the server begins, in nanoseconds, and
    /// how much of it is still to pass then.
    fn ahead(&self, first: &LinkOptions) -> (i64, u64) {
        let Some(rate) = first.bytes_per_s.filter(|_| self.streams) else {
            return (0, 0);
        };
        let bytes = first.buffer_bytes.unwrap_or(u64::MAX).min(self.initial_bytes);
        ((bytes as f64 / rate * 1e9) as i64, bytes)
    }

    /// How well a run over the recorded link repeats the recording.
    fn error(&self, trace: &Trace, recorded: &Leads) -> FactualError {
        let (fit, change) = self.under(trace, &Change::default());
        let run =
            predict(trace, &fit.server, &fit.server.policy, &change, &Perturbation::default());
        Leads::of(run.tracker.slices().map(|slice| slice.lead_s).collect()).likeness(recorded)
    }
}

/// Turns of a server that began earlier, by so many nanoseconds.
fn begin_earlier(turns: &mut Vec<Generation>, ahead_ns: i64) {
    let Some(&like) = turns.get(1).or(turns.first()) else { return };
    let count = ahead_ns / like.length_ns().max(SHORTEST_TURN_NS);
    turns.splice(0..0, std::iter::repeat_n(like, count as usize));
}

/// What a link may have been like beside its rate, and the way to it.
#[derive(Clone, Copy)]
struct Variant {
    buffer_bytes: Option<u64>,
    round_trip_ns: i64,
    streams: bool,
}

/// The leads of a session, by which it is told how like another one it is. Which slices are shed hangs on single
/// bytes, so that none has a counterpart: the leads of all of them are compared, rank by rank.
struct Leads {
    count: usize,
    /// Those of the first slices, in their order.
    early_s: Vec<f64>,
    ranks_s: [f64; RANKS.len()],
}

impl Leads {
    /// Of all slices, oldest first.
    fn of(mut leads_s: Vec<f64>) -> Leads {
        let early_s = leads_s[..leads_s.len().min(EARLY)].to_vec();
        let ranks_s = RANKS.map(|q| percentile(&mut leads_s, q));
        Leads { count: leads_s.len(), early_s, ranks_s }
    }

    /// How like they are to the recorded ones.
    fn likeness(&self, recorded: &Leads) -> FactualError {
        let off_s = |(own, recorded): (&f64, &f64)| (own - recorded).abs();
        let mut early_s: Vec<f64> = self.early_s.iter().zip(&recorded.early_s).map(off_s).collect();
        let early_s = percentile(&mut early_s, 0.5);
        let ranks_s = self.ranks_s.iter().zip(&recorded.ranks_s).map(off_s);
        let recorded_count = recorded.count.max(1) as f64;
        FactualError {
            exact_share: 0.0,
            lead_error_p95_s: ranks_s.fold(early_s, f64::max),
            missing_share: (self.count as f64 - recorded_count).abs() / recorded_count,
        }
    }
}

/// The lead of each recorded slice, in seconds.
fn leads_s(trace: &Trace) -> Vec<f64> {
    let mut listener = Listener::new(trace, None);
    let (mut ops, mut ticks) = (trace.ops.iter().peekable(), trace.ticks.iter().peekable());
    let lead_s = |slice: &TracedSlice| {
        let mut hear_until = |listener: &mut Listener, at: Nanos| {
            while let Some(tick) = ticks.next_if(|tick| tick.at < at) {
                listener.report(tick.at, tick.position_s, tick.client_time);
            }
        };
        while let Some((at, op)) = ops.next_if(|(at, _)| *at < slice.at) {
            hear_until(&mut listener, *at);
            listener.operate(*at, op);
        }
        hear_until(&mut listener, slice.at);
        let at_s = slice.at.seconds();
        let off = fold_lead(slice.header.start, listener.frame(at_s), trace.frames);
        off as f64 / f64::from(trace.sample_rate)
    };
    trace.slices.iter().map(lead_s).collect()
}
