//! Runs every test of the workspace and ends with the table of what was proved.

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::Parser;
use lvs_e2e::record::{self, SEED_VARIABLE};
use lvs_e2e::table::rows::Rows;
use lvs_e2e::table::selection::Selection;
use lvs_e2e::table::sheet::Sheet;
use lvs_e2e::table::suite::Suite;

/// Every test there is, and a table at the end.
#[derive(Parser)]
#[command(name = "lvs-test")]
struct Arguments {
    /// Run only test programs whose name, PACKAGE/TARGET, starts so. The table then lacks rows, and that is a failure.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lvs-test: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace holds e2e")?.to_owned();
    let rows = Rows::read(&workspace.join("e2e/rows.yaml"))?;
    let folder =
        tempfile::Builder::new().prefix("lvs-test-").tempdir().context("make a folder for records")?;
    let records = folder.path().join("records.jsonl");
    let suite = Suite { workspace, target: None, records, log: None, seed: seed()? };
    println!("seed {} (the same choices again: {SEED_VARIABLE}={} make test)", suite.seed, suite.seed);
    let outcomes = suite.run(&Selection::Programs(arguments.only.clone()))?;
    let sheet = Sheet::new(&rows, &outcomes, &record::read(&suite.records)?, suite.seed);
    print!("\n{}", sheet.render());
    Ok(sheet.is_good())
}

/// The seed that was asked for, else one that nobody chose.
fn seed() -> Result<u64> {
    if std::env::var_os(SEED_VARIABLE).is_some() {
        return record::seed();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    Ok(now.as_secs())
}
