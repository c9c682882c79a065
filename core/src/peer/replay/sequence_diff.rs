//! Compares what the recorded client did with what the live one does, as it happens.
//!
//! Actions are dropped once they are compared, and all of them after the first difference.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Map, Value};

use super::tape::ClientAction;
use crate::lag::stats::round;

/// Actions that may wait for their counterparts; further ones are not compared.
const MAX_WAITING: usize = 1024;
/// Longest text of a value in a difference, in characters.
const MAX_SHOWN: usize = 240;

/// The first thing that the live client did otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// In seconds of the recording from its initial buffer.
    pub at_s: f64,
    /// The kind of the action, or `knobs`.
    pub what: String,
    /// What the recorded client sent, where they differ; `null`: nothing.
    pub recorded: Option<String>,
    /// What the live client sent; `null`: nothing.
    pub live: Option<String>,
}

/// A pair of sequences, and how far they are equal.
#[derive(Debug, Default)]
pub(super) struct SequenceDiff {
    recorded: VecDeque<(f64, ClientAction)>,
    live: VecDeque<(f64, ClientAction)>,
    pub recorded_count: u64,
    pub live_count: u64,
    pub equal: u64,
    pub difference: Option<Difference>,
    /// Largest distance in time of equal actions, in seconds; positive where the live one was later.
    pub most_apart_s: f64,
}

impl SequenceDiff {
    pub fn recorded(&mut self, at_s: f64, action: ClientAction) {
        self.recorded_count += 1;
        if self.difference.is_none() && self.recorded.len() < MAX_WAITING {
            self.recorded.push_back((at_s, action));
            self.compare();
        }
    }

    pub fn live(&mut self, at_s: f64, action: ClientAction) {
        self.live_count += 1;
        if self.difference.is_none() && self.live.len() < MAX_WAITING {
            self.live.push_back((at_s, action));
            self.compare();
        }
    }

    fn compare(&mut self) {
        while let (Some((recorded_s, recorded)), Some((live_s, live))) =
            (self.recorded.front(), self.live.front())
        {
            if recorded != live {
                self.difference = Some(difference(*live_s, Some(recorded), Some(live)));
                self.recorded.clear();
                self.live.clear();
                return;
            }
            let apart_s = live_s - recorded_s;
            if apart_s.abs() > self.most_apart_s.abs() {
                self.most_apart_s = apart_s;
            }
            self.equal += 1;
            self.recorded.pop_front();
            self.live.pop_front();
        }
    }

    /// The first difference, once both sides have come to their end.
    pub fn first_difference(&self) -> Option<Difference> {
        let missing =
            self.recorded.front().map(|(at_s, action)| difference(*at_s, Some(action), None));
        let further =
            || self.live.front().map(|(at_s, action)| difference(*at_s, None, Some(action)));
        self.difference.clone().or(missing).or_else(further)
    }
}

fn difference(
    at_s: f64,
    recorded: Option<&ClientAction>,
    live: Option<&ClientAction>,
) -> Difference {
    let what = live.or(recorded).map(|action| action.kind.clone()).unwrap_or_default();
    let (recorded, live) = match (recorded, live) {
        (Some(recorded), Some(live)) if recorded.kind == live.kind => {
            let (recorded, live) = only_different(&recorded.value, &live.value);
            (Some(shown(&recorded)), Some(shown(&live)))
        }
        (recorded, live) => {
            let whole = |action: &ClientAction| format!("{} {}", action.kind, shown(&action.value));
            (recorded.map(whole), live.map(whole))
        }
    };
    Difference { at_s: round(at_s, 6), what, recorded, live }
}

/// The fields in which two objects differ; anything else as it is.
fn only_different(one: &Value, other: &Value) -> (Value, Value) {
    let (Value::Object(a), Value::Object(b)) = (one, other) else {
        return (one.clone(), other.clone());
    };
    let unlike = |of: &Map<String, Value>, than: &Map<String, Value>| {
        let fields = of.iter().filter(|(key, value)| than.get(*key) != Some(*value));
        fields.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>()
    };
    (unlike(a, b).into(), unlike(b, a).into())
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(text: &str) -> ClientAction {
        ClientAction::of_text(text, None)
    }

    /// Feeds both sequences, the live one first; what differs, and how many were equal.
    #[track_caller]
    fn check(recorded: &[&str], live: &[&str], expected: Option<[Option<&str>; 2]>, equal: u64) {
        let mut diff = SequenceDiff::default();
        for (i, text) in live.iter().enumerate() {
            diff.live(i as f64 + 0.25, action(text));
        }
        for (i, text) in recorded.iter().enumerate() {
            diff.recorded(i as f64, action(text));
        }
        let found = diff.first_difference();
        let found = found.as_ref().map(|d| [d.recorded.as_deref(), d.live.as_deref()]);
        assert_eq!(found, expected, "{recorded:?} and {live:?}");
        assert_eq!(diff.equal, equal);
        assert_eq!(diff.most_apart_s, if equal > 0 { 0.25 } else { 0.0 });
    }

    #[test]
    fn the_first_difference() {
        let (a, b) =
            (r#"{"type":"prompt","tags":"a","key":1}"#, r#"{"type":"prompt","tags":"b","key":1}"#);
        check(&[], &[], None, 0);
        check(&[a, b], &[a, b], None, 2);
        check(&[a], &[r#"{"key":1,"tags":"a","type":"prompt"}"#], None, 1);
        check(&[a, a], &[a, b], Some([Some(r#"{"tags":"a"}"#), Some(r#"{"tags":"b"}"#)]), 1);
        check(&[a], &[a, r#"{"type":"x"}"#], Some([None, Some(r#"x {"type":"x"}"#)]), 1);
        check(&[r#"{"type":"x"}"#], &[], Some([Some(r#"x {"type":"x"}"#), None]), 0);
        check(
            &[r#"{"type":"x"}"#],
            &[r#"{"type":"y"}"#],
            Some([Some(r#"x {"type":"x"}"#), Some(r#"y {"type":"y"}"#)]),
            0,
        );
    }
}
