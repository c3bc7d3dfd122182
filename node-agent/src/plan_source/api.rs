//! The plan from an API server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{Stream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use lvs_core::names::NodeName;
use lvs_crds::{NodePlan, NodePlanSlice, ReadSlice, names};
use tokio::sync::watch;

use super::mirror::Mirror;
use super::seen::Seen;

/// How long the server lets one watch last, in seconds. A path that died silently is noticed after this and a bit.
const WATCH: u32 = 60;
/// A watch that shows nothing, not even a bookmark, for longer than this is dead.
const SILENCE: Duration = Duration::from_secs(90);
/// How long one request other than a watch may take.
const ANSWER: Duration = Duration::from_secs(15);
/// After this many failures to open a watch it is begun anew with a list: some proxies answer "gone" for ever.
const STUBBORN: usize = 5;

/// Clients for one API server.
#[derive(Clone)]
pub struct Clients {
    /// For requests that are answered at once.
    pub unary: Client,
    /// For watches.
    pub watch: Client,
    /// The host and port of the server.
    pub server: (String, u16),
}

impl Clients {
    /// Clients as the kubeconfig says, or the pod's service account.
    ///
    /// # Errors
    /// Where there is neither, or it cannot be used.
    pub async fn infer() -> anyhow::Result<Self> {
        let config = Config::infer().await.context(
            "no API server is known: give a kubeconfig by $KUBECONFIG, or the plan by --folder DIR or --plan FILE",
        )?;
        let host = config.cluster_url.host().unwrap_or_default().to_owned();
        let port = config.cluster_url.port_u16().unwrap_or(443);
        let mut unary = config.clone();
        unary.read_timeout = Some(ANSWER);
        unary.reset_reader_on_write = true;
        let mut watch = config;
        watch.read_timeout = Some(SILENCE);
        Ok(Self { unary: Client::try_from(unary)?, watch: Client::try_from(watch)?, server: (host, port) })
    }
}

/// The objects of a node, read once.
///
/// # Errors
/// Where the API server does not answer or refuses.
pub async fn once(clients: &Clients, node: &NodeName) -> anyhow::Result<Seen> {
    let plans: Api<NodePlan> = Api::all(clients.unary.clone());
    let slices: Api<NodePlanSlice> = Api::all(clients.unary.clone());
    let read = async {
        let node_plan = plans.get_opt(&node.0).await?;
        let list = slices.list(&kube::api::ListParams::default().labels(&label(node))).await?;
        let read = list.items.iter().map(|slice| Arc::new(ReadSlice::of(slice, None)));
        let slices = read.map(|slice| (slice.name.clone(), slice)).collect();
        Ok::<_, kube::Error>(Seen { node_plan, slices })
    };
    let answer = tokio::time::timeout(2 * ANSWER, read).await.context("the API server does not answer")?;
    answer.context("the plan cannot be read from the API server")
}

/// Follows the objects of a node for ever. While the API server is away what was last seen stays.
pub async fn follow(clients: Clients, node: NodeName, seen: watch::Sender<Option<Seen>>) {
    loop {
        // It comes back only to be begun anew with a list.
        follow_once(&clients, &node, &seen).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn follow_once(clients: &Clients, node: &NodeName, seen: &watch::Sender<Option<Seen>>) {
    let config = watcher::Config::default().timeout(WATCH);
    let plans = events(clients, config.clone().fields(&format!("metadata.name={node}")));
    let slices = events(clients, config.labels(&label(node)));
    let mut events = futures::stream::select(plans.map(Either::Plan), slices.map(Either::Slice));
    let (mut plans, mut slices) = (Mirror::default(), Mirror::default());
    let (mut failures, mut complaint) = (0, String::new());
    while let Some(event) = events.next().await {
        let (news, error) = match event {
            Either::Plan(event) => followed(&mut plans, event, |plan: NodePlan, _| plan),
            Either::Slice(event) => followed(&mut slices, event, read_slice),
        };
        if let Some(error) = error {
            failures += usize::from(matches!(error, watcher::Error::WatchStartFailed(_)));
            let message = format!("{:#}", anyhow::Error::new(error));
            if message != complaint {
                tracing::warn!("the plan cannot be watched; the last one stays in force: {message}");
                complaint = message;
            }
            if failures >= STUBBORN {
                return;
            }
        }
        if news {
            (failures, complaint) = (0, String::new());
        }
        if let (true, Some(plans), Some(slices)) = (news, plans.objects(), slices.objects()) {
            let now = Seen { node_plan: plans.get(&node.0).cloned(), slices: slices.clone() };
            seen.send_if_modified(|seen| {
                let modified = seen.as_ref() != Some(&now);
                *seen = Some(now);
                modified
            });
        }
    }
}

/// Whether an event of a watch brings news, and the error where it is one.
fn followed<K: Resource, T>(
    mirror: &mut Mirror<T>,
    event: watcher::Result<Event<K>>,
    read: impl Fn(K, Option<&T>) -> T,
) -> (bool, Option<watcher::Error>) {
    match event {
        Ok(event) => (mirror.follow(event, read), None),
        Err(error) => (false, Some(error)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a mirror gives up the object")]
fn read_slice(slice: NodePlanSlice, before: Option<&Arc<ReadSlice>>) -> Arc<ReadSlice> {
    Arc::new(ReadSlice::of(&slice, before.map(Arc::as_ref)))
}

enum Either {
    Plan(watcher::Result<Event<NodePlan>>),
    Slice(watcher::Result<Event<NodePlanSlice>>),
}

fn events<K>(
    clients: &Clients,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource<Scope = k8s_openapi::ClusterResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    watcher(Api::<K>::all(clients.watch.clone()), config)
        .modify(|object| object.managed_fields_mut().clear())
        .default_backoff()
        .boxed()
}

fn label(node: &NodeName) -> String {
    format!("{}={}", names::NODE_LABEL, names::node_label(node))
}
