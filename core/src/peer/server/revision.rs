//! What a refining family of October 2026 was told and does not play yet.
//!
//! A change sounds only after the pipeline was flushed (sa3) or the song was rendered again (yue2), and
//! another prompt of yue2 only after the song was composed again. Enters: changes, with their time.
//! Leaves: when they are heard, what the audio is made from until then (`gen_*` of `params_update`), and
//! whether there is anything to render. The rules are those of `sa3_backend.py`@1036c38 and
//! `yue2_backend.py`@0249a37.

use serde_json::{Map, Value, json};

use super::after;
use super::profile::server_profile;
use crate::family::Family;
use crate::peer::generator::Durations;
use crate::peer::rng::{Rng, Stream};
use crate::time::Nanos;

/// sa3: from a knob to its sound, with one generation in the pipeline and for each more.
const FLUSH_S: (f64, f64) = (0.218, 0.327);
/// yue2: from a knob to its sound.
const RENDER_S: (f64, f64) = (1.2, 4.0);
/// yue2: from another prompt to the song of it.
const RECOMPOSE_S: (f64, f64) = (21.0, 58.0);
/// yue2: how long it rests between slices while there is nothing to render.
pub(super) const NAP_S: f64 = 0.02;
/// Changes that wait; beyond that the newest takes the place of the one before.
const MAX_WAITING: usize = 64;

/// What audio is made from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MadeFrom {
    pub seed: f64,
    pub denoise: f64,
    pub prompt: String,
}

/// Changes on their way to the listener.
#[derive(Debug)]
pub(super) struct Revision {
    family: Family,
    rng: Rng,
    now: MadeFrom,
    /// Prompts heard before this one.
    epoch: u64,
    waiting: Vec<(Nanos, MadeFrom)>,
    /// The prompt of a song that is being composed.
    composing: Option<(Nanos, String)>,
    settles: Nanos,
}

impl Revision {
    /// That of a session which begins with this; `None` of a family whose changes sound at once.
    pub fn of(family: Family, seed: u64, made_from: MadeFrom, now: Nanos) -> Option<Self> {
        let mut revision = match family {
            Family::Sa3 | Family::Yue2 => Revision {
                family,
                rng: Rng::new(seed, Stream::Revisions),
                now: made_from,
                epoch: 0,
                waiting: Vec::new(),
                composing: None,
                settles: now,
            },
            _ => return None,
        };
        revision.settles = after(now, revision.render_s());
        Some(revision)
    }

    /// Something was changed. Another prompt of yue2 takes the place of one that is being composed.
    pub fn told(&mut self, now: Nanos, depth: u32, mut told: MadeFrom) {
        let (heard_before, newest) =
            self.waiting.last().cloned().unwrap_or_else(|| (now, self.now.clone()));
        if self.family == Family::Yue2 {
            let planned = self.composing.as_ref().map_or(&newest.prompt, |(_, prompt)| prompt);
            if told.prompt != *planned {
                let composed = after(now, self.rng.between(RECOMPOSE_S.0, RECOMPOSE_S.1));
                self.composing = Some((composed, told.prompt.clone()));
            }
            told.prompt.clone_from(&newest.prompt);
        }
        if told == newest {
            return;
        }
        let heard = match self.family {
            Family::Yue2 => after(now, self.render_s()),
            _ => after(now, FLUSH_S.0 + FLUSH_S.1 * f64::from(depth.max(1) - 1)),
        };
        let heard = heard.max(heard_before);
        self.settles = self.settles.max(heard);
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop();
        }
        self.waiting.push((heard, told));
    }

    /// Whether something that was changed is heard from now on.
    pub fn turns(&mut self, now: Nanos) -> bool {
        let is_due = |(heard, _): &mut (Nanos, MadeFrom)| *heard <= now;
        let due: Vec<_> = self.waiting.extract_if(.., is_due).collect();
        let composed = self.composing.take_if(|(composed, _)| *composed <= now);
        let is_new = !due.is_empty() || composed.is_some();
        let prompt = self.now.prompt.clone();
        if let Some((_, newest)) = due.into_iter().next_back() {
            self.now = newest;
        }
        if let Some((_, prompt)) = composed {
            self.waiting.iter_mut().for_each(|(_, later)| later.prompt.clone_from(&prompt));
            self.now.prompt = prompt;
        }
        self.epoch += u64::from(self.now.prompt != prompt);
        is_new
    }

    /// What a tick takes when there is nothing to render.
    pub fn nap(&self, now: Nanos) -> Option<Durations> {
        self.is_settled(now).then(Durations::default)
    }

    /// Whether the whole song is as it was told to be: slices go on, and repeat it.
    pub fn is_settled(&self, now: Nanos) -> bool {
        self.family == Family::Yue2 && now >= self.settles
    }

    /// What `params_update` says of it.
    pub fn telemetry(&self, generations: u32) -> Map<String, Value> {
        let MadeFrom { seed, denoise, prompt } = &self.now;
        let mut fields = Map::new();
        fields.insert("gen_seed".to_owned(), json!(*seed as u64));
        fields.insert("gen_prompt".to_owned(), json!(prompt));
        fields.insert("gen_cond_epoch".to_owned(), json!(self.epoch));
        fields.insert(format!("gen_{}_denoise", self.family.name()), json!(denoise));
        if self.family == Family::Yue2 {
            let create_ms = server_profile(Family::Yue2).compose_s * 1e3;
            let recomposing: &[&str] = if self.composing.is_some() { &["a"] } else { &[] };
            fields.insert("yue2_nar".to_owned(), json!(generations));
            fields.insert("yue2_truncated".to_owned(), json!(false));
            fields.insert("yue2_create_ms".to_owned(), json!(create_ms));
            fields.insert("yue2_recomposing".to_owned(), json!(recomposing));
        }
        fields
    }

    fn render_s(&mut self) -> f64 {
        self.rng.between(RENDER_S.0, RENDER_S.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_from(denoise: f64, prompt: &str) -> MadeFrom {
        MadeFrom { seed: 0.0, denoise, prompt: prompt.to_owned() }
    }

    fn ms(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    fn revision(family: Family) -> Revision {
        Revision::of(family, 1, made_from(0.5, "dub"), ms(0)).unwrap()
    }

    #[test]
    fn a_knob_of_sa3_sounds_after_a_flush() {
        for (depth, heard_ms) in [(1, 218), (4, 1_199)] {
            let mut sa3 = revision(Family::Sa3);
            sa3.told(ms(1_000), depth, made_from(0.7, "house"));
            assert!(!sa3.turns(ms(1_000 + heard_ms - 1)));
            assert_eq!(sa3.telemetry(0)["gen_sa3_denoise"], 0.5);
            assert!(sa3.turns(ms(1_000 + heard_ms)) && !sa3.turns(ms(9_000)));
            let said = sa3.telemetry(0);
            assert_eq!(
                (&said["gen_prompt"], &said["gen_cond_epoch"]),
                (&json!("house"), &json!(1))
            );
            assert!(!sa3.is_settled(ms(90_000)));
        }
    }

    #[test]
    fn a_song_of_yue2_goes_on_while_another_is_composed() {
        let mut yue2 = revision(Family::Yue2);
        assert!(!yue2.is_settled(ms(1_000)) && yue2.is_settled(ms(4_000)));
        yue2.told(ms(5_000), 1, made_from(0.7, "house"));
        assert!(!yue2.is_settled(ms(6_000)));
        assert!(yue2.turns(ms(9_000)), "the knob is heard within 4 s");
        let said = yue2.telemetry(0);
        assert_eq!(said["gen_yue2_denoise"], 0.7);
        assert_eq!(
            (&said["gen_prompt"], &said["yue2_recomposing"]),
            (&json!("dub"), &json!(["a"]))
        );
        assert!(!yue2.turns(ms(25_999)) && yue2.turns(ms(63_000)));
        let said = yue2.telemetry(0);
        assert_eq!((&said["gen_prompt"], &said["yue2_recomposing"]), (&json!("house"), &json!([])));
    }

    #[test]
    fn a_drag_waits_in_bounds() {
        let mut sa3 = revision(Family::Sa3);
        (0..500).for_each(|step| sa3.told(ms(step), 4, made_from(step as f64 / 500.0, "dub")));
        assert_eq!(sa3.waiting.len(), MAX_WAITING);
        assert!(sa3.turns(ms(10_000)));
        assert_eq!(sa3.now.denoise, 499.0 / 500.0);
    }

    #[test]
    fn the_others_play_at_once() {
        for family in [Family::Acestep, Family::Mrt2, Family::Minimax, Family::Unknown] {
            assert!(Revision::of(family, 1, made_from(0.5, ""), ms(0)).is_none());
        }
    }
}
