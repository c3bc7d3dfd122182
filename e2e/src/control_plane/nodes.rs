//! Node objects where no kubelet writes them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Result;
use serde_json::json;

use super::ControlPlane;

/// What a kubelet would tell of its node, as far as the operator reads it.
#[derive(Debug, Clone)]
pub struct NodeObject<'a> {
    /// The node's name.
    pub name: &'a str,
    /// Its labels.
    pub labels: BTreeMap<&'a str, &'a str>,
    /// Its InternalIP addresses, at most one per family.
    pub addresses: Vec<IpAddr>,
    /// `status.nodeInfo.bootID`: the kernel's `/proc/sys/kernel/random/boot_id`.
    pub boot_id: &'a str,
    /// The Ready condition: `True` or, for a node whose kubelet is silent, `Unknown`.
    pub ready: bool,
}

impl ControlPlane {
    /// Writes a Node object and its status: makes it, or makes it equal to this (as one field manager, so
    /// that what others wrote stays).
    ///
    /// # Errors
    /// Where the API server refuses, or does not answer.
    pub fn put_node(&self, node: &NodeObject<'_>) -> Result<()> {
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": node.name, "labels": node.labels},
        });
        let addresses: Vec<_> =
            node.addresses.iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
        let info: serde_json::Map<_, _> = [
            "architecture",
            "containerRuntimeVersion",
            "kernelVersion",
            "kubeProxyVersion",
            "kubeletVersion",
            "machineID",
            "operatingSystem",
            "osImage",
            "systemUUID",
        ]
        .into_iter()
        .map(|required| (required.to_owned(), json!("")))
        .chain([("bootID".to_owned(), json!(node.boot_id))])
        .collect();
        let status = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name},
            "status": {
                "addresses": addresses,
                "nodeInfo": info,
                "conditions": [{"type": "Ready", "status": if node.ready { "True" } else { "Unknown" }}],
            },
        });
        let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager", "kubelet", "-f", "-"];
        self.kubectl(&apply, &object.to_string())?;
        self.kubectl(&[&apply[..], &["--subresource", "status"]].concat(), &status.to_string())?;
        Ok(())
    }
}
