//! The custom resource definitions as the API server gets them.
//!
//! What the derives print is made fit for a real API server: formats that it does not know would make it warn at each
//! `kubectl apply`, and a default in a plan would change what its hash speaks of.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::{DirectorGroup, NodePlan, NodePlanSlice, VirtualService};

/// The formats that an API server knows (`k8s.io/kube-openapi/pkg/validation/strfmt` and the numbers of `OpenAPI`).
pub const KNOWN_FORMATS: [&str; 26] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "date-time",
    "datetime",
    "double",
    "duration",
    "email",
    "float",
    "hexcolor",
    "hostname",
    "int32",
    "int64",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
];

/// The definitions, in the order in which their files are written.
///
/// # Errors
///
/// None for the kinds of this crate, which a test proves; an error says what of a definition is no definition.
pub fn definitions() -> Result<[CustomResourceDefinition; 4], serde_json::Error> {
    Ok([
        of_users(&DirectorGroup::crd())?,
        of_programs(&NodePlan::crd())?,
        of_programs(&NodePlanSlice::crd())?,
        of_users(&VirtualService::crd())?,
    ])
}

/// A kind whose specification users write.
fn of_users(definition: &CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut value = serde_json::to_value(definition)?;
    each_schema(&mut value, &mut fit);
    serde_json::from_value(value)
}

/// A kind that only programs write: the API server adds nothing to it.
fn of_programs(definition: &CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut value = serde_json::to_value(definition)?;
    each_schema(&mut value, &mut |name, schema| {
        fit(name, schema);
        schema.remove("default");
        if name == "spec" {
            whole(schema);
        }
    });
    serde_json::from_value(value)
}

/// Calls `change` with the name and the schema of every property below a value, the innermost first.
fn each_schema(value: &mut Value, change: &mut impl FnMut(&str, &mut Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                each_schema(field, change);
                if let (true, Value::Object(properties)) = (key == "properties", field) {
                    for (name, schema) in properties {
                        schema.as_object_mut().into_iter().for_each(|schema| change(name, schema));
                    }
                }
            }
            for key in ["items", "additionalProperties"] {
                fields
                    .get_mut(key)
                    .and_then(Value::as_object_mut)
                    .into_iter()
                    .for_each(|schema| change(key, schema));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_schema(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fit(name: &str, schema: &mut Map<String, Value>) {
    let known = |format: &Value| format.as_str().is_some_and(|format| KNOWN_FORMATS.contains(&format));
    if schema.get("format").is_some_and(|format| !known(format)) {
        schema.remove("format");
    }
    // Without it the API server drops a null, as it does for the kinds of its own.
    schema.remove("nullable");
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = plain(description);
    }
    match name {
        "conditions" => conditions(schema),
        "status" => whole(schema),
        // A list of reasons here would keep a newer program from writing a new one.
        "reason" => {
            schema.remove("enum");
            schema.extend(object(json!({"minLength": 1, "maxLength": 1024, "pattern": REASON_PATTERN})));
        }
        _ => {}
    }
}

/// What one program writes it writes whole. Merged field by field, as is the default, a map whose last entry goes in a
/// server-side apply becomes `null` (sigs.k8s.io/structured-merge-diff), which its own schema refuses.
fn whole(schema: &mut Map<String, Value>) {
    // A condition has a status too, which is a word.
    if schema.get("type").is_some_and(|kind| kind == "object") {
        schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
    }
}

/// Documentation as `kubectl explain` shows it: paragraphs in one line each, no links and marks of rustdoc.
fn plain(documentation: &str) -> String {
    let paragraphs = documentation.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    let text = paragraphs.collect::<Vec<_>>().join("\n\n");
    text.replace("[`", "").replace("`]", "").replace('`', "")
}

const REASON_PATTERN: &str = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";

/// Conditions with the limits that `metav1.Condition` has upstream.
fn conditions(schema: &mut Map<String, Value>) {
    schema.extend(object(json!({
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })));
    let Some(Value::Object(fields)) = schema.get_mut("items").and_then(|items| items.get_mut("properties"))
    else {
        return;
    };
    for (name, limits) in [
        (
            "type",
            json!({"maxLength": 316, "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"}),
        ),
        ("lastTransitionTime", json!({"format": "date-time"})),
        ("message", json!({"maxLength": 32768})),
    ] {
        let field = fields.get_mut(name).and_then(Value::as_object_mut);
        if let Some(field) = field {
            if name == "type" {
                field.remove("enum");
            }
            field.extend(object(limits));
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A definition as the file `crds/PLURAL.yaml` holds it.
///
/// # Errors
///
/// None for a definition of this crate.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_saphyr::SerializeError> {
    let mut value = serde_json::to_value(definition).unwrap_or_default();
    whole_numbers(&mut value);
    serde_saphyr::to_string(&value)
}

/// The type of a limit is a floating-point number, though each is whole: `65535`, not `65535.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) => {
            if let Some(float) = number.as_f64()
                && let Ok(whole) = format!("{float:.0}").parse::<i64>()
            {
                *value = Value::from(whole);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
