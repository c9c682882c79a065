//! Which slices are dropped instead of sent.
//!
//! The server compares the bytes of slice messages sent with those acknowledged (`slice_bytes_rx`).
//! Slice headers count, WebSocket headers and the initial buffer do not. For a client that never
//! acknowledges only the age of a slice matters.

use crate::peer::policy::FlowPolicy;

/// What becomes of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes out.
    Send,
    /// Too many bytes are on their way.
    DropInFlight,
    /// It waited too long.
    DropOld,
}

/// The server's flow control.
#[derive(Clone, Debug)]
pub struct FlowControl {
    window_bytes: u64,
    max_wait_s: f64,
    sheds_asked_for: bool,
    sent: u64,
    acked: Option<u64>,
}

impl FlowControl {
    /// Nothing sent, nothing acknowledged.
    #[must_use]
    pub fn new(policy: &FlowPolicy) -> Self {
        Self {
            window_bytes: policy.window_bytes,
            max_wait_s: policy.max_wait_s,
            sheds_asked_for: policy.sheds_asked_for,
            sent: 0,
            acked: None,
        }
    }

    /// From now on the rules are these.
    pub fn change(&mut self, policy: &FlowPolicy) {
        self.window_bytes = policy.window_bytes;
        self.max_wait_s = policy.max_wait_s;
        self.sheds_asked_for = policy.sheds_asked_for;
    }

    /// The client's `slice_bytes_rx`. What is not a number is ignored.
    pub fn acknowledge(&mut self, slice_bytes_rx: f64) {
        if !slice_bytes_rx.is_nan() {
            self.acked = Some(slice_bytes_rx.max(0.0) as u64);
        }
    }

    /// The fate of a slice that waited that long, decided before it is encoded. A region that the
    /// client asked for is never dropped (PR 347), unless the policy is older.
    #[must_use]
    pub fn fate(&self, waited_s: f64, asked_for: bool) -> Fate {
        if asked_for && !self.sheds_asked_for {
            Fate::Send
        } else if self.in_flight().is_some_and(|bytes| bytes > self.window_bytes) {
            Fate::DropInFlight
        } else if waited_s > self.max_wait_s {
            Fate::DropOld
        } else {
            Fate::Send
        }
    }

    /// A slice message of that many bytes was sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    /// Bytes sent and not acknowledged; `None` while the client never acknowledged any.
    #[must_use]
    pub fn in_flight(&self) -> Option<u64> {
        self.acked.map(|acked| self.sent.saturating_sub(acked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: usize, acked: &[f64], waited_s: f64, expected: Fate) {
        let mut flow = FlowControl::new(&FlowPolicy::default());
        flow.sent(sent);
        acked.iter().for_each(|&bytes| flow.acknowledge(bytes));
        assert_eq!(flow.fate(waited_s, false), expected, "{sent} {acked:?} {waited_s}");
        assert_eq!(flow.fate(waited_s, true), Fate::Send);
    }

    #[test]
    fn the_window_is_strict() {
        check(262_144, &[0.0], 0.0, Fate::Send);
        check(262_145, &[0.0], 0.0, Fate::DropInFlight);
        check(262_145, &[0.0, 1.0], 0.0, Fate::Send);
        check(262_145, &[-5.0], 0.0, Fate::DropInFlight);
    }

    #[test]
    fn the_age_rule_holds_for_all() {
        check(0, &[], 2.0, Fate::Send);
        check(0, &[], 2.001, Fate::DropOld);
        check(0, &[0.0], 2.001, Fate::DropOld);
    }

    #[test]
    fn without_an_acknowledgement_there_is_no_window() {
        check(10_000_000, &[], 0.0, Fate::Send);
        check(10_000_000, &[f64::NAN], 0.0, Fate::Send);
        check(10_000_000, &[f64::INFINITY], 0.0, Fate::Send);
    }
}
