//! Arguments as models write them, made into what the schema of a tool says.
//!
//! A list or an object as JSON in a text, one word for a list, a number in quotes, `40.0` for a whole
//! number: each has one meaning, which is taken. What has none is refused with the name of the argument
//! and the right form.

use anyhow::{Result, anyhow, bail};
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::answer::clipped;

/// Whole numbers up to this are exact when they are written as floats.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The `arguments` of a call, which models also leave empty or write as a text.
pub fn arguments(tool: &str, given: Option<Value>) -> Result<JsonObject> {
    let given = given.unwrap_or_default();
    if given.is_null() {
        return Ok(JsonObject::new());
    }
    match object(given) {
        Ok(Value::Object(args)) => Ok(args),
        Ok(odd) | Err(odd) => bail!(
            "the arguments of {tool} are {}; give an object, such as {{\"name\": \"value\"}}",
            shown(&odd)
        ),
    }
}

/// Arguments as the schema of the tool has them. A `null` counts as absent, since some clients send one
/// for every argument that they leave out.
pub fn fitted(schema: &JsonObject, mut args: JsonObject) -> Result<JsonObject> {
    args.retain(|_, value| !value.is_null());
    for (name, value) in &mut args {
        let Some(schema) = schema.get("properties").and_then(|known| known.get(name)) else {
            continue;
        };
        *value = fit(schema, value.take()).map_err(|odd| {
            anyhow!("{name} is {}; give {}{}", shown(&odd), form(schema), meaning(schema))
        })?;
    }
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !args.contains_key(name) {
            let schema = &schema["properties"][name];
            bail!("{name} is missing; give {}{}", form(schema), meaning(schema));
        }
    }
    Ok(args)
}

/// A value as a schema has it, or the value that does not fit.
fn fit(schema: &Value, value: Value) -> Result<Value, Value> {
    if let Some(words) = words(schema) {
        let same = |word: &&Value| same_word(word, &value);
        return words.into_iter().find(same).cloned().ok_or(value);
    }
    if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        let mut value = value;
        for choice in choices.as_array().into_iter().flatten() {
            match fit(choice, value) {
                Ok(fitted) => return Ok(fitted),
                Err(odd) => value = odd,
            }
        }
        return Err(value);
    }
    match schema["type"].as_str() {
        Some("string") => match value {
            Value::Number(number) => Ok(json!(number.to_string())),
            Value::String(_) => Ok(value),
            odd => Err(odd),
        },
        Some("number") => number(value),
        Some("integer") => whole_number(value),
        Some("boolean") => truth(value),
        Some("array") => list(schema, value),
        Some("object") => object(value),
        _ => Ok(value),
    }
}

fn number(value: Value) -> Result<Value, Value> {
    let written = value.as_str().and_then(|text| text.trim().parse::<f64>().ok());
    match written.filter(|number| number.is_finite()) {
        Some(number) => Ok(json!(number)),
        None if value.is_number() => Ok(value),
        None => Err(value),
    }
}

fn whole_number(value: Value) -> Result<Value, Value> {
    if value.as_u64().is_some() {
        return Ok(value);
    }
    let text = value.as_str().map(str::trim);
    if let Some(number) = text.and_then(|text| text.parse::<u64>().ok()) {
        return Ok(json!(number));
    }
    let float = value.as_f64().or_else(|| text?.parse().ok());
    match float.filter(|float| float.fract() == 0.0 && (0.0..=MAX_EXACT).contains(float)) {
        Some(float) => Ok(json!(float as u64)),
        None => Err(value),
    }
}

fn truth(value: Value) -> Result<Value, Value> {
    let word = value.as_str().map(|word| word.trim().to_ascii_lowercase());
    match (word.as_deref(), value.as_u64()) {
        (Some("true"), _) | (_, Some(1)) => Ok(json!(true)),
        (Some("false"), _) | (_, Some(0)) => Ok(json!(false)),
        _ if value.is_boolean() => Ok(value),
        _ => Err(value),
    }
}

/// A list, one as JSON in a text, or its only item.
fn list(schema: &Value, value: Value) -> Result<Value, Value> {
    let items = match &value {
        Value::Array(items) => items.clone(),
        Value::String(text) if text.trim().is_empty() => Vec::new(),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Array(items)) => items,
            _ => vec![value.clone()],
        },
        only => vec![only.clone()],
    };
    let items: Result<Vec<_>, _> =
        items.into_iter().map(|item| fit(&schema["items"], item)).collect();
    items.map(Value::Array).map_err(|_| value)
}

/// An object, one as JSON in a text, or nothing in any form.
fn object(value: Value) -> Result<Value, Value> {
    match &value {
        Value::Object(_) => Ok(value),
        Value::Array(items) if items.is_empty() => Ok(json!({})),
        Value::String(text) if text.trim().is_empty() => Ok(json!({})),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(Value::Object(fields)),
            _ => Err(value),
        },
        _ => Err(value),
    }
}

/// The words of a schema that allows no other values.
fn words(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().collect());
    }
    if let Some(word) = schema.get("const") {
        return Some(vec![word]);
    }
    let choices = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let words: Option<Vec<_>> = choices.iter().map(words).collect();
    words.map(|words| words.concat())
}

fn same_word(word: &Value, value: &Value) -> bool {
    let texts = word.as_str().zip(value.as_str());
    texts.map_or(word == value, |(word, text)| word.eq_ignore_ascii_case(text.trim()))
}

/// What fits, in words.
fn form(schema: &Value) -> String {
    if let Some(words) = words(schema) {
        return words.iter().map(|word| word.to_string()).collect::<Vec<_>>().join(" or ");
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        return choices.iter().map(form).collect::<Vec<_>>().join(" or ");
    }
    let form = match schema["type"].as_str() {
        Some("string") => "a text",
        Some("number") => "a number",
        Some("integer") => "a whole number of 0 or more",
        Some("boolean") => "true or false",
        Some("array") => "a list of texts, such as [\"one\", \"two\"]",
        Some("object") => "an object, such as {\"name\": 1}",
        _ => "a value",
    };
    form.to_owned()
}

/// What the argument is for, behind the form.
fn meaning(schema: &Value) -> String {
    let description = schema["description"].as_str();
    description.map_or_else(String::new, |text| format!(": {}", clipped(text)))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => format!("a list, {}", clipped(&value.to_string())),
        Value::Object(_) => format!("an object, {}", clipped(&value.to_string())),
        other => clipped(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;
    use crate::mcp::args::Format;
    use crate::mcp::change::ChangeArgs;
    use crate::mcp::schema;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Sample {
        /// Which one
        word: String,
        limit: Option<u64>,
        at_s: Option<f64>,
        is_new: bool,
        list: Vec<String>,
        format: Format,
        #[serde(flatten)]
        change: ChangeArgs,
    }

    fn fit(args: &Value) -> Result<Value> {
        let mut all = json!({"word": "w", "is_new": true, "list": [], "format": "concise"});
        all.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
        let fitted = fitted(&schema::input::<Sample>(), all.as_object().unwrap().clone())?;
        Ok(Value::Object(fitted))
    }

    #[track_caller]
    fn check(name: &str, written: &Value, expected: &Value) {
        let fitted = fit(&json!({name: written})).unwrap();
        assert_eq!(fitted[name], *expected, "{name}: {written}");
    }

    #[test]
    fn what_models_write_is_taken() {
        for written in [json!(40), json!(40.0), json!("40"), json!(" 40.0 ")] {
            check("limit", &written, &json!(40));
        }
        for written in [json!(1.5), json!("1.5"), json!(" 15e-1")] {
            check("at_s", &written, &json!(1.5));
        }
        check("word", &json!(7), &json!("7"));
        for written in [json!(false), json!("false"), json!("False"), json!(0)] {
            check("is_new", &written, &json!(false));
        }
        for written in [json!(["a"]), json!("a"), json!("[\"a\"]")] {
            check("list", &written, &json!(["a"]));
        }
        check("list", &json!(""), &json!([]));
        check("list", &json!([1, "b"]), &json!(["1", "b"]));
        check("format", &json!("Detailed"), &json!("detailed"));
        check("set", &json!("{\"rate\": 2}"), &json!({"rate": 2}));
        check("set", &json!({"down": "1MB/s"}), &json!({"down": "1MB/s"}));
        check("set", &json!([]), &json!({}));
        check("ops", &json!("6s:seek=16s"), &json!(["6s:seek=16s"]));
    }

    #[track_caller]
    fn check_odd(name: &str, written: &Value, form: &str) {
        let said = fit(&json!({name: written})).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{name} is ")) && said.contains(form), "{said}");
    }

    #[test]
    fn what_does_not_fit_is_named_with_the_right_form() {
        for written in [json!(-1), json!(1.5), json!("many"), json!(1e30), json!([1])] {
            check_odd("limit", &written, "give a whole number");
        }
        for written in [json!("soon"), json!("inf"), json!(true), json!({})] {
            check_odd("at_s", &written, "give a number");
        }
        check_odd("word", &json!(["w"]), "give a text: Which one");
        check_odd("is_new", &json!("maybe"), "give true or false");
        check_odd("list", &json!([["a"]]), "give a list of texts");
        check_odd("format", &json!("verbose"), "give \"concise\" or \"detailed\"");
        check_odd("set", &json!("rate=2"), "give an object");
        let missing = fitted(&schema::input::<Sample>(), JsonObject::new()).unwrap_err();
        assert!(missing.to_string().starts_with("word is missing; give a text"), "{missing}");
    }

    #[test]
    fn no_arguments_have_many_forms() {
        for given in [None, Some(json!(null)), Some(json!([])), Some(json!("")), Some(json!("{}"))]
        {
            assert_eq!(arguments("t", given).unwrap(), JsonObject::new());
        }
        let text = Some(json!("{\"limit\": 1}"));
        assert_eq!(arguments("t", text).unwrap()["limit"], 1);
        for given in [json!(["x"]), json!("x"), json!(7)] {
            let said = arguments("t", Some(given)).unwrap_err().to_string();
            assert!(said.contains("give an object"), "{said}");
        }
    }
}
