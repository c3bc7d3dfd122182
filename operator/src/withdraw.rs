//! `withdraw`: everything off the nodes, and a wait until that is done.
//!
//! It only marks the operator's Deployment: the mark leaves with the release, so that a later one starts afresh. The
//! leader does the work, through the same plans and reports as ever.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use lvs_crds::NodePlan;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::arguments::Withdraw;
use crate::connect::{Own, connect};
use crate::log::chain;

/// Annotation of the operator's Deployment: everything is to leave the nodes.
pub(crate) const MARK: &str = "lvs-operator.io/withdraw";
/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// One call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Marks, waits, and tells what it waits for on stdout. Exit code 1 where the time ran out.
pub(crate) async fn withdraw(arguments: &Withdraw) -> anyhow::Result<ExitCode> {
    let (clients, own) = connect(&arguments.connection).await?;
    let end = Instant::now() + arguments.timeout;
    mark(Api::namespaced(clients.calls.clone(), &own.namespace), &own).await?;
    println!(
        "Deployment {}/{} is marked: the leader takes everything off the nodes.",
        own.namespace, own.deployment
    );
    let plans = Api::<NodePlan>::all(clients.calls);
    let mut shown = None;
    loop {
        match remaining(&plans).await {
            Ok(nodes) if nodes.is_empty() => {
                println!("Every node is as it was found.");
                return Ok(ExitCode::SUCCESS);
            }
            Ok(nodes) => {
                if shown.as_ref() != Some(&nodes) {
                    println!("Waiting for {}.", list(&nodes));
                    shown = Some(nodes);
                }
            }
            Err(error) => tracing::warn!("{error:#}"),
        }
        if Instant::now() >= end {
            return Ok(out_of_time(&shown.unwrap_or_default(), arguments.timeout));
        }
        sleep(PERIOD).await;
    }
}

fn out_of_time(nodes: &BTreeMap<String, &'static str>, timeout: Duration) -> ExitCode {
    let seconds = timeout.as_secs();
    eprintln!("error: after {seconds} s these nodes have not left: {}", list(nodes));
    eprintln!(
        "Look at `kubectl get nodeplans -o yaml` for what keeps them, see that the operator and the node's agent run, \
         and withdraw again. On a node that is lost for good delete its Node; on one without an agent run \
         `lvs-node-agent cleanup`."
    );
    ExitCode::FAILURE
}

async fn mark(deployments: Api<Deployment>, own: &Own) -> anyhow::Result<()> {
    let patch = json!({ "metadata": { "annotations": { MARK: "true" } } });
    let parameters =
        PatchParams { field_manager: Some("lvs-operator-withdraw".to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(&patch);
    let marked = timeout(CALL_TIMEOUT, deployments.patch(&own.deployment, &parameters, &patch)).await;
    match marked.with_context(|| format!("{} does not answer", own.server))? {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => anyhow::bail!(
            "there is no Deployment {} in namespace {}: name the operator's with --deployment and --namespace",
            own.deployment,
            own.namespace
        ),
        Err(error) => {
            let (namespace, name) = (&own.namespace, &own.deployment);
            anyhow::bail!("cannot mark Deployment {namespace}/{name} on {}: {}", own.server, chain(&error))
        }
    }
}

/// The nodes that still have a plan, each with what it waits for.
async fn remaining(plans: &Api<NodePlan>) -> anyhow::Result<BTreeMap<String, &'static str>> {
    let parameters = ListParams::default();
    let listed = timeout(CALL_TIMEOUT, plans.list(&parameters)).await;
    match listed.context("the API server does not answer")? {
        Ok(listed) => Ok(listed.iter().map(|plan| (plan.name_any(), waits_for(plan))).collect()),
        // Without the definition there is no plan.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(BTreeMap::new()),
        Err(error) => anyhow::bail!("cannot list NodePlans: {}", chain(&error)),
    }
}

fn waits_for(plan: &NodePlan) -> &'static str {
    let clean = plan.status.as_ref().and_then(|status| status.read().ok()).map(|facts| facts.clean);
    match (plan.spec.slices.is_empty(), clean) {
        (false, _) => "services are leaving",
        (true, Some(false)) => "its agent has not reported that it is clean",
        (true, None | Some(true)) => "its plan is about to be deleted",
    }
}

fn list(nodes: &BTreeMap<String, &'static str>) -> String {
    let nodes: Vec<String> = nodes.iter().map(|(node, why)| format!("{node} ({why})")).collect();
    nodes.join(", ")
}
