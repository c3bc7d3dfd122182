//! A node, from outside: its guest kernel, which is a process here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;

use super::network::Network;
use crate::cluster::images::Images;
use crate::control_plane::process::{Process, command};
use crate::control_plane::{ControlPlane, program};
use crate::lab::request::Request;
use crate::lab::{Kernel, uml};

/// Where programs are, on this machine and in its guests.
pub(super) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Programs that a node runs besides our own kubelet, and the package of Debian that has each.
const PROGRAMS: [(&str, &str); 7] = [
    ("/usr/bin/linux.uml", "user-mode-linux"),
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/ipvsadm", "ipvsadm"),
    ("/usr/sbin/modprobe", "kmod"),
    ("/usr/bin/nsenter", "util-linux"),
];

/// A node as its guest is told it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NodeSpec {
    /// Its name, also its host name.
    pub(super) name: String,
    /// Its address on the switch.
    pub(super) address: Ipv4Addr,
    /// Its kubelet.
    pub(super) kubelet: PathBuf,
    /// Images to import, as archives.
    pub(super) images: Vec<PathBuf>,
    /// How the kubelet reaches the API server.
    pub(super) kubeconfig: String,
    /// The certificate that signed those who may call the kubelet, PEM.
    pub(super) authority: String,
    /// The folder that stands for its disk: what is in it outlives a boot.
    pub(super) disk: PathBuf,
}

impl NodeSpec {
    pub(super) fn new(name: &str, address: Ipv4Addr, images: &Images, plane: &ControlPlane) -> Result<Self> {
        let identity = plane.certificate_identity(&format!("system:node:{name}"), Some("system:nodes"))?;
        Ok(Self {
            name: name.to_owned(),
            address,
            kubelet: program("kubelet")?,
            images: images.archives.clone(),
            kubeconfig: fs::read_to_string(identity.kubeconfig).context("read the kubelet's kubeconfig")?,
            authority: plane.authority().to_owned(),
            disk: PathBuf::new(),
        })
    }
}

/// A node that is switched on. Dropped, its power is cut and its disk is deleted.
#[derive(Debug)]
pub(super) struct Node {
    guest: Process,
    spec: NodeSpec,
    tap: String,
    cpu: usize,
    boots: u32,
    folder: TempDir,
}

/// What the guests run on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host<'a> {
    /// The program that is their first process.
    pub(super) program: &'a Path,
    /// Their network.
    pub(super) network: &'a Network,
}

/// Sees to it that all programs are installed, so that one message names all packages that are not.
pub(super) fn require_programs() -> Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        bail!(
            "a cluster in the lab needs packages that are not installed: apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
    }
    Ok(())
}

impl Node {
    /// Switches a node on for the first time. Fails where its guest cannot be started.
    pub(super) fn boot(mut spec: NodeSpec, number: usize, host: &Host<'_>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("lvs-cluster-{}-", spec.name)).tempdir();
        let folder = folder.context("make the folder of a node")?;
        spec.disk = folder.path().join("disk");
        fs::create_dir(&spec.disk).context("make a node's disk")?;
        let (tap, cpu) = (host.network.add_port(number, spec.address)?, cpu_of(number)?);
        let guest = start(&spec, folder.path(), 1, &tap, cpu, host)?;
        Ok(Self { guest, spec, tap, cpu, boots: 1, folder })
    }

    /// Cuts the power and switches it on again. The node's pods and their logs go, its disk stays.
    pub(super) fn reboot(&mut self, host: &Host<'_>) -> Result<()> {
        self.guest.kill();
        self.boots += 1;
        self.guest = start(&self.spec, self.folder.path(), self.boots, &self.tap, self.cpu, host)?;
        Ok(())
    }

    pub(super) fn address(&self) -> IpAddr {
        self.spec.address.into()
    }

    /// How its guest ended, or nothing while it runs.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.guest.exited()?;
        Some(format!("the guest of {} has ended ({status}); {}", self.spec.name, self.guest.last_words()))
    }

    /// The ends of its console and of its programs' logs.
    pub(super) fn story(&self) -> String {
        let folder = self.folder.path().join(boot_folder(self.boots));
        let mut story = String::new();
        for name in ["console", "node", "containerd", "kubelet"] {
            let text = fs::read(folder.join(format!("{name}.log"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(20)..].join("\n");
            story += &format!("--- {} of {}, boot {}\n{end}\n", name, self.spec.name, self.boots);
        }
        story
    }
}

fn boot_folder(boot: u32) -> String {
    format!("boot-{boot}")
}

/// Guests share the CPUs by turns: each stays on its own, which is several times faster than moving about.
fn cpu_of(number: usize) -> Result<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("read the CPUs of this process")?;
    let usable: Vec<usize> = (0..CpuSet::count()).filter(|n| allowed.is_set(*n).unwrap_or(false)).collect();
    usable.get(number % usable.len().max(1)).copied().context("there is no CPU that this process may use")
}

fn start(
    spec: &NodeSpec,
    folder: &Path,
    boot: u32,
    tap: &str,
    cpu: usize,
    host: &Host<'_>,
) -> Result<Process> {
    let directory = folder.join(boot_folder(boot));
    fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
    let request = Request {
        scenario: "node of a cluster".to_owned(),
        arguments: serde_json::to_value(spec)?,
        binaries: BTreeMap::new(),
        seed: 0,
        kernel: Kernel::UserModeLinux,
        outside: false,
        directory: directory.clone(),
        show: false,
    };
    fs::write(directory.join("request.json"), serde_json::to_vec(&request)?)?;
    let kernel = uml::command(host.program, &request)?;
    let mut enter = OsString::from("--net=");
    enter.push(host.network.path());
    let launcher = ["nsenter".into(), enter, "taskset".into(), "--cpu-list".into(), cpu.to_string().into()];
    let mut guest = command(&launcher, Path::new(kernel.get_program()));
    // As with real hardware the same one after each boot, and one that tells whose it is.
    let [a, b, c, d] = spec.address.octets();
    let mac = format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
    guest.args(kernel.get_args()).arg(format!("vec0:transport=tap,ifname={tap},mac={mac},depth=128,gro=1"));
    guest.env_clear().env("PATH", PATH);
    guest.envs(kernel.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Process::start("console", guest, &directory)
}

/// The node that a guest's request describes.
pub(super) fn spec_of(arguments: Value) -> Result<NodeSpec> {
    serde_json::from_value(arguments).context("the request describes no node")
}
