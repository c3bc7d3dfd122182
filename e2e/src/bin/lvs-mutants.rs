//! Seeds named bugs, one at a time, and sees whether each turns the row red that it should.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;

/// Every bug of e2e/mutants.yaml in turn, and a table at the end.
#[derive(Parser)]
#[command(name = "lvs-mutants")]
struct Arguments {
    /// Seed only bugs whose name starts so.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lvs-mutants: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace holds e2e")?;
    lvs_e2e::mutants::run(workspace, &arguments.only)
}
