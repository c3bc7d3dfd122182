//! A whole cluster: kubelets that run our images, and the one scenario that a release goes through.
//!
//! [`Cluster`] is what the [`scenario`] asks of a cluster. [`uml::UmlCluster`] answers it in the lab, without Docker:
//! the control plane runs natively in a network namespace, and each node is a User-Mode Linux guest with its own
//! kernel, containerd and kubelet. [`kind::KindCluster`] answers it on kind, for people who have Docker.

pub mod images;
pub mod kind;
pub mod scenario;
pub mod site;
pub mod snapshot;
pub mod tool;
pub mod traffic;
pub mod uml;

use anyhow::Result;

pub use site::Site;

/// A running cluster that nothing of ours is installed in.
///
/// Every call fails where the cluster does not answer in time, and says what was asked.
pub trait Cluster {
    /// What its network is like, and which node is what.
    fn site(&self) -> &Site;

    /// Runs `kubectl ARGUMENTS` as the administrator, with `input` on its standard input. Returns what it printed.
    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String>;

    /// Runs `helm ARGUMENTS` as the administrator. Returns what it printed.
    fn helm(&self, arguments: &[&str]) -> Result<String>;

    /// Runs a command on a node, in the node's own network and mounts. Returns what it printed; fails where it does
    /// not end with 0.
    fn on_node(&self, node: &str, command: &[&str]) -> Result<String>;

    /// Cuts a node's power and switches it on again. Returns once the node is started, before it is ready.
    fn reboot(&mut self, node: &str) -> Result<()>;

    /// Runs `job` on the machine outside the cluster whose addresses are [`Site::clients`].
    fn outside<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T>;

    /// Everything that helps to understand a failure: states, events, logs.
    fn story(&self) -> String;
}
