//! The operator: from VirtualServices to one plan per node, and from the nodes' reports to statuses.
//!
//! ```text
//!  observe (API or folder) --Snapshot--> decide: core::plan, core::status --> change --> write (API or folder)
//!       ^                                                                                    |
//!       +------------------------------- what was written ----------------------------------+
//! ```
//!
//! `observe` is the only reader and never writes; `write` is the only writer and decides nothing. Everything between
//! them is a function of values. Start with `run`.

mod arguments;
mod authority;
mod change;
mod clock;
mod connect;
mod decide;
mod departures;
mod folder;
mod health;
mod import;
mod lease;
mod log;
mod manifest;
mod memory;
mod observe;
mod offline;
mod pace;
mod run;
mod shutdown;
mod snapshot;
mod start;
mod tell;
mod withdraw;
mod write;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Verb};

/// Nothing could be done at all; also clap's own for a wrong command line.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = log::start(&arguments.logging).and_then(|()| match &arguments.verb {
        Verb::Plan(plan) => offline::plan(plan),
        Verb::Import(arguments) => import::import(arguments),
        Verb::Run(run) => tokio(start::run(run)),
        Verb::Withdraw(withdraw) => tokio(withdraw::withdraw(withdraw)),
    });
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", log::chain(error.as_ref()));
        ExitCode::from(FAILED)
    })
}

/// Runs on a runtime. It is not waited for what hangs in it at the end: a blocked call must not hold the process up.
fn tokio(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}
