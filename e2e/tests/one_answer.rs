//! (c) and (d): one answer to ARP at any time, also while agents are killed around every change that they make.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use lvs_e2e::lab::Launch;

fn run(scenario: &str, minutes: u64) -> Result<()> {
    let launch = Launch::new(Path::new(env!("CARGO_BIN_EXE_lvs-lab")), scenario)?;
    launch.timeout(Duration::from_mins(minutes)).run().map(drop)
}

#[test]
fn two_directors() -> Result<()> {
    run("one-answer", 5)
}

#[test]
fn two_directors_of_which_one_is_a_real_server() -> Result<()> {
    run("one-answer-two-roles", 5)
}

#[test]
fn a_director_killed_while_it_creates_and_deletes() -> Result<()> {
    run("killed-director-create-delete", 30)
}

#[test]
fn a_director_killed_while_it_edits() -> Result<()> {
    run("killed-director-edit", 30)
}

#[test]
fn a_director_killed_while_it_moves() -> Result<()> {
    run("killed-director-move", 30)
}

#[test]
fn a_real_server_killed_while_it_creates_and_deletes() -> Result<()> {
    run("killed-real-server-create-delete", 30)
}

#[test]
fn a_real_server_killed_while_it_edits() -> Result<()> {
    run("killed-real-server-edit", 30)
}
