//! What a proxy costs: latency that it adds, throughput that it leaves, beside the other ways to
//! stand in between.
//!
//! Both ends and all relays but those in Python are in this process. The variants take turns, message
//! by message, so that what else the machine does meets all of them alike. Latency is from before the
//! write of a message to after the read of its last byte, at the rates of a real session: 25 messages
//! a second of 10 to 20 kB down, 125 of 1 kB up. Nothing here passes or fails.

mod ends;
mod relays;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use lagtape::lag::stats::percentile;
use serde_json::{Value, json};
use tempfile::TempDir;

use ends::{DOWN, Ends, UP};
use relays::Relay;

/// Messages up a second.
const UP_HZ: u32 = 125;
/// Of so many periods one has a message down as well.
const DOWN_EVERY: usize = 5;
/// Bytes of one message when throughput is measured.
const BULK_LEN: usize = 64 << 10;

/// Measures the proxy beside a direct connection, a splice, and other relays.
#[derive(Parser)]
#[command(name = "cargo bench --bench proxy --")]
struct Args {
    /// A tenth of the messages
    #[arg(long)]
    quick: bool,
    /// Print JSON on stdout
    #[arg(long)]
    json: bool,
    /// Python that has websockets, for its relay
    #[arg(long, env = "LAGTAPE_PYTHON", default_value = "python3")]
    python: String,
    /// mitmdump of mitmproxy, measured where it is there
    #[arg(long, env = "LAGTAPE_MITMDUMP", default_value = "mitmdump")]
    mitmdump: String,
    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A way from client to server, with what was measured of it.
struct Variant {
    name: &'static str,
    ends: Ends,
    /// Ends the relay when it is dropped.
    _relay: Option<Relay>,
    latencies_s: [Vec<f64>; 2],
    rates: Vec<f64>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let folder = TempDir::with_prefix("lagtape-bench")?;
    let (periods, rounds, bulk) = if args.quick { (1_700, 3, 2_000) } else { (17_000, 7, 6_000) };
    let mut variants = Vec::new();
    let mut notes = Vec::new();
    for (name, start) in relays::all(&args.python, &args.mitmdump, folder.path()) {
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
    let rows: Vec<Value> = variants.iter_mut().map(row).collect();
    if args.json {
        println!("{}", json!({ "schema": 1, "quick": args.quick, "rows": rows, "notes": notes }));
    } else {
        print(&rows);
        notes.iter().for_each(|note| println!("  {note}"));
    }
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

fn row(variant: &mut Variant) -> Value {
    let mut all: Vec<f64> = variant.latencies_s.concat();
    let count = all.len();
    let mut at = |q| percentile(&mut all, q);
    json!({
        "name": variant.name,
        "messages": count,
        "p50_s": at(0.5),
        "p99_s": at(0.99),
        "p999_s": at(0.999),
        "down_p50_s": percentile(&mut variant.latencies_s[DOWN], 0.5),
        "up_p50_s": percentile(&mut variant.latencies_s[UP], 0.5),
        "bytes_per_s": percentile(&mut variant.rates, 0.5),
    })
}

fn print(rows: &[Value]) {
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or(f64::NAN);
    let find = |name: &str| rows.iter().find(|row| row["name"] == name);
    let (Some(direct), Some(splice)) = (find("direct"), find("splice")) else { return };
    println!(
        "  added to a direct connection, µs; × of what a splice adds; throughput, × of a splice's"
    );
    println!(
        "  {:<24} {:>7} {:>16} {:>16} {:>9} {:>17}",
        "", "sent", "p50", "p99", "p99.9", "throughput"
    );
    for row in rows {
        let added = |key: &str| (number(row, key) - number(direct, key)) * 1e6;
        let of_splice =
            |key: &str| added(key) / ((number(splice, key) - number(direct, key)) * 1e6);
        let rate = number(row, "bytes_per_s");
        let shown = |key: &str| match row["name"] == "direct" {
            true => format!("{:.0} in all", number(row, key) * 1e6),
            false => format!("{:.0}  × {:.2}", added(key), of_splice(key)),
        };
        println!(
            "  {:<24} {:>7} {:>16} {:>16} {:>9.0} {:>6.2} GB/s  × {:.2}",
            row["name"].as_str().unwrap_or_default(),
            row["messages"],
            shown("p50_s"),
            shown("p99_s"),
            added("p999_s"),
            rate / 1e9,
            rate / number(splice, "bytes_per_s"),
        );
    }
}
