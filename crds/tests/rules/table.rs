//! A table of edits of a valid object: what the API server and the conversion say of each.

use std::collections::BTreeSet;

use kube::core::cel::{ValidationErrors, Validator};
use lvs_crds::schema;
use serde_json::Value;

use crate::case::{Case, Outcome, edited};
use crate::structure;

/// A kind under test.
pub(crate) struct Table {
    /// The kind.
    pub(crate) kind: &'static str,
    /// A valid object.
    pub(crate) base: Value,
    /// What the conversion says of an object.
    pub(crate) convert: fn(&Value) -> Result<(), String>,
}

impl Table {
    /// Checks every case, as a new object and as a change of the valid one, and that each CEL rule of the kind has
    /// refused something.
    pub(crate) fn check(&self, cases: &[Case]) {
        let schema = schema_of(self.kind);
        let mut refused_by = BTreeSet::new();
        for (pointer, value, outcome) in cases {
            let object = edited(&self.base, pointer, value);
            let what = format!("{}{pointer} = {value}", self.kind);
            let created = refusals(&schema, &object, None);
            let updated = refusals(&schema, &object, Some(&self.base));
            let converted = (self.convert)(&object);
            match outcome {
                Outcome::Accepted => {
                    assert!(created.is_empty() && updated.is_empty(), "{what}: {created:?} {updated:?}");
                    assert_eq!(converted, Ok(()), "{what}");
                }
                Outcome::Refused(message) => {
                    let names = |found: &[String]| found.iter().any(|found| found.contains(message));
                    assert!(names(&created), "{what}: created with {created:?}");
                    assert!(names(&updated), "{what}: updated with {updated:?}");
                    assert!(converted.is_err(), "{what}: converted");
                    refused_by.extend(created);
                }
                Outcome::RefusedInConversion(message) => {
                    assert!(created.is_empty(), "{what}: a rule does know it: {created:?}");
                    assert!(
                        converted.clone().is_err_and(|error| error.contains(message)),
                        "{what}: {converted:?}"
                    );
                }
            }
        }
        let mut rules = BTreeSet::new();
        messages(&schema, &mut rules);
        let idle = |rule: &&String| !refused_by.iter().any(|refusal| refusal.contains(*rule));
        let idle: Vec<_> = rules.iter().filter(idle).collect();
        assert!(idle.is_empty(), "no case is refused by: {idle:?}");
    }
}

fn schema_of(kind: &str) -> Value {
    let definitions = schema::definitions().unwrap();
    let definition = definitions.iter().find(|definition| definition.spec.names.kind == kind).unwrap();
    let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
    schema["openAPIV3Schema"].clone()
}

/// What the API server says of an object: by its structure, and only when that holds by CEL.
fn refusals(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
    // `apiVersion`, `kind` and `metadata` are the API server's own.
    let found = structure::refusals(&schema["properties"]["spec"], &object["spec"], "spec");
    if !found.is_empty() {
        return found;
    }
    let found = Validator::new().validate(schema, object, old);
    found.err().into_iter().flat_map(ValidationErrors::into_vec).map(|error| error.to_string()).collect()
}

/// The messages of all rules below a schema; a rule without one is a mistake.
fn messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
            {
                found.insert(rule["message"].as_str().expect("a rule has a message").to_owned());
            }
            fields.values().for_each(|field| messages(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
        _ => {}
    }
}
