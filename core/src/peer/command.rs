//! Checks commands from a caller against the names of the protocol.
//!
//! A command that no server would accept is refused with the name that was probably meant.

use serde_json::{Map, Value};

use crate::parse::nearest;
use crate::wire::message::kind_of;
use crate::wire::names;

/// Why a command is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no `type`.
    #[error("a command is an object with a \"type\"; the types are {known}")]
    Untyped { known: String },
    /// No command has that name.
    #[error("the protocol has no command \"{name}\"; {known}")]
    Unknown { name: String, known: String },
    /// The client sends these by itself.
    #[error("params are sent by the client itself, with its own position; give knobs instead")]
    Params,
    /// The command has no such field.
    #[error("{command} has no field \"{field}\"; {known}")]
    Field { command: String, field: String, known: String },
    /// A field is needed.
    #[error("{command} needs the field \"{field}\"")]
    Missing { command: String, field: String },
    /// A field's value has another type.
    #[error("{command}: \"{field}\" is {wanted}, and not {given}")]
    Value { command: String, field: String, wanted: String, given: String },
    /// A binary message has to follow.
    #[error("{command} comes with audio; name an audio file too")]
    NeedsAudio { command: String },
    /// No binary message may follow.
    #[error("{command} takes no audio")]
    TakesNoAudio { command: String },
}

/// Checks a command that is to be sent alone, or with audio after it.
pub fn check(command: &Map<String, Value>, with_audio: bool) -> Result<(), CommandError> {
    let commands = &names::protocol()["commands"];
    let all = || commands.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let Some(name) = kind_of(command) else {
        return Err(CommandError::Untyped { known: all().collect::<Vec<_>>().join(", ") });
    };
    if name == "params" {
        return Err(CommandError::Params);
    }
    let Some(facts) = commands.get(name) else {
        return Err(CommandError::Unknown { name: name.to_owned(), known: nearest(name, all()) });
    };
    check_fields(name, &facts["fields"], command)?;
    let (takes, optional) = (facts["binary"] == true, facts["binary_optional"] == true);
    let spared = optional && command.get("use_server_source") == Some(&Value::Bool(true));
    match (takes && !spared, with_audio) {
        (true, false) => Err(CommandError::NeedsAudio { command: name.to_owned() }),
        (false, true) => Err(CommandError::TakesNoAudio { command: name.to_owned() }),
        _ => Ok(()),
    }
}

fn check_fields(
    name: &str,
    fields: &Value,
    command: &Map<String, Value>,
) -> Result<(), CommandError> {
    let known = || fields.as_object().into_iter().flatten();
    for (field, value) in command.iter().filter(|(field, _)| *field != "type") {
        let Some(facts) = fields.get(field) else {
            return Err(CommandError::Field {
                command: name.to_owned(),
                field: field.clone(),
                known: nearest(field, known().map(|(field, _)| field.as_str())),
            });
        };
        if !fits(facts, value) {
            return Err(CommandError::Value {
                command: name.to_owned(),
                field: field.clone(),
                wanted: wanted(facts),
                given: value.to_string().chars().take(80).collect(),
            });
        }
    }
    let missing = known()
        .find(|(field, facts)| facts["required"] == true && !command.contains_key(field.as_str()));
    match missing {
        Some((field, _)) => {
            Err(CommandError::Missing { command: name.to_owned(), field: field.clone() })
        }
        None => Ok(()),
    }
}

fn fits(facts: &Value, value: &Value) -> bool {
    match facts["type"].as_str().unwrap_or_default() {
        _ if value.is_null() => facts["nullable"] == true,
        "str" => value.is_string(),
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        "bool" => value.is_boolean(),
        "dict" => value.is_object(),
        "list" => value.is_array(),
        "enum" => facts["options"].as_array().is_some_and(|options| options.contains(value)),
        _ => true,
    }
}

/// A field's type in words.
fn wanted(facts: &Value) -> String {
    match facts["type"].as_str().unwrap_or_default() {
        "str" => "a text".to_owned(),
        "int" => "a whole number".to_owned(),
        "float" => "a number".to_owned(),
        "bool" => "true or false".to_owned(),
        "dict" => "an object".to_owned(),
        "list" => "a list".to_owned(),
        _ => {
            let options = facts["options"].as_array().into_iter().flatten();
            format!("one of {}", options.map(Value::to_string).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn checked(command: &str, audio: bool, expected: Option<&str>) {
        let command: Map<String, Value> = serde_json::from_str(command).unwrap();
        let error = check(&command, audio).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), expected, "{command:?}");
    }

    #[test]
    fn commands_as_the_protocol_names_them() {
        checked(r#"{"type": "prompt", "tags": "dub"}"#, false, None);
        checked(r#"{"type": "loop_band", "start_sec": null}"#, false, None);
        checked(r#"{"type": "write_audio", "mix": "sum", "at_s": 1}"#, true, None);
        checked(
            r#"{"type": "swap_source", "fixture_name": "x", "use_server_source": true}"#,
            false,
            None,
        );
        checked(r#"{"type": "swap_source"}"#, true, None);
        let refused = |command, audio, why| checked(command, audio, Some(why));
        refused(
            r#"{"type": "promt", "tags": "dub"}"#,
            false,
            "the protocol has no command \"promt\"; did you mean prompt?",
        );
        refused(
            r#"{"type": "prompt", "tag": "dub"}"#,
            false,
            "prompt has no field \"tag\"; did you mean tags?",
        );
        refused(r#"{"type": "prompt"}"#, false, "prompt needs the field \"tags\"");
        refused(
            r#"{"type": "set_depth", "value": 1.5}"#,
            false,
            "set_depth: \"value\" is a whole number, and not 1.5",
        );
        refused(
            r#"{"type": "set_interp_method", "path": "prompt", "method": "cubic"}"#,
            false,
            "set_interp_method: \"method\" is one of \"slerp\", \"linear\", and not \"cubic\"",
        );
        refused(
            r#"{"type": "swap_source"}"#,
            false,
            "swap_source comes with audio; name an audio file too",
        );
        refused(r#"{"type": "prompt", "tags": "x"}"#, true, "prompt takes no audio");
        refused(
            r#"{"type": "params", "raw": {}}"#,
            false,
            "params are sent by the client itself, with its own position; give knobs instead",
        );
    }
}
