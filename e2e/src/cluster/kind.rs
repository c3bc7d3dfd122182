//! A cluster on kind (Kubernetes in Docker), for people who have Docker: `make e2e-kind`.
//!
//! Its nodes are containers of one machine. They share its kernel and its boot id, so IPVS must be loaded there
//! (`modprobe ip_vs`); without it the scenario ends where a condition says so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::images::Images;
use super::{Cluster, Site, tool};

/// Number of questions that the one client asks where others ask from as many addresses.
const CLIENTS: usize = 8;

/// A kind cluster that somebody else has made, with a control plane and three workers, and will delete.
#[derive(Debug)]
pub struct KindCluster {
    kubeconfig: tempfile::NamedTempFile,
    site: Site,
}

impl KindCluster {
    /// Takes the cluster called `name` and loads the images into its nodes.
    ///
    /// Fails where there is no such cluster, or it has other nodes.
    pub fn take(name: &str, images: &Images) -> Result<Self> {
        let kubeconfig = tempfile::NamedTempFile::new().context("make a file for the kubeconfig")?;
        let text = tool::run(Command::new("kind").args(["get", "kubeconfig", "--name", name]), "")?;
        std::fs::write(kubeconfig.path(), text).context("write the kubeconfig")?;
        for archive in &images.archives {
            let mut load = Command::new("kind");
            tool::run(load.args(["load", "image-archive", "--name", name]).arg(archive), "")?;
        }
        let [director, first, second] = ["worker", "worker2", "worker3"].map(|role| format!("{name}-{role}"));
        let vip = free_address(&director)?;
        let has_ipvs =
            in_container(&director, &["sh", "-c", "modprobe ip_vs; test -e /proc/net/ip_vs"]).is_ok();
        let site = Site {
            manifests: manifests(vip, &[&first, &second])?,
            director,
            real_servers: [first, second],
            uplink: "eth0".to_owned(),
            service: SocketAddr::new(vip.into(), 80),
            clients: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED); CLIENTS],
            has_ipvs,
        };
        Ok(Self { kubeconfig, site })
    }

    fn run(&self, program: PathBuf, arguments: &[&str], input: &str) -> Result<String> {
        tool::run(Command::new(program).env("KUBECONFIG", self.kubeconfig.path()).args(arguments), input)
    }
}

/// An address of the nodes' network that Docker, which gives addresses from the lowest up, will not give: .40 in the last
/// 256 of them.
fn free_address(node: &str) -> Result<Ipv4Addr> {
    let told = in_container(node, &["ip", "-j", "-4", "address", "show", "dev", "eth0"])?;
    let links: Value = serde_json::from_str(&told).context("what ip says")?;
    let address = &links[0]["addr_info"][0];
    let own: Ipv4Addr = address["local"].as_str().context("eth0 has no address")?.parse()?;
    let length = u32::try_from(address["prefixlen"].as_u64().context("a prefix length")?)?;
    let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
    Ok(Ipv4Addr::from((u32::from(own) | hosts) & !0xff | 0x28))
}

/// The example with the VIP and the nodes of this cluster. It is not persistent: here there is one client.
fn manifests(vip: Ipv4Addr, real_servers: &[&str; 2]) -> Result<String> {
    let folder = tool::in_tree("deploy/examples/lvs-notes");
    let mut objects = Vec::new();
    for file in ["directorgroup.yaml", "virtualservice.yaml"] {
        let text = std::fs::read_to_string(folder.join(file)).with_context(|| format!("read {file}"))?;
        let text = text.replace("192.168.10.40", &vip.to_string());
        let text = text.replace("rs-1", real_servers[0]).replace("rs-2", real_servers[1]);
        let mut object: Value = serde_saphyr::from_str(&text).with_context(|| format!("parse {file}"))?;
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("persistence");
        }
        objects.push(object);
    }
    Ok(serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())
}

fn in_container(node: &str, command: &[&str]) -> Result<String> {
    tool::run(Command::new("docker").arg("exec").arg(node).args(command), "")
}

impl Cluster for KindCluster {
    fn site(&self) -> &Site {
        &self.site
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.run("kubectl".into(), arguments, input)
    }

    fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.run(tool::helm()?, arguments, "")
    }

    fn on_node(&self, node: &str, command: &[&str]) -> Result<String> {
        in_container(node, command)
    }

    fn reboot(&mut self, node: &str) -> Result<()> {
        tool::run(Command::new("docker").args(["restart", "-t", "0", node]), "").map(drop)
    }

    fn outside<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T> {
        Ok(job())
    }

    fn story(&self) -> String {
        super::scenario::story(|arguments| self.kubectl(arguments, ""))
    }
}
