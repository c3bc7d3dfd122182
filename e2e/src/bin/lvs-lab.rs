//! Runs scenarios in the lab, and is the first process of the guests that it boots.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[path = "lvs-lab/bench.rs"]
mod bench;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use lvs_e2e::fleet::Site;
use lvs_e2e::lab::request::{REQUEST_VARIABLE, Request};
use lvs_e2e::lab::{Kernel, Launch, Report, guest, own_kernel, traffic};
use lvs_e2e::scenarios;

/// A real IPVS kernel with hosts in it, for tests and for the demo.
#[derive(Parser)]
#[command(name = "lvs-lab")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the scenarios, the kernel that each gets, and the rows that they count for.
    List,
    /// Run scenarios by name and print what they return.
    Run {
        /// Names of scenarios, as `list` shows them.
        #[arg(required = true)]
        scenarios: Vec<String>,
        /// Arguments of the scenario, as JSON.
        #[arg(long, default_value = "null", value_parser = |text: &str| serde_json::from_str::<serde_json::Value>(text))]
        arguments: serde_json::Value,
        /// Seconds that one scenario may take, boot included.
        #[arg(long, default_value_t = 120)]
        timeout: u64,
    },
    /// Measure how near the agent comes to what the kernel allows, and write the figures down.
    Bench {
        /// Where the figures go, as JSON.
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
    },
    /// Show the whole way from two manifests to packets, step by step.
    Demo {
        /// Through a real kube-apiserver, with kubectl.
        #[arg(long)]
        cluster: bool,
    },
    #[command(name = traffic::SERVE, hide = true)]
    Serve { port: u16 },
    #[command(name = own_kernel::ENTER, hide = true)]
    EnterNamespaces,
}

fn main() -> ExitCode {
    let ended = if std::process::id() == 1
        && let Some(request) = std::env::var_os(REQUEST_VARIABLE)
    {
        guest::main(&PathBuf::from(request)).map(|()| ExitCode::SUCCESS)
    } else {
        on_the_machine(Arguments::parse().verb)
    };
    ended.unwrap_or_else(|error| {
        eprintln!("lvs-lab: {error:#}");
        ExitCode::FAILURE
    })
}

/// Runs a scenario, with an API server beside it where it needs one.
fn run(name: &str, launch: Launch<'_>) -> Result<Report> {
    if scenarios::on_api_server().any(|scenario| scenario.name == name) {
        eprintln!("lvs-lab: starting an API server beside the lab");
        Site::start()?.run(launch)
    } else {
        launch.run()
    }
}

fn on_the_machine(verb: Verb) -> Result<ExitCode> {
    let program = std::env::current_exe().context("find this program")?;
    match verb {
        Verb::List => {
            for scenario in scenarios::all() {
                // LAB may name a kernel that lacks what this one needs.
                let kernel = Kernel::choose(scenario.kernel).map_or("-", Kernel::name);
                println!("{:32} {kernel:4} {}", scenario.name, scenario.rows.join(", "));
            }
        }
        Verb::Run { scenarios, arguments, timeout } => {
            for name in scenarios {
                let launch = Launch::new(&program, &name)?.arguments(arguments.clone()).show();
                let report = run(&name, launch.timeout(Duration::from_secs(timeout)))?;
                println!("{name}: {} cases in {:.1} s", report.cases.len(), report.took.as_secs_f64());
                println!("{}", serde_json::to_string_pretty(&report.value)?);
            }
        }
        Verb::Bench { json } => return bench::run(&program, &json),
        Verb::Demo { cluster } => {
            let name = if cluster { "demo-cluster" } else { "demo" };
            run(name, Launch::new(&program, name)?.show())?;
        }
        Verb::Serve { port } => traffic::serve(port)?,
        Verb::EnterNamespaces => {
            let path =
                std::env::var_os(REQUEST_VARIABLE).context("no request is named in the environment")?;
            return own_kernel::enter(&Request::read(path.as_ref())?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
