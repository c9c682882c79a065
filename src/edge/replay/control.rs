//! Requests that pause, slow down or move a running replay.

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::peer::replay::{Control, ReplayStatus};

/// An example of a request.
pub(super) const EXAMPLE: &str = r#"{"pause": true}, {"rate": 0.5} or {"jump_s": 12}"#;

/// What a running session is asked to do.
pub(super) struct ReplayOrder {
    /// Done one after the other; with none, the order only asks where the replay is.
    pub controls: Vec<Control>,
    /// Answered with where the replay is afterwards.
    pub answer: oneshot::Sender<ReplayStatus>,
}

/// The controls in the JSON object of a request, or a sentence that says what to send.
pub(super) fn controls(fields: &Map<String, Value>) -> Result<Vec<Control>, String> {
    let control = |(key, value): (&String, &Value)| {
        let control = match (key.as_str(), value.as_bool(), value.as_f64()) {
            ("pause", Some(true), _) => Some(Control::Pause),
            ("pause", Some(false), _) => Some(Control::Resume),
            ("rate", _, Some(rate)) if rate > 0.0 => Some(Control::Rate(rate)),
            ("jump_s", _, Some(to_s)) if to_s >= 0.0 => Some(Control::Jump(to_s)),
            _ => None,
        };
        control.ok_or_else(|| format!("{key}: {value} means nothing here; send {EXAMPLE}"))
    };
    fields.iter().map(control).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse_object;

    #[track_caller]
    fn check(request: &str, expected: Option<&[Control]>) {
        let fields = parse_object(request).unwrap().fields;
        assert_eq!(controls(&fields).ok().as_deref(), expected, "{request}");
    }

    #[test]
    fn requests() {
        check("{}", Some(&[]));
        check(r#"{"pause": true}"#, Some(&[Control::Pause]));
        check(
            r#"{"jump_s": 2, "rate": 0.5, "pause": false}"#,
            Some(&[Control::Jump(2.0), Control::Rate(0.5), Control::Resume]),
        );
        check(r#"{"rate": 0}"#, None);
        check(r#"{"rate": "fast"}"#, None);
        check(r#"{"pause": 1}"#, None);
        check(r#"{"jump_s": -1}"#, None);
        check(r#"{"stop": true}"#, None);
    }
}
