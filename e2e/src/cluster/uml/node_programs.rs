//! What turns a guest into a node: mounts, network, containerd, kubelet.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sys::utsname::uname;
use serde_json::json;

use super::network::{ADDRESS, PREFIX, pod_network};
use super::node::NodeSpec;
use crate::cluster::images::WORKLOAD;
use crate::cluster::tool;
use crate::lab::request::RUN;

/// The runtime's socket.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// How long the runtime may take to answer.
const RUNTIME_DEADLINE: Duration = Duration::from_secs(60);
/// A node's own state, on its disk: all else that it writes is in memory and ends with the boot.
const STATE: &str = "/var/lib/lvs-operator";

/// Mounts what the runtime and the kubelet stand on.
pub(super) fn mount_all(spec: &NodeSpec) -> Result<()> {
    for (kind, target, options) in [
        ("devtmpfs", "/dev", ""),
        ("devpts", "/dev/pts", "ptmxmode=666"),
        ("tmpfs", "/dev/shm", ""),
        ("mqueue", "/dev/mqueue", ""),
        ("cgroup2", "/sys/fs/cgroup", ""),
        // The root is an overlay, which cannot be the lower layer of the runtime's own overlays' work folders.
        ("tmpfs", "/var/lib/containerd", "mode=755"),
        ("tmpfs", "/var/lib/kubelet", "mode=755"),
        ("tmpfs", "/var/log/pods", "mode=755"),
        ("tmpfs", "/var/log/containers", "mode=755"),
    ] {
        folder(target)?;
        mount(Some(kind), target, Some(kind), MsFlags::empty(), Some(options))
            .with_context(|| format!("mount {kind} at {target}"))?;
    }
    folder(STATE)?;
    // Straight from the machine: through the root's overlay a write would stay in memory.
    mount(Some("disk"), STATE, Some("hostfs"), MsFlags::empty(), Some(&spec.disk))
        .context("mount the node's disk")?;
    show_modules()?;
    tell_clock_speed()?;
    // Mounts of pods must reach the runtime and the other way round.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>)
        .context("share the mounts")
}

/// The kernel's modules in the place where a pod that is shown `/lib/modules` finds them: a link would lead it nowhere.
fn show_modules() -> Result<()> {
    let release = uname().context("ask for the kernel's release")?.release().to_owned();
    let place = Path::new("/lib/modules").join(&release);
    if let Ok(modules) = fs::read_link(&place) {
        fs::remove_file(&place)?;
        fs::create_dir(&place)?;
        mount(Some(&modules), &place, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .context("show the modules")?;
    }
    Ok(())
}

/// The kubelet refuses a machine whose processors have no clock speed, and this kernel tells none.
fn tell_clock_speed() -> Result<()> {
    let told = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let more = "cpu MHz\t\t: 1000.000\nphysical id\t: 0\ncore id\t\t: 0";
    let lines = told.lines().map(|line| {
        if line.starts_with("processor") { format!("{line}\n{more}\n") } else { format!("{line}\n") }
    });
    fs::write("/run/cpuinfo", lines.collect::<String>())?;
    mount(Some("/run/cpuinfo"), "/proc/cpuinfo", None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .context("add the clock speed")
}

/// Brings the link up and lets the node forward for its pods. ARP settings are left as the kernel has them.
pub(super) fn connect(spec: &NodeSpec) -> Result<()> {
    let NodeSpec { address, .. } = spec;
    let lines = format!(
        "link set lo up\nlink set vec0 name eth0\naddr add {address}/{PREFIX} dev eth0\nlink set eth0 up\n\
         route add default via {ADDRESS}\n"
    );
    tool::run(Command::new("ip").args(["-batch", "-"]), &lines)?;
    tool::run(Command::new("modprobe").args(["-a", "overlay", "bridge", "veth"]), "")?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("let the node forward")?;
    let bridge = json!({
        "cniVersion": "0.4.0", "name": "pods",
        "plugins": [{
            "type": "bridge", "bridge": "cni0", "isDefaultGateway": true,
            "ipam": {"type": "host-local", "subnet": pod_network(*address), "dataDir": "/run/cni/addresses"},
        }],
    });
    folder("/run/cni/net.d")?;
    fs::write("/run/cni/net.d/10-pods.conflist", bridge.to_string()).context("describe the pods' network")
}

/// Starts the container runtime and imports the images.
pub(super) fn start_containerd(spec: &NodeSpec) -> Result<Child> {
    fs::write("/run/containerd.toml", containerd_configuration()).context("configure containerd")?;
    let child = start("containerd", Command::new("containerd").args(["--config", "/run/containerd.toml"]))?;
    let until = Instant::now() + RUNTIME_DEADLINE;
    let ctr = |arguments: &[&str]| {
        tool::run(Command::new("ctr").args(["--namespace", "k8s.io"]).args(arguments), "")
    };
    while let Err(error) = ctr(&["version"]) {
        if Instant::now() > until {
            bail!("containerd does not answer: {error:#}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    for image in &spec.images {
        ctr(&["images", "import", image.to_str().context("a path in UTF-8")?])?;
    }
    Ok(child)
}

fn containerd_configuration() -> String {
    // Debian 12 has containerd 1.6: configuration version 2. What this kernel lacks is left out.
    format!(
        r#"
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{WORKLOAD}"
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#
    )
}

/// Starts the kubelet.
pub(super) fn start_kubelet(spec: &NodeSpec) -> Result<Child> {
    fs::write("/run/kubelet.kubeconfig", &spec.kubeconfig)?;
    fs::write("/run/authority.crt", &spec.authority)?;
    fs::write("/run/kubelet.json", kubelet_configuration().to_string()).context("configure the kubelet")?;
    let mut kubelet = Command::new(&spec.kubelet);
    kubelet.args(["--config=/run/kubelet.json", "--kubeconfig=/run/kubelet.kubeconfig", "--v=1"]);
    kubelet.args([
        "--cert-dir=/run/kubelet-certificates".to_owned(),
        format!("--hostname-override={}", spec.name),
    ]);
    kubelet.arg(format!("--node-ip={}", spec.address));
    start("kubelet", &mut kubelet)
}

fn kubelet_configuration() -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": "/run/authority.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "cgroupDriver": "cgroupfs", "failSwapOn": false, "makeIPTablesUtilChains": false,
        // User-Mode Linux has no cpuset, on which the enforcement for pods insists.
        "enforceNodeAllocatable": ["none"],
        "evictionHard": {
            "memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%",
        },
        "volumePluginDir": "/run/kubelet-plugins", "resolvConf": "",
        "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local",
        // Four times within the 8 s after which the controller manager takes a silent node for lost.
        "nodeLeaseDurationSeconds": 8, "nodeStatusUpdateFrequency": "4s",
    })
}

/// Starts a program of the node, its output in the folder of the run.
fn start(name: &str, command: &mut Command) -> Result<Child> {
    let log = File::create(Path::new(RUN).join(format!("{name}.log")))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("start {name}"))
}

fn folder(path: &str) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
    made.with_context(|| format!("make {path}"))
}
