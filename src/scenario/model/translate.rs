//! From a scenario to what the model changes.
//!
//! Enters: a [`Scenario`] and the recording it is asked of. Leaves: a [`Change`], or the key that the
//! model does not know how to change.

use serde_json::{Map, Value, json};

use super::change::{Change, Later};
use super::trace::Trace;
use crate::peer::link::LinkOptions;
use crate::peer::script::ScriptedOp;
use crate::scenario::playhead_plan::{first_ops, skewed, stays};
use crate::scenario::{self, LinkChange, Playback, Scenario};
use crate::time::Span;

/// What the model cannot change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model cannot change {key}{when}; leave it out")]
pub struct UnknownToModel {
    key: &'static str,
    when: &'static str,
}

impl Change {
    /// The change that a scenario asks of a recording.
    pub fn of(scenario: &Scenario, trace: &Trace) -> Result<Change, UnknownToModel> {
        let begins = Span(0);
        let mut change = Change {
            ops: ops(&scenario.playback, trace),
            policy: policy(&scenario.change)?,
            tick_factor: scenario.change.tick_factor,
            params_hz: scenario.change.report.params_hz,
            acknowledges: scenario.change.client.acks,
            apply_delay_s: scenario.change.client.apply_delay_s.unwrap_or_default(),
            handles_every_s: scenario.change.client.handles_every_s.unwrap_or_default(),
            quantum_frames: scenario.playback.quantum_frames,
            ..Change::default()
        };
        change.up.extend(link(&scenario.change.link.up).map(|up| (begins, up)));
        change.down.extend(link(&scenario.change.link.down).map(|down| (begins, down)));
        for timed in &scenario.timed {
            if timed.change.report != scenario::ReportChange::default() {
                return Err(UnknownToModel { key: "report.params_hz", when: " at a time" });
            }
            change.up.extend(link(&timed.change.link.up).map(|up| (timed.at, up)));
            change.down.extend(link(&timed.change.link.down).map(|down| (timed.at, down)));
            let later = Later {
                policy: policy(&timed.change)?,
                tick_factor: timed.change.tick_factor,
                acknowledges: timed.change.client.acks,
                apply_delay_s: timed.change.client.apply_delay_s,
                handles_every_s: timed.change.client.handles_every_s,
            };
            change.later.extend((later != Later::default()).then_some((timed.at, later)));
        }
        change.later.sort_by_key(|(at, _)| *at);
        change.up.sort_by_key(|(at, _)| *at);
        change.down.sort_by_key(|(at, _)| *at);
        Ok(change)
    }
}

/// What the listener does in all, when that is not what was recorded.
fn ops(playback: &Playback, trace: &Trace) -> Option<Vec<ScriptedOp>> {
    let quantum_only = Playback { quantum_frames: playback.quantum_frames, ..Playback::default() };
    if *playback == quantum_only {
        return None;
    }
    let since_origin = |at: crate::time::Nanos| Span(at.0.saturating_sub(trace.origin.0));
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

/// The part of the policy's JSON that differs.
fn policy(change: &scenario::Change) -> Result<Map<String, Value>, UnknownToModel> {
    let server = &change.server;
    if server.emit_trim.is_some() {
        return Err(UnknownToModel { key: "server.emit_trim", when: "" });
    }
    if server.newest_wins == Some(false) {
        // How long the server then takes for each report is nowhere said.
        return Err(UnknownToModel { key: "server.newest_wins", when: " to off" });
    }
    let mut lead = Map::new();
    let numbers = [("floor_s", server.lead_floor_s), ("ceiling_s", server.lead_ceiling_s)];
    for (key, value) in numbers {
        lead.extend(value.map(|value| (key.to_owned(), json!(value))));
    }
    match server.transport {
        Some(true) => lead.insert("transport".to_owned(), json!({})),
        Some(false) => lead.insert("transport".to_owned(), Value::Null),
        None => None,
    };
    let mut policy = Map::new();
    if !lead.is_empty() {
        policy.insert("lead".to_owned(), Value::Object(lead));
    }
    if let Some(bytes) = server.flow_window {
        policy.insert("flow".to_owned(), json!({"window_bytes": bytes}));
    }
    if let Some(compensates) = server.staleness_compensation {
        policy.insert("clock".to_owned(), json!({"use_client_time": compensates}));
    }
    if server.newest_wins == Some(true) {
        policy.insert("intake".to_owned(), json!({"backlog_per_s": null}));
    }
    Ok(policy)
}

/// The link that a change adds to the recorded way, if it changes anything.
fn link(change: &LinkChange) -> Option<LinkOptions> {
    (*change != LinkChange::default()).then(|| LinkOptions {
        bytes_per_s: change.bandwidth,
        latency_s: change.latency_s.unwrap_or_default(),
        jitter_s: change.jitter_s.unwrap_or_default(),
        buffer_bytes: change.buffer,
        outages: change.outages.clone(),
        ..LinkOptions::default()
    })
}
