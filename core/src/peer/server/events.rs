//! The server's JSON messages, with the fields and their order as the real server sends them.

use serde_json::{Map, Value, json};

use super::config::{Config, MAX_DEPTH};
use super::loras::{CHECKPOINT, CHECKPOINT_SCALE, LORA_DIR};
use super::music::Music;
use super::source::LoopShape;
use crate::family::Family;
use crate::time::DEFAULT_SAMPLE_RATE;

/// Manual steering slots at most.
pub(super) const MANUAL_SLOT_CAP: u32 = 16;

/// A server of June 2026 knows no sessions of text alone, nor the field that says so.
pub(super) fn init_ack(session_id: &str, client_id: Option<&str>, text_only: bool) -> String {
    let mut ack = json!({"type": "init_ack", "session_id": session_id, "client_id": client_id});
    if text_only {
        ack["supports_text_only"] = json!(true);
    }
    ack.to_string()
}

/// What `ready` says beside the config.
pub(super) struct SessionFacts<'a> {
    pub session_id: &'a str,
    pub shape: LoopShape,
    pub music: &'a Music,
    pub lora_catalog: Value,
    /// LoRAs that are about to be enabled.
    pub lora_pending: &'a [String],
    pub knob_manifest: Value,
    pub manual_slots: u32,
}

pub(super) fn ready(config: &Config, facts: &SessionFacts<'_>) -> String {
    let &SessionFacts { session_id, shape, music, .. } = facts;
    let mut ready = json!({
        "type": "ready",
        "duration": shape.duration_s(),
        "sample_rate": DEFAULT_SAMPLE_RATE,
        "channels": shape.channels,
        "lora_dir": LORA_DIR,
        "lora_catalog": facts.lora_catalog,
        "lora_pending_enable": facts.lora_pending,
        "bpm": music.bpm,
        "key": music.key,
        "time_signature": music.time_signature,
        "checkpoint": CHECKPOINT,
        "checkpoint_scale": CHECKPOINT_SCALE,
        "pipeline_depth": config.depth,
        "max_pipeline_depth": MAX_DEPTH,
        "session_id": session_id,
        "source_epoch": 0,
        "geometry": geometry(shape),
        "capabilities": capabilities(config),
        "knob_manifest": facts.knob_manifest,
    });
    match config.model.family {
        Family::Sa3 | Family::Yue2 => {
            ["bpm", "key", "time_signature"].into_iter().for_each(|key| ready[key] = Value::Null);
        }
        Family::Mrt2 => {
            (ready["bpm"], ready["key"], ready["time_signature"]) =
                (json!(0), json!(""), json!("4/4"));
        }
        _ => {}
    }
    if refines_as_acestep(config) {
        ready.as_object_mut().expect("an object").extend(steering(facts.manual_slots, true));
    } else {
        ready["checkpoint"] = json!(config.model.checkpoint);
        ready["checkpoint_scale"] = Value::Null;
        ready.as_object_mut().expect("an object").extend(steering(0, false));
    }
    ready.to_string()
}

pub(super) fn geometry(shape: LoopShape) -> Value {
    json!({
        "sample_rate": DEFAULT_SAMPLE_RATE,
        "channels": shape.channels,
        "chunk_rate_hz": 25.0,
        "duration_s": shape.duration_s(),
    })
}

pub(super) fn capabilities(config: &Config) -> Value {
    let all = [
        "refines_audio",
        "swap",
        "timbre",
        "structure",
        "write_audio",
        "lora",
        "stems",
        "loop_band",
        "depth",
        "curves",
        "notes_conditioning",
        "steering",
        "swap_resize",
        "render_anchor_queue",
        "midi_transcribe",
        "bounce",
    ];
    let has: &[&str] = match config.model.family {
        Family::Acestep | Family::Unknown => return of_acestep(config),
        Family::Sa3 if config.lora => &SA3_CAPABILITIES,
        Family::Sa3 => &SA3_CAPABILITIES[1..],
        Family::Yue2 => &["refines_audio", "loop_band", "render_anchor_queue"],
        Family::Mrt2 | Family::Minimax => &[],
    };
    all.into_iter().map(|name| (name.to_owned(), Value::from(has.contains(&name)))).collect()
}

/// What sa3 can; the first only if the client asks for it.
const SA3_CAPABILITIES: [&str; 7] =
    ["lora", "refines_audio", "swap", "loop_band", "swap_resize", "render_anchor_queue", "bounce"];

/// Whether a session has what the server of June 2026 had.
pub(super) fn refines_as_acestep(config: &Config) -> bool {
    matches!(config.model.family, Family::Acestep | Family::Unknown)
}

fn of_acestep(config: &Config) -> Value {
    json!({
        "refines_audio": true, "swap": true, "timbre": true, "structure": true,
        "write_audio": true, "lora": config.lora, "stems": true, "loop_band": true,
        "depth": true, "curves": true, "notes_conditioning": false, "steering": true,
        "swap_resize": false, "render_anchor_queue": true, "midi_transcribe": false,
        "bounce": true,
    })
}

pub(super) fn steering(manual_slots: u32, is_available: bool) -> Map<String, Value> {
    let fields = [
        ("manual_slot_count", json!(manual_slots)),
        ("manual_slot_cap", json!(MANUAL_SLOT_CAP)),
        ("steering_available", json!(is_available)),
    ];
    fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
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

pub(super) fn swap_ready(
    shape: LoopShape,
    music: &Music,
    fixture: Option<&str>,
    source_epoch: u32,
) -> String {
    json!({
        "type": "swap_ready",
        "duration": shape.duration_s(),
        "sample_rate": DEFAULT_SAMPLE_RATE,
        "channels": shape.channels,
        "bpm": music.bpm,
        "key": music.key,
        "time_signature": music.time_signature,
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

pub(super) fn lora_catalog(catalog: &Value) -> String {
    json!({"type": "lora_catalog", "catalog": catalog}).to_string()
}

/// The server lacks what a command requires.
pub(super) fn command_failed(command: &str, requires: &str) -> String {
    let error = format!("{command} requires the capability {requires}, which this session lacks");
    json!({"type": "command_failed", "command": command, "requires": requires, "error": error})
        .to_string()
}
