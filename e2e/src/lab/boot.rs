//! Programs that together are a guest, and their end.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};

/// What is started for a guest.
#[derive(Debug)]
pub struct Boot {
    /// What serves the kernel from outside, such as its files. Started before it, ended after it.
    pub servers: Vec<Command>,
    /// The kernel: the guest lives as long as this program.
    pub kernel: Command,
}

impl Boot {
    /// A kernel that needs nobody beside it.
    #[must_use]
    pub fn alone(kernel: Command) -> Self {
        Self { servers: Vec::new(), kernel }
    }

    /// Starts all of it on the given CPUs. It ends with the thread that calls, if not before.
    ///
    /// Fails where a program cannot be started.
    pub fn start(self, cpus: &CpuSet) -> Result<Guest> {
        let servers = self.servers.into_iter().map(|server| start(server, cpus));
        let servers = servers.collect::<Result<_>>()?;
        Ok(Guest { kernel: start(self.kernel, cpus)?, _servers: servers })
    }
}

/// A started guest. It and its process groups end with this value.
#[derive(Debug)]
pub struct Guest {
    // Dropped from top to bottom: the kernel before what serves it.
    kernel: Group,
    _servers: Vec<Group>,
}

impl Guest {
    /// How its kernel ended, or nothing while it runs. Fails where it cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.kernel.leader.try_wait().context("wait for the guest")
    }
}

/// A process and its process group. Dropped, all of it is killed.
#[derive(Debug)]
struct Group {
    leader: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.leader.id().cast_signed()), Signal::SIGKILL);
        let _ = self.leader.wait();
    }
}

fn start(mut command: Command, cpus: &CpuSet) -> Result<Group> {
    let cpus = *cpus;
    // SAFETY: between fork and exec only plain system calls are made, none of which allocates or takes a lock.
    #[allow(
        unsafe_code,
        reason = "std has no safe way to make a session or to bind a child's life to its parent's"
    )]
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            sched_setaffinity(Pid::from_raw(0), &cpus)?;
            Ok(())
        });
    }
    let program = command.get_program().to_owned();
    let leader = command.spawn().with_context(|| format!("start {}", program.display()))?;
    Ok(Group { leader })
}
