//! The root file system of a guest: what the machine has, with nothing of it within reach of a write.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::utsname::uname;
use nix::unistd::{chdir, pivot_root};

use super::request::{LAB, RUN, Request};

/// In the folder of a run: the link to the guest's first process.
const PROGRAM: &str = "init";
/// In the folder of a run: the link to the kernel's modules, which lie there by release.
const MODULES: &str = "modules";

/// On the machine that tests: links what a kernel that boots has to find into the folder of the run, and returns that
/// folder as it stands on the kernel's command line. The links have no blanks in their paths, whatever the folders are
/// called that they lead to.
///
/// Fails where the folder's own path has some.
pub fn link_program_and_modules(directory: &Path, program: &Path, modules: &Path) -> Result<String> {
    for (name, target) in [(PROGRAM, program), (MODULES, modules)] {
        let link = directory.join(name);
        symlink(target, &link).with_context(|| format!("link {}", link.display()))?;
    }
    let folder = directory.to_str().filter(|path| !path.contains(char::is_whitespace));
    let Some(folder) = folder else {
        bail!("{} cannot stand on a kernel's command line", directory.display())
    };
    Ok(folder.to_owned())
}

/// Makes the guest's root and moves into it: [`LAB`] is a fresh tmpfs, [`RUN`] the folder of the run, `/run` is empty,
/// modules can be loaded by name.
///
/// Fails where a mount is refused.
pub fn prepare(request: &Request) -> Result<()> {
    // Nothing that is mounted from here on shows outside this mount namespace.
    attach(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    if request.kernel.boots() {
        special("proc", "/proc")?;
        special("sysfs", "/sys")?;
    }
    special("tmpfs", "/run")?;
    let root = PathBuf::from("/run/root");
    if request.kernel.boots() {
        overlay(&root, &request.directory.join(MODULES))?;
    } else {
        bind_all(&root)?;
    }
    let lab = root.join(LAB.trim_start_matches('/'));
    fs::create_dir_all(&lab)?;
    attach(Some("tmpfs"), &lab, Some("tmpfs"), MsFlags::empty())?;
    let run = root.join(RUN.trim_start_matches('/'));
    fs::create_dir_all(&run)?;
    bind(&request.directory, &run)?;
    enter(&root)
}

/// The machine's files under an overlay: each write stays in the guest's memory.
fn overlay(root: &Path, modules: &Path) -> Result<()> {
    let release = uname().context("ask for the kernel's release")?.release().to_owned();
    // The run's folder may lie where the guest has something of its own: its link is followed now.
    let modules = modules.join(&release);
    let modules = modules.canonicalize().with_context(|| format!("find {}", modules.display()))?;
    // The overlay is itself a module, and the folder where modprobe looks may not exist on this machine.
    let start = Path::new("/run/start");
    fs::create_dir_all(start.join("lib/modules"))?;
    symlink(&modules, start.join("lib/modules").join(&release))?;
    let status =
        Command::new("modprobe").arg("-d").arg(start).arg("overlay").status().context("run modprobe")?;
    ensure!(status.success(), "the kernel module overlay does not load from {}", modules.display());

    let (upper, work) = (Path::new("/run/upper"), Path::new("/run/work"));
    for folder in [root, upper, work] {
        fs::create_dir_all(folder)?;
    }
    let layers = format!("lowerdir=/,upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("overlay"), root, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
        .context("mount the overlay over the machine's files")?;
    let by_name = root.join("usr/lib/modules");
    fs::create_dir_all(&by_name)?;
    symlink(&modules, by_name.join(&release)).or_else(exists_already)?;
    Ok(())
}

/// The machine's own folders one by one, read-only, with room for the lab beside them.
fn bind_all(root: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    attach(Some("tmpfs"), root, Some("tmpfs"), MsFlags::empty())?;
    for entry in fs::read_dir("/")? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let Some(name) = path.file_name() else { continue };
        let target = root.join(name);
        if kind.is_symlink() {
            symlink(fs::read_link(&path)?, &target)?;
        } else if kind.is_dir() && !["proc", "sys", "run"].iter().any(|own| name == *own) {
            fs::create_dir(&target)?;
            attach(path.to_str(), &target, None, MsFlags::MS_BIND | MsFlags::MS_REC)?;
            let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            attach(None, &target, None, read_only)?;
        }
    }
    Ok(())
}

/// Makes `root` the root of this process and of the kernel's helpers, with its own `/proc`, `/sys`, `/dev` and `/run`.
fn enter(root: &Path) -> Result<()> {
    for name in ["proc", "sys", "run", "old"] {
        fs::create_dir_all(root.join(name))?;
    }
    pivot_root(root, &root.join("old")).context("change the root")?;
    chdir("/").context("go to the root")?;
    special("proc", "/proc")?;
    special("sysfs", "/sys")?;
    special("tmpfs", "/run")?;
    if !Path::new("/dev/null").exists() {
        special("devtmpfs", "/dev")?;
    }
    umount2("/old", MntFlags::MNT_DETACH).context("let the old root go")
}

/// Mounts a file system of the kernel's own.
pub(super) fn special(kind: &str, target: &str) -> Result<()> {
    attach(Some(kind), Path::new(target), Some(kind), MsFlags::empty())
}

/// Shows `source` also at `target`.
pub(super) fn bind(source: &Path, target: &Path) -> Result<()> {
    attach(source.to_str(), target, None, MsFlags::MS_BIND)
}

/// mount(2), with an error that says what was mounted where.
pub(super) fn attach(source: Option<&str>, target: &Path, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    mount(source, target, kind, flags, None::<&str>).with_context(|| {
        format!("mount {} at {}", source.or(kind).unwrap_or("a change of flags"), target.display())
    })
}

fn exists_already(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}
