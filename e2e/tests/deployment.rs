//! The product on hosts of the lab: the demo, the notes' recipe, connections, foreign entries, the end, random tables.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use lvs_e2e::lab::{KernelNeeds, Launch};

/// Runs a scenario; it has its own assertions.
fn run(scenario: &str, seconds: u64) -> Result<()> {
    let launch = Launch::new(Path::new(env!("CARGO_BIN_EXE_lvs-lab")), scenario)?;
    launch.timeout(Duration::from_secs(seconds)).run().map(drop)
}

#[test]
fn the_demo_shows_what_it_says() -> Result<()> {
    run("demo", 300)
}

#[test]
fn the_recipe_is_that_of_the_notes() -> Result<()> {
    run("recipe", 300)
}

#[test]
fn both_families_are_served() -> Result<()> {
    run("both-families", 300)
}

#[test]
fn what_others_own_stays() -> Result<()> {
    run("foreign", 300)
}

#[test]
fn cleanup_leaves_a_node_as_it_was_found() -> Result<()> {
    run("cleanup", 300)
}

#[test]
fn every_setting_is_in_the_kernel_and_on_packets() -> Result<()> {
    run("every-setting", 300)
}

#[test]
fn every_setting_is_so_on_the_second_kernel_too() -> Result<()> {
    let launch = Launch::new(Path::new(env!("CARGO_BIN_EXE_lvs-lab")), "every-setting")?;
    let launch = launch.kernel(KernelNeeds::Distribution { cpus: 1 })?;
    launch.timeout(Duration::from_secs(300)).run().map(drop)
}

#[test]
fn every_way_of_forwarding_carries_connections() -> Result<()> {
    run("every-forwarding", 600)
}

#[test]
fn masquerading_needs_a_way_back_and_writes_another_port() -> Result<()> {
    run("masquerade", 300)
}

#[test]
fn full_nat_and_redirected_ports_carry_connections() -> Result<()> {
    run("full-nat", 600)
}

#[test]
fn marks_lead_to_real_servers() -> Result<()> {
    let launch = Launch::new(Path::new(env!("CARGO_BIN_EXE_lvs-lab")), "marks")?;
    let launch = launch.kernel(KernelNeeds::Distribution { cpus: 2 })?;
    launch.timeout(Duration::from_secs(600)).run().map(drop)
}

#[test]
fn sysctls_are_set_and_come_back() -> Result<()> {
    run("node-settings", 300)
}

#[test]
fn a_second_writer_is_named_and_a_flush_repaired() -> Result<()> {
    run("second-writer", 300)
}

#[test]
fn a_lone_change_in_a_large_table_is_repaired() -> Result<()> {
    run("lone-change", 300)
}

#[test]
fn random_tables_agree_in_the_first_half() -> Result<()> {
    run("random-tables-1", 1500)
}

#[test]
fn random_tables_agree_in_the_second_half() -> Result<()> {
    run("random-tables-2", 1500)
}
