//! Schemas as clients want them: self-contained, and without arrays of types.
//!
//! Enters: a type. Leaves: JSON Schema of 2020-12 whose root is an object. Formats that only Rust
//! knows are dropped. An optional field that is left out where it has no value needs no `null`; one
//! that an answer always has, and that may be `null` there, is one of two schemas.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The schema of what a tool takes, which is nothing else.
pub fn input<T: JsonSchema>() -> Arc<JsonObject> {
    let mut schema = object::<T>(SchemaSettings::draft2020_12());
    Arc::make_mut(&mut schema).insert("additionalProperties".to_owned(), json!(false));
    schema
}

/// The schema of what a tool answers.
pub fn output<T: JsonSchema>() -> Arc<JsonObject> {
    object::<T>(SchemaSettings::draft2020_12().for_serialize())
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
            split_nullable(fields);
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

/// Splits the type of properties that are always there and may be `null`: few clients read an array
/// of types.
fn split_nullable(fields: &mut Map<String, Value>) {
    let Some(required) = fields.get("required").and_then(Value::as_array).cloned() else { return };
    let Some(Value::Object(properties)) = fields.get_mut("properties") else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| required.contains(&json!(name))) {
        let of_types = |types: &Vec<Value>| {
            let is_nullable = types.contains(&json!("null"));
            let other = types.iter().find(|name| **name != "null")?;
            is_nullable.then(|| json!({"type": other}))
        };
        let other = not_null(property).or_else(|| of_types(property["type"].as_array()?));
        if let (Some(other), Value::Object(fields)) = (other, property) {
            fields.retain(|key, _| key == "description");
            fields.insert("oneOf".to_owned(), json!([other, {"type": "null"}]));
        }
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

/// What was left out of a list.
pub fn truncated(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "description": "stands only where a list was cut: list, shown, total, next_cursor",
    })
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
    fn what_may_be_null_is_split() {
        let schema = Value::Object(output::<Nullable>().as_ref().clone());
        assert_eq!(schema["required"], json!(["window_s"]));
        let split =
            json!({"description": "Always there", "oneOf": [{"type": "number"}, {"type": "null"}]});
        assert_eq!(schema["properties"]["window_s"], split);
        assert_eq!(schema["properties"]["timeline"]["type"], "array");
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
