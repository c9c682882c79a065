//! The families of models that a DEMON server serves, and what their slices mean.
//!
//! Enters: the client's `config` and the server's `ready`, as they came. Leaves: [`FamilyUse`], which
//! family it is, whether it refines a loop or appends to a tape, and by what that was decided; and
//! [`Traits`], what is healthy of each. docs/FAMILIES.md has the same table for people, and a test
//! compares the two. Slices are looked at only where a session that is imported says nothing of itself
//! ([`FamilyWatch`]); what contradicts a family is seen where they are applied.

mod by_slices;
mod contract;

use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::capture::{Header, TapeRule};
use crate::wire::json;

pub use by_slices::{FAMILY_NOTE, FamilyWatch};
pub use contract::Contract;

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Family {
    /// The server of June 2026, and whoever says nothing else.
    #[default]
    Acestep,
    Sa3,
    Yue2,
    Mrt2,
    Minimax,
    /// One that this version does not know.
    Unknown,
}

/// A name that no family has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no family {name:?}; there are {}", FAMILIES.map(Family::name).join(", "))]
pub struct NoSuchFamily {
    name: String,
}

impl FromStr for Family {
    type Err = NoSuchFamily;

    fn from_str(text: &str) -> Result<Family, NoSuchFamily> {
        Family::named(text.trim()).ok_or_else(|| NoSuchFamily { name: text.to_owned() })
    }
}

/// What slices do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FamilyKind {
    /// They patch a loop again and again, ahead of the listener.
    #[default]
    RefiningLoop,
    /// Each goes on where the one before ended.
    AppendOnlyTape,
}

impl FamilyKind {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FamilyKind::RefiningLoop => "refining loop",
            FamilyKind::AppendOnlyTape => "append-only tape",
        }
    }
}

/// What a family does when it is healthy. A number that a family has none of is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traits {
    pub kind: FamilyKind,
    /// Length of the usual slice, or the most that one has.
    pub window_s: f64,
    /// The longest that the first audio takes after `ready`.
    pub first_audio_s: f64,
    /// The longest healthy time between two bursts of slices.
    pub burst_s: f64,
    /// The longest healthy silence within a session that nobody leaves idle.
    pub silence_s: f64,
    /// The piece has an end, after which no slice comes.
    pub ends: bool,
    /// Where the numbers come from.
    pub sources: &'static str,
}

/// All families that have a name, in the order of lists. Checkpoints remember one by its place here.
pub const FAMILIES: [Family; 5] =
    [Family::Acestep, Family::Sa3, Family::Yue2, Family::Mrt2, Family::Minimax];

impl Family {
    /// The name, as `config.backend` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Acestep => "acestep",
            Family::Sa3 => "sa3",
            Family::Yue2 => "yue2",
            Family::Mrt2 => "mrt2",
            Family::Minimax => "minimax",
            Family::Unknown => "unknown",
        }
    }

    /// The family of a `backend`.
    #[must_use]
    pub fn named(name: &str) -> Option<Family> {
        FAMILIES.into_iter().find(|family| family.name() == name)
    }

    /// Whether it makes its music of words alone and ignores the PCM that a client brings (the backends
    /// at the commits of [`Traits::sources`]).
    #[must_use]
    pub fn ignores_pcm(self) -> bool {
        matches!(self, Family::Yue2 | Family::Mrt2 | Family::Minimax)
    }

    /// The family of a checkpoint by its alias (families.py@1036c38).
    #[must_use]
    pub fn of_checkpoint(alias: &str) -> Option<Family> {
        let prefixes = [
            ("sa3", Family::Sa3),
            ("yue2", Family::Yue2),
            ("mrt2", Family::Mrt2),
            ("minimax", Family::Minimax),
            ("xl", Family::Acestep),
        ];
        let found = prefixes.into_iter().find(|(prefix, _)| alias.starts_with(prefix));
        found.map(|(_, family)| family)
    }

    /// What it does when it is healthy.
    #[must_use]
    pub fn traits(self) -> Traits {
        let refining = Traits {
            kind: FamilyKind::RefiningLoop,
            window_s: 0.36,
            first_audio_s: 0.0,
            burst_s: 0.0,
            silence_s: 0.0,
            ends: false,
            sources: "pipeline_runner.py@bb7d4f6",
        };
        let tape = Traits { kind: FamilyKind::AppendOnlyTape, window_s: 1.5, ..refining };
        match self {
            Family::Acestep | Family::Unknown => refining,
            Family::Sa3 => Traits {
                window_s: 3.0,
                silence_s: 1.0,
                sources: "sa3_backend.py@1036c38, sa3_session.py@017f057, PR 335",
                ..refining
            },
            Family::Yue2 => Traits {
                window_s: 0.4,
                sources: "yue2_backend.py@0249a37, yue2_session.py@47e7b3f",
                ..refining
            },
            Family::Mrt2 => Traits { sources: "mrt2/backend.py@0aa43c8", ..tape },
            Family::Minimax => Traits {
                first_audio_s: 34.0,
                burst_s: 4.0,
                silence_s: 4.0,
                ends: true,
                sources: "minimax_backend.py@13e5f84, engine/minimax_render.py@6436add",
                ..tape
            },
        }
    }
}

/// Which family a session is of, and by what that is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FamilyUse {
    pub name: Family,
    pub kind: FamilyKind,
    /// What decided it, in words.
    pub why: String,
    /// What the session says of itself does not go together.
    pub contradicts: bool,
}

impl FamilyUse {
    /// By the client's first message and the server's `ready`; either may be empty.
    #[must_use]
    pub fn of(config: &str, ready: &str) -> FamilyUse {
        FamilyUse::of_session(config, ready, None)
    }

    /// The same, or what an import noted in the header of the capture where both say nothing.
    #[must_use]
    pub fn of_session(config: &str, ready: &str, header: Option<&Header>) -> FamilyUse {
        FamilyUse::of_fields(&fields(config), &fields(ready), header)
    }

    /// The same of texts that have been read.
    #[must_use]
    pub fn of_fields(
        config: &Map<String, Value>,
        ready: &Map<String, Value>,
        header: Option<&Header>,
    ) -> FamilyUse {
        let noted = || FamilyUse::noted(header?.metadata.get(FAMILY_NOTE)?);
        FamilyUse::said(config, ready).or_else(noted).unwrap_or_else(FamilyUse::unnamed)
    }

    /// What config and `ready` say, if they say anything.
    fn said(config: &Map<String, Value>, ready: &Map<String, Value>) -> Option<FamilyUse> {
        let named = named_by(config, ready);
        let refines = ready.get("capabilities").and_then(|all| all.get("refines_audio")?.as_bool());
        let kind = match refines {
            Some(true) => FamilyKind::RefiningLoop,
            Some(false) => FamilyKind::AppendOnlyTape,
            None => named.as_ref()?.0.traits().kind,
        };
        let contradicts = refines.is_some()
            && named
                .as_ref()
                .is_some_and(|(of, _)| *of != Family::Unknown && of.traits().kind != kind);
        let name = match &named {
            Some((family, _)) => *family,
            None if kind == FamilyKind::AppendOnlyTape => Family::Unknown,
            None => Family::Acestep,
        };
        let evidence =
            refines.map(|refines| format!("ready.capabilities.refines_audio is {refines}"));
        let evidence: Vec<_> = named.map(|(_, why)| why).into_iter().chain(evidence).collect();
        Some(FamilyUse { name, kind, why: evidence.join(", "), contradicts })
    }

    /// The server of June 2026, which has one family and says so nowhere.
    fn unnamed() -> FamilyUse {
        let why = "neither config nor ready names a family".to_owned();
        FamilyUse { why, ..FamilyUse::default() }
    }

    /// What is written down of it: `minimax, append-only tape: why`.
    pub(crate) fn note(&self) -> String {
        format!("{}, {}: {}", self.name.name(), self.kind.name(), self.why)
    }

    /// The family that was written down like that.
    fn noted(text: &str) -> Option<FamilyUse> {
        let (what, why) = text.split_once(": ")?;
        let (name, kind) = what.split_once(", ")?;
        let kinds = [FamilyKind::RefiningLoop, FamilyKind::AppendOnlyTape];
        Some(FamilyUse {
            name: Family::named(name).unwrap_or(Family::Unknown),
            kind: kinds.into_iter().find(|other| other.name() == kind)?,
            why: why.to_owned(),
            contradicts: false,
        })
    }

    /// What a checkpoint remembers of it.
    #[must_use]
    pub fn id(&self) -> u8 {
        let place = FAMILIES.iter().position(|family| *family == self.name);
        let family = place.unwrap_or(FAMILIES.len()) as u8;
        family | if self.kind == FamilyKind::AppendOnlyTape { APPENDS } else { 0 }
    }

    /// The same from what a checkpoint remembers.
    #[must_use]
    pub fn recalled(id: u8) -> FamilyUse {
        let place = usize::from(id & !APPENDS);
        let name = FAMILIES.get(place).copied().unwrap_or(Family::Unknown);
        let kind =
            if id & APPENDS == 0 { FamilyKind::RefiningLoop } else { FamilyKind::AppendOnlyTape };
        FamilyUse { name, kind, why: "a checkpoint says so".to_owned(), contradicts: false }
    }

    /// What is healthy of its tape, if it has one. Of a tape of an unknown family the most that is
    /// healthy of any.
    #[must_use]
    pub fn tape(&self) -> Option<TapeRule> {
        if self.kind != FamilyKind::AppendOnlyTape {
            return None;
        }
        let own = self.name.traits();
        let traits = if own.kind == self.kind { own } else { Family::Minimax.traits() };
        let ns = |s: f64| (s * 1e9) as u64;
        Some(TapeRule {
            first_audio_ns: ns(traits.first_audio_s),
            burst_ns: ns(traits.burst_s),
            ends: traits.ends,
        })
    }
}

/// The fields of a text; none of one that is no JSON object.
pub(crate) fn fields(text: &str) -> Map<String, Value> {
    json::parse_object(text).map(|object| object.fields).unwrap_or_default()
}

/// Bit of an id: slices are appended.
const APPENDS: u8 = 1 << 7;

/// The family that is named, and where.
fn named_by(config: &Map<String, Value>, ready: &Map<String, Value>) -> Option<(Family, String)> {
    let text = |fields: &Map<String, Value>, key: &str| {
        fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    for (what, fields) in [("ready", ready), ("config", config)] {
        for key in ["backend", "family"] {
            if let Some(name) = text(fields, key) {
                let family = Family::named(&name).unwrap_or(Family::Unknown);
                return Some((family, format!("{what}.{key} is \"{name}\"")));
            }
        }
    }
    for (what, fields) in [("ready", ready), ("config", config)] {
        for key in ["checkpoint", "model"] {
            let alias = text(fields, key);
            if let Some((family, alias)) =
                alias.and_then(|alias| Some((Family::of_checkpoint(&alias)?, alias)))
            {
                return Some((family, format!("{what}.{key} is \"{alias}\"")));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: &str, ready: &str, family: Family, kind: FamilyKind, why: &str) {
        let found = FamilyUse::of(config, ready);
        assert_eq!((found.name, found.kind, found.why.as_str()), (family, kind, why));
        let recalled = FamilyUse::recalled(found.id());
        assert_eq!((recalled.name, recalled.kind), (family, kind));
        assert_eq!(recalled.tape(), found.tape());
    }

    #[test]
    fn families_by_what_a_session_says_of_itself() {
        use Family::{Acestep, Minimax, Mrt2, Sa3, Unknown, Yue2};
        use FamilyKind::{AppendOnlyTape as Tape, RefiningLoop as Loop};
        let no = r#"{"type":"ready","capabilities":{"refines_audio":false}}"#;
        let yes = r#"{"type":"ready","capabilities":{"refines_audio":true}}"#;
        let says_no = "ready.capabilities.refines_audio is false";
        let says_yes = "ready.capabilities.refines_audio is true";
        check("", "", Acestep, Loop, "neither config nor ready names a family");
        check("{}", yes, Acestep, Loop, says_yes);
        check("{}", no, Unknown, Tape, says_no);
        let minimax = r#"{"backend":"minimax"}"#;
        check(minimax, no, Minimax, Tape, &format!("config.backend is \"minimax\", {says_no}"));
        check(minimax, "{}", Minimax, Tape, "config.backend is \"minimax\"");
        check(
            r#"{"checkpoint":"mrt2-sidecar"}"#,
            "",
            Mrt2,
            Tape,
            "config.checkpoint is \"mrt2-sidecar\"",
        );
        check(r#"{"backend":"sa3"}"#, "", Sa3, Loop, "config.backend is \"sa3\"");
        check(r#"{"backend":"yue2"}"#, "", Yue2, Loop, "config.backend is \"yue2\"");
        check(r#"{"backend":"x"}"#, "", Unknown, Loop, "config.backend is \"x\"");
        assert!(FamilyUse::of(minimax, yes).contradicts);
        assert!(!FamilyUse::of(minimax, no).contradicts);
    }

    #[test]
    fn tapes_of_unknown_families_are_given_the_most() {
        let rule = FamilyUse::of("", r#"{"capabilities":{"refines_audio":false}}"#).tape();
        assert_eq!(rule, FamilyUse::of(r#"{"backend":"minimax"}"#, "").tape());
        assert_eq!(FamilyUse::of(r#"{"backend":"sa3"}"#, "").tape(), None);
    }
}
