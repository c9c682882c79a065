//! Servers that leave something out that upstream's of June 2026 does, or have other constants.

use super::super::hypothesis::Hypothesis;
use super::super::trace::Trace;
use super::clues::Clues;
use super::search::searched;
use super::tune::tuned;
use crate::peer::policy::Policy;

/// Parts of the policy that servers before those of June 2026 lack, or scripted ones.
const PARTS: [fn(&mut Policy); 3] = [
    |policy| policy.lead.reserve_cap_s = 0.0,
    |policy| policy.lead.transport = None,
    |policy| policy.clock.use_client_time = false,
];

/// Servers that lack a part, the fewer the sooner.
pub(super) fn lacking_parts<'a>(clues: &'a Clues<'a>) -> Box<dyn Iterator<Item = Hypothesis> + 'a> {
    Box::new(servers(clues).skip(1).map(|server| searched(clues, server)))
}

/// Servers, with all parts or without some, whose lead has other constants.
pub(super) fn with_other_constants<'a>(
    clues: &'a Clues<'a>,
) -> Box<dyn Iterator<Item = Hypothesis> + 'a> {
    Box::new(servers(clues).map(|server| tuned(clues, searched(clues, server))))
}

/// Upstream's server, and those that lack some of its parts.
pub(super) fn servers<'a>(clues: &'a Clues<'a>) -> impl Iterator<Item = Hypothesis> + 'a {
    let policies = policies(&clues.plain.policy, clues.trace).into_iter();
    policies.map(|policy| Hypothesis { policy, ..clues.plain.clone() })
}

/// Upstream's policy, and those that lack some of its parts, the fewer the sooner. What the client
/// never said cannot be heeded, so that its lack does not show.
fn policies(policy: &Policy, trace: &Trace) -> Vec<Policy> {
    let reports_leads = trace.ticks.iter().any(|tick| tick.lead_s.is_some());
    let shown = [true, reports_leads, trace.is_modern()];
    let mut lacks: Vec<usize> = (0..1 << PARTS.len())
        .filter(|lacks| (0..PARTS.len()).all(|part| lacks >> part & 1 == 0 || shown[part]))
        .collect();
    lacks.sort_by_key(|lacks| lacks.count_ones());
    let without = |lacks: usize| {
        let mut policy = policy.clone();
        let lacking = PARTS.iter().enumerate().filter(|(part, _)| lacks >> part & 1 == 1);
        lacking.for_each(|(_, leave_out)| leave_out(&mut policy));
        policy
    };
    lacks.into_iter().map(without).collect()
}
