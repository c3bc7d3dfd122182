//! A plan that is read once, for the verbs that do one thing and end.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use lvs_core::names::NodeName;
use lvs_core::node_plan::NodePlan;

use super::seen::Seen;
use super::{api, folder, text};
use crate::arguments::{NodeChoice, PlanOrigin};

/// The plan, and the node that it is for. `written` is the node that a file of local facts is about.
///
/// # Errors
/// Where the plan cannot be read, or where it is not clear which node is meant.
pub fn plan(
    origin: &PlanOrigin,
    choice: &NodeChoice,
    written: Option<NodeName>,
) -> anyhow::Result<(NodeName, NodePlan)> {
    let (node, seen) = if let Some(file) = &origin.plan {
        from_file(file, choice, written.clone())?
    } else {
        let written = written.clone().filter(|node| !node.0.is_empty());
        let node = choice.named().or(written).map_or_else(|| choice.named_or_host(), Ok)?;
        let seen = match &origin.folder {
            Some(folder) => {
                folder::require(folder)?;
                folder::read(folder, &node)?
            }
            None => from_api(&node)?,
        };
        (node, seen)
    };
    if let Some(written) = written.filter(|written| !written.0.is_empty() && *written != node) {
        anyhow::bail!("--local holds the facts of node {written}, and the plan is that of {node}");
    }
    let missing = || match &origin.folder {
        Some(folder) => {
            let file = folder::plan_file(folder, &node);
            format!("there is no NodePlan {node}: no file {}", file.display())
        }
        None => format!("there is no NodePlan {node}"),
    };
    let (plan, faults) = seen.plan().with_context(missing)?;
    for fault in faults {
        tracing::warn!("the plan is incomplete, so that nothing is removed: {fault}");
    }
    Ok((node, plan))
}

/// A plan out of a file is carried out only where it belongs, unless the user names the node: two hosts with one plan
/// would both answer for its VIPs.
///
/// # Errors
/// Where this host has another name than the plan's node.
pub fn require_this_host(origin: &PlanOrigin, choice: &NodeChoice, node: &NodeName) -> anyhow::Result<()> {
    let here = choice.named_or_host()?;
    anyhow::ensure!(
        origin.plan.is_none() || choice.named().is_some() || here == *node,
        "the plan is that of node {node}, and this host is {here}: add --node {node} if this is that node"
    );
    Ok(())
}

/// One node's objects in a file, `-` for standard input.
///
/// # Errors
/// Where the file cannot be read, or where it is not clear which node is meant.
pub fn from_file(
    file: &Path,
    choice: &NodeChoice,
    written: Option<NodeName>,
) -> anyhow::Result<(NodeName, Seen)> {
    let candidates = choice.named().into_iter().chain(written).chain(choice.named_or_host().ok());
    from_text(&read(file)?, file, choice.node.as_deref().map(Into::into), candidates)
}

/// One node's objects in a text: those of the node that the user names, else of the only one, else of the first
/// candidate that is there.
fn from_text(
    text: &str,
    file: &Path,
    named: Option<NodeName>,
    mut candidates: impl Iterator<Item = NodeName>,
) -> anyhow::Result<(NodeName, Seen)> {
    let mut nodes = text::parse(text, file)?;
    let file = file.display();
    anyhow::ensure!(!nodes.is_empty(), "{file} holds no NodePlan");
    let listed = |nodes: &BTreeMap<NodeName, Seen>| {
        nodes.keys().map(|node| node.0.as_str()).collect::<Vec<_>>().join(", ")
    };
    if let Some(node) = named {
        let seen = nodes.remove(&node);
        return seen
            .map(|seen| (node.clone(), seen))
            .with_context(|| format!("{file} holds no NodePlan {node}; it holds {}", listed(&nodes)));
    }
    if let (1, Some((node, seen))) = (nodes.len(), nodes.first_key_value()) {
        return Ok((node.clone(), seen.clone()));
    }
    candidates
        .find_map(|node| nodes.remove_entry(&node))
        .with_context(|| format!("{file} holds several NodePlans; say --node with one of {}", listed(&nodes)))
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn from_api(node: &NodeName) -> anyhow::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { api::once(&api::Clients::infer().await?, node).await })
}
