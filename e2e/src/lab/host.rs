//! A host of the lab.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::mount::MsFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, sethostname};

use super::namespace::{Isolation, Namespace};
use super::process::{self, Output, Process};
use super::request::RUN;
use super::root::{attach, bind, special};

/// A host: its own network, host name, mounts, `/run`, `/var/lib` and boot id.
///
/// The kernel, its modules and its clock are shared by all hosts of a lab.
#[derive(Debug)]
pub struct Host {
    name: String,
    folder: PathBuf,
    namespace: Namespace,
}

impl Host {
    /// A host that has just booted for the `boot`-th time. `folder` keeps what outlives a reboot.
    ///
    /// Fails where its namespaces or mounts cannot be made.
    pub(super) fn boot(name: &str, folder: PathBuf, boot: u32) -> Result<Self> {
        let (own_name, own_folder) = (name.to_owned(), folder.clone());
        let namespace = Namespace::new(Isolation::Host, move || furnish(&own_name, &own_folder, boot))
            .with_context(|| format!("boot {name}"))?;
        Ok(Self { name: name.to_owned(), folder, namespace })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespaces.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Folder that keeps what outlives a reboot: `var-lib`, and the boot id.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a command to its end: `host.run(["ip", "addr"])?.success()?`. Fails where it cannot be started.
    pub fn run<W: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = W>) -> Result<Output> {
        self.run_with_input(command, "")
    }

    /// The same, fed with `input`.
    pub fn run_with_input<W: AsRef<OsStr>>(
        &self,
        command: impl IntoIterator<Item = W>,
        input: &str,
    ) -> Result<Output> {
        let words = process::words(command);
        self.inside(|| process::run(&words, input))?
    }

    /// Runs a line of blank-separated words and returns its standard output: `host.sh("ip addr show lo")`.
    ///
    /// Fails where it cannot be started or does not end with 0.
    pub fn sh(&self, line: &str) -> Result<String> {
        self.run(line.split_whitespace())?.success().with_context(|| format!("on {}", self.name))
    }

    /// Starts a program beside the scenario. Its log is kept with the run and shown when the run fails.
    ///
    /// Fails where it cannot be started.
    pub fn spawn<W: AsRef<OsStr>>(
        &self,
        command: impl IntoIterator<Item = W>,
        environment: &[(&str, &str)],
    ) -> Result<Process> {
        let words = process::words(command);
        let program = words.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
        let name = format!("{}.{}", self.name, program.display());
        let log = process::log_path(&Path::new(RUN).join("logs"), &name);
        // The log is made by its path in the lab: hosts see the folder of the run too.
        self.inside(|| process::Process::start(&words, environment, log))?
    }

    /// Runs `job` in the host's namespaces: its sockets, files and children are the host's.
    ///
    /// Fails where they cannot be entered.
    pub fn inside<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T> {
        self.namespace.inside(job).with_context(|| format!("on {}", self.name))
    }

    /// Writes a file on the host, and the folders above it. Fails where that is refused.
    pub fn write_file(&self, path: &str, content: &str) -> Result<()> {
        self.inside(|| {
            Path::new(path).parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, content)
        })?
        .with_context(|| format!("write {path} on {}", self.name))
    }

    /// Reads a file of the host. Fails where it cannot be read.
    pub fn read_file(&self, path: &str) -> Result<String> {
        self.inside(|| fs::read_to_string(path))?.with_context(|| format!("read {path} on {}", self.name))
    }

    /// Kills every process on the host with SIGKILL, as a power cut does.
    ///
    /// Fails where the processes cannot be listed.
    pub(super) fn kill_all(&self) -> Result<()> {
        let inode = format!("net:[{}]", self.namespace.network_inode()?);
        for entry in fs::read_dir("/proc").context("list the processes")? {
            let path = entry?.path();
            let Some(id) = path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process that has just ended has no namespace to read.
            if fs::read_link(path.join("ns/net")).is_ok_and(|link| link == Path::new(&inode)) {
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
        Ok(())
    }
}

/// Gives a fresh host its own name, mounts and boot id.
fn furnish(name: &str, folder: &Path, boot: u32) -> Result<()> {
    sethostname(name).context("set the host name")?;
    attach(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    let kept = folder.join("var-lib");
    fs::create_dir_all(&kept)?;
    bind(&kept, Path::new("/var/lib"))?;
    special("tmpfs", "/run")?;
    // Without duplicate address detection a host's own addresses are usable when its links are up, not a second later.
    fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")?;
    // The mounted one shows the links of the namespace in which it was mounted.
    special("sysfs", "/sys")?;
    let id = folder.join("boot-id");
    fs::write(&id, boot_id(name, boot))?;
    bind(&id, Path::new("/proc/sys/kernel/random/boot_id"))
}

/// The boot id of a host that has booted for the `boot`-th time, with a line's end: it names both, so that a log reads by
/// itself. It has the form of a version 8 UUID (RFC 9562).
#[must_use]
pub fn boot_id(name: &str, boot: u32) -> String {
    // FNV-1a: it only has to differ between the hosts of a lab.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!(
        "{boot:08x}-{:04x}-8{:03x}-8000-{:012x}\n",
        hash >> 48,
        hash >> 36 & 0xfff,
        hash & 0xffff_ffff_ffff
    )
}
