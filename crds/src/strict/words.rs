//! What serde says of a value, in a user's words.

use serde_json::Value;

use super::Wrong;
use super::path::{Path, Step};

/// Of a field that must be written.
pub(super) const MISSING: &str = "is missing: write it";

/// Of a list where fields are wanted.
pub(super) const LIST_FOR_FIELDS: &str =
    "this is a list: write fields, each with its name and ': ' before it";

/// What is wrong at a path below `value`, which itself stands at `at`. `error` is serde's own sentence, whose wording
/// serde documents: `invalid type: string "x", expected i32`.
pub(super) fn misfit(value: &Value, path: &serde_path_to_error::Path, at: &Path, error: &str) -> Wrong {
    let below = Path::from(path);
    if let Some(name) = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return Wrong { path: at.join(&below).field(name), is_name: false, message: MISSING.to_owned() };
    }
    let found = find(value, &below);
    Wrong { path: at.join(&below), is_name: false, message: message(found, error) }
}

fn find<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.0.iter().try_fold(value, |value, step| match step {
        Step::Field(name) => value.get(name),
        Step::Item(number) => value.get(number),
    })
}

fn message(found: Option<&Value>, error: &str) -> String {
    let Some(found) = found else { return error.to_owned() };
    if error.starts_with("unknown variant") {
        return format!("{found}: write {}", choice(error));
    }
    let Some((_, expected)) = error.rsplit_once(", expected ") else { return error.to_owned() };
    match (Wanted::of(expected), found) {
        (Wanted::Number, Value::String(text)) if text.parse::<i64>().is_ok() => {
            format!("{found} is a text: write it without quotes")
        }
        (Wanted::Number, Value::Number(number)) if number.is_f64() => {
            format!("{found} is no whole number: write one")
        }
        (Wanted::Number, Value::Number(_)) => format!("{found} is too large or too small for this field"),
        (Wanted::Text, Value::Number(_)) => {
            format!("{found} is a number: write a text, \"{found}\" with the quotes")
        }
        (wanted, _) => format!("{}: write {}", what(found), wanted.as_str(expected)),
    }
}

/// What a value is.
fn what(found: &Value) -> String {
    match found {
        Value::Null => "there is nothing".to_owned(),
        Value::Bool(_) => format!("{found} is a truth value (as yes, no, on and off are)"),
        Value::Number(_) => format!("{found} is a number"),
        Value::String(_) => format!("{found} is a text"),
        Value::Array(_) => "this is a list".to_owned(),
        Value::Object(_) => "these are fields".to_owned(),
    }
}

/// What a field wants.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Number,
    Text,
    Truth,
    List,
    Fields,
    Other,
}

impl Wanted {
    /// By the words of serde's own visitors and of the derived ones.
    fn of(expected: &str) -> Self {
        match expected {
            "a string" | "string or map" => Self::Text,
            "a boolean" => Self::Truth,
            "a sequence" => Self::List,
            "a map" => Self::Fields,
            _ if expected.starts_with("struct ") => Self::Fields,
            "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => Self::Number,
            // The types of Kubernetes call themselves by their names.
            _ if expected.starts_with(char::is_uppercase) => Self::Fields,
            _ => Self::Other,
        }
    }

    fn as_str(self, expected: &str) -> &str {
        match self {
            Self::Number => "a whole number",
            Self::Text => "a text, in quotes where it looks like something else",
            Self::Truth => "true or false",
            Self::List => "a list, each item with '- ' before it",
            Self::Fields => "fields, each with its name and ': ' before it",
            Self::Other => expected,
        }
    }
}

/// ``unknown variant `tcp`, expected one of `TCP`, `UDP`, `SCTP` ``: `TCP, UDP or SCTP`.
fn choice(error: &str) -> String {
    let expected = error.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
    let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "another word".to_owned(),
    }
}
