//! Kernel modules. They belong to the guest's kernel and so to all hosts of a lab.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::process;

/// Loads a module. Fails where the guest's kernel has none of that name.
pub fn load(name: &str) -> Result<()> {
    process::run(&process::words(["modprobe", name]), "")?.success().map(drop)
}

/// Unloads a module and keeps the kernel from loading it again, as on a machine that does not have it.
///
/// Fails where it is in use.
pub fn take_away(name: &str) -> Result<()> {
    fs::create_dir_all("/run/modprobe.d")?;
    fs::write(rule(name), format!("install {name} /bin/false\n"))
        .with_context(|| format!("forbid {name}"))?;
    if fs::exists(format!("/sys/module/{name}")).context("look for the module")? {
        process::run(&process::words(["rmmod", name]), "")?.success()?;
    }
    Ok(())
}

/// Lets the kernel load a module again that was taken away. Fails where it was not.
pub fn give_back(name: &str) -> Result<()> {
    fs::remove_file(rule(name)).with_context(|| format!("{name} was not taken away"))
}

/// modprobe reads `/run/modprobe.d` as seen by the guest's first process, also where a host asks for a module.
fn rule(name: &str) -> PathBuf {
    PathBuf::from(format!("/run/modprobe.d/taken-away-{name}.conf"))
}
