//! A guest on User-Mode Linux: a kernel as a program, here Debian's package `user-mode-linux`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::request::{REQUEST_VARIABLE, Request};
use super::root;

/// Memory of a guest in MiB. It is a limit: a guest takes of the machine only what it touches.
const MEMORY_MIB: u64 = 512;

/// Where Debian's package puts its modules, by release.
const MODULES: &str = "/usr/lib/uml/modules";

/// The kernel program: `LVS_LAB_KERNEL`, else where Debian's package puts it.
pub fn kernel() -> PathBuf {
    std::env::var_os("LVS_LAB_KERNEL").map_or_else(|| PathBuf::from("/usr/bin/linux.uml"), PathBuf::from)
}

/// The command that boots a guest whose first process is `program`.
///
/// Fails where the kernel is not installed, where no folder can hold the guest's memory, or where a path of the run
/// cannot stand on a kernel's command line.
pub fn command(program: &Path, request: &Request) -> Result<Command> {
    let kernel = kernel();
    if !kernel.exists() {
        bail!(
            "there is no User-Mode Linux kernel at {}: install it with `apt-get install user-mode-linux` (`make setup` \
             does), or set LVS_LAB_KERNEL, or set LAB=host where this machine's own kernel has ip_vs",
            kernel.display()
        );
    }
    let folder = root::link_program_and_modules(&request.directory, program, Path::new(MODULES))?;

    let mut command = Command::new(kernel);
    command.env_clear().env("TMPDIR", memory_folder()?).env("HOME", &folder);
    command.arg(format!("mem={MEMORY_MIB}M"));
    command.args(["rootfstype=hostfs", "rootflags=/", "rw"]);
    command.arg(format!("init={folder}/init")).arg(format!("{REQUEST_VARIABLE}={folder}/request.json"));
    // A killed guest leaves its control socket behind: in the folder of the run it goes with it.
    command.args([format!("uml_dir={folder}/"), "umid=guest".to_owned()]);
    command.args(["con=null", "con0=null,fd:1", "quiet", "noreboot", "panic=-1", "random.trust_cpu=on"]);
    if request.outside {
        command.arg("vec0:transport=tap,ifname=tap0,depth=128,gro=1");
    }
    Ok(command)
}

/// A folder in memory that can hold a whole guest and may be mapped executable, else the folder for temporary files.
fn memory_folder() -> Result<PathBuf> {
    let fits = |folder: &Path| {
        statvfs(folder).is_ok_and(|fs| {
            let free = fs.blocks_available().saturating_mul(fs.fragment_size());
            free > MEMORY_MIB << 20 && !fs.flags().contains(FsFlags::ST_NOEXEC)
        })
    };
    [PathBuf::from("/dev/shm"), PathBuf::from("/run"), std::env::temp_dir()]
        .into_iter()
        .find(|folder| fits(folder))
        .with_context(|| {
            format!(
                "a guest needs {MEMORY_MIB} MiB in a folder that is not mounted noexec: /dev/shm, /run and {} have \
                 less free (in a container: --shm-size=2g)",
                std::env::temp_dir().display()
            )
        })
}
