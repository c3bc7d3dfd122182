//! A node, from inside: its first process, and the one that makes it a node.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::wait;
use nix::unistd::{Pid, sethostname};

use super::node::{PATH, spec_of};
use super::{node_programs, remote};
use crate::lab::request::{RUN, Request};
use crate::lab::root;

/// Verb of `lvs-cluster` that leads to [`run_node`].
pub(super) const NODE: &str = "node";

/// The first process of a guest: makes the root file system, starts the process that does the rest, and buries every
/// process that has lost its parent (the runtime's shims do so on purpose).
///
/// Returns only where the guest cannot go on; it is switched off then.
pub fn main(request: &Path) -> Result<()> {
    // SAFETY: this process has no other thread yet that could read the environment.
    #[allow(
        unsafe_code,
        reason = "the kernel starts a first process with a PATH that lacks the sbin folders"
    )]
    unsafe {
        std::env::set_var("PATH", PATH);
    }
    let ended = Request::read(request).and_then(|request| live(&request));
    if let Err(error) = &ended {
        println!("the node failed: {error:#}");
    }
    nix::unistd::sync();
    let refused = reboot(RebootMode::RB_POWER_OFF);
    println!("the guest cannot switch itself off: {refused:?}");
    ended
}

fn live(request: &Request) -> Result<()> {
    root::prepare(request).context("make the root file system")?;
    let log = std::fs::File::create(Path::new(RUN).join("node.log")).context("make the node's log")?;
    let program = std::env::current_exe().context("find this program")?;
    let mut node = Command::new(program);
    node.arg(NODE).env_clear().env("PATH", PATH).stdout(log.try_clone()?).stderr(log);
    let node = node.spawn().context("start the node")?;
    let node = Pid::from_raw(node.id().cast_signed());
    loop {
        match wait() {
            Ok(status) if status.pid() == Some(node) => {
                anyhow::bail!("its main process has ended: {status:?}")
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("wait for processes"),
        }
    }
}

/// Makes the guest a node, then answers [`remote`] for as long as it is switched on.
///
/// Fails where the node cannot be made: that ends the guest.
pub fn run_node() -> Result<()> {
    let request = Request::read(&PathBuf::from(RUN).join("request.json"))?;
    let spec = spec_of(request.arguments)?;
    sethostname(&spec.name).context("set the host name")?;
    node_programs::mount_all(&spec)?;
    node_programs::connect(&spec)?;
    // From here on it can be asked what is wrong.
    let answering = remote::serve(spec.address)?;
    let _containerd = node_programs::start_containerd(&spec)?;
    let mut kubelet = node_programs::start_kubelet(&spec)?;
    // Without a kubelet it is no node; the runtime's absence the kubelet tells.
    let status = kubelet.wait().context("wait for the kubelet")?;
    drop(answering);
    anyhow::bail!("the kubelet has ended: {status}")
}
