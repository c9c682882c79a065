//! When the server made what arrived over a link too thin for the stream.
//!
//! Behind a queue arrivals tell how much the link carries and nothing of the moments at which slices
//! were made. Their places do: a slice starts where the server believed the listener to be, which
//! follows from the reports, plus its advance. So each turn's look is the likeliest moment at which
//! the pacing would have put the slice where it is. A round trip taken too short and moments found too
//! early undo each other.

use super::super::generations::{Generation, Leading, shifted};
use super::super::hypothesis::Hypothesis;
use super::super::pacing::Rule;
use super::super::pacing_replay::PacingReplay;
use super::super::queue::{Cause, Queue};
use super::super::trace::Trace;
use super::clues::Clues;
use super::next_look::{FIRST_TURNS, FoundLook, MISSED_COST, Usual, next_look, rest_ns};
use super::search::SEARCHED_SLICES;
use crate::lag::stats::percentile;
use crate::peer::policy::Policy;
use crate::time::Nanos;

/// Slices that may have been made before the first report, and every which of them is tried.
const EARLY_SLICES: usize = 200;
const EARLY_STEP: usize = 4;
/// Arrivals that follow each other as the work did are paced by the generator, not by a link: with
/// this share of them so, and so exactly (in nanoseconds), there was no queue.
const PACED_SHARE: f64 = 0.5;
const PACED_NS: i64 = 3_000_000;
/// Slices that a client takes in one go arrive within this of each other, in nanoseconds; where
/// more than this share of them do, it is the client that they waited for.
const TOGETHER_NS: u64 = 1_000_000;
const IN_BURSTS_SHARE: f64 = 0.5;
/// Round trips that are tried behind a queue, where only the first slices depend on it.
const QUEUED_WAYS_NS: [i64; 6] = [0, 10_000_000, 25_000_000, 50_000_000, 80_000_000, 120_000_000];
/// What a second costs by which a server began before the initial buffer arrived, in spreads.
const AHEAD_COST: f64 = 0.1;
/// Behind a queue a floor further than this from upstream's is as unlikely as each slice made one
/// spread from its likely moment.
const QUEUED_FLOOR_S: f64 = 0.5;

/// The server behind a queue of each length, where arrivals are not paced by the generator itself.
pub(super) fn candidates<'a>(clues: &'a Clues<'a>) -> Box<dyn Iterator<Item = Hypothesis> + 'a> {
    Box::new(std::iter::once_with(move || candidate(clues)).flatten())
}

fn candidate(clues: &Clues<'_>) -> Option<Hypothesis> {
    let Clues { trace, plain, leading, .. } = clues;
    // Of the first slices only, so that long recordings take no longer.
    let searched = &leading[..leading.len().min(SEARCHED_SLICES)];
    let ahead_s = likeliest_ahead_s(clues, searched)?;
    let usual_s = plain.policy.lead.floor_s;
    let ways = || QUEUED_WAYS_NS.into_iter().map(|step_ns| clues.way_ns(step_ns));
    let floors = (-4..=8).map(|step| usual_s + 0.02 * f64::from(step));
    let candidates: Vec<_> =
        floors.flat_map(|floor_s| ways().map(move |way_ns| (way_ns, floor_s))).collect();
    let unlikely = |&(_, floor_s): &(i64, f64)| (floor_s - usual_s).abs() / QUEUED_FLOOR_S;
    let (round_trip_ns, floor_s) =
        cheapest(candidates, unlikely, |&(round_trip_ns, floor_s), costs| {
            let mut policy = plain.policy.clone();
            policy.lead.floor_s = floor_s;
            let server = QueuedServer { trace, policy: &policy, round_trip_ns, ahead_s };
            server.behind_queue(&plain.generations, searched, costs).map(|behind| behind.cost)
        })?;
    let mut server = Hypothesis { round_trip_ns, ..plain.clone() };
    server.policy.lead.floor_s = floor_s;
    let all = QueuedServer { trace, policy: &server.policy, round_trip_ns, ahead_s }.behind_queue(
        &plain.generations,
        leading,
        Costs::NONE,
    )?;
    (server.generations, server.queue) = (all.turns, Some(all.queue));
    Some(server)
}

/// How long before the initial buffer arrived the server most likely began, in seconds.
fn likeliest_ahead_s(clues: &Clues<'_>, searched: &[Leading]) -> Option<f64> {
    let Clues { trace, plain, .. } = clues;
    // A little more than none: beside equal costs the server began when it should.
    let unlikely = |ahead_s: &f64| AHEAD_COST * ahead_s;
    cheapest(ahead_s(trace, &plain.policy, searched), unlikely, |&ahead_s, costs| {
        let round_trip_ns = clues.known_way_ns();
        let server = QueuedServer { trace, policy: &plain.policy, round_trip_ns, ahead_s };
        server.behind_queue(&plain.generations, searched, costs).map(|behind| behind.cost)
    })
}

/// The candidate that costs least, the first of equals: its places, and what speaks against it beside them.
/// The likeliest is looked at first, and no other further than until it costs more than the best.
fn cheapest<T>(
    candidates: Vec<T>,
    unlikely: impl Fn(&T) -> f64,
    cost: impl Fn(&T, Costs) -> Option<f64>,
) -> Option<T> {
    let mut order: Vec<_> = candidates.iter().map(unlikely).enumerate().collect();
    order.sort_by(|(_, one), (_, two)| one.total_cmp(two));
    let mut best: Option<(f64, usize)> = None;
    for (index, unlikely) in order {
        let most = best.map_or(f64::INFINITY, |(cost, _)| cost);
        let Some(cost) = cost(&candidates[index], Costs { unlikely, most }) else { continue };
        if best.is_none_or(|best| (cost, index) < best) {
            best = Some((cost, index));
        }
    }
    best.and_then(|(_, index)| candidates.into_iter().nth(index))
}

/// What a candidate costs beside its places, and the most that it may cost in all.
#[derive(Clone, Copy)]
struct Costs {
    unlikely: f64,
    most: f64,
}

impl Costs {
    const NONE: Costs = Costs { unlikely: 0.0, most: f64::INFINITY };
}

/// What the places tell.
struct Behind {
    /// The turns, shed ones included.
    turns: Vec<Generation>,
    /// How unlikely their moments are, per slice, in spreads, with what the server costs beside them.
    cost: f64,
    queue: Queue,
}

/// A server whose slices waited.
struct QueuedServer<'a> {
    trace: &'a Trace,
    policy: &'a Policy,
    round_trip_ns: i64,
    /// How long before the initial buffer arrived it began, in seconds.
    ahead_s: f64,
}

impl QueuedServer<'_> {
    /// The turns behind a queue; `None` where arrivals are paced by the generator itself, or where it would
    /// cost too much.
    fn behind_queue(
        &self,
        plain: &[Generation],
        known: &[Leading],
        Costs { unlikely, most }: Costs,
    ) -> Option<Behind> {
        let Self { trace, policy, round_trip_ns, ahead_s } = *self;
        let usual = Usual::of(known);
        if plain.len() < FIRST_TURNS || paced_by_generator(known, &usual) {
            return None;
        }
        let began = shifted(trace.begins, -(ahead_s * 1e9) as i64);
        let server = PacingReplay::new(trace, &Rule::AheadOfListener, policy, round_trip_ns, began);
        let mut look = shifted(known[0].arrived, -usual.decode_ns);
        if began < trace.begins {
            look = look.min(shifted(began, usual.period_ns - usual.decode_ns));
        }
        let mut course = Course { usual: &usual, server, handed_over: began, turns: Vec::new() };
        course.arrives(look, &plain[0], known[0].arrived);
        let mut moments_cost = 0.0;
        // Each moment adds to it.
        let cost = |moments_cost: f64| moments_cost / known.len() as f64 + unlikely;
        for i in 1..known.len() {
            let found = next_look(&course.server, look, &usual, &known[i..]);
            course.sheds_between(look, &found, &plain[i]);
            look = found.look;
            moments_cost += found.cost.min(MISSED_COST);
            if cost(moments_cost) > most {
                return None;
            }
            course.arrives(look, &plain[i], known[i].arrived);
        }
        let queue = queue_of(trace, began, known, &course.turns);
        course.goes_on(look, known.last()?.arrived, trace.end, plain, &queue);
        Some(Behind { turns: course.turns, cost: cost(moments_cost), queue })
    }
}

/// The turns as they are found.
struct Course<'a> {
    usual: &'a Usual,
    server: PacingReplay<'a>,
    handed_over: Nanos,
    turns: Vec<Generation>,
}

impl Course<'_> {
    /// A look whose slice arrived.
    fn arrives(&mut self, look: Nanos, like: &Generation, arrived: Nanos) {
        self.server.look(look);
        self.push_arrived(look, like, arrived);
    }

    /// The turns between two looks whose slices arrived.
    fn sheds_between(&mut self, last: Nanos, found: &FoundLook, like: &Generation) {
        for turn in 1..found.turns {
            let gap_ns = (found.look.0 as i64 - last.0 as i64) * turn / found.turns;
            let between = shifted(last, gap_ns);
            self.server.look(between);
            self.push_shed(between, like);
        }
    }

    /// What was made and still on its way at the end would have come like most of what did.
    fn goes_on(
        &mut self,
        last: Nanos,
        arrived: Nanos,
        end: Nanos,
        plain: &[Generation],
        queue: &Queue,
    ) {
        let (mut look, mut arrives) = (last, arrived);
        let mut by_length: Vec<&Generation> = plain.iter().collect();
        by_length.sort_by_key(|turn| turn.bytes);
        let usual_turn = by_length[by_length.len() / 2];
        while look < end {
            look = shifted(look, self.usual.period_ns);
            let decoded = shifted(look, self.usual.decode_ns);
            arrives = shifted(arrives, queue.waits_ns).max(decoded);
            if queue.ns_per_byte > 0.0 {
                self.push_arrived(look, usual_turn, arrives);
            } else {
                self.push_shed(look, usual_turn);
            }
        }
    }

    fn push_arrived(&mut self, look: Nanos, like: &Generation, arrived: Nanos) {
        self.push(look, Generation { shed: false, ..*like });
        let transit_ns = arrived.0 as i64 - self.handed_over.0 as i64;
        self.turns.iter_mut().last().into_iter().for_each(|turn| turn.transit_ns = transit_ns);
    }

    fn push_shed(&mut self, look: Nanos, like: &Generation) {
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

fn queue_of(trace: &Trace, began: Nanos, known: &[Leading], turns: &[Generation]) -> Queue {
    let mut gaps: Vec<f64> =
        known.windows(2).map(|pair| pair[1].arrived.seconds_since(pair[0].arrived) * 1e9).collect();
    let waits_ns = percentile(&mut gaps, 0.5) as i64;
    let arrived = turns.iter().filter(|turn| !turn.shed);
    let waited = gaps_and_bytes(known, arrived).filter(|&(transit, ..)| transit > waits_ns);
    let (ns, bytes) = waited.fold((0.0, 0.0), |(ns, bytes), (_, gap_ns, own)| {
        (ns + gap_ns as f64, bytes + f64::from(own))
    });
    let cause = cause(known);
    // What waits for the client waits no longer because it is longer.
    let is_paid = bytes > 0.0 && cause == Cause::Link && !trace.acknowledges();
    let ns_per_byte = if is_paid { ns / bytes } else { 0.0 };
    Queue { cause, ns_per_byte, began, waits_ns }
}

/// What slices wait for that come like that.
pub(super) fn cause(known: &[Leading]) -> Cause {
    let together = known
        .windows(2)
        .filter(|pair| pair[1].arrived.0.saturating_sub(pair[0].arrived.0) < TOGETHER_NS);
    let in_bursts = together.count() as f64 > IN_BURSTS_SHARE * known.len() as f64;
    if in_bursts { Cause::Client } else { Cause::Link }
}

/// Of each slice but the first how long it was on its way, how long after the one before it came,
/// and its length.
fn gaps_and_bytes<'a>(
    known: &'a [Leading],
    arrived: impl Iterator<Item = &'a Generation> + 'a,
) -> impl Iterator<Item = (i64, i64, u32)> + 'a {
    let gap_ns = |pair: &[Leading]| pair[1].arrived.0 as i64 - pair[0].arrived.0 as i64;
    let gaps = known.windows(2).map(gap_ns);
    arrived.skip(1).zip(gaps).map(|(turn, gap_ns)| (turn.transit_ns, gap_ns, turn.bytes))
}

/// How long before the initial buffer arrived the server may have begun, in seconds. It takes the
/// listener to be as far as it is itself until the first report comes, which the arrival of the
/// initial buffer brings about: one of its slices is the last that was made before that.
fn ahead_s(trace: &Trace, policy: &Policy, leading: &[Leading]) -> Vec<f64> {
    let sample_rate = f64::from(trace.sample_rate);
    let made_s = |slice: &Leading| f64::from(slice.start) / sample_rate - policy.lead.floor_s;
    let early = leading.iter().take(EARLY_SLICES).step_by(EARLY_STEP).map(made_s);
    let longest_s = (trace.frames / 2) as f64 / sample_rate;
    std::iter::once(0.0)
        .chain(early.filter(|&ahead_s| 0.1 < ahead_s && ahead_s < longest_s))
        .collect()
}

fn paced_by_generator(known: &[Leading], usual: &Usual) -> bool {
    let paced = known.windows(3).filter(|three| (rest_ns(three) - usual.rest_ns).abs() < PACED_NS);
    paced.count() as f64 > PACED_SHARE * known.len() as f64
}

#[cfg(test)]
mod tests {
    use super::super::next_look::tests::{MS, known};
    use super::super::tests::{recorded, server};
    use super::*;
    use crate::scenario::model::trace::TracedTick;

    /// Slices that came every 100 ms.
    fn every_100_ms(count: u64) -> Vec<Leading> {
        known(&(0..count).map(|i| (100 * i, 30, 8)).collect::<Vec<_>>())
    }

    /// Turns that arrived, of so many bytes each, which were on their way for so many milliseconds.
    fn arrived(turns: &[(i64, u32)]) -> Vec<Generation> {
        let turn = |&(transit_ms, bytes)| Generation {
            transit_ns: transit_ms * MS,
            bytes,
            ..Generation::default()
        };
        turns.iter().map(turn).collect()
    }

    #[test]
    fn a_queue_is_paid_by_the_byte_by_those_that_waited() {
        let trace = Trace::default();
        let known = every_100_ms(5);
        let mut turns = arrived(&[(900, 7), (100, 70), (101, 1_000), (500, 2_000), (99, 9)]);
        turns
            .insert(2, Generation { shed: true, bytes: 1 << 20, transit_ns: i64::MAX, ..turns[0] });
        let queue = queue_of(&trace, Nanos(3), &known, &turns);
        let expected = Queue {
            cause: Cause::Link,
            ns_per_byte: 200.0 * MS as f64 / 3_000.0,
            began: Nanos(3),
            waits_ns: 100 * MS,
        };
        assert_eq!(queue, expected);
        let nobody = queue_of(&trace, Nanos(3), &known, &arrived(&[(9, 7); 5]));
        assert_eq!(nobody.ns_per_byte, 0.0);
        // A server that sheds by acknowledgements keeps the queue as long as it is.
        let tick = TracedTick {
            at: Nanos(0),
            position_s: None,
            client_time: None,
            acked: Some(1.0),
            lead_s: None,
            bytes: 0,
        };
        let trace = Trace { ticks: vec![tick], ..trace };
        assert_eq!(
            queue_of(&trace, Nanos(3), &known, &turns),
            Queue { ns_per_byte: 0.0, ..expected }
        );
    }

    #[test]
    fn the_cheapest_is_the_first_of_those_that_cost_least_whoever_is_looked_at_first() {
        use proptest::prelude::*;
        let cost = |(_, unlikely, places): &(usize, u8, u8)| f64::from(unlikely + places);
        let places = |(_, _, places): &(usize, u8, u8), costs: Costs| {
            let cost = f64::from(*places) + costs.unlikely;
            (cost <= costs.most).then_some(cost)
        };
        proptest!(|(costs in proptest::collection::vec((0..4_u8, 0..4_u8), 0..12))| {
            let numbered = costs.into_iter().enumerate();
            let candidates: Vec<_> = numbered.map(|(number, (a, b))| (number, a, b)).collect();
            let least = candidates.iter().copied().min_by(|a, b| cost(a).total_cmp(&cost(b)));
            let found = cheapest(candidates, |candidate| f64::from(candidate.1), places);
            prop_assert_eq!(found, least);
        });
    }

    #[test]
    fn a_server_that_costs_no_more_than_it_may_is_looked_at_to_its_end() {
        // Each waits for five milliseconds longer than the one before.
        let waits = |number: usize, handed_over| shifted(handed_over, number as i64 * 5 * MS);
        let trace = recorded(&server(80), waits);
        let clues = Clues::of(&trace);
        let policy = &clues.plain.policy;
        let server = QueuedServer { trace: &trace, policy, round_trip_ns: 0, ahead_s: 0.0 };
        let cost = |most: f64| {
            let costs = Costs { unlikely: 0.5, most };
            Some(server.behind_queue(&clues.plain.generations, &clues.leading, costs)?.cost)
        };
        let all = cost(f64::INFINITY).unwrap();
        assert!(all > 0.5);
        assert_eq!((cost(all), cost(all.next_down())), (Some(all), None));
    }

    #[test]
    fn who_takes_slices_in_bursts_is_what_they_wait_for() {
        // Three of five came with the one before.
        let bursts = known(&[(0, 30, 8), (300, 30, 8), (300, 30, 8), (300, 30, 8), (300, 30, 8)]);
        assert_eq!((cause(&bursts), cause(&bursts[..4])), (Cause::Client, Cause::Link));
        assert_eq!(cause(&every_100_ms(5)), Cause::Link);
        // Those take no longer for being longer.
        let turns = arrived(&[(900, 7), (900, 1_000), (900, 2_000), (900, 9), (900, 9)]);
        let queue = queue_of(&Trace::default(), Nanos(0), &bursts, &turns);
        assert_eq!((queue.cause, queue.ns_per_byte), (Cause::Client, 0.0));
    }

    #[test]
    fn a_server_began_as_early_as_its_first_slices_say() {
        let trace = Trace { sample_rate: 1_000, frames: 20_000, ..Trace::default() };
        let policy = Policy::default();
        let floor = (policy.lead.floor_s * 1_000.0) as u32;
        // Every fourth is looked at, of which one is where it would be anyway and one half a loop away.
        let mut leading = every_100_ms(17);
        for (turn, ahead) in [(0, 50), (4, 700), (5, 800), (8, 9_999), (12, 10_000), (16, 1_700)] {
            leading[turn].start = floor + ahead;
        }
        let ahead_ms: Vec<_> = ahead_s(&trace, &policy, &leading)
            .into_iter()
            .map(|ahead_s| (ahead_s * 1_000.0).round() as i64)
            .collect();
        assert_eq!(ahead_ms, [0, 700, 9_999, 1_700]);
    }

    #[test]
    fn arrivals_that_follow_each_other_as_the_work_did_are_paced_by_it() {
        let paced = |count: usize| {
            // Each comes when it was made: 38 ms of work and 1 ms of rest; the others 3 ms later.
            let mut at = 0;
            let slices: Vec<_> = (0..12)
                .map(|i| {
                    at += if i < count { 39 } else { 42 };
                    (at, 30, 8)
                })
                .collect();
            let known = known(&slices);
            paced_by_generator(&known, &Usual { rest_ns: MS, ..Usual::of(&known) })
        };
        assert!(paced(12) && paced(8));
        assert!(!paced(7) && !paced(0));
    }

    #[test]
    fn a_course_puts_turns_end_to_end() {
        let (trace, policy) = (Trace::default(), Policy::default());
        let trace = Trace { sample_rate: 1_000, frames: 20_000, ..trace };
        let server = PacingReplay::new(&trace, &Rule::AheadOfListener, &policy, 0, Nanos(0));
        let usual = Usual { decode_ns: 8 * MS, rest_ns: MS, period_ns: 40 * MS, spread_ns: MS };
        let mut course = Course { usual: &usual, server, handed_over: Nanos(0), turns: Vec::new() };
        let at = |ms: i64| Nanos((ms * MS) as u64);
        let like = Generation { bytes: 5, transit_ns: 77, ..Generation::default() };
        course.arrives(at(31), &like, at(60));
        let found = FoundLook { look: at(151), turns: 3, cost: 0.0 };
        course.sheds_between(at(31), &found, &like);
        course.arrives(at(151), &like, at(300));
        let queue =
            Queue { cause: Cause::Link, ns_per_byte: 1.0, began: Nanos(0), waits_ns: 10 * MS };
        course.goes_on(at(151), at(300), at(230), &[like], &queue);
        let found: Vec<_> = course
            .turns
            .iter()
            .map(|turn| (turn.shed, turn.rest_ns / MS, turn.tick_ns / MS, turn.transit_ns / MS))
            .collect();
        assert_eq!(
            found,
            [
                (false, 1, 30, 21),
                (true, 1, 31, 0),
                (true, 1, 31, 0),
                (false, 1, 31, 141),
                // Made and on their way at the end.
                (false, 1, 31, 111),
                (false, 1, 31, 81),
            ]
        );
        assert!(course.turns.iter().all(|turn| turn.decode_ns == 8 * MS && turn.bytes == 5));
        // Where more bytes cost no time, what was under way was shed.
        course.goes_on(at(231), at(320), at(232), &[like], &Queue { ns_per_byte: 0.0, ..queue });
        assert_eq!(
            course.turns.last().map(|turn| (turn.shed, course.turns.len())),
            Some((true, 7))
        );
    }
}
