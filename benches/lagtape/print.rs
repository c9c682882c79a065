//! Tables for people.

use std::fmt::Write;

use crate::harness::{Clock, Measured, MeasuredRatio, MeasuredRow};
use crate::machine::Machine;

/// The machine in one line.
pub fn machine(machine: &Machine) -> String {
    let Machine { processor, cores, system, vectors, lagtape } = machine;
    let vectors = vectors.join(" ");
    format!("lagtape {lagtape} on {processor}, {cores} cores, {system} {vectors}\n")
}

/// A table with its ratios below it.
pub fn table(table: &Measured) -> String {
    let mut text = format!("{} · {}\n", table.group, table.title);
    let names = table.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let width = names.max(16);
    let per = format!("per {}", table.unit);
    let _ = writeln!(text, "  {:width$}  {per:>12}   spread", "");
    for row in &table.rows {
        let _ = writeln!(text, "  {:width$}  {}", row.name, figures(row));
    }
    for ratio in &table.ratios {
        let _ = writeln!(text, "  {}", self::ratio(ratio));
    }
    text
}

fn figures(row: &MeasuredRow) -> String {
    let Some(figures) = row.figures else {
        let reason = row.missing.as_deref().unwrap_or("nothing to sum up");
        return format!("not measured: {reason}");
    };
    let spread = (figures.p75_s - figures.p25_s) / 2.0 / figures.median_s * 100.0;
    let mut text = format!("{:>12}   ± {spread:.0} %", time(figures.median_s));
    if row.clock == Clock::Wall {
        text.push_str("  wall clock");
    }
    if let Some(aim_s) = row.aim_s {
        let met = if figures.median_s <= aim_s { "met" } else { "missed" };
        let _ = write!(text, "  aim {}: {met}", time(aim_s));
    }
    text
}

fn ratio(ratio: &MeasuredRatio) -> String {
    let MeasuredRatio { of, over, value, at_most, at_least } = ratio;
    let Some(value) = value else { return format!("{of} / {over}: not measured") };
    let met = |is_met: bool| if is_met { "met" } else { "missed" };
    let aim = match (at_most, at_least) {
        (Some(most), _) => format!("   aim ≤ {most}: {}", met(value <= most)),
        (_, Some(least)) => format!("   aim ≥ {least}: {}", met(value >= least)),
        _ => String::new(),
    };
    format!("{of} / {over} = {}{aim}", significant(*value))
}

/// Seconds in the unit that suits them.
fn time(seconds: f64) -> String {
    let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")];
    let (unit_s, unit) =
        units.into_iter().find(|(unit_s, _)| seconds >= *unit_s).unwrap_or((1e-9, "ns"));
    format!("{} {unit}", significant(seconds / unit_s))
}

/// Three digits that matter.
fn significant(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
