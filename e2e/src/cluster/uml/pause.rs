//! What holds the namespaces of a pod, and buries its processes.

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

/// Waits for SIGTERM or SIGINT; meanwhile buries every process that has lost its parent to it.
///
/// Fails where signals cannot be waited for.
pub fn pause() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        signals.add(signal);
    }
    // A signal that is not blocked goes past sigwait(3), and PID 1 of a namespace ignores it.
    signals.thread_block().context("block signals")?;
    while signals.wait().context("wait for a signal")? == Signal::SIGCHLD {
        while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(_)) {}
    }
    Ok(())
}
