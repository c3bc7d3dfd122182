//! The fields that there are, for one that there is not.

use kube::CustomResourceExt;
use strsim::damerau_levenshtein;

use super::Wrong;
use super::path::{Path, Step};

/// More than so many fields are not listed.
const MOST_LISTED: usize = 6;

/// What is wrong with a field that is not known.
pub(super) fn unknown<K: CustomResourceExt>(path: &Path) -> Wrong {
    let fields = siblings::<K>(path);
    let message = match (nearest(path, &fields), fields.split_last()) {
        (Some(name), _) => format!("unknown field; did you mean {name}?"),
        (None, Some((only, []))) => format!("unknown field; there is {only}"),
        (None, Some((last, others))) if others.len() < MOST_LISTED => {
            format!("unknown field; there are {} and {last}", others.join(", "))
        }
        (None, _) => "unknown field".to_owned(),
    };
    Wrong { path: path.clone(), is_name: true, message }
}

/// The path that is likely to have been meant.
pub(super) fn meant<K: CustomResourceExt>(path: &Path) -> Option<Path> {
    let name = nearest(path, &siblings::<K>(path))?;
    Some(parent(path).field(&name))
}

fn parent(path: &Path) -> Path {
    Path(path.0.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default())
}

/// A field whose name differs in a few letters: a third of them, and capitals do not count.
fn nearest(path: &Path, fields: &[String]) -> Option<String> {
    let Some(Step::Field(name)) = path.0.last() else { return None };
    let slips = |field: &str| damerau_levenshtein(&field.to_lowercase(), &name.to_lowercase());
    let nearest = fields.iter().min_by_key(|field| slips(field))?;
    (slips(nearest) <= nearest.len() / 3).then(|| nearest.clone())
}

/// The fields beside the last step of a path, in alphabetical order, by the kind's own schema.
fn siblings<K: CustomResourceExt>(path: &Path) -> Vec<String> {
    let schema = K::crd().spec.versions.into_iter().next().and_then(|version| version.schema);
    let schema = serde_json::to_value(schema).unwrap_or_default();
    let mut at = &schema["openAPIV3Schema"];
    for step in parent(path).0 {
        at = match step {
            Step::Item(_) => &at["items"],
            Step::Field(name) => at["properties"].get(name).unwrap_or(&at["additionalProperties"]),
        };
    }
    let names = at["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
