//! What the simulated server of a family is like: checkpoint, buffer, pace, and how many sessions it
//! has room for.
//!
//! docs/FAMILIES.md has the numbers with their sources, and a test compares the two. What a family
//! does with them stands in [`tape`](super::tape) and [`revision`](super::revision).

use serde_json::{Map, Value};

use super::pcm::Pcm;
use super::source::{Loaded, ServerSource};
use super::{ServerFaults, ServerOptions};
use crate::family::Family;
use crate::peer::generator::GeneratorOptions;
use crate::peer::policy::Policy;
use crate::time::DEFAULT_SAMPLE_RATE;

/// Numbers of a family's server, in seconds unless the name says otherwise; 0 where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerProfile {
    /// Alias of the checkpoint that is served unless the client asks for another.
    pub checkpoint: &'static str,
    /// Length of the buffer unless something else says; of others it is the source's.
    pub buffer_s: f64,
    /// Longest buffer.
    pub longest_buffer_s: f64,
    /// From the client's audio to `ready`, for a model that composes before.
    pub compose_s: f64,
    /// From the initial buffer to the first audio.
    pub first_audio_s: f64,
    /// Whichever of both a family has, on a cold server.
    pub cold_s: f64,
    /// Audio that is made at a time.
    pub commit_s: f64,
    /// The next is made once the tape is at most this far ahead of the listener, beside a commit
    /// where that is long.
    pub lead_s: f64,
    /// Audio made a second.
    pub real_time: f64,
}

/// The numbers of a family's server.
#[must_use]
pub fn server_profile(family: Family) -> ServerProfile {
    let none = ServerProfile::default();
    match family {
        Family::Acestep | Family::Unknown => none,
        Family::Sa3 => ServerProfile { checkpoint: "sa3-medium", longest_buffer_s: 120.0, ..none },
        Family::Yue2 => ServerProfile {
            checkpoint: "yue2-3b",
            buffer_s: 60.0,
            longest_buffer_s: 100.0,
            compose_s: 15.0,
            cold_s: 34.0,
            ..none
        },
        Family::Mrt2 => ServerProfile {
            checkpoint: "mrt2-sidecar",
            buffer_s: 60.0,
            longest_buffer_s: 60.0,
            first_audio_s: 0.2,
            commit_s: 0.04,
            lead_s: 0.75,
            real_time: 1.7,
            ..none
        },
        Family::Minimax => ServerProfile {
            checkpoint: "minimax-music3",
            buffer_s: 60.0,
            longest_buffer_s: 360.0,
            first_audio_s: 6.0,
            cold_s: 34.0,
            commit_s: 4.0,
            lead_s: 1.0,
            real_time: 1.29,
            ..none
        },
    }
}

/// The model that a session is served by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedModel {
    pub family: Family,
    /// Alias of its checkpoint; empty where neither client nor family names one.
    pub checkpoint: String,
}

impl ServedModel {
    /// What the client's config asks for, of a server that serves `usual` otherwise.
    #[must_use]
    pub fn of(config: &Map<String, Value>, usual: Family) -> ServedModel {
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        let alias = text("checkpoint").filter(|alias| !alias.is_empty());
        let named = text("backend").and_then(Family::named);
        let family = named.or_else(|| Family::of_checkpoint(alias?)).unwrap_or(usual);
        let alias = alias.filter(|alias| Family::of_checkpoint(alias) == Some(family));
        let checkpoint = alias.unwrap_or(server_profile(family).checkpoint).to_owned();
        ServedModel { family, checkpoint }
    }

    /// Sessions at a time; one more ends the oldest.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let is_small =
            ["sa3-small", "sa3-sfx"].iter().any(|name| self.checkpoint.starts_with(name));
        if is_small { 4 } else { 1 }
    }
}

/// What a family paces otherwise; all refining families keep the lead constants of acestep.
pub(super) fn policy_of(family: Family, mut policy: Policy) -> Policy {
    if let Family::Sa3 | Family::Yue2 = family {
        policy.placement.window_s = family.traits().window_s;
    }
    policy
}

/// Slices a second of sa3.
const SA3_RATE_HZ: f64 = 10.8;

/// How fast a family's model is.
pub(super) fn generator_of(family: Family, options: &GeneratorOptions) -> GeneratorOptions {
    let GeneratorOptions { decode_ms, overhead_ms, .. } = *options;
    let tick_ms = match family {
        Family::Sa3 => 1e3 / SA3_RATE_HZ - decode_ms - overhead_ms,
        _ => options.tick_ms,
    };
    GeneratorOptions { tick_ms, ..options.clone() }
}

/// How long a family composes before `ready`.
pub(super) fn compose_s(family: Family, faults: &ServerFaults) -> f64 {
    let ServerProfile { compose_s, cold_s, .. } = server_profile(family);
    if faults.cold && compose_s > 0.0 { cold_s } else { compose_s }
}

/// What the session of a family plays, given what the client brought or named: sa3 takes that in
/// stereo, the others compose their own and ignore it. `asked_s` is the length that its config asks for.
pub(super) fn source_of(
    family: Family,
    asked_s: Option<f64>,
    brought: Loaded,
    options: &ServerOptions,
) -> Loaded {
    let ServerProfile { buffer_s, longest_buffer_s, .. } = server_profile(family);
    match family {
        Family::Acestep | Family::Unknown => brought,
        Family::Sa3 => {
            let brought_s = brought.shape().duration_s();
            let seconds = asked_s.unwrap_or(brought_s).min(longest_buffer_s);
            brought.in_stereo().cut_to(frames_of(seconds))
        }
        Family::Yue2 | Family::Mrt2 | Family::Minimax => {
            let own_s = own_length(options).filter(|_| options.family == family);
            let seconds = asked_s.or(own_s).unwrap_or(buffer_s).min(longest_buffer_s);
            let frames = match family {
                Family::Yue2 => yue2_frames(seconds),
                _ => frames_of(seconds),
            };
            Loaded::composed(&options.source, options.seed, frames)
        }
    }
}

/// Length of what the server was started with.
fn own_length(options: &ServerOptions) -> Option<f64> {
    let seconds = match &options.source {
        ServerSource::BuiltIn { seconds, .. } => *seconds,
        ServerSource::Pcm(Pcm { audio, channels }) => {
            audio.len() as f64 / f64::from(*channels) / f64::from(DEFAULT_SAMPLE_RATE)
        }
    };
    (seconds > 0.0).then_some(seconds)
}

fn frames_of(seconds: f64) -> usize {
    (seconds * f64::from(DEFAULT_SAMPLE_RATE)).round().max(1.0) as usize
}

/// A song of yue2 is so many model frames of 40 ms, less the codec's edge of 64 samples.
fn yue2_frames(seconds: f64) -> usize {
    let model_frames = (seconds.max(2.0) * 25.0).round() as usize;
    1_920 * model_frames - 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(config: &Value, family: Family, checkpoint: &str, sessions: usize) {
        let model = ServedModel::of(config.as_object().unwrap(), Family::Acestep);
        assert_eq!((model.family, model.checkpoint.as_str()), (family, checkpoint), "{config}");
        assert_eq!(model.sessions(), sessions, "{config}");
    }

    #[test]
    fn a_client_chooses_family_and_checkpoint() {
        check(&json!({}), Family::Acestep, "", 1);
        check(&json!({"backend": "sa3"}), Family::Sa3, "sa3-medium", 1);
        check(&json!({"checkpoint": "sa3-small"}), Family::Sa3, "sa3-small", 4);
        check(&json!({"backend": "sa3", "checkpoint": "sa3-sfx"}), Family::Sa3, "sa3-sfx", 4);
        check(
            &json!({"backend": "mrt2", "checkpoint": "sa3-sfx"}),
            Family::Mrt2,
            "mrt2-sidecar",
            1,
        );
        check(&json!({"checkpoint": "xl"}), Family::Acestep, "xl", 1);
    }

    #[test]
    fn songs_of_yue2_lack_the_edge_of_the_codec() {
        assert_eq!((yue2_frames(60.0), yue2_frames(0.1)), (2_879_936, 95_936));
    }
}
