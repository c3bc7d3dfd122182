//! A NodePlanSlice in our own terms. An agent keeps this of what it sees, and not the JSON, which takes many times the
//! room.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;
use lvs_core::names::ServiceName;
use lvs_core::node_plan::PlannedService;

use crate::as_written::AsWritten;
use crate::node_plan::{NodePlanSlice, NodePlanSliceStatus};
use crate::plan::hash;

/// What a slice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSlice {
    /// Its name.
    pub name: String,
    /// The hash of its services as they were written; see [`hash`].
    pub hash: String,
    /// Its services by their keys: the part, or why it cannot be read.
    pub services: BTreeMap<String, Result<(ServiceName, Arc<PlannedService>), String>>,
    /// What its node says of them.
    pub status: Option<NodePlanSliceStatus>,
}

impl ReadSlice {
    /// Reads a slice. Where `before`, the same one as it was seen last, has the same services, they are shared.
    #[must_use]
    pub fn of(slice: &NodePlanSlice, before: Option<&Self>) -> Self {
        let hash = hash(&slice.spec.services);
        let services = match before.filter(|before| before.hash == hash) {
            Some(before) => before.services.clone(),
            None => slice.spec.services.iter().map(|(key, part)| (key.clone(), read(key, part))).collect(),
        };
        Self { name: slice.name_any(), hash, services, status: slice.status.clone() }
    }
}

fn read(
    name: &str,
    planned: &AsWritten<PlannedService>,
) -> Result<(ServiceName, Arc<PlannedService>), String> {
    let name = name.parse::<ServiceName>().map_err(|error| error.to_string())?;
    Ok((name, Arc::new(planned.read().map_err(|error| error.to_string())?)))
}

/// The services that a slice plans, by whatever tells them.
#[derive(Clone, Debug)]
pub struct SliceKeys<'a> {
    /// The slice.
    pub name: &'a str,
    /// The keys of its services.
    pub services: Vec<&'a str>,
}

impl<'a> From<&'a NodePlanSlice> for SliceKeys<'a> {
    fn from(slice: &'a NodePlanSlice) -> Self {
        let name = slice.metadata.name.as_deref().unwrap_or_default();
        Self { name, services: slice.spec.services.keys().map(String::as_str).collect() }
    }
}

impl<'a> From<&'a ReadSlice> for SliceKeys<'a> {
    fn from(slice: &'a ReadSlice) -> Self {
        Self { name: &slice.name, services: slice.services.keys().map(String::as_str).collect() }
    }
}
