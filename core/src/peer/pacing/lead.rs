//! How far ahead of the estimated position slices are aimed, in seconds.
//!
//! advance = clamp(gain·E + margin + S, floor, ceiling) + X, with E the mean gap between slices, S the
//! reserve against stalls and X the transport lead (PR 256), which follows the leads that the client
//! reports. The advance is never negative and never above ceiling + transport cap.

use crate::peer::policy::{LeadPolicy, TransportPolicy};
use crate::time::Nanos;

/// The server's lead controller.
#[derive(Clone, Debug)]
pub struct LeadController {
    policy: LeadPolicy,
    window_s: f64,
    learned: Learned,
    /// The greatest transport lead so far, and when it was reached first.
    greatest: (Nanos, f64),
}

/// What a controller knows of the past.
#[derive(Clone, Copy, Debug)]
struct Learned {
    mean_gap_s: f64,
    reserve_s: f64,
    transport: TransportLead,
    last_look: Option<Nanos>,
}

impl LeadController {
    /// A controller for slices of that length.
    #[must_use]
    pub fn new(policy: &LeadPolicy, window_s: f64) -> Self {
        Self {
            policy: policy.clone(),
            window_s,
            learned: Learned {
                mean_gap_s: policy.gap_seed_s,
                reserve_s: 0.0,
                transport: TransportLead::default(),
                last_look: None,
            },
            greatest: (Nanos(0), 0.0),
        }
    }

    /// From now on the controller has these constants; what it has learned stays.
    pub fn change(&mut self, policy: &LeadPolicy) {
        self.policy = policy.clone();
        if policy.transport.is_none() {
            self.learned.transport = TransportLead::default();
        }
    }

    /// The client's `slice_lead_s`: the worst lead it saw since its last report. Several reports
    /// between two looks count as their smallest.
    pub fn report(&mut self, slice_lead_s: f64) {
        let pending_s = &mut self.learned.transport.pending_s;
        if self.policy.transport.is_some() && !slice_lead_s.is_nan() {
            *pending_s = Some(pending_s.map_or(slice_lead_s, |least| least.min(slice_lead_s)));
        }
    }

    /// The generator looks: the advance of the slice about to be placed, in seconds. The transport
    /// lead stands still while a loop band is armed.
    #[inline]
    pub fn look(&mut self, now: Nanos, band_armed: bool) -> f64 {
        self.learned.look(&self.policy, self.window_s, now, band_armed);
        if self.transport_s() > self.greatest.1 {
            self.greatest = (now, self.transport_s());
        }
        self.advance_s()
    }

    /// What a look at `now` would return.
    #[must_use]
    #[inline]
    pub fn peek(&self, now: Nanos, band_armed: bool) -> f64 {
        let mut learned = self.learned;
        learned.look(&self.policy, self.window_s, now, band_armed);
        self.advance_of(&learned)
    }

    /// The advance as of the last look, in seconds.
    #[must_use]
    pub fn advance_s(&self) -> f64 {
        self.advance_of(&self.learned)
    }

    #[inline]
    fn advance_of(&self, learned: &Learned) -> f64 {
        let LeadPolicy { gain, margin_s, floor_s, ceiling_s, .. } = self.policy;
        let wanted_s = gain * learned.mean_gap_s + margin_s + learned.reserve_s;
        wanted_s.max(floor_s).min(ceiling_s.max(floor_s)) + learned.transport.lead_s
    }

    /// The transport lead as of the last look, in seconds; 0 without one.
    #[must_use]
    pub fn transport_s(&self) -> f64 {
        self.learned.transport.lead_s
    }

    /// When the transport lead was at its greatest, and how long it was, in seconds.
    #[must_use]
    pub fn greatest_transport_lead(&self) -> (Nanos, f64) {
        self.greatest
    }
}

impl Learned {
    #[inline]
    fn look(&mut self, policy: &LeadPolicy, window_s: f64, now: Nanos, band_armed: bool) {
        let gap_s = self.last_look.map(|last| now.seconds_since(last).max(0.0));
        self.last_look = Some(now);
        if let Some(gap_s) = gap_s {
            self.learn_gap(gap_s, policy, window_s);
        }
        if let Some(policy) = &policy.transport {
            self.transport.look(policy, now, gap_s.unwrap_or(0.0), band_armed);
        }
    }

    #[inline]
    fn learn_gap(&mut self, gap_s: f64, policy: &LeadPolicy, window_s: f64) {
        self.mean_gap_s += policy.gap_weight * (gap_s.min(policy.gap_cap_s) - self.mean_gap_s);
        let decayed_s = decayed(self.reserve_s, gap_s, policy.reserve_tau_s);
        let needed_s = gap_s - window_s + policy.reserve_margin_s;
        self.reserve_s = decayed_s.max(needed_s).min(policy.reserve_cap_s);
    }
}

/// The answer to the leads that the client reports; all 0 of a server without one.
#[derive(Clone, Copy, Debug, Default)]
struct TransportLead {
    lead_s: f64,
    pending_s: Option<f64>,
    last: Option<(Nanos, f64)>,
}

impl TransportLead {
    /// Decays by what was known before this look, then answers what came since: in this order the
    /// recordings of the real server are repeated, in the other they are not.
    #[inline]
    fn look(&mut self, policy: &TransportPolicy, now: Nanos, gap_s: f64, frozen: bool) {
        let pending_s = self.pending_s.take();
        if !frozen {
            if self.releases(policy, now) {
                self.lead_s = decayed(self.lead_s, gap_s, policy.tau_s);
            }
            if let Some(missing_s) = pending_s.map(|lead_s| policy.target_s - lead_s)
                && missing_s > 0.0
            {
                self.lead_s = (self.lead_s + missing_s).min(policy.cap_s);
            }
        }
        self.last = pending_s.map(|lead_s| (now, lead_s)).or(self.last);
    }

    fn releases(&self, policy: &TransportPolicy, now: Nanos) -> bool {
        self.last.is_some_and(|(at, lead_s)| {
            lead_s > policy.release_above_s || now.seconds_since(at) > policy.report_age_s
        })
    }
}

/// Less than any lead that is not 0 can be told apart by, in seconds.
const NOTHING_S: f64 = 1e-18;

/// What is left of a value after `span_s`.
fn decayed(value: f64, span_s: f64, tau_s: f64) -> f64 {
    match value {
        // Most often nothing is left, and what adds nothing to a lead needs no further decay.
        _ if value.abs() < NOTHING_S => 0.0,
        _ if tau_s > 0.0 => value * libm::exp(-span_s / tau_s),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at those moments (ms), each after the reports with it; compares the last advance.
    #[track_caller]
    fn check(looks: &[(u64, &[f64])], expected_s: f64) {
        let mut lead = LeadController::new(&LeadPolicy::default(), 0.36);
        let mut advance_s = 0.0;
        for &(at_ms, reports) in looks {
            reports.iter().for_each(|&lead_s| lead.report(lead_s));
            advance_s = lead.look(Nanos(at_ms * 1_000_000), false);
        }
        assert!((advance_s - expected_s).abs() < 1e-4, "{advance_s} is not {expected_s}");
    }

    #[test]
    fn fast_slices_stay_on_the_floor() {
        check(&[(0, &[])], 0.25);
        check(&[(0, &[]), (48, &[]), (96, &[])], 0.25);
    }

    #[test]
    fn a_gap_longer_than_the_window_is_held_in_reserve() {
        // E = 0.07 + 0.1·(0.18 − 0.07), S = 1 − 0.36 + 0.05
        check(&[(0, &[]), (1_000, &[])], 1.6 * 0.081 + 0.05 + 0.69);
        check(&[(0, &[]), (60_000, &[])], 1.35);
    }

    #[test]
    fn the_reserve_of_a_long_stall_is_gone_after_four_seconds() {
        let mut looks: Vec<(u64, &[f64])> = vec![(0, &[]), (60_000, &[])];
        looks.extend((1..=80).map(|i| (60_000 + 50 * i, &[][..])));
        check(&looks, 0.25);
        assert!(looks.len() < 100);
    }

    #[test]
    fn a_late_slice_raises_the_transport_lead_by_what_is_missing() {
        check(&[(0, &[0.05])], 0.25 + 0.1);
        check(&[(0, &[0.05, -0.15, 0.2])], 0.25 + 0.3);
        check(&[(0, &[0.15])], 0.25);
    }

    #[test]
    fn one_stray_report_throws_it_to_the_cap() {
        check(&[(0, &[-9.77])], 3.25);
        check(&[(0, &[f64::NEG_INFINITY])], 3.25);
        check(&[(0, &[f64::NAN])], 0.25);
    }

    #[test]
    fn it_decays_only_while_leads_are_long_or_reports_are_old() {
        check(&[(0, &[-9.0]), (50, &[])], 3.25);
        check(&[(0, &[-9.0]), (50, &[0.3]), (100, &[])], 3.25);
        check(&[(0, &[-9.0]), (50, &[3.2]), (150, &[])], 0.25 + 3.0 * (-0.1_f64 / 20.0).exp());
        let long_gap = 1.35 + 3.0 * (-11.0_f64 / 20.0).exp();
        check(&[(0, &[-9.0]), (11_000, &[])], long_gap);
    }

    #[test]
    fn a_loop_band_freezes_it() {
        let mut lead = LeadController::new(&LeadPolicy::default(), 0.36);
        lead.report(-9.0);
        assert_eq!(lead.look(Nanos(0), true), 0.25);
    }

    #[test]
    fn other_constants_keep_what_was_learned() {
        let mut lead = LeadController::new(&LeadPolicy::default(), 0.36);
        lead.report(-9.0);
        assert_eq!(lead.look(Nanos(0), false), 3.25);
        let policy = LeadPolicy { floor_s: 0.6, ..LeadPolicy::default() };
        lead.change(&policy);
        assert_eq!(lead.advance_s(), 3.6);
        lead.change(&LeadPolicy { transport: None, ..policy });
        assert_eq!(lead.advance_s(), 0.6);
    }

    #[test]
    fn a_floor_above_the_ceiling_is_no_panic() {
        let policy = LeadPolicy { floor_s: 2.0, ceiling_s: 1.0, ..LeadPolicy::default() };
        assert_eq!(LeadController::new(&policy, 0.36).look(Nanos(0), false), 2.0);
    }
}
