//! What `params_update` says after a slice.

use serde_json::{Map, Value};

use super::revision::MadeFrom;
use super::session::Session;

impl Session {
    /// The fields of a `params_update`; the first one says no knobs.
    pub(super) fn params(&self) -> Map<String, Value> {
        let mut params = Map::new();
        params.insert("num_gens".to_owned(), self.generations().into());
        params.insert("tick_ms".to_owned(), self.previous.tick_ms.into());
        params.insert("dec_ms".to_owned(), self.previous.decode_ms.into());
        if let Some(tape) = &self.tape {
            params.extend(tape.telemetry());
        }
        if let Some(revision) = &self.revision {
            params.extend(revision.telemetry(self.generations()));
        }
        if !self.first {
            params.extend(self.knobs.update());
            params.insert("_prompt".to_owned(), self.conditioning.prompt.clone().into());
        }
        params
    }

    /// What the model is to make audio from now.
    pub(super) fn made_from(&self) -> MadeFrom {
        let denoise = format!("{}_denoise", self.config.model.family.name());
        MadeFrom {
            seed: self.knobs.value("seed").unwrap_or(0.0),
            denoise: self.knobs.value(&denoise).unwrap_or(1.0),
            prompt: self.conditioning.prompt.clone(),
        }
    }
}
