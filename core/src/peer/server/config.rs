//! The client's first message: what it asks the server for.
//!
//! Numbers are clamped to their limits; a field that is missing or has another type gets its default,
//! as in the real server.

use serde_json::{Map, Value};

use super::profile::{self, ServedModel};
use crate::family::Family;
use crate::peer::policy::Policy;

/// The config of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub prompt: String,
    /// Blended with the prompt; the same unless the client says another.
    pub prompt_b: String,
    pub client_id: Option<String>,
    pub wants_init_ack: bool,
    pub text_only: bool,
    pub fixture: Option<String>,
    /// What the client calls its source, whoever loads it.
    pub fixture_name: Option<String>,
    pub lora: bool,
    /// LoRAs to be enabled at once, with their strengths.
    pub loras: Vec<(String, Option<f64>)>,
    pub sde: bool,
    pub depth: u32,
    pub steps: u32,
    /// What the client asks for, or else what the server serves.
    pub model: ServedModel,
    /// Length of the buffer that the client asks for.
    pub buffer_s: Option<f64>,
    vae_window_s: Option<f64>,
    lead_floor_s: Option<f64>,
    lead_ceiling_s: Option<f64>,
    lead_release_tau_s: Option<f64>,
}

/// Generations in the pipeline at most.
pub(super) const MAX_DEPTH: u32 = 4;

impl Config {
    /// `usual`: the family that is served unless the client asks for another.
    pub fn of(fields: &Map<String, Value>, usual: Family) -> Self {
        let model = ServedModel::of(fields, usual);
        let fixture_name = text(fields, "fixture_name");
        let is_servers = is_set(fields, "use_server_fixture");
        let prompt = text(fields, "prompt").unwrap_or_else(|| "instrumental music".to_owned());
        Self {
            prompt_b: text(fields, "prompt_b").unwrap_or_else(|| prompt.clone()),
            prompt,
            client_id: text(fields, "client_id"),
            wants_init_ack: is_set(fields, "telemetry_version"),
            text_only: is_set(fields, "text_only"),
            fixture: fixture_name.clone().filter(|_| is_servers),
            fixture_name,
            lora: is_set(fields, "lora"),
            loras: loras(fields),
            sde: is_set(fields, "sde"),
            depth: whole(fields, "depth", 4, MAX_DEPTH),
            steps: whole(fields, "steps", 8, 64),
            buffer_s: number(fields, &format!("{}_duration_s", model.family.name()), 1.0, 360.0),
            model,
            vae_window_s: number(fields, "vae_window", 0.04, 60.0),
            lead_floor_s: number(fields, "lead_floor_s", 0.0, 30.0),
            lead_ceiling_s: number(fields, "lead_ceiling_s", 0.0, 30.0),
            lead_release_tau_s: number(fields, "lead_release_tau_s", 0.0, 3_600.0),
        }
    }

    /// The server's policy with what the client asked to be different.
    pub fn apply(&self, policy: &Policy) -> Policy {
        let mut policy = profile::policy_of(self.model.family, policy.clone());
        replace(&mut policy.placement.window_s, self.vae_window_s);
        replace(&mut policy.lead.floor_s, self.lead_floor_s);
        replace(&mut policy.lead.ceiling_s, self.lead_ceiling_s);
        replace(&mut policy.lead.reserve_tau_s, self.lead_release_tau_s);
        policy
    }
}

fn replace(value: &mut f64, wanted: Option<f64>) {
    if let Some(wanted) = wanted {
        *value = wanted;
    }
}

/// LoRAs at most that one config enables.
const MAX_LORAS: usize = 64;

fn loras(fields: &Map<String, Value>) -> Vec<(String, Option<f64>)> {
    let enabled = fields.get("enabled_loras").and_then(Value::as_array).into_iter().flatten();
    let strength = |id: &str| fields.get("lora_strengths")?.get(id)?.as_f64();
    let ids = enabled.filter_map(Value::as_str).take(MAX_LORAS);
    ids.map(|id| (id.to_owned(), strength(id))).collect()
}

fn text(fields: &Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key)?.as_str().map(str::to_owned)
}

fn number(fields: &Map<String, Value>, key: &str, least: f64, most: f64) -> Option<f64> {
    fields.get(key)?.as_f64().map(|value| value.clamp(least, most))
}

fn whole(fields: &Map<String, Value>, key: &str, default: u32, most: u32) -> u32 {
    number(fields, key, 1.0, f64::from(most)).map_or(default, |value| value as u32)
}

/// Whether a field is there and counts as true in Python.
fn is_set(fields: &Map<String, Value>, key: &str) -> bool {
    match fields.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(value)) => value.as_f64() != Some(0.0),
        Some(Value::String(value)) => !value.is_empty(),
        Some(Value::Array(_) | Value::Object(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(fields: &Value) -> Config {
        Config::of(fields.as_object().unwrap(), Family::Acestep)
    }

    #[test]
    fn what_is_missing_or_of_another_type_has_its_default() {
        let plain = config(&json!({}));
        assert_eq!((plain.depth, plain.steps, plain.prompt.as_str()), (4, 8, "instrumental music"));
        let odd = json!({"depth": "x", "steps": null, "prompt": 7, "vae_window": {}, "lora": []});
        assert_eq!(config(&odd), Config { lora: true, ..plain });
    }

    #[test]
    fn numbers_are_kept_within_their_limits() {
        let wild = config(&json!({"depth": 1e300, "steps": -5, "vae_window": 1e9}));
        assert_eq!((wild.depth, wild.steps), (MAX_DEPTH, 1));
        assert_eq!(wild.apply(&Policy::default()).placement.window_s, 60.0);
    }

    #[test]
    fn the_client_may_ask_for_other_leads() {
        let asks = json!({"lead_floor_s": 0.5, "lead_ceiling_s": 2, "lead_release_tau_s": 3.0});
        let lead = config(&asks).apply(&Policy::default()).lead;
        assert_eq!((lead.floor_s, lead.ceiling_s, lead.reserve_tau_s), (0.5, 2.0, 3.0));
    }

    #[test]
    fn a_fixture_counts_only_when_it_is_the_servers() {
        assert_eq!(config(&json!({"fixture_name": "a"})).fixture, None);
        let named = config(&json!({"fixture_name": "a", "use_server_fixture": true}));
        assert_eq!(named.fixture.as_deref(), Some("a"));
    }
}
