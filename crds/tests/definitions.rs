//! The definitions as the API server gets them, and the files that hold them.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

use std::path::Path;

use lvs_crds::schema::{KNOWN_FORMATS, definitions, yaml};
use serde_json::Value;

#[test]
fn the_files_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected = Vec::new();
    for definition in definitions().unwrap() {
        let name = format!("{}.yaml", definition.spec.names.plural);
        let file = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        let fresh = yaml(&definition).unwrap();
        assert!(file == fresh, "crds/{name} is stale: cargo run -p lvs-crds --bin crdgen -- crds");
        expected.push(name);
    }
    let mut there: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    there.sort();
    assert_eq!(there, expected);
}

/// Calls `see` with each object below a value and the path to it.
fn walk(value: &Value, path: &str, see: &mut impl FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            see(path, fields);
            fields.iter().for_each(|(name, field)| walk(field, &format!("{path}/{name}"), see));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, see)),
        _ => {}
    }
}

fn each_schema(mut see: impl FnMut(&str, &serde_json::Map<String, Value>)) {
    for definition in definitions().unwrap() {
        let value = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        walk(&value, &definition.spec.names.kind, &mut |path, fields| {
            // A property may have any name, so the object of the properties is no schema.
            if !path.ends_with("/properties") {
                see(path, fields);
            }
        });
    }
}

#[test]
fn every_format_is_one_that_the_api_server_knows() {
    each_schema(|path, schema| {
        if let Some(format) = schema.get("format") {
            assert!(KNOWN_FORMATS.contains(&format.as_str().unwrap()), "{path}: {format}");
        }
    });
}

#[test]
fn every_schema_is_structural() {
    each_schema(|path, schema| {
        assert!(
            !(schema.contains_key("properties") && schema.contains_key("additionalProperties")),
            "{path}"
        );
        for forbidden in ["$ref", "definitions", "uniqueItems", "patternProperties", "const"] {
            assert!(!schema.contains_key(forbidden), "{path}: {forbidden}");
        }
    });
}

#[test]
fn every_field_that_a_user_may_write_says_what_it_is() {
    each_schema(|path, schema| {
        let is_field = path.rsplit('/').nth(1) == Some("properties");
        if is_field && !path.ends_with("/status") && !path.ends_with("/spec") {
            assert!(
                schema.get("description").and_then(Value::as_str).is_some_and(|text| text.len() > 3),
                "{path}"
            );
        }
    });
}

#[test]
fn what_programs_write_gets_no_defaults() {
    each_schema(|path, schema| {
        if path.starts_with("NodePlan") {
            assert!(!schema.contains_key("default"), "{path}");
        }
    });
}

#[test]
fn what_a_program_writes_is_never_merged_field_by_field() {
    let mut whole = Vec::new();
    each_schema(|path, schema| {
        if schema.get("x-kubernetes-map-type").is_some_and(|kind| kind == "atomic") {
            whole.push(path.replace("/openAPIV3Schema/properties/", "."));
        }
    });
    whole.sort();
    let expected = [
        "DirectorGroup.status",
        "NodePlan.spec",
        "NodePlan.status",
        "NodePlanSlice.spec",
        "NodePlanSlice.status",
        "VirtualService.status",
    ];
    assert_eq!(whole, expected);
}

#[test]
fn a_list_that_rules_walk_has_an_end() {
    each_schema(|path, schema| {
        let of_user = !path.starts_with("NodePlan") && path.contains("/spec");
        match schema.get("type").and_then(Value::as_str) {
            Some("array") if of_user => assert!(schema.contains_key("maxItems"), "{path}"),
            Some("object") if of_user && schema.contains_key("additionalProperties") => {
                assert!(schema.contains_key("maxProperties"), "{path}");
            }
            Some("string") if of_user && !schema.contains_key("enum") => {
                assert!(schema.contains_key("maxLength"), "{path}");
            }
            _ => {}
        }
    });
}

#[test]
fn names_and_columns_are_those_of_the_documentation() {
    let all = definitions().unwrap();
    let names: Vec<_> = all
        .iter()
        .map(|definition| {
            assert_eq!(definition.spec.names.categories, Some(vec!["lvs-operator".to_owned()]));
            (definition.metadata.name.clone().unwrap(), definition.spec.scope.as_str())
        })
        .collect();
    assert_eq!(
        names,
        [
            ("directorgroups.lvs-operator.io".to_owned(), "Cluster"),
            ("nodeplans.lvs-operator.io".to_owned(), "Cluster"),
            ("nodeplanslices.lvs-operator.io".to_owned(), "Cluster"),
            ("virtualservices.lvs-operator.io".to_owned(), "Namespaced"),
        ]
    );
    assert_eq!(all[3].spec.names.short_names, Some(vec!["lvs".to_owned()]));
    let columns = all[3].spec.versions[0].additional_printer_columns.as_ref().unwrap();
    let columns: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["VIPs", "Ports", "Holders", "Real-Servers", "Accepted", "Ready", "Reason", "Age"]);
}
