//! What a session's model is told to play: prompts, references, and how they are blended.

use serde_json::{Map, Value, json};

use super::config::Config;

/// What the model is told.
pub(super) struct Conditioning {
    pub prompt: String,
    pub prompt_b: String,
    /// 0 is the prompt, 1 the other one.
    prompt_blend: f64,
    timbre_strength: f64,
    pub timbre: Option<String>,
    pub structure: Option<String>,
    /// How each path blends, by its name.
    interpolation: Map<String, Value>,
}

impl Conditioning {
    pub fn of(config: &Config) -> Self {
        let paths = ["prompt", "timbre", "structure", "feedback"];
        Self {
            prompt: config.prompt.clone(),
            prompt_b: config.prompt_b.clone(),
            prompt_blend: 0.0,
            timbre_strength: 1.0,
            timbre: None,
            structure: None,
            interpolation: paths
                .map(|path| (path.to_owned(), "slerp".into()))
                .into_iter()
                .collect(),
        }
    }

    /// Another prompt, and perhaps another to blend it with.
    pub fn set_prompts(&mut self, prompt: &str, prompt_b: Option<&str>) {
        let prompt_b = prompt_b.filter(|other| !other.is_empty()).unwrap_or(prompt);
        (self.prompt, self.prompt_b) = (prompt.to_owned(), prompt_b.to_owned());
    }

    /// A swap brings a prompt; a second one that was not the first stays.
    pub fn swap_prompt(&mut self, prompt: &str) {
        if self.prompt_b == self.prompt {
            prompt.clone_into(&mut self.prompt_b);
        }
        prompt.clone_into(&mut self.prompt);
    }

    pub fn set_blend(&mut self, value: f64) {
        self.prompt_blend = value.clamp(0.0, 1.0);
    }

    pub fn set_timbre_strength(&mut self, value: f64) {
        self.timbre_strength = value.clamp(0.0, 1.0);
    }

    /// `false`: there is no such path.
    pub fn set_interpolation(&mut self, path: &str, method: &str) -> bool {
        let held = self.interpolation.get_mut(path);
        held.map(|held| *held = method.into()).is_some()
    }

    /// Its part of a session's snapshot.
    pub fn snapshot(&self) -> Map<String, Value> {
        let mut snapshot = Map::new();
        for (key, value) in [
            ("prompt", json!(self.prompt)),
            ("prompt_b", json!(self.prompt_b)),
            ("prompt_blend", json!(self.prompt_blend)),
            ("timbre_name", json!(self.timbre)),
            ("timbre_strength", json!(self.timbre_strength)),
            ("structure_name", json!(self.structure)),
        ] {
            snapshot.insert(key.to_owned(), value);
        }
        for (path, method) in &self.interpolation {
            snapshot.insert(format!("interp_{path}"), method.clone());
        }
        snapshot
    }
}
