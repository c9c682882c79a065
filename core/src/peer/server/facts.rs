//! What a session tells of itself: to its client in `ready`, and to others in its snapshot.

use serde_json::{Map, Value};

use super::events::{self, SessionFacts};
use super::outbox::Outbox;
use super::session::Session;
use super::source::LoopShape;
use crate::peer::Outgoing;
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};

impl Session {
    /// Queues `ready`, the initial buffer, and what becomes of the LoRAs that the config enables.
    pub(super) fn greet(
        &mut self,
        now: Nanos,
        session_id: &str,
        buffer: Vec<u8>,
        outbox: &mut Outbox,
    ) {
        let has_lora = self.config.lora;
        let mut pending = std::mem::take(&mut self.config.loras);
        pending.retain(|(id, _)| has_lora && self.loras.contains(id));
        let ids: Vec<_> = pending.iter().map(|(id, _)| id.clone()).collect();
        ids.iter().for_each(|id| self.knobs.add_lora(id, 0.0));
        let facts = SessionFacts {
            session_id,
            shape: self.shape(),
            music: &self.music,
            lora_catalog: self.lora_catalog(),
            lora_pending: &ids,
            knob_manifest: self.knobs.manifest(),
            manual_slots: self.manual_slots,
        };
        outbox.text(now, events::ready(&self.config, &facts));
        outbox.message(now, Outgoing::Binary(buffer));
        for (id, strength) in &pending {
            self.knobs.remove_lora(id);
            self.enable_lora(id, *strength);
        }
        if !pending.is_empty() {
            outbox.text(now, events::lora_catalog(&self.lora_catalog()));
        }
    }

    /// What the side bus of the real server tells of a session.
    pub(super) fn snapshot(&self, session_id: &str) -> Map<String, Value> {
        let mut snapshot = Map::new();
        snapshot.insert("id".to_owned(), session_id.into());
        snapshot.extend(self.conditioning.snapshot());
        let shape = self.shape();
        for (key, value) in [
            ("duration", shape.duration_s().into()),
            ("bpm", self.music.bpm.into()),
            ("key", self.music.key.as_str().into()),
            ("time_signature", self.music.time_signature.as_str().into()),
            ("fixture_name", self.config.fixture_name.clone().into()),
            ("lora_catalog", self.lora_catalog()),
            ("knob_values", self.knobs.all_values().into()),
            ("channels", self.channels.into()),
            ("sample_rate", DEFAULT_SAMPLE_RATE.into()),
            ("sde", self.config.sde.into()),
            ("geometry", events::geometry(shape)),
            ("capabilities", events::capabilities(&self.config)),
            ("knob_manifest", self.knobs.manifest()),
        ] {
            snapshot.insert(key.to_owned(), value);
        }
        snapshot
            .extend(events::steering(self.manual_slots, events::refines_as_acestep(&self.config)));
        snapshot
    }

    fn shape(&self) -> LoopShape {
        LoopShape { frames: self.frames, channels: self.channels }
    }

    /// Empty where the session has no LoRAs.
    fn lora_catalog(&self) -> Value {
        if self.config.lora { self.loras.catalog() } else { Value::Array(Vec::new()) }
    }
}
