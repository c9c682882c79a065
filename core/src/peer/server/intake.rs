//! When the server sees the client's messages.
//!
//! The real intake polls every millisecond and handles all waiting messages in order; of several
//! reports the newest therefore wins. With a backlog, each report takes time of its own and all later
//! messages wait behind it. At most [`Intake::CAPACITY`] messages wait; the newest beyond that are
//! dropped.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::after;
use crate::peer::policy::IntakePolicy;
use crate::time::Nanos;

/// One `params` message. What is missing or of another type is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    pub raw: Option<Map<String, Value>>,
    /// Without one the position stays, as in servers since October 2026; before, the listener was
    /// then believed at the loop's beginning.
    pub position_s: Option<f64>,
    pub client_time: Option<f64>,
    pub slice_bytes_rx: Option<f64>,
    pub slice_lead_s: Option<f64>,
    /// `Some(None)` clears.
    pub render_anchor_s: Option<Option<f64>>,
    pub render_anchor_queue_s: Vec<f64>,
}

impl Report {
    /// Knobs beyond this many are forgotten.
    const MAX_KNOBS: usize = 512;

    pub fn of(mut fields: Map<String, Value>) -> Self {
        let number = |key: &str| fields.get(key).and_then(Value::as_f64);
        let position_s = number("playback_pos");
        let render_anchor_s = match fields.get("render_anchor_s") {
            Some(Value::Null) => Some(None),
            Some(Value::Number(at_s)) => Some(at_s.as_f64()),
            _ => None,
        };
        let queue = fields.get("render_anchor_queue_s").and_then(Value::as_array);
        let render_anchor_queue_s =
            queue.into_iter().flatten().take(64).filter_map(Value::as_f64).collect();
        let (client_time, slice_bytes_rx) = (number("client_time"), number("slice_bytes_rx"));
        let slice_lead_s = number("slice_lead_s");
        let raw = match fields.remove("raw") {
            Some(Value::Object(knobs)) => Some(scalars(knobs)),
            _ => None,
        };
        Self {
            raw,
            position_s,
            client_time,
            slice_bytes_rx,
            slice_lead_s,
            render_anchor_s,
            render_anchor_queue_s,
        }
    }
}

/// Knobs have plain values; whatever nests is none.
pub(super) fn scalars(knobs: Map<String, Value>) -> Map<String, Value> {
    let plain = knobs.into_iter().filter(|(_, value)| !value.is_object() && !value.is_array());
    plain.take(Report::MAX_KNOBS).collect()
}

#[derive(Debug)]
pub(super) enum Taken {
    Report(Box<Report>),
    Command(Map<String, Value>),
    Binary(Vec<u8>),
    /// Text that is no message.
    Junk,
    Injected(Box<Injected>),
}

/// A command from elsewhere than the client's socket.
#[derive(Debug)]
pub(super) struct Injected {
    pub command: Map<String, Value>,
    /// The binary that it announces; may be empty.
    pub binary: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Intake {
    poll_ns: u64,
    report_ns: Option<u64>,
    /// Reports are worked off one by one from then on.
    backlog_from: Nanos,
    origin: Nanos,
    busy_until: Nanos,
    waiting: VecDeque<(Nanos, Taken)>,
}

impl Intake {
    pub const CAPACITY: usize = 65_536;

    pub fn new(policy: &IntakePolicy, origin: Nanos) -> Self {
        let per_report = |per_s: f64| (1e9 / per_s.max(0.001)) as u64;
        Self {
            poll_ns: ((policy.poll_s * 1e9) as u64).max(1),
            report_ns: policy.backlog_per_s.map(per_report),
            backlog_from: after(origin, policy.backlog_from_s),
            origin,
            busy_until: origin,
            waiting: VecDeque::new(),
        }
    }

    pub fn push(&mut self, now: Nanos, message: Taken) {
        if self.waiting.len() >= Self::CAPACITY {
            return;
        }
        let is_report = matches!(message, Taken::Report(_));
        let costs = is_report && now >= self.backlog_from;
        let cost_ns = self.report_ns.filter(|_| costs).unwrap_or(0);
        let begins = self.next_poll(now).max(self.busy_until);
        self.busy_until = Nanos(begins.0.saturating_add(cost_ns));
        self.waiting.push_back((self.busy_until, message));
    }

    pub fn wake_at(&self) -> Option<Nanos> {
        self.waiting.front().map(|&(at, _)| at)
    }

    pub fn pop(&mut self) -> Option<(Nanos, Taken)> {
        self.waiting.pop_front()
    }

    fn next_poll(&self, now: Nanos) -> Nanos {
        let since = now.0.saturating_sub(self.origin.0);
        Nanos(
            self.origin.0.saturating_add(since.div_ceil(self.poll_ns).saturating_mul(self.poll_ns)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(fields: Value) -> Report {
        let Value::Object(fields) = fields else { panic!("not an object") };
        Report::of(fields)
    }

    #[test]
    fn a_missing_position_and_an_odd_one_are_none() {
        assert_eq!(report(json!({})).position_s, None);
        assert_eq!(report(json!({"playback_pos": null})).position_s, None);
        assert_eq!(report(json!({"playback_pos": "x"})).position_s, None);
        assert_eq!(report(json!({"playback_pos": 1.5})).position_s, Some(1.5));
    }

    #[test]
    fn hostile_fields_are_left_out() {
        let odd = report(json!({
            "raw": {"a": 1, "b": {"c": []}, "d": [1]}, "client_time": [], "slice_lead_s": "1",
            "render_anchor_s": {}, "render_anchor_queue_s": ["x", 2.0],
        }));
        let kept = json!({"a": 1}).as_object().cloned();
        let expected = Report { raw: kept, render_anchor_queue_s: vec![2.0], ..Report::default() };
        assert_eq!(odd, expected);
        assert_eq!(report(json!({"render_anchor_s": null})).render_anchor_s, Some(None));
    }

    #[track_caller]
    fn check(backlog_per_s: Option<f64>, arrivals_us: &[u64], expected_us: &[u64]) {
        let policy = IntakePolicy { backlog_per_s, ..IntakePolicy::default() };
        let mut intake = Intake::new(&policy, Nanos(0));
        for &at_us in arrivals_us {
            intake.push(Nanos(at_us * 1_000), Taken::Report(Box::default()));
        }
        let taken: Vec<u64> =
            std::iter::from_fn(|| intake.pop()).map(|(at, _)| at.0 / 1_000).collect();
        assert_eq!(taken, expected_us);
    }

    #[test]
    fn messages_wait_for_the_poll_or_for_the_backlog() {
        check(None, &[0, 1, 999, 1_000, 1_001], &[0, 1_000, 1_000, 1_000, 2_000]);
        check(Some(10.0), &[0, 50_000, 400_000], &[100_000, 200_000, 500_000]);
    }
}
