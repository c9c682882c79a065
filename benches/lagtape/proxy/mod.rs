//! What a proxy costs: latency that it adds, throughput that it leaves, beside the other ways to
//! stand in between.
//!
//! Both ends and all relays but those in Python are in this process. The variants take turns, message
//! by message, so that what else the machine does meets all of them alike. Latency is from before the
//! write of a message to after the read of its last byte, at the rates of a real session: 25 messages
//! a second of 10 to 20 kB down, 125 of 1 kB up. Nothing here passes or fails.

mod bodies;
mod ends;
mod relays;

use std::time::Duration;

use anyhow::Result;
use lagtape::lag::stats::percentile;

use crate::harness::Bench;
use ends::{DOWN, Ends, UP};
use relays::Relay;

/// Messages up a second.
const UP_HZ: u32 = 125;
/// Of so many periods one has a message down as well.
const DOWN_EVERY: usize = 5;
/// Bytes of one message when throughput is measured.
const BULK_LEN: usize = 64 << 10;

/// A way from client to server, with what was measured of it.
struct Variant {
    name: &'static str,
    ends: Ends,
    /// Ends the relay when it is dropped.
    _relay: Option<Relay>,
    latencies_s: [Vec<f64>; 2],
    rates: Vec<f64>,
}

/// The tables of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    messages(bench)?;
    bodies::run(bench)
}

fn messages(bench: &mut Bench) -> Result<()> {
    bench.doing("sending messages through whatever can stand in between");
    let quick = bench.effort.quick;
    let (periods, rounds, bulk) = if quick { (1_700, 3, 2_000) } else { (17_000, 7, 6_000) };
    let mut variants = Vec::new();
    let mut notes = Vec::new();
    for (name, start) in relays::all(bench.folder.path()) {
        match start()
            .and_then(|(listener, relay)| Ok((Ends::connect(listener, relay.as_ref())?, relay)))
        {
            Ok((ends, _relay)) => {
                let (latencies_s, rates) = ([Vec::new(), Vec::new()], Vec::new());
                variants.push(Variant { name, ends, _relay, latencies_s, rates });
            }
            Err(error) => notes.push(format!("{name} is not measured: {error:#}")),
        }
    }
    latencies(&mut variants, periods)?;
    for _ in 0..rounds {
        for variant in &mut variants {
            match throughput(&mut variant.ends, bulk) {
                Ok(rate) => variant.rates.push(rate),
                Err(error) => notes.push(format!("{} broke under load: {error:#}", variant.name)),
            }
        }
    }
    let rows: Vec<Figures> = variants.iter_mut().map(Figures::of).collect();
    notes.splice(0..0, table(&rows));
    notes.iter().for_each(|note| bench.note(note));
    Ok(())
}

/// Sends messages over all variants in turns, at the rate of a session for each of them.
fn latencies(variants: &mut [Variant], periods: usize) -> Result<()> {
    let period = Duration::from_secs(1) / UP_HZ;
    let turn = period / (2 * variants.len() as u32);
    let mut next = ends::now();
    for i in 0..periods {
        for variant in variants.iter_mut() {
            for direction in [UP, DOWN] {
                next += turn;
                ends::wait_until(next);
                let is_due = direction == UP || i % DOWN_EVERY == 0;
                if is_due {
                    // 10 to 20 kB, in an order without a pattern.
                    let len = if direction == UP { 1_000 } else { 10_000 + i * 7_919 % 10_000 };
                    variant.ends.send(direction, len)?;
                }
            }
        }
        if i == 50 {
            // The first messages only warm the caches.
            variants.iter_mut().for_each(|variant| drop(variant.ends.take_latencies()));
        }
    }
    for variant in variants {
        variant.ends.wait_for_all()?;
        variant.latencies_s = variant.ends.take_latencies();
    }
    Ok(())
}

/// Bytes a second of messages that are sent as fast as they are taken.
fn throughput(ends: &mut Ends, messages: usize) -> Result<f64> {
    let begun = ends::now();
    for _ in 0..messages {
        ends.send(DOWN, BULK_LEN)?;
    }
    ends.wait_for_all()?;
    let seconds = begun.elapsed().as_secs_f64();
    drop(ends.take_latencies());
    Ok((messages * BULK_LEN) as f64 / seconds)
}

/// What was measured of a variant.
struct Figures {
    name: &'static str,
    messages: usize,
    /// p50, p99 and p99.9.
    latency_s: [f64; 3],
    bytes_per_s: f64,
}

impl Figures {
    fn of(variant: &mut Variant) -> Self {
        let mut all: Vec<f64> = variant.latencies_s.concat();
        Figures {
            name: variant.name,
            messages: all.len(),
            latency_s: [0.5, 0.99, 0.999].map(|q| percentile(&mut all, q)),
            bytes_per_s: match variant.rates.is_empty() {
                true => f64::NAN,
                false => percentile(&mut variant.rates, 0.5),
            },
        }
    }
}

/// The lines of the table.
fn table(rows: &[Figures]) -> Vec<String> {
    let find = |name: &str| rows.iter().find(|row| row.name == name);
    let (Some(direct), Some(splice)) = (find("direct"), find("splice")) else {
        return vec!["neither a direct connection nor a splice could be measured".to_owned()];
    };
    let added = |row: &Figures, i: usize| (row.latency_s[i] - direct.latency_s[i]) * 1e6;
    let mut lines = vec![format!(
        "{:<24} {:>7} {:>15} {:>15} {:>9} {:>20}",
        "added, µs, × a splice's", "sent", "p50", "p99", "p99.9", "throughput"
    )];
    for row in rows {
        let shown = |i: usize| match row.name == direct.name {
            true => format!("{:.0} in all", row.latency_s[i] * 1e6),
            false => format!("{:.0}  × {:.2}", added(row, i), added(row, i) / added(splice, i)),
        };
        lines.push(format!(
            "{:<24} {:>7} {:>15} {:>15} {:>9.0} {:>6.2} GB/s  × {:.2}",
            row.name,
            row.messages,
            shown(0),
            shown(1),
            added(row, 2),
            row.bytes_per_s / 1e9,
            row.bytes_per_s / splice.bytes_per_s,
        ));
    }
    lines
}
