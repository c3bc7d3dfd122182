//! Cases: edits of a valid object and what comes of each. They are put to the validator here, and to a real API server
//! by the end-to-end tests.

use serde_json::Value;

/// What is to come of an edit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// It is fine.
    Accepted,
    /// The API server refuses it with a message that has this in it, and so does the conversion.
    Refused(&'static str),
    /// Only the conversion refuses it; no rule can know it.
    RefusedInConversion(&'static str),
}

/// An edit: the field, as a JSON pointer; its new value, `null` to take it away; what comes of it.
pub(crate) type Case = (&'static str, Value, Outcome);

/// The object with one field set or taken away; a pointer that ends in `/-` adds to a list.
pub(crate) fn edited(object: &Value, pointer: &str, value: &Value) -> Value {
    let mut object = object.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} leads nowhere")) {
        Value::Object(fields) if value.is_null() => _ = fields.remove(name),
        Value::Object(fields) => _ = fields.insert(name.to_owned(), value.clone()),
        Value::Array(items) if name == "-" => items.push(value.clone()),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
        other => panic!("{pointer}: {other} has no fields"),
    }
    object
}
