//! Where the programs of a control plane lie: `e2e/control-plane/build` makes them and names their folder.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

/// The script that builds them. It alone knows how the cache is keyed, so it is asked and not imitated.
const BUILD_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/control-plane/build");

/// The path of a built program, by its name: `kube-apiserver`, `etcd`, `kubectl`, `kube-controller-manager`,
/// `kube-scheduler` or `kubelet`.
///
/// # Errors
/// Where it is not built, with the command that builds it. Whoever asked for an API server is to fail then,
/// not to go on without one.
pub fn program(name: &str) -> Result<PathBuf> {
    require(&[name])?;
    Ok(folder()?.join(name))
}

/// Sees to it that all of these are built, so that one message names all that are not.
pub(super) fn require(names: &[&str]) -> Result<()> {
    let folder = folder()?;
    let missing: Vec<&str> = names.iter().copied().filter(|name| !folder.join(name).is_file()).collect();
    ensure!(
        missing.is_empty(),
        "not built, so there can be no API server: {} (looked in {}). Build it, once, with Go 1.26 or newer: \
         e2e/control-plane/build {}",
        missing.join(", "),
        folder.display(),
        missing.join(" ")
    );
    Ok(())
}

fn folder() -> Result<PathBuf> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    if let Some(known) = FOLDER.get() {
        return Ok(known.clone());
    }
    let output =
        Command::new(BUILD_SCRIPT).arg("--where").output().with_context(|| format!("run {BUILD_SCRIPT}"))?;
    ensure!(
        output.status.success(),
        "{BUILD_SCRIPT} --where: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let printed = String::from_utf8(output.stdout).context("the name of the cache folder")?;
    Ok(FOLDER.get_or_init(|| PathBuf::from(printed.trim_end())).clone())
}

#[cfg(test)]
mod tests {
    use super::require;

    #[test]
    fn a_missing_program_is_an_error_that_says_what_to_run() {
        let error = require(&["kube-imaginary", "kube-unheard"]).unwrap_err().to_string();
        assert!(error.ends_with("e2e/control-plane/build kube-imaginary kube-unheard"), "{error}");
    }
}
