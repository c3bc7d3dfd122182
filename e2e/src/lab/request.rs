//! What passes between the machine that tests and the guest: one file in, one file out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{own_kernel, uml};

/// Environment variable by which the first process of a guest finds its [`Request`].
pub const REQUEST_VARIABLE: &str = "LVS_LAB_REQUEST";

/// Folder of the lab inside a guest: a tmpfs that every host of the lab shares.
pub const LAB: &str = "/lab";

/// Where the guest sees the folder of the run, the only place whose files outlive it.
pub const RUN: &str = "/lab/run";

/// Which kernel runs the hosts of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kernel {
    /// User-Mode Linux, with the file system of the machine under an overlay.
    UserModeLinux,
    /// The machine's own kernel, in fresh namespaces (`LAB=host`).
    Own,
}

impl Kernel {
    /// The kernel that the environment variable `LAB` asks for: `uml` or `host`. Unset, it is User-Mode Linux where that
    /// is installed or this machine's own kernel has no IPVS, and says so where it is the own one.
    ///
    /// Fails on any other value.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("LAB").as_deref() {
            Ok("host") => Ok(Self::Own),
            Err(_) | Ok("") if !uml::kernel().exists() && own_kernel::has_ipvs() => {
                eprintln!(
                    "lab: no User-Mode Linux here, so this machine's own kernel runs the hosts (as LAB=host)"
                );
                Ok(Self::Own)
            }
            Err(_) | Ok("" | "uml") => Ok(Self::UserModeLinux),
            Ok(other) => anyhow::bail!("LAB={other} is unknown: use LAB=uml (User-Mode Linux) or LAB=host"),
        }
    }
}

/// One run of one scenario, as the guest is told it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Name in the registry ([`crate::scenarios::find`]).
    pub scenario: String,
    /// Free arguments of the scenario.
    pub arguments: Value,
    /// Built programs by name, as absolute paths that also hold in the guest.
    pub binaries: BTreeMap<String, PathBuf>,
    /// Start of every random choice of the run.
    pub seed: u64,
    /// Which kernel the guest runs on.
    pub kernel: Kernel,
    /// Whether a link `vec0` leads to an [`super::Outside`].
    pub outside: bool,
    /// Folder of the run, as a path on the machine that tests.
    pub directory: PathBuf,
    /// What the scenario shows line by line goes to the file `show` and is printed while it runs.
    pub show: bool,
}

impl Request {
    /// Reads a request file. Fails where it cannot be read or is not a request.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display()))
    }
}

/// How a scenario ended, as the guest tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the scenario returned, or why it failed.
    pub result: Result<Value, String>,
    /// The cases that held, in order: each is one thing that was tried and asserted.
    pub cases: Vec<String>,
}
