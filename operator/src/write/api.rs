//! Writes to an API server: server-side apply of whole objects, by one field manager, differences only.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use lvs_crds::{NodePlan, NodePlanSlice};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::publish::Publisher;
use super::{Outcome, Written};
use crate::authority::Authority;
use crate::change::{Change, PlanChange, slice_name};
use crate::log::chain;

/// Objects written at once; each takes a connection of its own.
const AT_ONCE: usize = 8;
/// One call with all its retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The writer.
pub(crate) struct ApiWriter {
    client: Client,
    publisher: Publisher,
}

impl Debug for ApiWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ApiWriter").finish_non_exhaustive()
    }
}

/// Why a change was not written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The lease is lost: another replica writes.
    #[error("leads no more")]
    LeadsNoMore,
    /// The API server does not answer.
    #[error("no answer from the API server within {} s", CALL_TIMEOUT.as_secs())]
    NoAnswer,
    /// The API server refuses.
    #[error("{}", chain(.0))]
    Refused(#[from] kube::Error),
}

impl ApiWriter {
    /// A writer with a client whose calls end.
    pub(crate) fn new(client: Client) -> Self {
        Self { publisher: Publisher::new(client.clone()), client }
    }

    /// Writes each change, several at once, while the authority lasts.
    pub(super) async fn apply(&mut self, changes: &[&Change], authority: &Authority, outcome: &mut Outcome) {
        let this = &*self;
        let mut writes = futures::stream::iter(changes)
            .map(|change| async move {
                let mut objects = Vec::new();
                let result = this.write(change, authority, &mut objects).await;
                (*change, objects, result)
            })
            .buffer_unordered(AT_ONCE);
        let mut transitions = Vec::new();
        while let Some((change, objects, result)) = writes.next().await {
            let stored = !objects.is_empty();
            outcome.objects.extend(objects);
            match result {
                Ok(()) => {
                    outcome.written += 1;
                    // Where no object came back it had gone, and there is nothing to tell of it.
                    if let (Change::ServiceStatus(change), true) = (change, stored) {
                        transitions.push(change);
                    }
                }
                // The log of the election says so.
                Err(Failure::LeadsNoMore) => _ = outcome.skipped.insert(change.to_string()),
                Err(error) => outcome.failed.push((change.to_string(), error.to_string())),
            }
        }
        drop(writes);
        for change in transitions {
            self.publisher.publish(change);
        }
    }

    /// Writes one change. `objects` gets what the server handed back, also where a later call fails.
    async fn write(
        &self,
        change: &Change,
        authority: &Authority,
        objects: &mut Vec<Written>,
    ) -> Result<(), Failure> {
        match change {
            Change::Plan(change) => self.write_plan(change, authority, objects).await,
            Change::RemovePlan { node, slices } => {
                self.delete::<NodePlan>(&node.0, authority).await?;
                objects.push(Written::PlanGone(node.0.clone()));
                self.delete_slices(slices.iter(), authority, objects).await
            }
            Change::ServiceStatus(change) => {
                let api = Api::namespaced(self.client.clone(), &change.name.namespace);
                let meta = json!({ "name": change.name.name, "namespace": change.name.namespace, "uid": change.uid });
                let stored =
                    self.apply_status(&api, &change.name.name, meta, &change.status, authority).await?;
                objects.extend(stored.map(Written::Service));
                Ok(())
            }
            Change::GroupStatus { name, status } => {
                let api = Api::all(self.client.clone());
                let stored =
                    self.apply_status(&api, &name.0, json!({ "name": name.0 }), status, authority).await?;
                objects.extend(stored.map(Written::Group));
                Ok(())
            }
            // The API server removes a status with its object.
            Change::RemoveStatus(_) => Ok(()),
        }
    }

    /// New slices, then the plan that names them, then the deletion of those that it no longer names: an agent that
    /// reads in between sees a plan whose slices do not match, and removes nothing.
    async fn write_plan(
        &self,
        change: &PlanChange,
        authority: &Authority,
        objects: &mut Vec<Written>,
    ) -> Result<(), Failure> {
        for slice in change.slices.iter().filter(|slice| change.new_slices.contains(slice_name(slice))) {
            objects.push(Written::Slice(self.apply_object(slice_name(slice), slice, authority).await?));
        }
        objects.push(Written::Plan(self.apply_object(&change.node.0, &change.plan, authority).await?));
        self.delete_slices(change.old_slices.iter(), authority, objects).await
    }

    async fn delete_slices(
        &self,
        names: impl Iterator<Item = &String>,
        authority: &Authority,
        objects: &mut Vec<Written>,
    ) -> Result<(), Failure> {
        for name in names {
            self.delete::<NodePlanSlice>(name, authority).await?;
            objects.push(Written::SliceGone(name.clone()));
        }
        Ok(())
    }

    async fn apply_object<K>(&self, name: &str, object: &K, authority: &Authority) -> Result<K, Failure>
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api = Api::<K>::all(self.client.clone());
        let (parameters, patch) = (parameters(), Patch::Apply(object));
        call(authority, api.patch(name, &parameters, &patch)).await
    }

    /// Applies a status. `None`: the object has gone meanwhile, or is another of the same name; either is noticed.
    async fn apply_status<K, S>(
        &self,
        api: &Api<K>,
        name: &str,
        metadata: serde_json::Value,
        status: &S,
        authority: &Authority,
    ) -> Result<Option<K>, Failure>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
        S: Serialize,
    {
        let object = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": metadata,
            "status": status,
        });
        let (parameters, patch) = (parameters(), Patch::Apply(&object));
        match call(authority, api.patch_status(name, &parameters, &patch)).await {
            Ok(stored) => Ok(Some(stored)),
            Err(Failure::Refused(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete<K>(&self, name: &str, authority: &Authority) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api = Api::<K>::all(self.client.clone());
        let parameters = DeleteParams::default();
        match call(authority, api.delete(name, &parameters)).await {
            Err(Failure::Refused(kube::Error::Api(status))) if status.code == 404 => Ok(()),
            result => result.map(drop),
        }
    }
}

fn parameters() -> PatchParams {
    PatchParams::apply(lvs_crds::names::OPERATOR).force()
}

/// A call that is made only by a leader and that ends.
async fn call<T>(
    authority: &Authority,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    if !authority.holds() {
        return Err(Failure::LeadsNoMore);
    }
    timeout(CALL_TIMEOUT, request).await.map_err(|_| Failure::NoAnswer)?.map_err(Failure::Refused)
}
