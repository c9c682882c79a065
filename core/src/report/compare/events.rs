//! Types of events, closes and ops that occur more often in one capture than in the other.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::capture::Marker;
use crate::lag::stats::round;
use crate::report::Analysis;

/// A type of event of which one side has more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventDifference {
    /// The event's `type`; `op.seek` for an op, `close.4001` for a close.
    pub kind: String,
    /// How many the first has.
    pub a: u64,
    /// How many the second has.
    pub b: u64,
    /// When the first one's first was.
    pub a_first_s: Option<f64>,
    /// When the second one's first was.
    pub b_first_s: Option<f64>,
}

/// Number of events of a type, and the time of the first.
type Counts = BTreeMap<String, (u64, f64)>;

/// The types of which one side has more; each side with the second at which it begins.
pub(super) fn compare(a: (&Analysis, f64), b: (&Analysis, f64)) -> Vec<EventDifference> {
    let (a, b) = (counts(a), counts(b));
    let only_b = b.keys().filter(|kind| !a.contains_key(*kind));
    a.keys()
        .chain(only_b)
        .map(|kind| {
            let (a, b) = (a.get(kind), b.get(kind));
            EventDifference {
                kind: kind.clone(),
                a: a.map_or(0, |(count, _)| *count),
                b: b.map_or(0, |(count, _)| *count),
                a_first_s: a.map(|(_, first_s)| *first_s),
                b_first_s: b.map(|(_, first_s)| *first_s),
            }
        })
        .filter(|event| event.a != event.b)
        .collect()
}

fn counts((analysis, from_s): (&Analysis, f64)) -> Counts {
    let mut counts = Counts::new();
    let mut note = |kind: String, t_s: f64| {
        counts.entry(kind).or_insert((0, round(t_s - from_s, 6))).0 += 1;
    };
    for event in &analysis.events {
        let kind = event.event.get("type").and_then(Value::as_str).unwrap_or("without type");
        note(kind.to_owned(), event.t_s);
    }
    for op in &analysis.playhead.ops {
        note(format!("op.{}", op_name(&op.op)), op.t_s);
    }
    // Who says goodbye at the end is no difference; being thrown out is.
    let ordinary = [None, Some(1000), Some(1001), Some(1005)];
    let closes = analysis.closes.iter().filter(|close| !ordinary.contains(&close.code));
    for close in closes {
        note(format!("close.{}", close.code.unwrap_or_default()), close.t_s);
    }
    counts
}

fn op_name(op: &Marker) -> &str {
    match op {
        Marker::Seek { .. } => "seek",
        Marker::Rate { .. } => "rate",
        Marker::Pause => "pause",
        Marker::Resume => "resume",
        Marker::Point { name } => name,
    }
}
