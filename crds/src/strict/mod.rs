//! Reading as an API server reads: a text is no number, a number is no text, and a field that no type knows is refused.
//!
//! In a folder there is no API server that would say that `realServer` should have been `realServers`, and a field that
//! is passed over in silence is a wish that does not come true.

mod fields;
mod path;
mod words;

use std::fmt;

use kube::CustomResourceExt;
use kube::core::object::HasSpec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use path::{Path, Step};

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The field.
    pub path: Path,
    /// Whether it is the field's name rather than its value.
    pub is_name: bool,
    /// What is wrong and what to write.
    pub message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// Reads a value that stands at a path of its object. Fields that the type does not know are passed over.
///
/// # Errors
///
/// The first field that does not fit.
pub fn read<T: DeserializeOwned>(value: &Value, at: &Path) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(value).map_err(|error| wrong(value, at, &error))
}

/// Reads the specification of an object of kind `K`, in which every field must be known.
///
/// # Errors
///
/// All fields that are not known, and the first that does not fit.
pub fn specification<K>(object: &Value) -> Result<K::Spec, Vec<Wrong>>
where
    K: HasSpec<Spec: DeserializeOwned + Serialize> + CustomResourceExt,
{
    let at = Path::from("spec");
    let Some(value) = object.get("spec") else {
        return Err(vec![Wrong { path: at, is_name: false, message: words::MISSING.to_owned() }]);
    };
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let read =
        serde_ignored::deserialize(serde_path_to_error::Deserializer::new(value, &mut track), |path| {
            unknown.push(at.join(&Path::from(&path)));
        });
    let misfit = match &read {
        Ok(spec) => list_for_fields(value, &serde_json::to_value(spec).unwrap_or_default(), &at),
        Err(error) => Some(words::misfit(value, &track.path(), &at, &error.to_string())),
    };
    let mut found: Vec<Wrong> = unknown.iter().map(|path| fields::unknown::<K>(path)).collect();
    // Where a field is missing and another one is misspelt, that is one slip and is said once.
    let said =
        |misfit: &Wrong| unknown.iter().any(|path| fields::meant::<K>(path).as_ref() == Some(&misfit.path));
    found.extend(misfit.filter(|misfit| !said(misfit)));
    match read {
        Ok(spec) if found.is_empty() => Ok(spec),
        _ => Err(found),
    }
}

/// A list where fields are wanted: serde takes the items for the fields' values, and an API server does not. `read` is
/// what was made of `written`.
fn list_for_fields(written: &Value, read: &Value, at: &Path) -> Option<Wrong> {
    match (written, read) {
        (Value::Array(_), Value::Object(_)) => {
            let message = words::LIST_FOR_FIELDS.to_owned();
            Some(Wrong { path: at.clone(), is_name: false, message })
        }
        (Value::Array(written), Value::Array(read)) => {
            let mut items = written.iter().zip(read).enumerate();
            items.find_map(|(number, (written, read))| list_for_fields(written, read, &at.item(number)))
        }
        (Value::Object(written), Value::Object(read)) => written
            .iter()
            .filter_map(|(name, written)| Some((name, written, read.get(name)?)))
            .find_map(|(name, written, read)| list_for_fields(written, read, &at.field(name))),
        _ => None,
    }
}

fn wrong(value: &Value, at: &Path, error: &serde_path_to_error::Error<serde_json::Error>) -> Wrong {
    words::misfit(value, error.path(), at, &error.inner().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{DirectorGroup, VirtualService};

    fn said<K>(spec: &Value) -> Vec<String>
    where
        K: HasSpec<Spec: DeserializeOwned + Serialize> + CustomResourceExt,
    {
        let found = specification::<K>(&json!({ "spec": spec })).err().unwrap_or_default();
        found.iter().map(Wrong::to_string).collect()
    }

    fn service(field: &str, value: Value) -> Vec<String> {
        let mut spec = json!({
            "vips": [{"address": "192.168.10.40"}],
            "ports": [{"port": 80}],
            "realServers": [{"name": "a", "nodeSelector": {"matchLabels": {"app": "web"}}}],
        });
        let (parent, name) = field.rsplit_once('/').unwrap();
        match (spec.pointer_mut(field), value) {
            (Some(there), value) => *there = value,
            (None, value) => spec.pointer_mut(parent).unwrap()[name] = value,
        }
        said::<VirtualService>(&spec)
    }

    #[test]
    fn what_fits_is_read() {
        assert_eq!(service("/scheduler", json!("rr")), [""; 0]);
        assert_eq!(service("/scheduler", Value::Null), [""; 0], "as if it were not there");
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_with_what_to_write() {
        for (field, value, expected) in [
            (
                "/ports/0/port",
                json!("80-90"),
                r#"spec.ports[0].port: "80-90" is a text: write a whole number"#,
            ),
            ("/ports/0/port", json!("80"), r#"spec.ports[0].port: "80" is a text: write it without quotes"#),
            ("/ports/0/port", json!(80.5), "spec.ports[0].port: 80.5 is no whole number: write one"),
            (
                "/ports/0/port",
                json!(99_999_999_999_u64),
                "spec.ports[0].port: 99999999999 is too large or too small",
            ),
            ("/ports/0/port", Value::Null, "spec.ports[0].port: there is nothing: write a whole number"),
            ("/scheduler", json!(5), r#"spec.scheduler: 5 is a number: write a text, "5""#),
            (
                "/scheduler",
                json!(true),
                "spec.scheduler: true is a truth value (as yes, no, on and off are): write a text",
            ),
            ("/vips", json!("192.168.10.40"), r#"spec.vips: "192.168.10.40" is a text: write a list"#),
            ("/vips/0", json!("192.168.10.40"), r#"spec.vips[0]: "192.168.10.40" is a text: write fields"#),
            ("/ports", json!({"port": 80}), "spec.ports: these are fields: write a list"),
            ("/persistence", json!([]), "spec.persistence: this is a list: write fields"),
            ("/vips/0", json!(["192.168.10.40"]), "spec.vips[0]: this is a list: write fields"),
            ("/ports/0/protocol", json!("tcp"), r#"spec.ports[0].protocol: "tcp": write TCP, UDP or SCTP"#),
            ("/ports/0", json!({}), "spec.ports[0].port: is missing: write it"),
        ] {
            let found = service(field, value);
            assert_eq!(found.len(), 1, "{field}: {found:?}");
            assert!(found[0].starts_with(expected), "{field}: {found:?}");
        }
        let at = Path::from("metadata");
        let wrong = read::<Vec<String>>(&json!(["a", 7]), &at).unwrap_err();
        assert_eq!(wrong.to_string(), r#"metadata[1]: 7 is a number: write a text, "7" with the quotes"#);
        assert!(said::<DirectorGroup>(&json!("x"))[0].starts_with(r#"spec: "x" is a text: write fields"#));
        let found = specification::<DirectorGroup>(&json!({})).unwrap_err();
        assert_eq!(found[0].to_string(), "spec: is missing: write it");
    }

    #[test]
    fn an_unknown_field_is_named_with_the_one_that_was_meant() {
        for (field, expected) in [
            ("/schedular", "spec.schedular: unknown field; did you mean scheduler?"),
            ("/realservers", "spec.realservers: unknown field; did you mean realServers?"),
            (
                "/realServers/0/nodeSelector/app",
                "spec.realServers[0].nodeSelector.app: unknown field; there are matchExpressions and matchLabels",
            ),
        ] {
            assert_eq!(service(field, json!({"a": 1})), [expected]);
        }
    }

    #[test]
    fn a_misspelt_field_that_was_needed_is_one_slip() {
        let found = service("/vips/0", json!({"adress": "192.168.10.40"}));
        assert_eq!(found, ["spec.vips[0].adress: unknown field; did you mean address?"]);
    }

    #[test]
    fn everything_unknown_is_said_at_once() {
        let spec = json!({"vips": [], "ports": [], "realServer": [], "schedular": "rr"});
        assert_eq!(said::<VirtualService>(&spec).len(), 2);
    }
}
