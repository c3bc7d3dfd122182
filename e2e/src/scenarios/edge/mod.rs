//! What scenarios about the edge of a cluster share: two directors, two real servers, a VIP of each family.

pub mod stand;
pub mod witness;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::fleet::{Fleet, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::{Mac, Topology};
use stand::Stand;

/// The VIPs, one of each family.
pub const VIPS: [&str; 2] = ["192.168.10.40", "fd00:10::40"];

/// The nodes, with the last part of their addresses.
pub const NODES: [(&str, u8); 4] = [("director-1", 20), ("director-2", 21), ("rs-1", 10), ("rs-2", 11)];

/// The VIPs as addresses. Fails never: they are constants.
pub fn vips() -> Result<Vec<IpAddr>> {
    VIPS.iter().map(|vip| vip.parse().context("a VIP")).collect()
}

/// The nodes, a client, and the host from which the witness asks.
#[must_use]
pub fn topology() -> Topology {
    let mut names: Vec<&str> = NODES.iter().map(|(name, _)| *name).collect();
    names.push("client");
    let mut topology = Topology::lan().only(&names);
    topology.hosts.push(witness::host());
    topology
}

/// The hardware address of a node of [`NODES`]: in the lab it is made of the node's address.
///
/// Fails for any other name.
pub fn mac(node: &str) -> Result<Mac> {
    let found = NODES.iter().find(|(name, _)| *name == node);
    let (_, number) = found.with_context(|| format!("{node} is none of the nodes"))?;
    Ok(Mac([2, 0, 192, 168, 10, *number]))
}

/// The group of the example, with a VIP of either family in its pool, and annotations.
///
/// Fails where the example is another one than is supposed here.
pub fn group(annotations: &str) -> Result<String> {
    let group = example("directorgroup.yaml")?;
    let wider = group
        .replace("- 192.168.10.40/32", "- 192.168.10.40/32\n    - fd00:10::40/128")
        .replace("  name: edge\n", &format!("  name: edge\n  annotations: {{{annotations}}}\n"));
    ensure!(wider.contains("fd00") && wider.contains("annotations"), "the example has another form");
    Ok(wider)
}

/// The Node objects: `directors` have the label that the group selects, `unready` are not ready.
#[must_use]
pub fn nodes(directors: &[&str], unready: &[&str]) -> String {
    NODES.iter().fold(String::new(), |mut text, (name, number)| {
        let label = if directors.contains(name) { "lvs: director" } else { "" };
        let ready = if unready.contains(name) { "False" } else { "True" };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{label}}}}}\nstatus:\n  \
             conditions: [{{type: Ready, status: '{ready}'}}]\n  addresses:\n  \
             - {{type: InternalIP, address: 192.168.10.{number}}}\n  \
             - {{type: InternalIP, address: 'fd00:10::{number}'}}\n"
        );
        text
    })
}

/// A service on both VIPs, port 80. `spec` is its scheduling; real servers are nodes with their weights.
#[must_use]
pub fn service(spec: &str, real_servers: &[(&str, u32)]) -> String {
    let [v4, v6] = VIPS;
    real_servers.iter().fold(
        format!(
            "apiVersion: lvs-operator.io/v1alpha1\nkind: VirtualService\nmetadata: {{name: web, namespace: default}}\n\
             spec:\n  vips: [{{address: {v4}}}, {{address: '{v6}'}}]\n  ports: [{{port: 80, protocol: TCP}}]\n  \
             {spec}\n  realServers:\n"
        ),
        |text, (node, weight)| text + &format!("  - {{name: {node}, nodeName: {node}, weight: {weight}}}\n"),
    )
}

/// Waits until a director has both VIPs on its uplink and the service is programmed and ready.
///
/// Fails where that is not so in time.
pub fn wait_held(fleet: &Fleet, director: &str) -> Result<()> {
    wait_until(&format!("{director} holds the VIPs"), PATIENCE, || {
        std::thread::sleep(Duration::from_millis(30));
        let stand = Stand::of(fleet.host(director)?)?;
        ensure!(stand.held()?.len() == VIPS.len(), "it has {:?}", stand.addresses);
        Ok(true)
    })?;
    fleet.wait_ready("web")
}

/// Waits until a node has both VIPs on `lo`. Fails where that is not so in time.
pub fn wait_accepted(fleet: &Fleet, node: &str) -> Result<()> {
    wait_until(&format!("{node} accepts the VIPs"), PATIENCE, || {
        std::thread::sleep(Duration::from_millis(30));
        let stand = Stand::of(fleet.host(node)?)?;
        ensure!(stand.accepted()?.len() == VIPS.len(), "it has {:?}", stand.addresses);
        Ok(true)
    })
}
