//! A network namespace, kept alive by open files.
//!
//! Namespaces belong to threads. So a thread that enters one is all that it takes to start, open or write something
//! there: no helper program stands between, and many threads may be in one namespace at once. The namespace goes when
//! its [`Namespace`] and all that was started in it are gone.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread::{JoinHandle, scope, spawn};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::gettid;

/// Which namespaces a host has for itself besides the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// None: the files are those of the one that makes it.
    Network,
    /// Mounts and host name too.
    Host,
}

/// Namespaces that threads can enter.
#[derive(Debug)]
pub struct Namespace {
    network: File,
    rest: Vec<(File, CloneFlags)>,
}

impl Namespace {
    /// Makes fresh namespaces and runs `prepare` in them.
    ///
    /// Fails without the right to make them, and where `prepare` does.
    pub fn new(isolation: Isolation, prepare: impl FnOnce() -> Result<()> + Send) -> Result<Self> {
        let fresh = match isolation {
            Isolation::Network => CloneFlags::CLONE_NEWNET,
            Isolation::Host => CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS,
        };
        in_thread(move || {
            // The root and the working folder must be the thread's own before its mounts can be.
            unshare(fresh | CloneFlags::CLONE_FS).context("make namespaces (this needs root)")?;
            prepare()?;
            let rest = match isolation {
                Isolation::Network => Vec::new(),
                Isolation::Host => {
                    vec![(own("mnt")?, CloneFlags::CLONE_NEWNS), (own("uts")?, CloneFlags::CLONE_NEWUTS)]
                }
            };
            Ok(Self { network: own("net")?, rest })
        })
    }

    /// Runs `job` in the namespace and waits for it; a panic in it goes on here.
    ///
    /// Fails where the namespace cannot be entered.
    pub fn inside<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T> {
        in_thread(|| self.enter().map(|()| job()))
    }

    /// Runs `job` in the namespace beside the caller, who joins it when its result is wanted.
    ///
    /// Fails where the namespace's files cannot be kept for it.
    pub fn beside<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let keep = |file: &File| file.try_clone().context("keep a namespace open");
        let rest = self.rest.iter().map(|(file, kind)| Ok((keep(file)?, *kind))).collect::<Result<_>>()?;
        let same = Self { network: keep(&self.network)?, rest };
        Ok(spawn(move || same.enter().map(|()| job())))
    }

    /// The network namespace as a path that any program of this PID namespace can open while this value lives.
    #[must_use]
    pub fn network_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.network.as_raw_fd()))
    }

    /// The number by which the kernel tells network namespaces apart.
    ///
    /// Fails where the open file has no metadata.
    pub fn network_inode(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt as _;
        Ok(self.network.metadata().context("look at a namespace")?.ino())
    }

    fn enter(&self) -> Result<()> {
        setns(&self.network, CloneFlags::CLONE_NEWNET).context("enter the network namespace")?;
        for (file, kind) in &self.rest {
            if *kind == CloneFlags::CLONE_NEWNS {
                unshare(CloneFlags::CLONE_FS).context("have a root of one's own")?;
            }
            setns(file, *kind).context("enter a namespace")?;
        }
        Ok(())
    }
}

/// A namespace file of this thread.
fn own(kind: &str) -> Result<File> {
    let path = format!("/proc/self/task/{}/ns/{kind}", gettid());
    File::open(&path).with_context(|| format!("open {path}"))
}

/// Runs `job` in a thread of its own, so that what it does to its namespaces stays there.
pub(super) fn in_thread<T: Send>(job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let ended = scope(|scope| scope.spawn(job).join());
    match ended {
        Ok(result) => result,
        Err(panic) if panic.is::<String>() || panic.is::<&str>() => resume_unwind(panic),
        Err(_) => Err(anyhow!("a thread in a namespace panicked")),
    }
}
