//! The images, as archives that a container runtime imports.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::tool;

/// Tag of every image of a test.
pub const TAG: &str = "e2e";
/// The workload of a test: the server of [`crate::lab::traffic`], and a program that only waits.
pub const WORKLOAD: &str = "localhost/lvs-e2e-workload:e2e";

/// Archives in docker's format, one image each.
#[derive(Clone, Debug)]
pub struct Images {
    /// The operator, the agent and the workload.
    pub archives: Vec<PathBuf>,
}

impl Images {
    /// Builds the programs, statically linked, and an image of each, without a registry. What is up to date is left
    /// alone.
    ///
    /// Fails where something does not compile, or buildah is not installed.
    pub fn build() -> Result<Self> {
        let script = tool::in_tree("e2e/cluster/build-images");
        let printed = tool::run(&mut Command::new(script), "").context("build the images")?;
        let archives: Vec<PathBuf> = printed.lines().map(PathBuf::from).collect();
        for archive in &archives {
            ensure!(archive.is_file(), "there is no image at {}", archive.display());
        }
        Ok(Self { archives })
    }
}
