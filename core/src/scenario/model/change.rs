//! What is to be different, as a run of the model takes it.
//!
//! Enters: a [`Scenario`] and the recording it is asked of. Leaves: a [`Change`], or the key that the
//! model does not know how to change. Times count from the arrival of the initial buffer;
//! [`Change::default`] changes nothing.

use super::spell::Spell;
use super::trace::Trace;
use crate::peer::link::LinkOptions;
use crate::peer::policy::Policy;
use crate::peer::script::ScriptedOp;
use crate::scenario::knobs::{AnsweredBy, Knob, PolicyChange, RunChange, Turned};
use crate::scenario::playhead_plan::{first_ops, skewed, stays};
use crate::scenario::{Conditions, Playback, Scenario, TimedChange};
use crate::time::{Nanos, Span};

/// A counterfactual: everything that it does not name stays as recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// What the listener does instead of what they did; `None`: the same.
    pub ops: Option<Vec<ScriptedOp>>,
    /// Constants of the server's policy that differ.
    pub policy: PolicyChange,
    /// The link to the server, beside the way that the recording measured: from when on what.
    pub up: Vec<(Span, LinkOptions)>,
    /// The link to the client, likewise.
    pub down: Vec<(Span, LinkOptions)>,
    /// Factor on every tick of the model; `None`: 1.
    pub tick_factor: Option<f64>,
    /// Reports a second; `None`: at the recorded moments.
    pub params_hz: Option<f64>,
    /// Whether reports acknowledge slices; `None`: as recorded.
    pub acknowledges: Option<bool>,
    /// How long the client is busy with each slice, in seconds.
    pub apply_delay_s: f64,
    /// A throttled client handles what came only at multiples of this many seconds; 0: at once.
    pub handles_every_s: f64,
    /// Positions are whole multiples of this many frames; `None`: of one.
    pub quantum_frames: Option<u64>,
    /// What is different from a later moment on, each over what held before.
    pub later: Vec<(Span, Later)>,
    /// Spells in which the client applies nothing of what arrives, in their order.
    pub busy: Vec<Spell>,
    /// From when on the trace and the server are not those of the recording; `None`: nowhere.
    pub mended_from: Option<Span>,
}

/// What is different from a later moment on, beside the link; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Later {
    /// Constants of the server's policy that differ.
    pub policy: PolicyChange,
    /// Factor on every tick of the model.
    pub tick_factor: Option<f64>,
    pub acknowledges: Option<bool>,
    /// How long the client is busy with each slice, in seconds.
    pub apply_delay_s: Option<f64>,
    /// How often a throttled client handles what came, in seconds.
    pub handles_every_s: Option<f64>,
}

/// What the model cannot change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownToModel {
    /// Nobody has a part for it, or none for that moment or value.
    #[error("the model cannot change {key}{when}; leave it out")]
    NoPart { key: &'static str, when: &'static str },
    /// A server that only appends has no use for it.
    #[error(
        "a server that only appends goes by the lead of its gate and by nothing else, so {knob} \
         would change nothing there"
    )]
    NotOfGate { knob: &'static str },
}

impl Change {
    /// The change that a scenario asks of a recording.
    pub fn of(scenario: &Scenario, trace: &Trace) -> Result<Change, UnknownToModel> {
        known(&scenario.conditions, false)?;
        if trace.appends() {
            let timed = scenario.timed.iter().map(|timed| &timed.conditions);
            [&scenario.conditions].into_iter().chain(timed).try_for_each(read_by_gate)?;
        }
        let Turned { up, down, policy, run } = Turned::of(&scenario.conditions);
        let begins = Span(0);
        let mut change = Change {
            ops: ops(&scenario.playback, trace),
            policy,
            up: up.map(|up| (begins, up)).into_iter().collect(),
            down: down.map(|down| (begins, down)).into_iter().collect(),
            tick_factor: run.tick_factor,
            params_hz: run.params_hz,
            acknowledges: run.acknowledges,
            apply_delay_s: run.apply_delay_s.unwrap_or_default(),
            handles_every_s: run.handles_every_s.unwrap_or_default(),
            quantum_frames: scenario.playback.quantum_frames,
            later: Vec::new(),
            busy: Vec::new(),
            mended_from: None,
        };
        let mut in_order: Vec<&TimedChange> = scenario.timed.iter().collect();
        in_order.sort_by_key(|timed| timed.at);
        for timed in in_order {
            known(&timed.conditions, true)?;
            let held = |links: &[(Span, LinkOptions)]| links.last().map(|(_, link)| link.clone());
            let links = (held(&change.up), held(&change.down));
            let Turned { up, down, policy, run } = Turned::over(links, &timed.conditions);
            turn_at(&mut change.up, timed.at, up);
            turn_at(&mut change.down, timed.at, down);
            let later = Later::of(policy, &run);
            change.later.extend((later != Later::default()).then_some((timed.at, later)));
        }
        Ok(change)
    }

    /// The policy with what differs from the beginning on.
    #[must_use]
    pub fn policy(&self, recorded: &Policy) -> Policy {
        self.policy.applied(recorded)
    }
}

impl Later {
    fn of(policy: PolicyChange, run: &RunChange) -> Later {
        Later {
            policy,
            tick_factor: run.tick_factor,
            acknowledges: run.acknowledges,
            apply_delay_s: run.apply_delay_s,
            handles_every_s: run.handles_every_s,
        }
    }
}

/// Adds the link that holds from `at` on, if it is another than the one before.
fn turn_at(links: &mut Vec<(Span, LinkOptions)>, at: Span, link: Option<LinkOptions>) {
    let differs = links.last().map(|(_, held)| held) != link.as_ref();
    links.extend(link.filter(|_| differs).map(|link| (at, link)));
}

/// Whether the model can change all of `conditions`, from the beginning or from a later moment on.
fn known(conditions: &Conditions, later: bool) -> Result<(), UnknownToModel> {
    for (key, value) in conditions.values() {
        let when = match Knob::with_key(key).map(|knob| knob.answered_by) {
            Some(AnsweredBy::ModelFromBeginning) if later => " at a time",
            Some(AnsweredBy::ModelIfOn) if value == 0.0 => " to off",
            _ => continue,
        };
        return Err(UnknownToModel::NoPart { key, when });
    }
    Ok(())
}

/// Whether a server that only appends heeds all of `conditions`: of the server's constants it has none,
/// and what is acknowledged it does not ask, as it sheds nothing.
fn read_by_gate(conditions: &Conditions) -> Result<(), UnknownToModel> {
    let is_other = |key: &str| key.starts_with("server.") || key == "client.acks";
    let mut others = conditions.values().filter(|(key, _)| is_other(key));
    let knob = others.find_map(|(key, _)| Knob::with_key(key));
    knob.map_or(Ok(()), |knob| Err(UnknownToModel::NotOfGate { knob: knob.name }))
}

/// What the listener does in all, when that is not what was recorded.
fn ops(playback: &Playback, trace: &Trace) -> Option<Vec<ScriptedOp>> {
    let quantum_only = Playback { quantum_frames: playback.quantum_frames, ..Playback::default() };
    if *playback == quantum_only {
        return None;
    }
    let since_origin = |at: Nanos| Span(at.0.saturating_sub(trace.origin.0));
    let mut ops = Vec::new();
    let first = first_ops(playback, &trace.simulated());
    ops.extend(first.map(|op| ScriptedOp { at: since_origin(trace.begins), op }));
    let recorded = trace.ops.iter().filter(|(_, op)| stays(op, playback));
    let recorded = recorded.map(|(at, op)| (since_origin(*at), op));
    let all = recorded.chain(playback.ops.iter().map(|scripted| (scripted.at, &scripted.op)));
    ops.extend(all.map(|(at, op)| ScriptedOp { at, op: skewed(op, playback) }));
    ops.sort_by_key(|op| op.at);
    Some(ops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn changed(settings: &[(&str, f64)]) -> Policy {
        let mut scenario = Scenario::default();
        for (name, value) in settings {
            Knob::named(name).unwrap().set(&mut scenario, *value);
        }
        let policy = PolicyChange::of(&scenario.conditions);
        Change { policy, ..Change::default() }.policy(&Policy::default())
    }

    #[test]
    fn a_part_of_a_policy_changes_that_part() {
        let policy = changed(&[("lead-floor", 0.6)]);
        assert_eq!(policy.lead.floor_s, 0.6);
        assert_eq!(policy.flow, Policy::default().flow);
        assert_eq!(changed(&[("transport", 0.0)]).lead.transport, None);
        assert_eq!(changed(&[("transport", 1.0)]), Policy::default());
        assert_eq!(changed(&[("down", 1e5), ("rate", 2.0)]), Policy::default());
    }

    #[test]
    fn what_the_model_has_no_part_for_is_refused_by_its_key() {
        let refused = |name: &str, value: f64, later: bool| {
            let mut scenario = Scenario::default();
            Knob::named(name).unwrap().set(&mut scenario, value);
            known(&scenario.conditions, later).err().map(|why| why.to_string())
        };
        assert_eq!(refused("newest-wins", 1.0, false), None);
        let off = refused("newest-wins", 0.0, false).unwrap();
        assert!(off.contains("server.newest_wins to off; leave it out"), "{off}");
        let from_beginning =
            |knob: &&Knob| matches!(knob.answered_by, AnsweredBy::ModelFromBeginning);
        let knob = crate::scenario::knobs::KNOBS.iter().find(from_beginning).unwrap();
        assert_eq!(refused(knob.name, knob.neutral, false), None);
        assert!(
            refused(knob.name, knob.neutral, true).unwrap().contains(" at a time; leave it out")
        );
        assert_eq!(refused("lead-floor", 0.5, true), None);
    }

    #[test]
    fn conditions_hold_from_the_beginning_or_from_their_moment_on() {
        let scenario = serde_json::json!({
            "link": {"down": {"bandwidth": 1e5}},
            "timed": [{"at": 3, "link": {"up": {"bandwidth": 2e5}}}, {"at": 2, "client": {"acks": false}}],
        });
        let scenario = Scenario::from_value(&scenario).unwrap();
        let change = Change::of(&scenario, &Trace::default()).unwrap();
        let rates = |links: &[(Span, LinkOptions)]| -> Vec<(f64, Option<f64>)> {
            links.iter().map(|(at, link)| (at.seconds(), link.bytes_per_s)).collect()
        };
        assert_eq!(rates(&change.down), [(0.0, Some(1e5))]);
        assert_eq!(rates(&change.up), [(3.0, Some(2e5))]);
        let later: Vec<_> =
            change.later.iter().map(|(at, later)| (at.seconds(), later.acknowledges)).collect();
        assert_eq!(later, [(2.0, Some(false))]);
        assert_eq!((change.ops, change.acknowledges), (None, None));
    }

    #[test]
    fn a_link_at_a_time_differs_from_the_one_before_in_what_is_named() {
        let scenario = serde_json::json!({
            "link": {"down": {"buffer": 64_000}},
            "timed": [
                {"at": 5, "link": {"down": {"latency_s": 0.02}}},
                {"at": 3, "link": {"down": {"bandwidth": 2e5}}},
                {"at": 6, "link": {"down": {"buffer": 64_000}}},
            ],
        });
        let scenario = Scenario::from_value(&scenario).unwrap();
        let change = Change::of(&scenario, &Trace::default()).unwrap();
        let before = LinkOptions { buffer_bytes: Some(64_000), ..LinkOptions::default() };
        let thin = LinkOptions { bytes_per_s: Some(2e5), ..before.clone() };
        let slow = LinkOptions { latency_s: 0.02, ..thin.clone() };
        let at = |s: u64| Span(s * 1_000_000_000);
        assert_eq!(change.down, [(at(0), before), (at(3), thin), (at(5), slow)]);
        assert!(change.up.is_empty());
    }
}
