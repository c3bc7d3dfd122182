//! A cluster in the lab: a native control plane, and a guest kernel for each node.
//!
//! ```text
//!  network namespace:  etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, helm, clients
//!                      bridge lan  192.168.10.1 (and 10.96.0.1, the Service `kubernetes`), .101 to .108
//!                        |               |               |
//!      User-Mode Linux   eth0 .20        eth0 .10        eth0 .11        containerd, kubelet, pods
//!                        director-1      rs-1            rs-2
//! ```
//!
//! There is no kube-proxy: the API server has the address of its own Service, and pods need no other.

mod guest;
mod network;
mod node;
mod node_programs;
mod pause;
mod remote;

pub use guest::{main, run_node};
pub use pause::pause;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use self::network::Network;
use self::node::{Host, Node, NodeSpec};
use super::images::Images;
use super::{Cluster, Site, tool};
use crate::control_plane::{ControlPlane, Settings};

/// The port of the API server: that of its Service too, as nobody translates it.
const API_PORT: u16 = 443;
/// How long three nodes may take to be ready. It is 20 to 40 s on two idle CPUs, image import included.
const READY_DEADLINE: Duration = Duration::from_secs(240);
/// Name and address of each node: the example's own.
const NODES: [(&str, &str); 3] =
    [("director-1", "192.168.10.20"), ("rs-1", "192.168.10.10"), ("rs-2", "192.168.10.11")];

/// A running cluster. Dropped, its processes are killed and its data is deleted.
#[derive(Debug)]
pub struct UmlCluster {
    // Dropped from top to bottom: nodes before the API server that they speak to, the network last.
    nodes: BTreeMap<String, Node>,
    control_plane: ControlPlane,
    network: Network,
    program: PathBuf,
    site: Site,
}

impl UmlCluster {
    /// Starts the control plane and the nodes. `program` is the built `lvs-cluster`, the guests' first process; their
    /// runtimes import `images`. Waits until all nodes are ready.
    ///
    /// Fails where a program is not installed or built (the error says how to get it), or a node is not ready in time.
    pub fn start(program: &Path, images: &Images) -> Result<Self> {
        node::require_programs()?;
        let network = Network::new()?;
        let mut settings = Settings::in_network(&network.path(), network::ADDRESS.into());
        (settings.bind, settings.port) = (Some([0, 0, 0, 0].into()), Some(API_PORT));
        let mut control_plane = ControlPlane::start(&settings)?;
        control_plane.start_controllers()?;
        let mut nodes = BTreeMap::new();
        for (place, (name, address)) in NODES.into_iter().enumerate() {
            let address = address.parse().context("a node's address")?;
            let spec = NodeSpec::new(name, address, images, &control_plane)?;
            let host = Host { program, network: &network };
            nodes.insert(name.to_owned(), Node::boot(spec, place, &host)?);
        }
        let program = program.to_owned();
        let mut cluster = Self { nodes, control_plane, network, program, site: site()? };
        cluster.await_nodes()?;
        Ok(cluster)
    }

    /// A line for a person's shell that runs kubectl in the cluster's network, while this value lives.
    #[must_use]
    pub fn how_to_reach(&self) -> String {
        let (network, kubeconfig) = (self.network.path(), &self.control_plane.admin().kubeconfig);
        format!("nsenter --net={} kubectl --kubeconfig {}", network.display(), kubeconfig.display())
    }

    fn await_nodes(&mut self) -> Result<()> {
        let path = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        let until = Instant::now() + READY_DEADLINE;
        loop {
            let ready = self.kubectl(&["get", "nodes", "-o", path], "")?;
            if ready.split_whitespace().filter(|status| *status == "True").count() == NODES.len() {
                return Ok(());
            }
            if let Some(gone) = self.nodes.values_mut().find_map(Node::ended) {
                bail!("{gone}\n{}", self.story());
            }
            if Instant::now() > until {
                bail!("the nodes are not ready after {} s\n{}", READY_DEADLINE.as_secs(), self.story());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn site() -> Result<Site> {
    let [director, real_server, other] = NODES.map(|(name, _)| name.to_owned());
    let mut manifests = String::new();
    for file in ["directorgroup.yaml", "virtualservice.yaml"] {
        let path = tool::in_tree("deploy/examples/lvs-notes").join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        manifests += &format!("---\n{text}");
    }
    Ok(Site {
        director,
        real_servers: [real_server, other],
        uplink: "eth0".to_owned(),
        service: "192.168.10.40:80".parse().context("the example's VIP")?,
        clients: network::clients().collect(),
        has_ipvs: true,
        manifests,
    })
}

impl Cluster for UmlCluster {
    fn site(&self) -> &Site {
        &self.site
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.control_plane.kubectl(arguments, input)
    }

    fn helm(&self, arguments: &[&str]) -> Result<String> {
        let program = tool::helm()?;
        let home = self.control_plane.folder().join("home");
        let kubeconfig = &self.control_plane.admin().kubeconfig;
        self.network.namespace().inside(|| {
            let mut command = Command::new(program);
            // The caller's environment stays outside: its helm plugins and its proxy are of no use here.
            command.env_clear().env("HOME", home).env("KUBECONFIG", kubeconfig).args(arguments);
            tool::run(&mut command, "")
        })?
    }

    fn on_node(&self, node: &str, command: &[&str]) -> Result<String> {
        let node = self.nodes.get(node).with_context(|| format!("there is no node {node}"))?;
        let address = node.address();
        self.network.namespace().inside(|| remote::ask(address, command))?
    }

    fn reboot(&mut self, node: &str) -> Result<()> {
        let found = self.nodes.get_mut(node).with_context(|| format!("there is no node {node}"))?;
        found.reboot(&Host { program: &self.program, network: &self.network })
    }

    fn outside<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T> {
        self.network.namespace().inside(job)
    }

    fn story(&self) -> String {
        let mut story = super::scenario::story(|arguments| self.kubectl(arguments, ""));
        for node in self.nodes.values() {
            story += &node.story();
        }
        story + &self.control_plane.logs()
    }
}
