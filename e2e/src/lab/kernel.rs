//! The kernels that can run the hosts of a lab, and which of them a scenario gets.

use std::sync::Once;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{own_kernel, qemu, uml};

/// Which kernel runs the hosts of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kernel {
    /// User-Mode Linux, with the file system of the machine under an overlay (`LAB=uml`).
    UserModeLinux,
    /// Debian's kernel for clouds on a machine that QEMU emulates, with the same files (`LAB=qemu`). It boots and runs
    /// several times slower.
    Emulated,
    /// The machine's own kernel, in fresh namespaces (`LAB=host`).
    Own,
}

/// What a scenario asks of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelNeeds {
    /// Nothing that User-Mode Linux lacks.
    Common,
    /// What a distribution's kernel has and User-Mode Linux lacks: the families ip, ip6 and inet of nftables, and several
    /// CPUs.
    Distribution {
        /// How many CPUs the guest has, 1 or more.
        cpus: usize,
    },
}

impl KernelNeeds {
    /// How many CPUs the guest has.
    #[must_use]
    pub fn cpus(self) -> usize {
        match self {
            Self::Common => 1,
            Self::Distribution { cpus } => cpus,
        }
    }
}

impl Kernel {
    /// The kernel for these needs: that which the environment variable `LAB` names, `uml`, `qemu` or `host`. Unset, it is
    /// the one that boots fastest of those that have all that is needed; or the machine's own, which it says, where that
    /// one is not installed and the own one has IPVS.
    ///
    /// Fails on any other value, and where User-Mode Linux is named and lacks what is needed.
    pub fn choose(needs: KernelNeeds) -> Result<Self> {
        let asked = std::env::var("LAB").unwrap_or_default();
        if let Some(named) = named(&asked, needs)? {
            return Ok(named);
        }
        let (kernel, what, installed) = match needs {
            KernelNeeds::Common => (Self::UserModeLinux, "User-Mode Linux", uml::kernel().exists()),
            KernelNeeds::Distribution { .. } => (Self::Emulated, "second kernel for QEMU", qemu::is_there()),
        };
        if !installed && own_kernel::has_ipvs() {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                eprintln!("lab: no {what} here, so this machine's own kernel runs the hosts (as LAB=host)");
            });
            return Ok(Self::Own);
        }
        Ok(kernel)
    }

    /// Its value of `LAB`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UserModeLinux => "uml",
            Self::Emulated => "qemu",
            Self::Own => "host",
        }
    }

    /// Whether it boots: the guest then has no file system yet, and is switched off in the end.
    #[must_use]
    pub fn boots(self) -> bool {
        self != Self::Own
    }
}

/// The kernel that a value of `LAB` names; nothing where it is empty.
fn named(asked: &str, needs: KernelNeeds) -> Result<Option<Kernel>> {
    if asked.is_empty() {
        return Ok(None);
    }
    let kernels = [Kernel::UserModeLinux, Kernel::Emulated, Kernel::Own];
    let kernel = kernels.into_iter().find(|kernel| kernel.name() == asked).with_context(|| {
        format!(
            "LAB={asked} is unknown: use LAB=uml (User-Mode Linux), LAB=qemu (Debian's kernel in an emulated machine) or \
             LAB=host (this machine's own kernel)"
        )
    })?;
    ensure!(
        kernel != Kernel::UserModeLinux || needs == KernelNeeds::Common,
        "LAB=uml: User-Mode Linux has one CPU and no nftables for IPv4 and IPv6, which this scenario needs: use LAB=qemu, \
         or leave LAB unset"
    );
    Ok(Some(kernel))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_CPUS: KernelNeeds = KernelNeeds::Distribution { cpus: 2 };

    #[test]
    fn lab_names_a_kernel() {
        for (asked, kernel) in
            [("uml", Kernel::UserModeLinux), ("qemu", Kernel::Emulated), ("host", Kernel::Own)]
        {
            assert_eq!(named(asked, KernelNeeds::Common).unwrap(), Some(kernel), "{asked}");
        }
        assert_eq!(named("", TWO_CPUS).unwrap(), None);
        assert_eq!(named("qemu", TWO_CPUS).unwrap(), Some(Kernel::Emulated));
    }

    #[test]
    fn a_kernel_that_lacks_what_is_needed_is_refused_and_so_is_one_that_there_is_not() {
        let lacking = named("uml", TWO_CPUS).unwrap_err().to_string();
        assert!(lacking.contains("LAB=qemu"), "{lacking}");
        let unknown = named("kvm", KernelNeeds::Common).unwrap_err().to_string();
        assert!(unknown.starts_with("LAB=kvm is unknown"), "{unknown}");
    }
}
