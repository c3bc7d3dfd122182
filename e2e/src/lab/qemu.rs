//! A guest on Debian's kernel for clouds, in a machine that QEMU emulates (TCG: any machine can, without KVM).
//!
//! `e2e/setup/fetch-kernel` has the kernel and what it starts with in a folder of the cache. The kernel has no file system
//! that QEMU serves by itself (9p), but virtiofs: virtiofsd serves the machine's files through memory that it shares with
//! QEMU, and the guest's first script goes on in them.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::boot::Boot;
use super::request::{REQUEST_VARIABLE, Request};
use super::root;

/// Memory of a guest in MiB. It is a limit: a guest takes of the machine only what it touches.
const MEMORY_MIB: u64 = 1024;

/// The script that fetches the kernel. It alone knows how the cache is keyed, so it is asked and not imitated.
const FETCH_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/setup/fetch-kernel");

/// Where packages put virtiofsd: the one that came with QEMU up to 7.2, then one of its own.
const FILE_SERVERS: [&str; 2] = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];

/// The emulator, where its package puts it.
const EMULATOR: [&str; 1] = ["/usr/bin/qemu-system-x86_64"];

/// Whether the emulator is installed and the kernel fetched.
#[must_use]
pub fn is_there() -> bool {
    installed(&EMULATOR).is_ok() && fetched().is_ok()
}

/// What boots a guest whose first process is `program`.
///
/// Fails where a program is not installed or the kernel not fetched, with the command that does it, or where a path of the
/// run cannot stand on a kernel's command line.
pub fn boot(program: &Path, request: &Request, cpus: usize) -> Result<Boot> {
    let fetched = fetched()?;
    let folder = root::link_program_and_modules(&request.directory, program, &fetched.join("modules"))?;
    let socket = request.directory.join("files.socket");

    let mut kernel = Command::new(installed(&EMULATOR)?);
    kernel.env_clear().args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    kernel.args(["-machine", "q35,memory-backend=memory", "-accel", "tcg,thread=multi", "-cpu", "max"]);
    kernel.args(["-smp", &cpus.to_string(), "-m", &format!("{MEMORY_MIB}M")]);
    kernel.args(["-object", &format!("memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on")]);
    kernel.args(["-chardev", &format!("socket,id=files,path={}", socket.display())]);
    kernel.args(["-device", "vhost-user-fs-pci,chardev=files,tag=machine", "-serial", "stdio"]);
    if request.outside {
        kernel.args(["-netdev", "tap,id=outside,ifname=tap0,script=no,downscript=no"]);
        kernel.args(["-device", "virtio-net-pci,netdev=outside,romfile="]);
    }
    kernel.arg("-kernel").arg(fetched.join("linux")).arg("-initrd").arg(fetched.join("initramfs"));
    // On a busy machine the timer's ticks come late: the kernel would take the emulated timer for a broken one.
    let line = format!(
        "console=ttyS0 quiet panic=-1 no_timer_check random.trust_cpu=on lab_init={folder}/init \
         {REQUEST_VARIABLE}={folder}/request.json"
    );
    kernel.args(["-append", &line]);
    Ok(Boot { servers: vec![file_server(&request.directory, &socket)?], kernel })
}

/// virtiofsd, for all files of the machine. What the guest writes beside the folder of the run stays in its overlay.
fn file_server(directory: &Path, socket: &Path) -> Result<Command> {
    let mut server = Command::new(installed(&FILE_SERVERS)?);
    // Its socket is there before QEMU asks for it: the program gets it as its standard input.
    let listener = UnixListener::bind(socket).with_context(|| format!("make {}", socket.display()))?;
    let log = File::create(directory.join("logs/virtiofsd.log")).context("make virtiofsd's log")?;
    server.env_clear().arg("--fd=0").stdin(OwnedFd::from(listener));
    // Options that both programs know. Their other sandbox needs namespaces, which a container may refuse.
    server.args(["-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot"]);
    server.stdout(Stdio::null()).stderr(log);
    Ok(server)
}

/// The folder that `fetch-kernel` has filled. Fails where there is none.
fn fetched() -> Result<PathBuf> {
    let output =
        Command::new(FETCH_SCRIPT).arg("--where").output().with_context(|| format!("run {FETCH_SCRIPT}"))?;
    ensure!(
        output.status.success(),
        "{}. Fetch it, once: e2e/setup/fetch-kernel (`make setup` does)",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(PathBuf::from(String::from_utf8(output.stdout).context("the name of the cache folder")?.trim_end()))
}

/// The first of these programs that is there.
fn installed(programs: &[&str]) -> Result<PathBuf> {
    let found = programs.iter().map(PathBuf::from).find(|path| path.exists());
    found.with_context(|| {
        format!(
            "there is no {}: e2e/setup/packages second-kernel installs it (`make setup` does), or set LAB=host where this machine's \
             own kernel has ip_vs",
            programs.join(" or ")
        )
    })
}
