//! Objects as text: the same objects give the same bytes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// YAML documents, parted by `---`.
pub(crate) fn yaml<T: Serialize>(objects: impl IntoIterator<Item = T>) -> Result<String, PrintError> {
    let mut text = String::new();
    for object in objects {
        if !text.is_empty() {
            text.push_str("---\n");
        }
        let document = serde_saphyr::to_string(&ordered(&object)?)?;
        text.push_str(document.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// One JSON object of kind List, as kubectl prints several objects.
pub(crate) fn json_list<T: Serialize>(objects: impl IntoIterator<Item = T>) -> Result<String, PrintError> {
    let items: Result<Vec<Value>, _> = objects.into_iter().map(|object| ordered(&object)).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items? });
    Ok(format!("{}\n", serde_json::to_string_pretty(&list)?))
}

/// An object with its fields in alphabetical order. A feature of some crate in the build decides whether `Value` keeps
/// that order or the order of insertion, so they are inserted in it.
fn ordered<T: Serialize>(object: &T) -> Result<Value, serde_json::Error> {
    fn order(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields: BTreeMap<String, Value> = fields.into_iter().collect();
                Value::Object(fields.into_iter().map(|(name, value)| (name, order(value))).collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(order).collect()),
            scalar => scalar,
        }
    }
    Ok(order(serde_json::to_value(object)?))
}

/// Why an object has no text. Objects of ours always have one; a value that is no JSON would not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrintError {
    /// It is no JSON.
    #[error("not printable as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is no YAML.
    #[error("not printable as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser_error::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_something_else_stays_text() {
        let object =
            json!({"a": "on", "b": "1e3", "c": "0x1f", "d": "", "e": "a: b", "f": "7-00c0ffee00c0ffee"});
        let text = yaml([&object]).unwrap();
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, object, "{text}");
    }

    #[test]
    fn several_objects_are_several_documents() {
        let text = yaml([json!({"a": 1}), json!({"b": {"d": 2, "c": []}})]).unwrap();
        assert_eq!(text, "a: 1\n---\nb:\n  c: []\n  d: 2\n");
        let list = json_list([json!({"a": 1})]).unwrap();
        assert!(list.starts_with("{\n  \"apiVersion\": \"v1\""), "{list}");
    }
}
