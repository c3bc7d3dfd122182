//! The network of the cluster: one switch, in a namespace of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cluster::tool;
use crate::control_plane::SERVICE_ADDRESS;
use crate::lab::Namespace;
use crate::lab::namespace::Isolation;

/// The address of the control plane, and the nodes' default router.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 1);
/// Prefix length of the network.
pub(super) const PREFIX: u8 = 24;

/// The namespace with the bridge `lan`.
#[derive(Debug)]
pub(super) struct Network {
    namespace: Namespace,
}

/// The addresses of the clients, the example's own.
pub(super) fn clients() -> impl Iterator<Item = IpAddr> {
    (101..=108).map(|number| Ipv4Addr::new(192, 168, 10, number).into())
}

/// The addresses of a node's pods: a network of their own for each node, whose number is the node's.
pub(super) fn pod_network(node: Ipv4Addr) -> String {
    format!("10.88.{}.0/24", node.octets()[3])
}

impl Network {
    /// Makes it. Fails without root, without `/dev/net/tun`, or without the program `ip`.
    pub(super) fn new() -> Result<Self> {
        let mut lines = format!(
            "link set lo up\nlink add lan type bridge\nlink set lan up\naddr add {ADDRESS}/{PREFIX} dev lan\n\
             addr add {SERVICE_ADDRESS}/32 dev lan\n"
        );
        for client in clients() {
            lines += &format!("addr add {client}/{PREFIX} dev lan\n");
        }
        let namespace =
            Namespace::new(Isolation::Network, || batch(&lines)).context("make the cluster's network")?;
        Ok(Self { namespace })
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its namespace as a path, for programs that enter it.
    pub(super) fn path(&self) -> PathBuf {
        self.namespace.network_path()
    }

    /// Makes a port for a node, and the way to its pods. Returns the name of the tap.
    pub(super) fn add_port(&self, number: usize, node: Ipv4Addr) -> Result<String> {
        let tap = format!("node{number}");
        let pods = pod_network(node);
        let lines = format!(
            "tuntap add dev {tap} mode tap\nlink set {tap} master lan up\nroute add {pods} via {node}\n"
        );
        self.namespace.inside(|| batch(&lines))??;
        Ok(tap)
    }
}

fn batch(lines: &str) -> Result<()> {
    tool::run(Command::new("ip").args(["-batch", "-"]), lines).map(drop)
}
