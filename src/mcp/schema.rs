//! Schemas as clients want them: self-contained, and without arrays of types.
//!
//! Enters: a type. Leaves: JSON Schema of 2020-12 whose root is an object. Formats that only Rust
//! knows are dropped, and words are an `enum`. Every client reads the schemas of all tools before it asks
//! anything, so that those of answers tell only of objects and lists, by their keys.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Keys of an object within an answer that its schema names.
const MOST_KEYS: usize = 3;
/// Objects that stand in several answers: the server's instructions tell once what they hold.
const TOLD_ONCE: [&str; 8] =
    ["verdict", "ending", "family", "lag", "leads", "state", "findings", "askable"];

/// The schema of what a tool takes, which is nothing else.
pub fn input<T: JsonSchema>() -> Arc<JsonObject> {
    let mut schema = object::<T>(SchemaSettings::draft2020_12());
    Arc::make_mut(&mut schema).insert("additionalProperties".to_owned(), json!(false));
    schema
}

/// The schema of what a tool answers.
pub fn output<T: JsonSchema>() -> Arc<JsonObject> {
    let mut schema = object::<T>(SchemaSettings::draft2020_12().for_serialize());
    let root = Arc::make_mut(&mut schema);
    root.remove("required");
    if let Some(Value::Object(properties)) = root.get_mut("properties") {
        properties.retain(|_, schema| holds_others(schema));
        for (name, schema) in properties {
            flatten(schema);
            if TOLD_ONCE.contains(&name.as_str()) {
                *schema = json!({"type": schema["type"]});
            }
        }
    }
    schema
}

/// Replaces long descriptions of arguments that an earlier tool has in the same words.
pub fn say_once<'a>(tools: impl Iterator<Item = &'a mut Tool>) {
    const LONG: usize = 60;
    let mut said: Vec<(String, Value, String)> = Vec::new();
    for tool in tools {
        let name = tool.name.to_string();
        let schema = Arc::make_mut(&mut tool.input_schema);
        let Some(Value::Object(properties)) = schema.get_mut("properties") else { continue };
        for (argument, schema) in properties {
            let about = schema["description"].clone();
            if about.as_str().is_none_or(|about| about.len() < LONG) {
                continue;
            }
            let same = said.iter().find(|(known, words, _)| known == argument && *words == about);
            match same {
                Some((_, _, tool)) => schema["description"] = format!("As in {tool}").into(),
                None => said.push((argument.clone(), about, name.clone())),
            }
        }
    }
}

fn holds_others(schema: &Value) -> bool {
    schema["type"] == "array" || schema["type"] == "object"
}

/// Makes a schema one of its type alone, whose description are the keys of the object, or of the objects of
/// the list, if it has any.
fn flatten(schema: &mut Value) {
    let of = if schema["type"] == "array" { &schema["items"] } else { &*schema };
    let keys: Vec<_> = of["properties"].as_object().into_iter().flat_map(Map::keys).collect();
    let more = if keys.len() > MOST_KEYS { ["…"].as_slice() } else { &[] };
    let named: Vec<_> = keys.iter().take(MOST_KEYS).map(|key| key.as_str()).collect();
    let keys = [&named, more].concat().join(", ");
    let Value::Object(fields) = schema else { return };
    fields.retain(|key, _| ["type", "description"].contains(&key.as_str()));
    if !keys.is_empty() {
        fields.insert("description".to_owned(), keys.into());
    }
}

fn object<T: JsonSchema>(settings: SchemaSettings) -> Arc<JsonObject> {
    let generator = settings.with(|settings| settings.inline_subschemas = true).into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    let Value::Object(mut root) = schema else { return Arc::default() };
    for key in ["$schema", "title", "description"] {
        root.remove(key);
    }
    root.entry("properties").or_insert_with(|| json!({}));
    Arc::new(root)
}

/// Takes out what only Rust needs, at every depth.
fn tidy(schema: &mut Value) {
    if let Some(only) = not_null(schema) {
        let description = schema.get("description").cloned();
        *schema = only;
        if let (Some(fields), Some(description)) = (schema.as_object_mut(), description) {
            fields.entry("description").or_insert(description);
        }
    }
    match schema {
        Value::Object(fields) => {
            untype_nullable(fields);
            list_words(fields);
            let known = ["date-time", "uri"];
            fields.retain(|key, value| match key.as_str() {
                "format" => value.as_str().is_none_or(|format| known.contains(&format)),
                "default" => !is_plain(value),
                "minimum" => *value != 0,
                _ => true,
            });
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Takes the type off properties that are always there and may be `null`: few clients read an array of
/// types.
fn untype_nullable(fields: &mut Map<String, Value>) {
    let Some(required) = fields.get("required").and_then(Value::as_array).cloned() else { return };
    let Some(Value::Object(properties)) = fields.get_mut("properties") else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| required.contains(&json!(name))) {
        let of_types = |types: &Vec<Value>| types.contains(&json!("null"));
        let is_nullable = property["type"].as_array().is_some_and(of_types);
        if not_null(property).is_some() || is_nullable {
            *property = json!({});
        }
    }
}

/// Makes words that are each described into a list of words.
fn list_words(fields: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = fields.get("oneOf") else { return };
    let words: Option<Vec<_>> = choices.iter().map(|choice| choice.get("const").cloned()).collect();
    if let Some(words) = words {
        fields.remove("oneOf");
        fields.insert("type".to_owned(), json!("string"));
        fields.insert("enum".to_owned(), words.into());
    }
}

/// Whether a default is what everybody expects.
fn is_plain(value: &Value) -> bool {
    [json!(null), json!(false), json!([]), json!({})].contains(value)
}

/// The other half of "this or null".
fn not_null(schema: &Value) -> Option<Value> {
    let choices = schema.get("anyOf")?.as_array()?;
    let is_null = |choice: &&Value| choice["type"] == "null";
    match (choices.iter().filter(is_null).count(), choices.iter().find(|c| !is_null(c))) {
        (1, Some(other)) if choices.len() == 2 => Some(other.clone()),
        _ => None,
    }
}

/// Any object.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "object", "additionalProperties": true})
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Sample {
        /// How many.
        count: Option<u64>,
        inner: Option<Inner>,
        list: Option<Vec<f64>>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Inner {
        text: Option<String>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Nullable {
        /// Always there
        window_s: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        timeline: Option<Vec<f64>>,
    }

    #[test]
    fn what_may_be_null_has_no_type() {
        let schema = Value::Object(output::<Nullable>().as_ref().clone());
        assert!(schema["properties"].get("window_s").is_none(), "{schema}");
        assert_eq!(schema["properties"]["timeline"]["type"], "array");
    }

    #[derive(Serialize, JsonSchema)]
    struct Answer {
        /// What came
        inner: Part,
        list: Vec<Part>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Part {
        lead_s: f64,
        word: Word,
    }

    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Word {
        /// The first.
        One,
        /// The second.
        Two,
    }

    #[test]
    fn what_an_answer_holds_is_named_by_its_keys() {
        let schema = Value::Object(output::<Answer>().as_ref().clone());
        let inner = json!({"type": "object", "description": "lead_s, word"});
        assert_eq!(schema["properties"]["inner"], inner);
        let list = json!({"type": "array", "description": "lead_s, word"});
        assert_eq!(schema["properties"]["list"], list);
    }

    #[test]
    fn words_are_a_list() {
        let schema = Value::Object(input::<Part>().as_ref().clone());
        let word = json!({"type": "string", "enum": ["one", "two"]});
        assert_eq!(schema["properties"]["word"], word);
    }

    #[test]
    fn no_schema_allows_null() {
        let schema = Value::Object(input::<Sample>().as_ref().clone());
        let text = schema.to_string();
        assert!(
            !text.contains("null") && !text.contains("$ref") && !text.contains("uint64"),
            "{text}"
        );
        assert_eq!(schema["properties"]["count"]["type"], "integer");
        assert_eq!(schema["properties"]["count"]["description"], "How many.");
        assert_eq!(schema["properties"]["inner"]["properties"]["text"]["type"], "string");
        assert!(schema.get("required").is_none(), "{text}");
    }
}
