//! (j): each trouble has one clear reason, nothing is lost, and the other service goes on.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use lvs_e2e::lab::Launch;

fn run(scenario: &str) -> Result<()> {
    let launch = Launch::new(Path::new(env!("CARGO_BIN_EXE_lvs-lab")), scenario)?;
    launch.timeout(Duration::from_mins(10)).run().map(drop)
}

#[test]
fn manifests_that_are_wrong_and_a_node_that_goes() -> Result<()> {
    run("trouble-manifests")
}

#[test]
fn plans_that_are_cut_short_or_mixed_up() -> Result<()> {
    run("trouble-plans")
}

#[test]
fn agents_without_rights_or_one_too_many() -> Result<()> {
    run("trouble-agents")
}

#[test]
fn nodes_that_lack_something() -> Result<()> {
    run("trouble-nodes")
}

#[test]
fn nodes_that_reboot() -> Result<()> {
    run("trouble-reboots")
}
