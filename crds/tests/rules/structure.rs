//! What an API server checks of an object by its structural schema alone: types, ranges, lengths, patterns, enums,
//! unknown fields, and that the keys of a list that is a map are unique.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value};

/// What is wrong with a value, each with its path.
pub(crate) fn refusals(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let schema = schema.as_object().unwrap();
    match value {
        Value::Null if schema.get("nullable") == Some(&Value::Bool(true)) => Vec::new(),
        Value::Object(fields) => object(schema, fields, path),
        Value::Array(items) => array(schema, items, path),
        Value::String(text) => string(schema, text, path),
        Value::Number(number) => integer(schema, number.as_i64().unwrap(), path),
        Value::Bool(_) | Value::Null => type_is(schema, "boolean", path),
    }
}

fn type_is(schema: &Map<String, Value>, given: &str, path: &str) -> Vec<String> {
    let wanted = schema["type"].as_str().unwrap();
    if wanted == given { Vec::new() } else { vec![format!("{path}: must be of type {wanted}")] }
}

fn limit(schema: &Map<String, Value>, key: &str) -> Option<i64> {
    // schemars writes the limits of numbers as floats.
    #[expect(clippy::cast_possible_truncation, reason = "the limits are whole numbers")]
    schema.get(key).map(|limit| limit.as_f64().unwrap() as i64)
}

fn within(schema: &Map<String, Value>, [least, most]: [&str; 2], given: i64, path: &str) -> Vec<String> {
    let fits = limit(schema, least).is_none_or(|least| given >= least)
        && limit(schema, most).is_none_or(|most| given <= most);
    if fits { Vec::new() } else { vec![format!("{path}: {given} is not within {least} and {most}")] }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap()
}

fn object(schema: &Map<String, Value>, fields: &Map<String, Value>, path: &str) -> Vec<String> {
    let mut found = type_is(schema, "object", path);
    found.extend(within(schema, ["minProperties", "maxProperties"], count(fields.len()), path));
    for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        let name = required.as_str().unwrap();
        if !fields.contains_key(name) {
            found.push(format!("{path}.{name}: Required value"));
        }
    }
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        let known = schema.get("properties").and_then(|properties| properties.get(name));
        match known.or_else(|| schema.get("additionalProperties")) {
            Some(schema) => found.extend(refusals(schema, value, &path)),
            // The API server takes a bare object as it is.
            None if !schema.contains_key("properties") => {}
            None => found.push(format!("{path}: unknown field")),
        }
    }
    found
}

fn array(schema: &Map<String, Value>, items: &[Value], path: &str) -> Vec<String> {
    let mut found = type_is(schema, "array", path);
    found.extend(within(schema, ["minItems", "maxItems"], count(items.len()), path));
    let mut keys = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        found.extend(refusals(&schema["items"], item, &path));
        if schema.get("x-kubernetes-list-type") == Some(&Value::from("map"))
            && !keys.insert(key(schema, item))
        {
            found.push(format!("{path}: Duplicate value"));
        }
    }
    found
}

/// The key of an item, defaults filled in.
fn key(schema: &Map<String, Value>, item: &Value) -> Vec<String> {
    let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
    let value = |key: &Value| {
        let key = key.as_str().unwrap();
        item.get(key).or_else(|| schema["items"]["properties"][key].get("default")).map(Value::to_string)
    };
    keys.iter().map(|key| value(key).unwrap_or_default()).collect()
}

fn string(schema: &Map<String, Value>, text: &str, path: &str) -> Vec<String> {
    let mut found = type_is(schema, "string", path);
    found.extend(within(schema, ["minLength", "maxLength"], count(text.chars().count()), path));
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !Regex::new(pattern).unwrap().is_match(text)
    {
        found.push(format!("{path}: should match {pattern}"));
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|values| !values.contains(&Value::from(text)))
    {
        found.push(format!("{path}: Unsupported value {text:?}"));
    }
    found
}

fn integer(schema: &Map<String, Value>, number: i64, path: &str) -> Vec<String> {
    let mut found = type_is(schema, "integer", path);
    found.extend(within(schema, ["minimum", "maximum"], number, path));
    if schema.get("format") == Some(&Value::from("int32")) && i32::try_from(number).is_err() {
        found.push(format!("{path}: {number} is no int32"));
    }
    found
}
