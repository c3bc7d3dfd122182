//! Nodes, as far as the planner needs them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node as KubernetesNode, NodeStatus};
use lvs_core::cluster::Node;
use lvs_core::names::BootId;
use lvs_core::node_report::Trouble;

use crate::address;
use crate::field::Findings;
use crate::names::{REAL_SERVER_ADDRESSES, UPLINK};

/// A Node in the brain's terms, and what is wrong with its annotations. An annotation that cannot be read counts as
/// absent.
#[must_use]
pub fn node(node: &KubernetesNode) -> (Node, Option<Trouble>) {
    let mut findings = Findings::default();
    let annotations = node.metadata.annotations.clone().unwrap_or_default();
    let status = node.status.as_ref();
    let read = Node {
        labels: node.metadata.labels.clone().unwrap_or_default(),
        internal_ips: status.into_iter().flat_map(internal_ips).collect(),
        ready: status.and_then(ready),
        boot_id: status.and_then(boot_id),
        real_server_addresses: annotation(&annotations, REAL_SERVER_ADDRESSES, &mut findings, |text| {
            let addresses = address::list(text)?;
            let fits = address::one_per_family(&addresses);
            fits.then_some(addresses.into_iter().collect())
                .ok_or_else(|| format!("{text}: write at most one address of each family"))
        })
        .unwrap_or_default(),
        uplink: annotation(&annotations, UPLINK, &mut findings, str::parse),
    };
    (read, findings.into_result(None::<()>).err().filter(|trouble| !trouble.message.is_empty()))
}

fn annotation<T, E: std::fmt::Display>(
    annotations: &BTreeMap<String, String>,
    key: &str,
    findings: &mut Findings,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let text = annotations.get(key)?;
    findings.take(format!("metadata.annotations[{key}]"), read(text))
}

/// Addresses that do not read as such are left out: a cloud provider may write what it likes.
fn internal_ips(status: &NodeStatus) -> impl Iterator<Item = IpAddr> {
    let addresses = status.addresses.iter().flatten();
    addresses
        .filter(|address| address.type_ == "InternalIP")
        .filter_map(|address| address.address.parse().ok())
}

/// `None` where nobody says: a Node in a folder has no conditions.
fn ready(status: &NodeStatus) -> Option<bool> {
    let conditions = status.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status == "True")
}

fn boot_id(status: &NodeStatus) -> Option<BootId> {
    let boot_id = &status.node_info.as_ref()?.boot_id;
    (!boot_id.is_empty()).then(|| BootId(boot_id.clone()))
}
