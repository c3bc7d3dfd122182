//! NodePlans and slices in a text: YAML documents, JSON, or a Kubernetes `List` of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use kube::ResourceExt as _;
use lvs_core::names::NodeName;
use lvs_crds::{NodePlan, NodePlanSlice, ReadSlice};
use serde_json::Value;

use super::seen::Seen;

/// What a text shows of each node. Objects of other kinds are passed over.
///
/// # Errors
/// Where the text does not parse, or an object in it is not what its kind says; the error names the place.
pub fn parse(text: &str, from: &Path) -> anyhow::Result<BTreeMap<NodeName, Seen>> {
    let mut nodes = BTreeMap::new();
    // One after the other: as a `Value` a document takes ten times the room.
    for document in serde_saphyr::read_with_options(&mut text.as_bytes(), options()) {
        let document: Value = document.with_context(|| format!("{} does not parse", from.display()))?;
        take_in(document, &mut nodes).with_context(|| from.display().to_string())?;
    }
    // A slice without its NodePlan belongs to no plan that could be followed.
    nodes.retain(|_, seen: &mut Seen| seen.node_plan.is_some());
    for seen in nodes.values() {
        refuse_cut_short(seen).with_context(|| from.display().to_string())?;
    }
    Ok(nodes)
}

/// A text that ends too early may still parse, and would read as a plan that asks for less.
fn refuse_cut_short(seen: &Seen) -> anyhow::Result<()> {
    let (Some(node_plan), Some((plan, faults))) = (&seen.node_plan, seen.plan()) else { return Ok(()) };
    let (said, there) = (node_plan.spec.service_count, plan.services.len());
    anyhow::ensure!(
        said == there || !faults.is_empty(),
        "NodePlan {:?} speaks of {said} services and its slices hold {there}: it was cut short",
        node_plan.name_any()
    );
    Ok(())
}

fn take_in(mut document: Value, nodes: &mut BTreeMap<NodeName, Seen>) -> anyhow::Result<()> {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let what = || format!("{kind} {name:?}");
    match kind.as_str() {
        "NodePlan" => {
            let whole = document.pointer("/spec/slices").is_some();
            let object: NodePlan = serde_json::from_value(document).with_context(what)?;
            anyhow::ensure!(whole, "{} has no spec.slices: it was cut short", what());
            let seen: &mut Seen = nodes.entry(NodeName(object.name_any())).or_default();
            anyhow::ensure!(seen.node_plan.is_none(), "{} is there twice", what());
            seen.node_plan = Some(object);
        }
        "NodePlanSlice" => {
            let object: NodePlanSlice = serde_json::from_value(document).with_context(what)?;
            let node = object.spec.node_name.clone();
            let slice = Arc::new(ReadSlice::of(&object, None));
            nodes.entry(node).or_default().slices.insert(slice.name.clone(), slice);
        }
        "List" => {
            let items = document.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
            for item in items.unwrap_or_default() {
                take_in(item, nodes)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Large plans are as good as small ones, so only depth and aliases are limited, where a small text could grow.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: usize::MAX,
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
    }
}
