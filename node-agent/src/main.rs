//! `lvs-node-agent`: see `--help`.

use std::process::ExitCode;

use clap::Parser as _;
use lvs_node_agent::arguments::{Arguments, Verb};
use lvs_node_agent::state::lock::LockError;
use lvs_node_agent::{memory, run, verbs};
use tracing_subscriber::EnvFilter;

/// Something is not as it should be, and was said: a refusal, a hold, something of ours that is left.
const NOT_ALL: u8 = 1;
/// The verb could not be carried out.
const FAILED: u8 = 2;
/// Another agent runs in this network namespace.
const SECOND_AGENT: u8 = 3;

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    memory::keep();
    log();
    let done = match &arguments.verb {
        Verb::Run(arguments) => run::run(arguments).map(|()| true),
        Verb::Observe(arguments) => verbs::observe::run(arguments).map(|()| true),
        Verb::Diff(arguments) => verbs::diff::run(arguments),
        Verb::Apply(arguments) => verbs::apply::run(arguments),
        Verb::Cleanup(arguments) => verbs::cleanup::run(arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_ALL),
        Err(error) => {
            // The whole chain: a connection's cause stands at its end.
            eprintln!("lvs-node-agent: {error:#}");
            let second = matches!(error.downcast_ref(), Some(LockError::Held { .. }));
            ExitCode::from(if second { SECOND_AGENT } else { FAILED })
        }
    }
}

/// Logs to standard error, so that standard output holds results only; `RUST_LOG` says how much.
fn log() {
    // The client logs every failed request as an error, and each is said in our own words as well.
    let levels = std::env::var(EnvFilter::DEFAULT_ENV);
    let levels = levels.as_deref().unwrap_or("info,kube_client::client::builder=off");
    let filter = EnvFilter::builder().parse_lossy(levels);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}
