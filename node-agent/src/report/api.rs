//! Reports as statuses of the node's objects, by server-side apply of what differs.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::ClusterResourceScope;
use kube::api::{Patch, PatchParams};
use kube::core::object::HasStatus;
use kube::{Api, Client, Resource};
use lvs_core::names::NodeName;
use lvs_core::node_report::NodeReport;
use lvs_crds::{NodePlan, NodePlanSlice, StatusOnly, names, report};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plan_source::seen::Seen;

/// How long one request may take.
const ANSWER: Duration = Duration::from_secs(30);
/// A write that the watch has not shown after this long counts as undone by somebody else.
const SHOWN: Duration = Duration::from_secs(10);

/// Writes reports to an API server.
pub struct Sink {
    client: Client,
    node: NodeName,
    plan: Written<NodePlan>,
    slices: Written<NodePlanSlice>,
}

/// What was written last, by name, and when: the watch shows it a little later.
type Written<K> = BTreeMap<String, (StatusOnly<K>, Instant)>;

impl Sink {
    /// A sink that has written nothing yet.
    #[must_use]
    pub fn new(client: Client, node: &NodeName) -> Self {
        Self { client, node: node.clone(), plan: Written::new(), slices: Written::new() }
    }

    /// Writes the statuses that differ from those that are there. Those of the slices come first, so that what the
    /// NodePlan's status says of the node is true of them. Whether any did.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses; what was written until then stays.
    pub async fn write(&mut self, seen: &Seen, report: &NodeReport) -> anyhow::Result<bool> {
        let (of_node, of_slices) = report::split(&self.node, report, seen.named_slices());
        self.slices.retain(|name, _| seen.slices.contains_key(name));
        let mut written = false;
        for status in of_slices {
            let there = seen.slices.get(status.name()).and_then(|slice| slice.status.as_ref());
            written |= apply(&self.client, &mut self.slices, there, status).await?;
        }
        let there = seen.node_plan.as_ref().and_then(|plan| plan.status.as_ref());
        Ok(apply(&self.client, &mut self.plan, there, of_node).await? || written)
    }
}

async fn apply<K>(
    client: &Client,
    written: &mut Written<K>,
    there: Option<&K::Status>,
    status: StatusOnly<K>,
) -> anyhow::Result<bool>
where
    K: HasStatus
        + Resource<Scope = ClusterResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
    K::Status: Serialize + PartialEq + Debug,
{
    let lately = |(last, at): &(StatusOnly<K>, Instant)| last.status == status.status && at.elapsed() < SHOWN;
    if there == Some(&status.status) || written.get(status.name()).is_some_and(lately) {
        return Ok(false);
    }
    let api: Api<K> = Api::all(client.clone());
    let parameters = PatchParams::apply(names::NODE_AGENT).force();
    let patch = Patch::Apply(&status);
    let request = api.patch_status(status.name(), &parameters, &patch);
    let answer = tokio::time::timeout(ANSWER, request).await;
    let what = || format!("status of {} {}", K::kind(&()), status.name());
    match answer.with_context(|| format!("{}: the API server does not answer", what()))? {
        // The object has just gone; the watch will say so.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(false),
        Err(error) => Err(error).with_context(what),
        Ok(_) => {
            let name = status.name().to_owned();
            written.insert(name, (status, Instant::now()));
            Ok(true)
        }
    }
}
