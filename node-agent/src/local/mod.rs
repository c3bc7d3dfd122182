//! Local facts: what an agent knows of its own node besides the part of the kernel that it changes.

pub mod api_servers;
pub mod network_namespace;
pub mod privileges;
pub mod processes;

use std::collections::BTreeSet;

use anyhow::Context as _;
use lvs_core::local::Local;
use lvs_core::names::{BootId, FEATURES, NodeName};

/// The facts that stay the same for as long as the agent runs; the rest of [`Local`] is empty.
///
/// # Errors
/// Where `/proc` does not tell the boot id.
pub fn lasting(node: &NodeName) -> anyhow::Result<Local> {
    Ok(Local {
        node: node.clone(),
        boot_id: boot_id()?,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        features: BTreeSet::from(FEATURES.map(Into::into)),
        kernel_release: kernel_release()?,
        ..Local::default()
    })
}

/// The present boot (random(4)).
///
/// # Errors
/// Where `/proc` is not there.
pub fn boot_id() -> anyhow::Result<BootId> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text =
        std::fs::read_to_string(path).with_context(|| format!("the boot id cannot be read from {path}"))?;
    Ok(BootId(text.trim().to_owned()))
}

fn kernel_release() -> anyhow::Result<String> {
    let names = nix::sys::utsname::uname().context("the kernel's release cannot be read")?;
    Ok(names.release().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_its_boot_and_its_kernel() {
        let local = lasting(&"director-1".into()).unwrap();
        assert_eq!(local.boot_id.0.len(), 36, "{}", local.boot_id);
        assert!(local.kernel_release.starts_with(|first: char| first.is_ascii_digit()));
        assert_eq!(local.features.len(), FEATURES.len());
    }
}
