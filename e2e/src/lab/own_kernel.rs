//! A guest on the machine's own kernel (`LAB=host`): fresh namespaces instead of a kernel of its own.
//!
//! Two steps, because a PID namespace holds only the children of the process that makes it: [`command`] starts this
//! program once, [`enter`] makes the namespaces there and starts it again as their first process. When that one ends,
//! the kernel ends all others in the namespace.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::mpsc::channel;
use std::thread::spawn;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, gettid};

use super::outside::BRIDGE;
use super::process;
use super::request::{REQUEST_VARIABLE, Request};

/// Whether this machine's kernel has IPVS: loaded, built in, or as a module that could be loaded.
#[must_use]
pub fn has_ipvs() -> bool {
    let loadable = || Command::new("modprobe").args(["--quiet", "--dry-run", "ip_vs"]).status();
    Path::new("/proc/net/ip_vs").exists() || loadable().is_ok_and(|status| status.success())
}

/// Verb of the program that leads to [`enter`].
pub const ENTER: &str = "enter-namespaces";

/// The command that starts a guest in fresh namespaces.
#[must_use]
pub fn command(program: &Path, request: &Request) -> Command {
    let mut command = Command::new(program);
    command.arg(ENTER).env(REQUEST_VARIABLE, request.directory.join("request.json"));
    command
}

/// Makes the namespaces and runs the guest in them, as its parent.
///
/// Fails without the right to make namespaces, or where the guest cannot be started.
pub fn enter(request: &Request) -> Result<ExitCode> {
    let fresh = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID;
    let (entered, wait) = channel();
    // Only the calling thread changes its namespaces: this one stays where the outside is.
    let outside =
        request.outside.then(|| spawn(move || wait.recv().context("wait for the namespaces").and_then(plug)));
    unshare(fresh).context("make namespaces (this needs root)")?;
    if let Some(outside) = outside {
        entered.send(gettid()).context("tell of the namespaces")?;
        outside.join().map_err(|_| anyhow!("the thread that plugs in the outside panicked"))??;
    }
    // With this process ends the guest, and with the guest everything in its PID namespace.
    prctl::set_pdeathsig(Signal::SIGKILL).context("ask to end with the parent")?;
    let program = std::env::current_exe().context("find this program")?;
    let status = Command::new(program).status().context("start the guest")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Leads a pair of links from the outside's bridge into the namespace of `thread`, where its end is `vec0`.
fn plug(thread: Pid) -> Result<()> {
    let lines = format!(
        "link add veth0 type veth peer name vec0 netns /proc/{thread}/ns/net\nlink set veth0 master {BRIDGE} up\n"
    );
    process::run(&process::words(["ip", "-batch", "-"]), &lines)?.success().map(drop)
}
