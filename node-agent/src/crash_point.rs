//! Points at which a test kills the agent: before and after every change of the kernel or of the disk.
//!
//! Without the cargo feature `crash-points`, which no release has, every function here is empty. With it the
//! process-wide count of points passed is compared with `LVS_NODE_AGENT_CRASH_AT`, and at that number the process ends
//! by SIGKILL: as it would by a power cut, without any destructor or buffer being run.

/// Passes one point.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn pass() {}

/// How many operations go to the kernel in one batch.
#[cfg(not(feature = "crash-points"))]
#[inline]
#[must_use]
pub fn batch_size() -> usize {
    usize::MAX
}

/// Passes one point; kills the process where it is the one that `LVS_NODE_AGENT_CRASH_AT` names (1 is the first).
#[cfg(feature = "crash-points")]
pub fn pass() {
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if setting("LVS_NODE_AGENT_CRASH_AT") == Some(number) {
        // An error is impossible for a signal to oneself, and there is nothing left to tell it to.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// How many operations go to the kernel in one batch: `LVS_NODE_AGENT_BATCH_SIZE`, without it as many as there are.
#[cfg(feature = "crash-points")]
#[must_use]
pub fn batch_size() -> usize {
    setting("LVS_NODE_AGENT_BATCH_SIZE")
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(usize::MAX)
        .max(1)
}

#[cfg(feature = "crash-points")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
