//! When the server made what arrived over a link too thin for the stream.
//!
//! Enters: a trace, the turns that its slices tell of, the policy. Leaves: the turns of the loop that
//! generates, those whose slices were shed included. Behind a queue arrivals tell how much the link
//! carries and nothing of the moments at which slices were made. Their places do: a slice starts
//! where the server believed the listener to be, which follows from the reports, plus its advance.
//! So each turn's look is the likeliest moment at which the pacing would have put the slice where it
//! is. A round trip taken too short and moments found too early undo each other.

use std::fmt;

use super::generations::{Generation, Leading, shifted};
use super::trace::Trace;
use crate::lag::stats::{fold_lead, percentile};
use crate::peer::pacing::{LeadController, Placement, PlayheadClock};
use crate::peer::policy::Policy;
use crate::time::Nanos;

/// Most turns from one slice that arrived to the next: beyond, the stream stood still.
const MAX_TURNS: i64 = 96;
/// Declared work and the loop's own follow each other this exactly, in nanoseconds.
const CHAIN_NS: i64 = 1_500_000;
/// A place is known up to the grid and the reports' cadence, in nanoseconds.
const PLACE_NS: i64 = 80_000_000;
/// Slices that may have been made before the first report, and every which of them is tried.
const EARLY_SLICES: usize = 200;
const EARLY_STEP: usize = 4;
/// Steps in which moments are tried, in nanoseconds.
const STEP_NS: i64 = 1_000_000;
/// Most that the loop spends beside its work, in nanoseconds.
const LONGEST_REST_NS: i64 = 2_000_000;
/// The first turns know no queue yet.
const FIRST_TURNS: usize = 8;
/// Arrivals that follow each other as the work did are paced by the generator, not by a link: with
/// this share of them so, and so exactly (in nanoseconds), there was no queue.
const PACED_SHARE: f64 = 0.5;
const PACED_NS: i64 = 3_000_000;

/// Slices that a client takes in one go arrive within this of each other, in nanoseconds; where
/// more than this share of them do, it is the client that they waited for.
const TOGETHER_NS: u64 = 1_000_000;
const IN_BURSTS_SHARE: f64 = 0.5;

/// A place that no moment explains costs as much as one this many spreads from the likely one.
const MISSED_COST: f64 = 20.0;

/// What the places tell.
pub(super) struct Behind {
    /// The turns, shed ones included.
    pub turns: Vec<Generation>,
    /// How unlikely their moments are, per slice, in spreads.
    pub cost: f64,
    /// The link.
    pub queue: Queue,
}

/// What slices waited for, or were shed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A link too thin for the stream.
    Link,
    /// A client that took what came only now and then.
    Client,
    /// Acknowledgements that the server was late to take.
    Intake,
}

impl fmt::Display for Cause {
    /// What became of slices.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Link => "waited for a link too thin for them",
            Cause::Client => "waited for a client that took them only now and then",
            Cause::Intake => "were shed because the server was late to take acknowledgements",
        })
    }
}

/// The queue in which the slices of a recording waited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    /// What for.
    pub cause: Cause,
    /// By how much longer messages lengthen it, in nanoseconds for each byte; 0 where the server
    /// sheds slices by acknowledgements and so keeps it as long as it is.
    pub ns_per_byte: f64,
    /// When the server began: it does not wait until the initial buffer has passed the link.
    pub began: Nanos,
    /// On its way for longer than this a slice has waited for others, in nanoseconds.
    pub waits_ns: i64,
}

impl Queue {
    fn of(trace: &Trace, began: Nanos, known: &[Known], turns: &[Generation]) -> Self {
        let mut gaps: Vec<f64> = known
            .windows(2)
            .map(|pair| pair[1].arrived.seconds_since(pair[0].arrived) * 1e9)
            .collect();
        let waits_ns = percentile(&mut gaps, 0.5) as i64;
        let arrived = turns.iter().filter(|turn| !turn.shed);
        let waited = gaps_and_bytes(known, arrived).filter(|&(transit, ..)| transit > waits_ns);
        let (ns, bytes) = waited.fold((0.0, 0.0), |(ns, bytes), (_, gap_ns, own)| {
            (ns + gap_ns as f64, bytes + f64::from(own))
        });
        let together = known
            .windows(2)
            .filter(|pair| pair[1].arrived.0.saturating_sub(pair[0].arrived.0) < TOGETHER_NS);
        let in_bursts = together.count() as f64 > IN_BURSTS_SHARE * known.len() as f64;
        let cause = if in_bursts { Cause::Client } else { Cause::Link };
        // What waits for the client waits no longer because it is longer.
        let is_paid = bytes > 0.0 && !in_bursts && !trace.acknowledges();
        let ns_per_byte = if is_paid { ns / bytes } else { 0.0 };
        Self { cause, ns_per_byte, began, waits_ns }
    }

    /// No queue: the server shed what it did because it was late to take acknowledgements.
    pub(super) fn of_intake(origin: Nanos) -> Self {
        Self { cause: Cause::Intake, ns_per_byte: 0.0, began: origin, waits_ns: i64::MAX }
    }
}

/// Of each slice but the first how long it was on its way, how long after the one before it came,
/// and its length.
fn gaps_and_bytes<'a>(
    known: &'a [Known],
    arrived: impl Iterator<Item = &'a Generation> + 'a,
) -> impl Iterator<Item = (i64, i64, u32)> + 'a {
    let gap_ns = |pair: &[Known]| pair[1].arrived.0 as i64 - pair[0].arrived.0 as i64;
    let gaps = known.windows(2).map(gap_ns);
    arrived.skip(1).zip(gaps).map(|(turn, gap_ns)| (turn.transit_ns, gap_ns, turn.bytes))
}

/// Where the server put slices as of some look.
#[derive(Clone)]
struct Server<'a> {
    trace: &'a Trace,
    round_trip_ns: i64,
    clock: PlayheadClock,
    lead: LeadController,
    placement: &'a Placement,
    heard: usize,
}

impl Server<'_> {
    /// A look, with all reports that have come by then; where its slice starts.
    fn look(&mut self, at: Nanos) -> u32 {
        while let Some(tick) = self.trace.ticks.get(self.heard) {
            let arrives = shifted(tick.at, self.round_trip_ns);
            if arrives > at {
                break;
            }
            self.clock.report(arrives, tick.position_s.unwrap_or(0.0), tick.client_time);
            tick.lead_s.into_iter().for_each(|lead_s| self.lead.report(lead_s));
            self.heard += 1;
        }
        let estimate = self.clock.look(at);
        self.placement.place(estimate, self.lead.look(at, false)).region.start
    }

    /// By how many nanoseconds of the loop a look at that moment would have come too early.
    fn early_ns(&self, at: Nanos, start: u32) -> i64 {
        let placed = self.clone().look(at);
        let off = fold_lead(start, u64::from(placed), self.trace.frames);
        (off as f64 / f64::from(self.trace.sample_rate) * 1e9) as i64
    }
}

/// How long turns usually take, in nanoseconds.
struct Usual {
    decode_ns: i64,
    rest_ns: i64,
    period_ns: i64,
    /// How far a period is from the usual one, typically.
    spread_ns: i64,
}

/// What a slice that arrived says of its making.
struct Known {
    start: u32,
    arrived: Nanos,
    /// Tick and decode of the turn before, as its header declares.
    before_ns: (i64, i64),
}

/// A moment for a look, and how many turns it is from the look before.
#[derive(Clone, Copy)]
struct Found {
    look: Nanos,
    turns: i64,
    cost: f64,
}

/// The turns behind a queue; `None` where arrivals are paced by the generator itself.
pub(super) fn behind_queue(
    trace: &Trace,
    policy: &Policy,
    round_trip_ns: i64,
    ahead_s: f64,
    plain: &[Generation],
    leading: &[Leading],
) -> Option<Behind> {
    let known: Vec<Known> = leading.iter().map(Known::of).collect();
    let usual = Usual::of(&known);
    if plain.len() < FIRST_TURNS || paced_by_generator(&known, &usual) {
        return None;
    }
    let (frames, sample_rate) = (trace.loop_frames(), trace.sample_rate);
    let placement = Placement::new(&policy.placement, frames, sample_rate);
    let began = shifted(trace.begins, -(ahead_s * 1e9) as i64);
    let mut server = Server {
        trace,
        round_trip_ns,
        clock: trace.server_clock(&policy.clock, began),
        lead: LeadController::new(&policy.lead, policy.placement.window_s),
        placement: &placement,
        heard: 0,
    };
    let mut course = Course { usual: &usual, handed_over: began, turns: Vec::new() };
    let mut look = shifted(known[0].arrived, -usual.decode_ns);
    if began < trace.begins {
        look = look.min(shifted(began, usual.period_ns - usual.decode_ns));
    }
    let mut cost = 0.0;
    server.look(look);
    course.arrives(look, &plain[0], known[0].arrived);
    for i in 1..known.len() {
        let found = next_look(&server, look, &usual, &known[i..]);
        for turn in 1..found.turns {
            let gap_ns = (found.look.0 as i64 - look.0 as i64) * turn / found.turns;
            let between = shifted(look, gap_ns);
            server.look(between);
            course.shed(between, &plain[i]);
        }
        look = found.look;
        cost += found.cost.min(MISSED_COST);
        server.look(look);
        course.arrives(look, &plain[i], known[i].arrived);
    }
    let queue = Queue::of(trace, began, &known, &course.turns);
    // What was made and still on its way at the end would have come like most of what did.
    let mut arrives = known.last()?.arrived;
    let mut by_length: Vec<&Generation> = plain.iter().collect();
    by_length.sort_by_key(|turn| turn.bytes);
    let usual_turn = by_length[by_length.len() / 2];
    while look < trace.end {
        look = shifted(look, usual.period_ns);
        arrives = shifted(arrives, queue.waits_ns).max(shifted(look, usual.decode_ns));
        if queue.ns_per_byte > 0.0 {
            course.arrives(look, usual_turn, arrives);
        } else {
            course.shed(look, usual_turn);
        }
    }
    Some(Behind { turns: course.turns, cost: cost / known.len() as f64, queue })
}

/// The turns as they are found.
struct Course<'a> {
    usual: &'a Usual,
    handed_over: Nanos,
    turns: Vec<Generation>,
}

impl Course<'_> {
    fn arrives(&mut self, look: Nanos, like: &Generation, arrived: Nanos) {
        self.push(look, Generation { shed: false, ..*like });
        let transit_ns = arrived.0 as i64 - self.handed_over.0 as i64;
        self.turns.iter_mut().last().into_iter().for_each(|turn| turn.transit_ns = transit_ns);
    }

    fn shed(&mut self, look: Nanos, like: &Generation) {
        self.push(look, Generation { shed: true, transit_ns: 0, ..*like });
    }

    fn push(&mut self, look: Nanos, turn: Generation) {
        let decode_ns = self.usual.decode_ns;
        let since_ns = look.0 as i64 - self.handed_over.0 as i64;
        let rest_ns = self.usual.rest_ns;
        let tick_ns = since_ns - rest_ns;
        self.turns.push(Generation { rest_ns, tick_ns, decode_ns, ..turn });
        self.handed_over = shifted(look, decode_ns);
    }
}

/// The likeliest look of `next[0]` after a look at `last`.
fn next_look(server: &Server<'_>, last: Nanos, usual: &Usual, next: &[Known]) -> Found {
    let Usual { decode_ns, rest_ns, period_ns, spread_ns } = *usual;
    let latest = shifted(next[0].arrived, -decode_ns);
    let (tick_before_ns, decode_before_ns) = next[0].before_ns;
    let mut between = server.clone();
    let mut best: Option<Found> = None;
    for turns in 1..=MAX_TURNS {
        let mut consider = |ahead_ns: i64, spread_ns: i64| {
            let found = moment(&between, shifted(last, ahead_ns), spread_ns, latest, next[0].start);
            let found = found.map(|found| Found { turns, ..found });
            if let Some(found) = found
                && best.is_none_or(|best| found.cost < best.cost)
            {
                best = Some(found);
            }
        };
        if turns == 1 {
            // The slice after it declares this turn's tick, if none was shed between them.
            let tick_ns = next.get(1).map(|after| after.before_ns.0);
            let chained = tick_ns.map(|tick_ns| decode_before_ns + rest_ns + tick_ns);
            chained.into_iter().for_each(|ahead_ns| consider(ahead_ns, CHAIN_NS));
            consider(period_ns, spread_ns);
        } else {
            let declared_ns = tick_before_ns + decode_before_ns + rest_ns;
            let unknown = (turns - 1) as f64;
            let spread_ns = (spread_ns as f64 * unknown.sqrt()) as i64;
            consider((turns - 1) * period_ns + declared_ns, spread_ns);
        }
        let ahead = shifted(last, turns * period_ns);
        if shifted(ahead, -PLACE_NS) > latest {
            break;
        }
        between.look(ahead);
    }
    best.unwrap_or(Found {
        look: shifted(last, period_ns).min(latest.max(last)),
        turns: 1,
        cost: MISSED_COST,
    })
}

/// The moment nearest to a likely one at which the server would have put a slice there; the likely
/// one itself, at a price, where none near would have.
fn moment(
    server: &Server<'_>,
    likely: Nanos,
    spread_ns: i64,
    latest: Nanos,
    start: u32,
) -> Option<Found> {
    let reach_ns = PLACE_NS + 3 * spread_ns;
    if shifted(likely, -reach_ns) > latest {
        return None;
    }
    let at_best = likely.min(latest);
    let early_ns = server.early_ns(at_best, start);
    let cost = |at: Nanos| at.0.abs_diff(likely.0) as f64 / spread_ns.max(STEP_NS) as f64;
    if early_ns == 0 {
        return Some(Found { look: at_best, turns: 1, cost: cost(at_best) });
    }
    let missed = Found {
        look: at_best,
        turns: 1,
        cost: cost(at_best) + MISSED_COST + early_ns.unsigned_abs() as f64 / 1e6,
    };
    if early_ns.abs() > reach_ns {
        return Some(missed);
    }
    let way = early_ns.signum();
    let found = (1..=reach_ns / STEP_NS)
        .map(|step| shifted(at_best, way * step * STEP_NS))
        .take_while(|&at| at <= latest)
        .find(|&at| server.early_ns(at, start) == 0);
    let exact = |look| Found { look, turns: 1, cost: cost(look) };
    Some(found.map_or(missed, exact))
}

impl Known {
    fn of(leading: &Leading) -> Self {
        let Leading { start, arrived, before_ns } = *leading;
        Self { start, arrived, before_ns }
    }
}

impl Usual {
    fn of(known: &[Known]) -> Self {
        let of_all = |pick: fn(&Known) -> i64| -> Vec<f64> {
            known.iter().skip(1).map(|known| pick(known) as f64).collect()
        };
        let mut decodes = of_all(|known| known.before_ns.1);
        let works = of_all(|known| known.before_ns.0 + known.before_ns.1);
        let mut rests: Vec<f64> =
            known.windows(3).take(FIRST_TURNS).map(|three| rest_ns(three) as f64).collect();
        let rest_ns = (percentile(&mut rests, 0.1) as i64).clamp(0, LONGEST_REST_NS);
        let count = works.len().max(1) as f64;
        let mean = works.iter().sum::<f64>() / count;
        let variance = works.iter().map(|work| (work - mean).powi(2)).sum::<f64>() / count;
        Self {
            decode_ns: percentile(&mut decodes, 0.5) as i64,
            rest_ns,
            period_ns: (mean as i64 + rest_ns).max(STEP_NS),
            spread_ns: (variance.sqrt() as i64).max(STEP_NS),
        }
    }
}

/// What lies between the arrivals of the first two of three slices beside the second one's work.
fn rest_ns(three: &[Known]) -> i64 {
    let gap_ns = three[1].arrived.0 as i64 - three[0].arrived.0 as i64;
    let (tick_ns, decode_ns) = three[2].before_ns;
    gap_ns - tick_ns - decode_ns
}

/// How long before the initial buffer arrived the server may have begun, in seconds. It takes the
/// listener to be as far as it is itself until the first report comes, which the arrival of the
/// initial buffer brings about: one of its slices is the last that was made before that.
pub(super) fn ahead_s(trace: &Trace, policy: &Policy, leading: &[Leading]) -> Vec<f64> {
    let sample_rate = f64::from(trace.sample_rate);
    let made_s = |slice: &Leading| f64::from(slice.start) / sample_rate - policy.lead.floor_s;
    let early = leading.iter().take(EARLY_SLICES).step_by(EARLY_STEP).map(made_s);
    let longest_s = (trace.frames / 2) as f64 / sample_rate;
    std::iter::once(0.0)
        .chain(early.filter(|&ahead_s| 0.1 < ahead_s && ahead_s < longest_s))
        .collect()
}

fn paced_by_generator(known: &[Known], usual: &Usual) -> bool {
    let paced = known.windows(3).filter(|three| (rest_ns(three) - usual.rest_ns).abs() < PACED_NS);
    paced.count() as f64 > PACED_SHARE * known.len() as f64
}
