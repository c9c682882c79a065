//! The server's JSON messages, with the fields and their order as the real server sends them.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::config::{Config, MANUAL_SLOT_CAP, MAX_DEPTH};
use super::source::LoopShape;
use crate::time::DEFAULT_SAMPLE_RATE;

static KNOBS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("knobs.json")).expect("the knob manifest is JSON")
});

/// What the server says about its knobs (`ready.knob_manifest`, `/api/knobs`).
#[must_use]
pub fn knob_manifest() -> &'static Value {
    &KNOBS
}

/// The knobs that a `params_update` names, with their defaults.
pub(super) fn bank_defaults() -> Map<String, Value> {
    let knobs = KNOBS["knobs"].as_object().into_iter().flatten();
    knobs
        .filter(|(_, knob)| knob["bank"] == true)
        .map(|(name, knob)| (name.clone(), knob["default"].clone()))
        .collect()
}

pub(super) fn init_ack(session_id: &str, client_id: Option<&str>) -> String {
    json!({"type": "init_ack", "session_id": session_id, "client_id": client_id}).to_string()
}

pub(super) fn ready(
    session_id: &str,
    config: &Config,
    shape: LoopShape,
    manual_slots: u32,
) -> String {
    json!({
        "type": "ready",
        "duration": shape.duration_s(),
        "sample_rate": DEFAULT_SAMPLE_RATE,
        "channels": shape.channels,
        "lora_dir": "models/loras",
        "lora_catalog": lora_list(config.lora),
        "lora_pending_enable": [],
        "bpm": 96,
        "key": "G minor",
        "time_signature": "4",
        "checkpoint": "acestep-v15-turbo",
        "checkpoint_scale": "2B",
        "pipeline_depth": config.depth,
        "max_pipeline_depth": MAX_DEPTH,
        "session_id": session_id,
        "source_epoch": 0,
        "geometry": {
            "sample_rate": DEFAULT_SAMPLE_RATE,
            "channels": shape.channels,
            "chunk_rate_hz": 25.0,
            "duration_s": shape.duration_s(),
        },
        "capabilities": {
            "refines_audio": true, "swap": true, "timbre": true, "structure": true,
            "write_audio": true, "lora": config.lora, "stems": true, "loop_band": true,
            "depth": true, "curves": true, "notes_conditioning": false, "steering": true,
        },
        "knob_manifest": *KNOBS,
        "manual_slot_count": manual_slots,
        "manual_slot_cap": MANUAL_SLOT_CAP,
        "steering_available": true,
    })
    .to_string()
}

pub(super) fn error(code: &str, message: &str) -> String {
    json!({"type": "error", "code": code, "message": message}).to_string()
}

pub(super) fn params_update(params: &Map<String, Value>) -> String {
    json!({"type": "params_update", "params": params}).to_string()
}

pub(super) fn params_echo(raw: &Map<String, Value>) -> String {
    json!({"type": "params_echo", "raw": raw}).to_string()
}

pub(super) fn swap_ready(shape: LoopShape, fixture: Option<&str>, source_epoch: u32) -> String {
    json!({
        "type": "swap_ready",
        "duration": shape.duration_s(),
        "sample_rate": DEFAULT_SAMPLE_RATE,
        "channels": shape.channels,
        "bpm": 96,
        "key": "G minor",
        "time_signature": "4",
        "fixture_name": fixture,
        "source_epoch": source_epoch,
    })
    .to_string()
}

/// The stems in the order in which their buffers follow.
pub(super) const STEMS: [&str; 2] = ["vocals", "instruments"];

pub(super) fn stem_assets(shape: LoopShape, fixture: &str, source_mode: &str) -> String {
    json!({
        "type": "stem_assets",
        "fixture_name": fixture,
        "sample_rate": DEFAULT_SAMPLE_RATE,
        "channels": shape.channels,
        "frames": shape.frames,
        "stems": STEMS,
        "source_mode": source_mode,
    })
    .to_string()
}

pub(super) fn lora_list(available: bool) -> Value {
    if available { json!([{"id": "lo-fi", "name": "Lo-fi"}]) } else { json!([]) }
}

pub(super) fn command_failed(command: &str, requires: &str, error: &str) -> String {
    json!({"type": "command_failed", "command": command, "requires": requires, "error": error})
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bank_is_what_the_real_server_reports() {
        let bank = bank_defaults();
        assert!(bank.contains_key("denoise") && bank.contains_key("ch56"));
        assert!(!bank.contains_key("guidance_scale"));
        assert_eq!(bank.len(), 21);
    }
}
