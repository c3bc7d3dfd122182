//! `make mutants`: seeds named bugs, one at a time, and sees whether each turns the row red that it should.
//!
//! [`list`] says which bugs there are, [`copy`] is the copy of the tree that they are seeded in, [`trial`] seeds and
//! judges, [`sheet`] prints what became of each.

mod copy;
pub mod list;
mod sheet;
mod trial;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::table::rows::Rows;
use crate::table::selection::Proof;
use list::{Mutant, Mutants};
use trial::{Bench, Fate};

/// Seeds the bugs whose names start with `only`, and prints a table at the end. Whether every one of them was noticed.
///
/// Fails where there is no such bug, the list does not fit the tree, or another run is under way.
pub fn run(workspace: &Path, only: &str) -> Result<bool> {
    let start = Instant::now();
    let rows = Rows::read(&workspace.join("e2e/rows.yaml"))?;
    let list = Mutants::read(&workspace.join("e2e/mutants.yaml"))?;
    list.check(workspace, &rows)?;
    let chosen: Vec<&Mutant> = list.mutants.iter().filter(|mutant| mutant.name.starts_with(only)).collect();
    ensure!(!chosen.is_empty(), "no mutant's name starts with {only:?}");
    let bench = Bench::new(workspace, &cache()?.join("mutants"), rows)?;
    let say = |text: &str| {
        let seconds = start.elapsed().as_secs();
        println!("[{:2}:{:02}] {text}", seconds / 60, seconds % 60);
    };
    println!("what builds and tests print is in {}", bench.log().display());

    let proofs = proofs(&chosen);
    let mut faults = BTreeMap::new();
    for (place, (proof, rows)) in proofs.iter().enumerate() {
        let Proof { program, tests } = proof;
        say(&format!("proof {} of {}, without a bug: {program} {tests}", place + 1, proofs.len()));
        if let Err(error) = bench.holds(proof, rows) {
            say(&format!("    ERROR: {error:#}"));
            faults.insert(*proof, error);
        }
    }
    let mut fates = Vec::new();
    for (place, mutant) in chosen.iter().enumerate() {
        say(&format!("mutant {} of {}, row {}: {}", place + 1, chosen.len(), mutant.row, mutant.name));
        let fate = match faults.get(&mutant.proof) {
            Some(error) => Fate::Failed(format!("{error:#}")),
            None => bench.seed(mutant)?,
        };
        say(&format!("    {fate}"));
        fates.push((*mutant, fate));
    }
    bench.restore()?;
    print!("\n{}", sheet::render(&fates));
    Ok(fates.iter().all(|(_, fate)| matches!(fate, Fate::Killed { .. })))
}

/// Each proof once, with the rows for which it stands.
fn proofs<'a>(mutants: &[&'a Mutant]) -> BTreeMap<&'a Proof, Vec<&'a str>> {
    let mut proofs: BTreeMap<&Proof, Vec<&str>> = BTreeMap::new();
    for mutant in mutants {
        proofs.entry(&mutant.proof).or_default().push(&mutant.row);
    }
    proofs
}

/// Where slow builds go: `LVS_CACHE`, outside of every tree.
fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("LVS_CACHE") {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").context("neither LVS_CACHE nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/lvs-operator"))
}
