//! The timeline of a whole capture as CSV: all source buffers, one row for each step.
//!
//! Times are seconds from the initial buffer; a field without a value is empty.

use std::fmt::Write as _;

use super::data::Analysis;
use crate::lag::stats::round;

/// The columns.
pub const COLUMNS: [&str; 6] =
    ["epoch", "to_s", "slices", "min_lead_s", "max_staleness_s", "playhead_s"];

/// Writes the rows of every source buffer, oldest first.
#[must_use]
pub fn csv(analysis: &Analysis) -> String {
    let mut out = COLUMNS.join(",") + "\n";
    for (number, epoch) in analysis.epochs.iter().enumerate() {
        for row in epoch.lag.timeline.iter().flatten() {
            let to_s = round(epoch.to_s - row.t_ago_s, 2);
            let [lead, stale, playhead] =
                [row.min_lead_s, row.max_staleness_s, row.playhead_s].map(field);
            let slices = row.slices.map_or(String::new(), |slices| slices.to_string());
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{number},{to_s},{slices},{lead},{stale},{playhead}");
        }
    }
    out
}

fn field(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or(String::new(), |value| value.to_string())
}
