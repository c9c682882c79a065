//! The contract of commands: which there are, and the types of their fields.
//!
//! What `names.json` does not declare is no command and gets no answer. A declared field of another
//! type is converted where Python converts it, and is otherwise as good as missing; a field that is
//! not declared passes as it is.

use serde_json::{Map, Value};

use crate::wire::names;

/// The fields of a command as the server takes them; `None` for what is no command.
pub(super) fn typed(kind: &str, fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    let declared = names::protocol()["commands"].get(kind)?;
    let typed = |(key, value): (&String, &Value)| {
        let value = match declared["fields"].get(key) {
            Some(field) => converted(field, value)?,
            None => value.clone(),
        };
        Some((key.clone(), value))
    };
    Some(fields.iter().filter_map(typed).collect())
}

/// The capability that a command requires.
pub(super) fn requires(kind: &str) -> Option<&'static str> {
    match names::protocol()["commands"].get(kind) {
        Some(declared) => declared["requires"].as_str(),
        None => (kind == "bounce").then_some("bounce"),
    }
}

fn converted(field: &Value, value: &Value) -> Option<Value> {
    if value.is_null() {
        return (field["nullable"] == true).then_some(Value::Null);
    }
    match field["type"].as_str()? {
        "float" => number(value).map(Value::from),
        // The limits of `i64` are far beyond any use.
        "int" => number(value).map(|number| Value::from(number.round_ties_even() as i64)),
        "bool" => truth(value).map(Value::Bool),
        "str" => Some(Value::String(text(value))),
        "enum" => field["options"].as_array()?.contains(value).then(|| value.clone()),
        "dict" => value.is_object().then(|| value.clone()),
        "list" => value.is_array().then(|| value.clone()),
        _ => Some(value.clone()),
    }
}

/// What Python's `float(value)` makes of a value, if it is finite.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn truth(value: &Value) -> Option<bool> {
    match (value, value.as_u64()) {
        (Value::Bool(truth), _) => Some(*truth),
        (_, Some(number @ 0..=1)) => Some(number == 1),
        _ => None,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(fields: &Value, expected: Option<&Value>) {
        let kind = fields["type"].as_str().unwrap();
        let typed = typed(kind, fields.as_object().unwrap()).map(Value::Object);
        assert_eq!(typed.as_ref(), expected);
    }

    #[test]
    fn fields_are_converted_as_python_converts_them() {
        check(&json!({"type": "fly", "x": 1}), None);
        let rows = [
            (json!({"value": "0.5"}), json!({"value": 0.5})),
            (json!({"value": true, "further": [1]}), json!({"value": 1.0, "further": [1]})),
            (json!({"value": [1]}), json!({})),
            (json!({"value": "nan"}), json!({})),
            (json!({"value": null}), json!({})),
        ];
        for (fields, expected) in rows {
            let [fields, expected] = [fields, expected].map(|mut message| {
                message["type"] = json!("set_prompt_blend");
                message
            });
            check(&fields, Some(&expected));
        }
        check(
            &json!({"type": "set_depth", "value": 2.5}),
            Some(&json!({"type": "set_depth", "value": 2})),
        );
        check(
            &json!({"type": "prompt", "tags": 7, "key": null}),
            Some(&json!({"type": "prompt", "tags": "7"})),
        );
        check(
            &json!({"type": "write_audio", "mix": "loud", "refresh_timbre": 1, "at_s": null}),
            Some(&json!({"type": "write_audio", "refresh_timbre": true, "at_s": null})),
        );
        check(
            &json!({"type": "params", "raw": [], "playback_pos": "x"}),
            Some(&json!({"type": "params"})),
        );
        check(
            &json!({"type": "bounce", "request_id": 7}),
            Some(&json!({"type": "bounce", "request_id": "7"})),
        );
    }
}
