//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lvs_core::names::NodeName;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; nothing was refused, is held or is in the way
  1  done as far as it goes; what was refused, is held or is in the way has been printed
  2  it could not be carried out; the reason has been printed
  3  another agent runs in this network namespace

RUST_LOG says how much is logged: warn, info (the default), debug.";

/// Makes a node's kernel equal to its NodePlan: IPVS services, VIPs, ARP settings.
#[derive(Debug, Parser)]
#[command(name = "lvs-node-agent", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Keep the kernel as the plan wants it, until stopped. Stopping changes nothing in the kernel.
    #[command(after_help = EXIT_CODES)]
    Run(Run),
    /// Print this node's kernel and local facts.
    #[command(after_help = EXIT_CODES)]
    Observe(Observe),
    /// Print what is left to do, in order, and do nothing.
    #[command(after_help = EXIT_CODES)]
    Diff(Diff),
    /// Do once what is left to do.
    #[command(after_help = EXIT_CODES)]
    Apply(Apply),
    /// Bring the node back to how it was found, without any plan or API server.
    #[command(after_help = EXIT_CODES)]
    Cleanup(Cleanup),
}

/// Where the plan comes from: without any of these from the API server, as the kubeconfig or the pod's service
/// account says.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub struct PlanOrigin {
    /// The folder that stands in for an API server; the plan is DIR/plans/NODE.yaml.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// A file with NodePlans and their slices, YAML or JSON; - for standard input.
    #[arg(long, value_name = "FILE|-")]
    pub plan: Option<PathBuf>,
}

/// Which node it is about.
#[derive(Debug, Clone, Default, Args)]
pub struct NodeChoice {
    /// The node's name [default: `$NODE_NAME`, else that of the only node in a file of --plan, else the host's name]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
}

/// Where an agent keeps its state.
#[derive(Debug, Clone, Args)]
pub struct StateFolders {
    /// Folder of the last good plan; survives a reboot.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lvs-operator")]
    pub state_dir: PathBuf,
    /// Folder of the custody journal; ends with the boot, as the kernel's state does.
    #[arg(long, value_name = "DIR", default_value = "/run/lvs-operator")]
    pub run_dir: PathBuf,
}

/// What of the kernel is changed by files.
#[derive(Debug, Clone, Args)]
pub struct KernelFiles {
    /// Where sysctls are written: the host's /proc/sys/net, where it is mounted so that it can be written.
    #[arg(long, value_name = "DIR", default_value = crate::kernel::SYSCTLS)]
    pub host_sysctls: PathBuf,
}

impl StateFolders {
    /// The file of the last good plan.
    #[must_use]
    pub fn plan_copy(&self) -> PathBuf {
        self.state_dir.join("plan.json")
    }

    /// The file of the custody journal.
    #[must_use]
    pub fn custody(&self) -> PathBuf {
        self.run_dir.join("custody.jsonl")
    }
}

/// How to print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, in the words of ipvsadm and ip.
    #[default]
    Text,
    /// The exact values, as YAML.
    Yaml,
    /// The exact values, as JSON.
    Json,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Where the plan comes from.
    #[command(flatten)]
    pub origin: PlanOrigin,
    /// Which node this is.
    #[command(flatten)]
    pub node: NodeChoice,
    /// Where the state is.
    #[command(flatten)]
    pub folders: StateFolders,
    /// Where sysctls are written.
    #[command(flatten)]
    pub kernel_files: KernelFiles,
    /// Answer /healthz and /readyz on this address (loopback only), such as 127.0.0.1:9441.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub health: Option<SocketAddr>,
}

/// Arguments of `observe`.
#[derive(Debug, Args)]
pub struct Observe {
    /// Where the state is.
    #[command(flatten)]
    pub folders: StateFolders,
    /// Which node this is.
    #[command(flatten)]
    pub node: NodeChoice,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ObserveFormat,
}

/// How to print what is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ObserveFormat {
    /// For people, in the words of ipvsadm and ip.
    #[default]
    Text,
    /// The exact values, as YAML.
    Yaml,
    /// The exact values, as JSON.
    Json,
    /// The IPVS table alone, exactly as `ipvsadm -Sn` prints it and `ipvsadm -R` takes it.
    Ipvsadm,
}

/// What stands for this node: by default the kernel that runs here.
#[derive(Debug, Clone, Default, Args)]
pub struct Stand {
    /// A kernel written down (as `observe -o yaml` prints it) instead of this one; `empty` for one where nothing is
    /// set up but the links of --local exist.
    #[arg(long, value_name = "empty|FILE", requires = "local")]
    pub kernel: Option<PathBuf>,
    /// Local facts written down (as `observe -o yaml` prints them) instead of this node's.
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub local: Option<PathBuf>,
    /// Custody written down (YAML or JSON), with --kernel [default: nothing is ours]
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub custody: Option<PathBuf>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// Where the plan comes from.
    #[command(flatten)]
    pub origin: PlanOrigin,
    /// Which node it is about.
    #[command(flatten)]
    pub node: NodeChoice,
    /// What stands for this node.
    #[command(flatten)]
    pub stand: Stand,
    /// Where the state is.
    #[command(flatten)]
    pub folders: StateFolders,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// Where the plan comes from.
    #[command(flatten)]
    pub origin: PlanOrigin,
    /// Which node this is.
    #[command(flatten)]
    pub node: NodeChoice,
    /// Change nothing; print the operations and the end state that they lead to, probes supposed to find nobody.
    #[arg(long)]
    pub dry_run: bool,
    /// What stands for this node, with --dry-run only.
    #[command(flatten)]
    pub stand: Stand,
    /// Where the state is.
    #[command(flatten)]
    pub folders: StateFolders,
    /// Where sysctls are written.
    #[command(flatten)]
    pub kernel_files: KernelFiles,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Arguments of `cleanup`.
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Which node this is.
    #[command(flatten)]
    pub node: NodeChoice,
    /// Print what would be done and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Where the state is.
    #[command(flatten)]
    pub folders: StateFolders,
    /// Where sysctls are written.
    #[command(flatten)]
    pub kernel_files: KernelFiles,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

impl NodeChoice {
    /// The node that the user or the pod names.
    #[must_use]
    pub fn named(&self) -> Option<NodeName> {
        self.node
            .clone()
            .or_else(|| std::env::var("NODE_NAME").ok())
            .filter(|name| !name.is_empty())
            .map(NodeName)
    }

    /// The node that the user or the pod names, else the one that bears this host's name.
    ///
    /// # Errors
    /// Where the host's name cannot be read.
    pub fn named_or_host(&self) -> anyhow::Result<NodeName> {
        if let Some(name) = self.named() {
            return Ok(name);
        }
        let name = nix::unistd::gethostname()
            .map_err(|error| anyhow::anyhow!("the host's name cannot be read: {error}; say --node NAME"))?;
        Ok(NodeName(name.to_string_lossy().into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_plan_has_one_origin() {
        let both = ["lvs-node-agent", "diff", "--folder", "f", "--plan", "p"];
        assert!(Arguments::try_parse_from(both).is_err());
    }
}
