//! What passes between the machine that tests and the guest: one file in, one file out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kernel::Kernel;

/// Environment variable by which the first process of a guest finds its [`Request`].
pub const REQUEST_VARIABLE: &str = "LVS_LAB_REQUEST";

/// Folder of the lab inside a guest: a tmpfs that every host of the lab shares.
pub const LAB: &str = "/lab";

/// Where the guest sees the folder of the run, the only place whose files outlive it.
pub const RUN: &str = "/lab/run";

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
