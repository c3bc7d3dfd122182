//! What `crds/tests/rules/table.rs` is there, with an API server in place of the validator.

use std::sync::{Mutex, OnceLock};
use std::thread;

use lvs_e2e::cluster::tool::in_tree;
use lvs_e2e::control_plane::{ControlPlane, Settings};
use serde_json::Value;

use crate::case::{Case, Outcome, edited};

/// A kind under test.
pub(crate) struct Table {
    /// The kind.
    pub(crate) kind: &'static str,
    /// A valid object.
    pub(crate) base: Value,
    /// What the conversion says of an object.
    #[expect(dead_code, reason = "the same table is put to the conversion")]
    pub(crate) convert: fn(&Value) -> Result<(), String>,
}

impl Table {
    /// Puts every case to the API server.
    pub(crate) fn check(&self, cases: &[Case]) {
        let wrong = Mutex::new(Vec::new());
        let each = cases.len().div_ceil(4);
        thread::scope(|scope| {
            for some in cases.chunks(each) {
                scope.spawn(|| {
                    let found = some.iter().filter_map(|case| self.mistake(case));
                    wrong.lock().unwrap().extend(found.collect::<Vec<_>>());
                });
            }
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "{} of {} cases: {wrong:#?}", wrong.len(), cases.len());
    }

    /// What the API server says otherwise than the table.
    fn mistake(&self, (pointer, value, outcome): &Case) -> Option<String> {
        let object = edited(&self.base, pointer, value).to_string();
        let said = plane().kubectl(&["create", "--dry-run=server", "-f", "-"], &object);
        let what = format!("{}{pointer} = {value}", self.kind);
        match (outcome, said) {
            (Outcome::Accepted | Outcome::RefusedInConversion(_), Ok(_)) => None,
            (Outcome::Refused(message), Err(said)) => {
                let said = format!("{said:#}");
                (!says(&said, message)).then(|| format!("{what}: refused with {said}"))
            }
            (_, said) => Some(format!("{what}: {said:?}")),
        }
    }
}

/// Whether a refusal has the table's message. Where that is about structure, the server has words of its own, and the
/// field counts.
fn says(said: &str, message: &str) -> bool {
    const STRUCTURE: [&str; 8] = [
        "is not within",
        "is no int32",
        "unknown field",
        "must be of type",
        "should match",
        "Required value",
        "Duplicate value",
        "Unsupported value",
    ];
    if !STRUCTURE.iter().any(|words| message.contains(words)) {
        return said.contains(message);
    }
    let field = message.split_once(": ").map_or("", |(field, _)| field);
    said.contains(field.trim_start_matches("spec."))
}

/// One server with our definitions, for all tables.
fn plane() -> &'static ControlPlane {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    PLANE.get_or_init(|| {
        let plane = ControlPlane::start(&Settings::default()).unwrap();
        let definitions = in_tree("deploy/crds").display().to_string();
        plane.kubectl(&["apply", "--server-side", "-k", &definitions], "").unwrap();
        plane.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"], "").unwrap();
        plane
    })
}
