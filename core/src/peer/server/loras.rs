//! The LoRAs of a server: what is in its library, and which of them a session has enabled.

use serde_json::{Value, json};

/// Where the server keeps them.
pub const LORA_DIR: &str = "models/loras";
/// The model that they were trained for.
pub(super) const CHECKPOINT: &str = "acestep-v15-turbo";
/// Its size.
pub(super) const CHECKPOINT_SCALE: &str = "2B";
/// Strength of a LoRA that is enabled without one.
const DEFAULT_STRENGTH: f64 = 1.0;

/// The LoRAs of a session.
#[derive(Clone, Debug)]
pub(super) struct LoraLibrary {
    loras: Vec<Lora>,
}

#[derive(Clone, Debug)]
struct Lora {
    id: String,
    strength: f64,
    is_enabled: bool,
    metadata: Value,
}

impl LoraLibrary {
    /// LoRAs at most; further ones are not added.
    const CAPACITY: usize = 64;

    /// Those that every session begins with, none of them enabled.
    pub fn new() -> Self {
        let described = json!({
            "name": "Lo-fi",
            "description": "Tape hiss, soft drums, short loops",
            "primary_trigger_word": "lofi-tape",
            "trigger_words": ["lofi-tape", "dusty"],
            "recommended_strength": 0.8,
            "recommended_steps": 8,
            "recommended_shift": 3.0,
            "recommended_guidance": 1.0,
            "primary_genre": "lo-fi",
            "secondary_genres": ["hip hop"],
            "tags": ["mellow"],
            "moods": ["calm"],
            "base_model": CHECKPOINT,
            "base_model_scale": CHECKPOINT_SCALE,
            "has_metadata": true,
        });
        let loras = vec![Lora::new("lo-fi", &described), Lora::new("dub-techno", &json!({}))];
        Self { loras }
    }

    /// What `ready`, `lora_catalog` and `/api/loras` list.
    pub fn catalog(&self) -> Value {
        self.loras.iter().map(Lora::entry).collect()
    }

    pub fn contains(&self, id: &str) -> bool {
        self.loras.iter().any(|lora| lora.id == id)
    }

    /// Puts one more into the library.
    pub fn add(&mut self, id: &str) {
        if !self.contains(id) && self.loras.len() < Self::CAPACITY {
            self.loras.push(Lora::new(id, &json!({})));
        }
    }

    /// The strength with which it is now enabled; `None`: there is no such LoRA.
    pub fn enable(&mut self, id: &str, strength: Option<f64>) -> Option<f64> {
        let lora = self.loras.iter_mut().find(|lora| lora.id == id)?;
        lora.is_enabled = true;
        lora.strength = strength.unwrap_or(DEFAULT_STRENGTH);
        Some(lora.strength)
    }

    pub fn disable(&mut self, id: &str) {
        if let Some(lora) = self.loras.iter_mut().find(|lora| lora.id == id) {
            (lora.is_enabled, lora.strength) = (false, 0.0);
        }
    }

    /// A knob changes the strength of one that is enabled.
    pub fn set_strength(&mut self, id: &str, strength: f64) {
        let enabled = self.loras.iter_mut().find(|lora| lora.is_enabled && lora.id == id);
        if let Some(lora) = enabled {
            lora.strength = strength;
        }
    }
}

impl Lora {
    /// `described` has what is known of it; everything else is unknown, as of a file without a
    /// description.
    fn new(id: &str, described: &Value) -> Self {
        let mut metadata = json!({
            "id": id, "name": id, "description": null, "primary_trigger_word": null,
            "trigger_words": [], "recommended_strength": null, "recommended_steps": null,
            "recommended_shift": null, "recommended_guidance": null, "primary_genre": null,
            "secondary_genres": [], "tags": [], "moods": [], "base_model": null,
            "base_model_scale": null, "has_metadata": false,
        });
        for (key, value) in described.as_object().into_iter().flatten() {
            metadata[key.as_str()] = value.clone();
        }
        Self { id: id.to_owned(), strength: 0.0, is_enabled: false, metadata }
    }

    fn entry(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.metadata["name"],
            "path": format!("{LORA_DIR}/{}.safetensors", self.id),
            "state": if self.is_enabled { "enabled" } else { "registered" },
            "strength": self.strength,
            "materialized_bytes": if self.is_enabled { 1 << 20 } else { 0 },
            "metadata": self.metadata,
            "compatible": true,
        })
    }
}

/// The document at `/api/loras`.
#[must_use]
pub fn lora_document() -> Value {
    json!({
        "dir": LORA_DIR,
        "extra_dirs": [],
        "checkpoint": CHECKPOINT,
        "checkpoint_scale": CHECKPOINT_SCALE,
        "loras": LoraLibrary::new().catalog(),
    })
}
