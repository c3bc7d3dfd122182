//! Takes a release through a real cluster, and is what that cluster's nodes and its workload consist of.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use lvs_e2e::cluster::images::Images;
use lvs_e2e::cluster::kind::KindCluster;
use lvs_e2e::cluster::uml::{self, UmlCluster};
use lvs_e2e::cluster::{Cluster, scenario};
use lvs_e2e::lab::request::REQUEST_VARIABLE;
use lvs_e2e::lab::traffic;

/// A real cluster, for tests and for looking around.
#[derive(Parser)]
#[command(name = "lvs-cluster")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a cluster of User-Mode Linux guests and take a release through it
    Uml {
        /// Take the images of these archives instead of building them
        #[arg(long, value_name = "FILE")]
        image: Vec<PathBuf>,
        /// Keep the cluster after its start for this many seconds instead, and say how to reach it
        #[arg(long, value_name = "SECONDS")]
        keep: Option<u64>,
    },
    /// Take a release through a kind cluster (one control plane, three workers)
    Kind {
        /// The cluster's name, as `kind get clusters` shows it
        name: String,
    },
    /// Greet each connection with this host's name, then echo
    #[command(hide = true)]
    Serve {
        /// The port
        port: u16,
    },
    /// Wait for a signal: what holds the namespaces of a pod
    #[command(hide = true)]
    Pause,
    /// Make this guest a node of a cluster
    #[command(hide = true)]
    Node,
}

fn main() -> ExitCode {
    let ended = match std::env::var_os(REQUEST_VARIABLE) {
        Some(request) if std::process::id() == 1 => uml::main(&PathBuf::from(request)),
        _ => run(Arguments::parse().verb),
    };
    ended.map_or_else(
        |error| {
            eprintln!("lvs-cluster: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Uml { image, keep: None } => try_release(&mut start(image)?),
        Verb::Uml { image, keep: Some(seconds) } => {
            let cluster = start(image)?;
            println!("{}", cluster.how_to_reach());
            std::thread::sleep(std::time::Duration::from_secs(seconds));
            Ok(())
        }
        Verb::Kind { name } => {
            let mut cluster = KindCluster::take(&name, &Images::build()?)?;
            if !cluster.site().has_ipvs {
                println!(
                    "the director's kernel has no ip_vs (modprobe ip_vs): no traffic, only the condition that says so"
                );
            }
            try_release(&mut cluster)
        }
        Verb::Serve { port } => traffic::serve(port),
        Verb::Pause => uml::pause(),
        Verb::Node => uml::run_node(),
    }
}

fn start(archives: Vec<PathBuf>) -> Result<UmlCluster> {
    let images = if archives.is_empty() {
        println!("building the images");
        Images::build()?
    } else {
        Images { archives }
    };
    println!("starting the control plane and three nodes");
    UmlCluster::start(&std::env::current_exe().context("find this program")?, &images)
}

fn try_release<C: Cluster>(cluster: &mut C) -> Result<()> {
    let cases = scenario::run(cluster, &mut |line| println!("{line}"))?;
    println!("{} cases", cases.len());
    Ok(())
}
