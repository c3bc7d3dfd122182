//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lvs_core::names::NodeName;
use lvs_core::time::Time;

/// Turns VirtualServices into one plan per node, which the node agents carry out in the kernel's IPVS.
#[derive(Debug, Parser)]
#[command(name = "lvs-operator", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) logging: Logging,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// What to log to stderr: a level, or a filter such as `info,kube=debug`
    #[arg(long, global = true, env = "LVS_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
    /// How to write log lines
    #[arg(long, global = true, env = "LVS_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(Run),
    Plan(Plan),
    Import(Import),
    Withdraw(Withdraw),
}

/// Watch, plan and write until told to stop
///
/// Watches VirtualServices, DirectorGroups and Nodes, writes a NodePlan for each node and reads the agents' reports.
/// Several replicas may run: the one that holds the Lease writes.
///
/// Examples:
///
///   # In a cluster, or with the current kubeconfig
///   lvs-operator run
///
///   # Without an API server: manifests are read from a folder, plans are written into its folder `plans`
///   lvs-operator run --folder /etc/lvs
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Run {
    /// Use a folder instead of an API server: manifests in it are read, plans/ and status/ are written,
    /// reports/ is read
    ///
    /// A manifest that is not there any more is a service that shall leave. So write each file under another name
    /// that does not end in .yaml, .yml or .json, and rename it: then it is never seen half written
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Name of the Lease that decides which replica writes
    #[arg(long, value_name = "NAME", default_value = "lvs-operator")]
    pub(crate) lease_name: String,
    /// Where to answer /healthz, /readyz and /metrics; `none` for nowhere
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "none", env = "LVS_BIND_ADDRESS", value_parser = bind_address)]
    pub(crate) bind_address: Bind,
}

/// Where to serve health and metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bind(pub(crate) Option<SocketAddr>);

/// How to reach the API server, and which objects there are the operator's own.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    /// Path to the kubeconfig file; default: $KUBECONFIG, ~/.kube/config, or the pod's own service account
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to use
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace of the operator's Lease and Deployment; default: the pod's, or the context's
    #[arg(short, long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Name of the operator's Deployment, whose annotation tells the leader to withdraw everything
    #[arg(long, value_name = "NAME", default_value = "lvs-operator", env = "LVS_DEPLOYMENT")]
    pub(crate) deployment: String,
}

/// Print the plans that manifests lead to
///
/// NodePlans and NodePlanSlices among the manifests are the previous plans, and their status the agents' reports.
/// Where there are none, every agent is supposed to have reported success, and stderr says so.
/// What is wrong with a service goes to stderr too, and so do the names of objects that are passed over, which are of
/// other kinds.
///
/// Exit code: 0 where every manifest was read and every service and group accepted, 1 where one was not (the plans
/// are printed all the same), 2 where nothing could be planned.
///
/// Examples:
///
///   # What would the nodes do?
///   lvs-operator plan -f manifests/
///
///   # What is left to do on one of them?
///   lvs-operator plan -f manifests/ --node director-1 | lvs-node-agent diff --plan -
///
///   # What comes next in a cluster?
///   kubectl get lvs,directorgroups,nodes,nodeplans,nodeplanslices -A -o yaml | lvs-operator plan -f -
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Plan {
    /// A folder with manifests, a file, or `-` for stdin; may be given several times
    #[arg(short, long = "filename", value_name = "FOLDER|FILE|-", required = true)]
    pub(crate) filenames: Vec<PathBuf>,
    /// Print the plan of this node only
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    pub(crate) node: Option<NodeName>,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    pub(crate) output: Output,
    /// The moment to plan for, in UTC (2026-01-31T12:00:00Z); default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) now: Option<Time>,
}

/// Turn what LVS is run with today into manifests
///
/// Reads the output of `ipvsadm -Sn`, a script of such lines, or a keepalived.conf, and prints a DirectorGroup and
/// VirtualServices. Every line that cannot be carried over is named on stderr, with the reason. The real servers stand
/// there by address, as hosts without an agent; say --node for those that are Nodes.
///
/// Exit code: 0 where everything was carried over, 1 where a line was not (the manifests are printed all the same),
/// 2 where nothing could be.
///
/// Examples:
///
///   ipvsadm -Sn | lvs-operator import -
///
///   lvs-operator import /etc/keepalived/keepalived.conf --node rs-1=192.168.10.10 > web.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Import {
    /// The file, or `-` for stdin
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// What the file is; default: as its first line looks
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: Option<Source>,
    /// Namespace of the VirtualServices
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,
    /// Name of the DirectorGroup
    #[arg(long, value_name = "NAME", default_value = "imported")]
    pub(crate) director_group: String,
    /// The Node that has an address of a real server; may be given several times
    #[arg(long = "node", value_name = "NAME=ADDRESS", value_parser = node_address)]
    pub(crate) nodes: Vec<(String, IpAddr)>,
    /// A VIP for which packets get a firewall mark, which a dump does not say; may be given several times
    #[arg(long = "mark-vip", value_name = "MARK=VIP", value_parser = mark_vip)]
    pub(crate) mark_vips: Vec<(u32, IpAddr)>,
}

/// What `import` reads.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Source {
    /// The lines of `ipvsadm -Sn`, or a script of them
    Ipvsadm,
    /// keepalived.conf
    Keepalived,
}

fn node_address(text: &str) -> Result<(String, IpAddr), String> {
    let (node, address) = text.split_once('=').ok_or("write NAME=ADDRESS, such as rs-1=192.168.10.10")?;
    let address = address.parse().map_err(|_| format!("{address} is no IP address"))?;
    if node.is_empty() { Err("a node has a name".to_owned()) } else { Ok((node.to_owned(), address)) }
}

fn mark_vip(text: &str) -> Result<(u32, IpAddr), String> {
    let (mark, vip) = text.split_once('=').ok_or("write MARK=VIP, such as 7=192.168.10.40")?;
    let mark = mark.parse().map_err(|_| format!("{mark} is no mark in figures"))?;
    Ok((mark, vip.parse().map_err(|_| format!("{vip} is no IP address"))?))
}

/// A format of output.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Output {
    /// YAML documents
    Yaml,
    /// One JSON object of kind List
    Json,
}

/// Take everything off the nodes and wait until they are as they were found
///
/// Marks the operator's Deployment. The leader then plans every service as leaving and deletes each NodePlan once its
/// node is clean. VirtualServices and DirectorGroups stay. Ends with exit code 1 and the names of the nodes that are
/// not clean where the time is over.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Withdraw {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// How long to wait, in seconds or with a unit (90, 90s, 5m)
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(crate) timeout: Duration,
}

fn node_name(text: &str) -> Result<NodeName, String> {
    if text.is_empty() { Err("a node has a name".to_owned()) } else { Ok(NodeName(text.to_owned())) }
}

fn time(text: &str) -> Result<Time, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn bind_address(text: &str) -> Result<Bind, String> {
    if text == "none" {
        return Ok(Bind(None));
    }
    let address =
        text.parse().map_err(|_| "write ADDRESS:PORT, for example 0.0.0.0:8080, or none".to_owned())?;
    Ok(Bind(Some(address)))
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let number: u64 = number.parse().map_err(|_| "write for example 90s or 5m".to_owned())?;
    let seconds = match unit {
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => return Err("a duration ends in s, m or h".to_owned()),
    };
    seconds.map(Duration::from_secs).ok_or_else(|| "this is too long".to_owned())
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
    fn durations_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for text in ["", "m", "5d", "-1s", "99999999999999999999s", "9999999999999999999m"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_and_a_kubeconfig_exclude_each_other() {
        let both = ["lvs-operator", "run", "--folder", "x", "--kubeconfig", "y"];
        assert!(Arguments::try_parse_from(both).is_err());
    }
}
