//! Reads from an API server: one watch per kind, each into a mirror of its own.

pub(crate) mod lenient;
mod mirror;
mod reflect;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::core::{ClusterResourceScope, Resource};
use kube::runtime::watcher;
use kube::{Api, Client};
use lvs_crds::{DirectorGroup, NodePlan, NodePlanSlice, VirtualService};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::complaints::Complaints;
use crate::connect::Own;
use crate::memory::Memory;
use crate::snapshot::Snapshot;
use crate::withdraw::MARK;
use crate::write::Written;
use lenient::Lenient;
use reflect::{Shared, reflect};

/// Reading all plans once.
const REFRESH_TIMEOUT: Duration = Duration::from_mins(1);
const PAGE_SIZE: u32 = 500;
/// How long the operator's own Deployment is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The reader.
pub(crate) struct ApiObserver {
    client: Client,
    services: Shared<Lenient<VirtualService>>,
    groups: Shared<Lenient<DirectorGroup>>,
    nodes: Shared<Node>,
    plans: Shared<NodePlan>,
    slices: Shared<NodePlanSlice>,
    /// The operator's own Deployment, if it runs as one.
    deployment: Shared<Deployment>,
    /// Whether that one was marked when it was last there.
    withdraws: bool,
    /// Until when it is waited for.
    patience: Instant,
    changed: Arc<Notify>,
    complaints: Complaints,
    /// Dropped, they end.
    tasks: JoinSet<()>,
}

impl Debug for ApiObserver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ApiObserver").finish_non_exhaustive()
    }
}

impl ApiObserver {
    /// Starts to watch. `client` is for calls that end, `watching` for those that last.
    pub(crate) fn start(client: Client, watching: &Client, own: &Own) -> Self {
        let mut observer = Self {
            client,
            services: Shared::default(),
            groups: Shared::default(),
            nodes: Shared::default(),
            plans: Shared::default(),
            slices: Shared::default(),
            deployment: Shared::default(),
            withdraws: false,
            patience: Instant::now() + PATIENCE,
            changed: Arc::new(Notify::new()),
            complaints: Complaints::default(),
            tasks: JoinSet::new(),
        };
        let all = watcher::Config::default;
        let one = all().fields(&format!("metadata.name={}", own.deployment));
        let changed = || Arc::clone(&observer.changed);
        let mut tasks = JoinSet::new();
        tasks.spawn(reflect(Api::all(watching.clone()), all(), observer.services.clone(), changed(), |_| {}));
        tasks.spawn(reflect(Api::all(watching.clone()), all(), observer.groups.clone(), changed(), |_| {}));
        tasks.spawn(reflect(Api::all(watching.clone()), all(), observer.nodes.clone(), changed(), slim_node));
        tasks.spawn(reflect(Api::all(watching.clone()), all(), observer.plans.clone(), changed(), |_| {}));
        tasks.spawn(reflect(Api::all(watching.clone()), all(), observer.slices.clone(), changed(), |_| {}));
        let deployments = Api::namespaced(watching.clone(), &own.namespace);
        tasks.spawn(reflect(deployments, one, observer.deployment.clone(), changed(), slim_deployment));
        let over = changed();
        tasks.spawn(async move {
            sleep(PATIENCE).await;
            over.notify_one();
        });
        observer.tasks = tasks;
        observer
    }

    /// Waits until a mirror has changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What the mirrors show; `None` until each has been listed once. The Deployment's is waited for only a while: a
    /// leader that has not seen its mark would plan what is being withdrawn, and one that may not see it has to work.
    pub(super) fn snapshot(&mut self, memory: &Memory) -> Option<Snapshot> {
        let ready = self.services.with(|mirror| mirror.ready())
            && self.groups.with(|mirror| mirror.ready())
            && self.nodes.with(|mirror| mirror.ready())
            && self.plans.with(|mirror| mirror.ready())
            && self.slices.with(|mirror| mirror.ready())
            && (self.deployment.with(|mirror| mirror.ready()) || Instant::now() >= self.patience);
        self.withdraws = self.is_withdrawing();
        let snapshot = ready.then(|| self.read(memory))?;
        self.complaints.tell(snapshot.remarks.iter().cloned().collect());
        Some(snapshot)
    }

    fn read(&self, memory: &Memory) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.cluster.complete = true;
        snapshot.cluster.withdraw = self.withdraws;
        self.services.with(|mirror| mirror.objects().for_each(|service| add_service(&mut snapshot, service)));
        self.groups.with(|mirror| mirror.objects().for_each(|group| add_group(&mut snapshot, group)));
        self.nodes.with(|mirror| mirror.objects().for_each(|node| snapshot.add_node(node)));
        self.plans.with(|mirror| mirror.objects().for_each(|plan| snapshot.add_plan(plan)));
        self.slices.with(|mirror| mirror.objects().for_each(|slice| snapshot.add_slice(slice)));
        snapshot.assemble(memory);
        snapshot
    }

    /// A Deployment that is gone takes no mark back: `helm uninstall` deletes it, mark and all, and this process lives a
    /// moment longer, in which it would put everything on the nodes again.
    fn is_withdrawing(&self) -> bool {
        let marked = |deployment: &Arc<Deployment>| {
            deployment.metadata.annotations.as_ref().is_some_and(|notes| notes.contains_key(MARK))
        };
        self.deployment.with(|mirror| mirror.objects().next().map_or(self.withdraws, marked))
    }

    /// Lists the stored plans from the server's store, so that nothing of a leader before is missing.
    pub(super) async fn refresh(&self) -> anyhow::Result<()> {
        let read = async {
            let slices = list::<NodePlanSlice>(&self.client).await.context("cannot list NodePlanSlices")?;
            let plans = list::<NodePlan>(&self.client).await.context("cannot list NodePlans")?;
            anyhow::Ok((slices, plans))
        };
        let (slices, plans) =
            timeout(REFRESH_TIMEOUT, read).await.context("the API server does not answer")??;
        for slice in slices {
            self.slices.with(|mirror| mirror.written(slice));
        }
        for plan in plans {
            self.plans.with(|mirror| mirror.written(plan));
        }
        Ok(())
    }

    /// Takes in what was written.
    pub(super) fn written(&self, objects: Vec<Written>) {
        for object in objects {
            match object {
                Written::Plan(plan) => self.plans.with(|mirror| mirror.written(plan)),
                Written::Slice(slice) => self.slices.with(|mirror| mirror.written(slice)),
                Written::PlanGone(name) => self.plans.with(|mirror| mirror.deleted("", &name)),
                Written::SliceGone(name) => self.slices.with(|mirror| mirror.deleted("", &name)),
                Written::Service(service) => self.services.with(|mirror| mirror.written(service)),
                Written::Group(group) => self.groups.with(|mirror| mirror.written(group)),
            }
        }
    }
}

fn add_service(snapshot: &mut Snapshot, service: &Lenient<VirtualService>) {
    snapshot.add_service(&service.metadata, service.spec.as_ref().map_err(String::as_str));
    if let Some(status) = &service.status {
        snapshot.add_service_status(&service.metadata, status);
    }
}

fn add_group(snapshot: &mut Snapshot, group: &Lenient<DirectorGroup>) {
    snapshot.add_group(&group.metadata, group.spec.as_ref().map_err(String::as_str));
    if let Some(status) = &group.status {
        snapshot.add_group_status(&group.metadata, status);
    }
}

/// All objects of a kind, page by page, as the store has them now.
async fn list<K>(client: &Client) -> Result<Vec<K>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::all(client.clone());
    let mut parameters = ListParams::default().limit(PAGE_SIZE);
    let mut objects = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

/// Takes out of the Deployment all but its annotations.
fn slim_deployment(deployment: &mut Deployment) {
    deployment.spec = None;
    deployment.status = None;
}

/// Takes out of a Node what no plan needs: its status changes every few minutes and names hundreds of images.
fn slim_node(node: &mut Node) {
    node.spec = None;
    if let Some(status) = &mut node.status {
        let mut kept = k8s_openapi::api::core::v1::NodeStatus {
            addresses: status.addresses.take(),
            conditions: status.conditions.take(),
            node_info: status.node_info.take(),
            ..Default::default()
        };
        for condition in kept.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
            condition.message = None;
        }
        if let Some(conditions) = &mut kept.conditions {
            conditions.retain(|condition| condition.type_ == "Ready");
        }
        *status = kept;
    }
}
