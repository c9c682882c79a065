//! Servers that are found again in recordings made here, by the pacing that is looked for.

use super::super::generations::{Generation, shifted};
use super::super::pacing::{Displaced, Rule};
use super::super::pacing_replay::{KnownLook, KnownLooks};
use super::super::queue::Cause;
use super::super::trace::{TracedSlice, TracedTick};
use super::places::Places;
use super::*;
use crate::time::Nanos;
use crate::wire::slice::SliceHeader;

const MS: i64 = 1_000_000;
const BEGINS: Nanos = Nanos(1_000_000_000);
const WAY_NS: i64 = 60 * MS;
const SLICE_LEN: u32 = 10_000;

/// A server that is that far away and took so many turns: of 39 ms mostly, with a longer one now and
/// then.
pub(super) fn server(turns: usize) -> Hypothesis {
    let turn = |number: usize| Generation {
        rest_ns: MS,
        tick_ns: if number % 61 == 60 { 500 * MS } else { (28 + number as i64 * 7 % 5) * MS },
        decode_ns: 8 * MS,
        bytes: SLICE_LEN,
        ..Generation::default()
    };
    let generations = (0..turns).map(turn).collect();
    Hypothesis { round_trip_ns: WAY_NS, generations, ..Hypothesis::default() }
}

/// What a client of it records that reports 20 times a second and goes elsewhere after 5 s. Each slice
/// takes `way_ns`, which gets its number and when it is handed over.
pub(super) fn recorded(
    server: &Hypothesis,
    mut arrives: impl FnMut(usize, Nanos) -> Nanos,
) -> Trace {
    let length_ns: i64 = server.generations.iter().map(Generation::length_ns).sum();
    let end = shifted(BEGINS, length_ns + 400 * MS);
    let tick = |number: u64| {
        let at = Nanos(BEGINS.0 + number * 50_000_000);
        let played_s = at.seconds_since(BEGINS);
        let position_s = if played_s > 5.0 { played_s + 3.0 } else { played_s };
        TracedTick {
            at,
            position_s: Some(position_s % 20.0),
            client_time: Some(played_s),
            acked: None,
            lead_s: None,
            bytes: 80,
        }
    };
    let mut trace = Trace {
        origin: BEGINS,
        begins: BEGINS,
        end,
        frames: 20 * 48_000,
        sample_rate: 48_000,
        reported_playhead: true,
        ticks: (0..).map(tick).take_while(|tick| tick.at < end).collect(),
        // The pong comes somewhat earlier than an answer to a report.
        shortest_ping_ns: Some((WAY_NS - 3 * MS) as u64),
        ..Trace::default()
    };
    let Hypothesis { rule, policy, round_trip_ns, generations, .. } = server;
    let known = KnownLooks::of(&trace, rule, policy, *round_trip_ns, generations);
    let mut before = generations[0];
    let made =
        known.placed(policy).enumerate().map(|(number, (KnownLook { at, turn, .. }, placed))| {
            let declared = std::mem::replace(&mut before, **turn);
            let header = SliceHeader {
                start: placed.region.start,
                frames: placed.region.frames,
                channels: 2,
                tick_ms: (declared.tick_ns / MS) as f32,
                dec_ms: (declared.decode_ns / MS) as f32,
                generations: number as u32,
                ..SliceHeader::default()
            };
            let at = arrives(number, shifted(*at, turn.decode_ns));
            TracedSlice { at, header, bytes: SLICE_LEN, text_bytes: 0 }
        });
    let slices: Vec<_> = made.collect();
    // What waits comes later than the reports end.
    trace.end = slices.last().map_or(trace.end, |last| last.at.max(trace.end));
    trace.slices = slices;
    trace
}

/// The same over a way that takes no time.
pub(super) fn at_once(server: &Hypothesis) -> Trace {
    recorded(server, |_, handed_over| handed_over)
}

fn with_floor(floor_s: f64, turns: usize) -> Hypothesis {
    let mut server = server(turns);
    server.policy.lead.floor_s = floor_s;
    server
}

#[test]
fn the_way_and_the_floor_are_found_by_the_places() {
    for floor_s in [0.25, 0.5] {
        let trace = at_once(&with_floor(floor_s, 250));
        let found = Fit::of(&trace).unwrap();
        let FactualError { exact_share, missing_share, .. } = found.factual_error;
        assert!(exact_share > 0.95 && missing_share == 0.0, "{:?}", found.factual_error);
        assert!((found.policy().lead.floor_s - floor_s).abs() < 0.004, "{:?}", found.policy().lead);
        assert!(
            (found.server.round_trip_ns - WAY_NS).abs() <= 7 * MS,
            "{}",
            found.server.round_trip_ns
        );
        assert!(
            (38 * MS..41 * MS).contains(&found.period_ns) && (found.tick_s - 0.05).abs() < 1e-9
        );
        assert_eq!((found.server.queue, found.server.rule), (None, Rule::AheadOfListener));
    }
}

#[test]
fn a_way_that_no_ping_tells_is_found_too() {
    let trace = Trace { shortest_ping_ns: None, ..at_once(&server(150)) };
    let clues = Clues::of(&trace);
    let found = search::searched(&clues, clues.plain.clone());
    assert!((found.round_trip_ns - WAY_NS).abs() <= 20 * MS, "{}", found.round_trip_ns);
    assert!((found.policy.lead.floor_s - 0.25).abs() < 0.004);
}

#[test]
fn places_say_what_is_wrong_with_a_server() {
    let right = server(100);
    let trace = at_once(&right);
    let of = |floor_s: f64, slices: usize| {
        let mut policy = right.policy.clone();
        policy.lead.floor_s = floor_s;
        let turns = &right.generations[..slices];
        let known = KnownLooks::of(&trace, &right.rule, &policy, WAY_NS, turns);
        Places::of(&trace, &known, &policy)
    };
    let exact = of(0.25, 100);
    assert_eq!((exact.exact_share, exact.cost(), exact.shift_s()), (1.0, 0.0, 0.0));
    // One step of the grid further away all of them are missed, the first eight more dearly.
    let off = of(0.29, 50);
    assert_eq!(off.exact_share, 0.0);
    assert!((off.cost() - (1.0 + 0.2 + 8.0 * 0.03)).abs() < 1e-9, "{}", off.cost());
    let shift_s = off.shift_s();
    assert!((shift_s + 0.04).abs() < 1e-9, "{shift_s}");
    // Far away costs no more than so much.
    assert!((of(1.25, 50).cost() - (1.0 + 1.0 + 8.0 * 0.03)).abs() < 1e-9);
}

#[test]
fn other_constants_of_the_lead_are_found_where_gaps_are_long() {
    let mut server = server(250);
    (server.policy.lead.floor_s, server.policy.lead.reserve_tau_s) = (0.17, 3.1);
    let trace = at_once(&server);
    let clues = Clues::of(&trace);
    let plain = Hypothesis { round_trip_ns: WAY_NS, ..clues.plain.clone() };
    let share = |server: &Hypothesis| {
        let Hypothesis { rule, policy, generations, .. } = server;
        let known = KnownLooks::of(&trace, rule, policy, WAY_NS, generations);
        Places::of(&trace, &known, policy).exact_share
    };
    let tuned = tune::tuned(&clues, plain.clone());
    assert!(share(&tuned) > share(&plain) + 0.3, "{} {}", share(&plain), share(&tuned));
    assert!((tuned.policy.lead.floor_s - 0.17).abs() < 0.02, "{:?}", tuned.policy.lead);
    let again = tune::tuned(&clues, tuned.clone());
    assert!(share(&again) >= share(&tuned));
}

#[test]
fn a_spell_behind_the_listener_is_found() {
    let spell = |from_s: f64, to_s: f64| {
        let at = |s: f64| shifted(BEGINS, (s * 1e9) as i64);
        Displaced { from: at(from_s), to: at(to_s), behind_s: 0.8 }
    };
    let found = |spells: Vec<Displaced>| {
        let trace = at_once(&Hypothesis { rule: Rule::Displaced(spells), ..server(250) });
        let clues = Clues::of(&trace);
        let found = displaced::candidates(&clues).next().unwrap();
        let is_right =
            checked(&clues, found.clone()).is_ok_and(|(_, error)| error.exact_share > 0.95);
        (found.rule.displaced().to_vec(), is_right)
    };
    let (spells, is_right) = found(vec![spell(3.0, 4.5), spell(6.0, 7.0)]);
    assert!(is_right && spells.len() == 2, "{spells:?}");
    for (spell, (from_s, to_s)) in spells.iter().zip([(3.0, 4.5), (6.0, 7.0)]) {
        assert!((spell.from.seconds_since(BEGINS) - from_s).abs() < 0.06, "{spell:?}");
        assert!((spell.to.seconds_since(BEGINS) - to_s).abs() < 0.06, "{spell:?}");
        assert!((spell.behind_s - 0.8).abs() < 0.03, "{spell:?}");
    }
    // Too few slices, too many spells, and too much of all: what is odd so often has another reason.
    assert_eq!(found(vec![spell(3.0, 3.2)]).0, []);
    assert_eq!(found((1..=7).map(|n| spell(f64::from(n), f64::from(n) + 0.5)).collect()).0, []);
    assert_eq!(found(vec![spell(2.0, 9.0)]).0, []);
}

#[test]
fn a_server_that_takes_reports_too_slowly_is_found() {
    let mut server = server(250);
    server.policy.intake.backlog_per_s = Some(18.5);
    let trace = at_once(&server);
    let clues = Clues::of(&trace);
    let found = slow_intake::candidates(&clues).next().unwrap();
    let per_s = found.policy.intake.backlog_per_s.unwrap();
    assert!((per_s - 18.5).abs() < 0.1, "{per_s}");
    let (found, error) = checked(&clues, found).unwrap();
    assert!(error.exact_share > 0.9 && found.queue.is_none(), "{error:?}");
    // Upstream's does not repeat that.
    assert!(checked(&clues, search::searched(&clues, clues.plain.clone())).is_err());
}

#[test]
fn a_queue_is_found_by_where_its_slices_go() {
    let server = server(60);
    // The link carries a slice in 60 ms, whenever it is free.
    let mut free = BEGINS;
    let trace = recorded(&server, |_, handed_over| {
        free = shifted(free.max(handed_over), 60 * MS);
        free
    });
    let clues = Clues::of(&trace);
    let found = behind_queue::candidates(&clues).next().unwrap();
    let queue = found.queue.unwrap();
    assert_eq!((queue.cause, queue.waits_ns), (Cause::Link, 60 * MS));
    let per_byte = 60e6 / f64::from(SLICE_LEN);
    assert!((queue.ns_per_byte - per_byte).abs() < 0.02 * per_byte, "{queue:?}");
    assert!((found.policy.lead.floor_s - 0.25).abs() < 0.05, "{:?}", found.policy.lead);
    let (_, error) = checked(&clues, found).unwrap();
    assert!(error.exact_share > 0.8 && error.missing_share < 0.05, "{error:?}");
    // What the generator paces had no queue.
    let trace = at_once(&server);
    assert!(behind_queue::candidates(&Clues::of(&trace)).next().is_none());
}

#[test]
fn a_server_that_nobody_can_repeat_works_for_as_long_as_it_declares() {
    let even = |turns| {
        let mut server = server(turns);
        server.generations.iter_mut().for_each(|turn| turn.tick_ns = 30 * MS);
        server
    };
    let declared = Fit::of_declared_work(&at_once(&even(50)));
    let queue = declared.server.queue.unwrap();
    assert_eq!((queue.cause, queue.began, queue.ns_per_byte), (Cause::Link, BEGINS, 0.0));
    assert_eq!((declared.period_ns, declared.server.round_trip_ns), (39 * MS, WAY_NS - 3 * MS));
    let turns = &declared.server.generations;
    assert!(turns.iter().all(|turn| turn.length_ns() == 39 * MS && turn.transit_ns == 0));
    // Those of the recording, and more for the 400 ms until it ends.
    assert_eq!(turns.len(), 50 + 11);
}
