//! A real Kubernetes API server for tests: etcd and kube-apiserver, with role-based access control, an
//! authority and keys of their own, and every user with a token or certificate. It starts in about two
//! seconds.
//!
//! The programs are built once by `e2e/control-plane/build`. Without controllers (see
//! [`ControlPlane::start_controllers`]) nothing ends namespaces, collects garbage, makes default service
//! accounts or judges nodes, and the aggregated roles (`view`, `edit`, `admin`) are empty; custom resources,
//! admission policies, tokens, leases and events work.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use lvs_e2e::control_plane::{ControlPlane, Settings};
//! let mut cluster = ControlPlane::start(&Settings::default())?;
//! cluster.kubectl(&["apply", "-f", "-"], "{apiVersion: v1, kind: Namespace, metadata: {name: web}}")?;
//! let operator = cluster.service_account("lvs-system", "lvs-operator")?;
//! println!("{}", operator.kubeconfig.display());
//! cluster.stop_api_server();
//! cluster.start_api_server()?; // the same port, the same data
//! # Ok(()) }
//! ```

mod api_server;
mod authority;
mod controllers;
mod folder;
mod identity;
mod kubectl;
mod nodes;
pub(crate) mod process;
mod programs;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

pub use identity::Identity;
pub use nodes::NodeObject;
pub use programs::program;

use api_server::free_port;
use authority::Authority;
use folder::Folder;
use kubectl::Kubectl;
use process::Process;

/// How long a start may take: two seconds on an idle machine, much longer beside a compiler.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// How long a stop may take before it becomes a kill.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// Where an API server listens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address under which clients reach it; its certificate and all kubeconfigs name it. Loopback, or an
    /// address of a network that the tests made.
    pub address: IpAddr,
    /// The address it binds, where that is another: `0.0.0.0` for a namespace where it is also to be reached
    /// at [`SERVICE_ADDRESS`]. Never for the host's own namespace.
    pub bind: Option<IpAddr>,
    /// Its port; without one, a free one.
    pub port: Option<u16>,
    /// Words before each program, which end by executing it: `ip netns exec NAME`. kubectl runs behind them
    /// too.
    pub launcher: Vec<OsString>,
}

impl Settings {
    /// For a server in a network namespace of the tests, by the path of its file (`/proc/PID/ns/net`), at an
    /// address that the namespace has. Clients of it must be in that namespace, or reach it through its links.
    #[must_use]
    pub fn in_network(namespace: &Path, address: IpAddr) -> Self {
        let mut enter = OsString::from("--net=");
        enter.push(namespace);
        Self { address, launcher: vec!["nsenter".into(), enter], ..Self::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), bind: None, port: None, launcher: Vec::new() }
    }
}

/// The cluster address of the Service `kubernetes`, for which the server's certificate is good as well: where
/// this address is put on a link of the server's, pods reach it without kube-proxy.
pub const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// A running control plane. Dropping it kills its processes and deletes its data.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped from top to bottom: the API server before etcd, without which it hangs, the folder last.
    controllers: Vec<Process>,
    api_server: Option<Process>,
    etcd: Process,
    settings: Settings,
    port: u16,
    kubectl: Kubectl,
    admin: Identity,
    authority: Authority,
    folder: Folder,
}

impl ControlPlane {
    /// Starts etcd and kube-apiserver and waits until they are ready.
    ///
    /// # Errors
    /// Where a program is not built (the message says what to run), leaves early or is not ready within 90 s
    /// (the message holds the end of its log).
    pub fn start(settings: &Settings) -> Result<Self> {
        programs::require(&["kube-apiserver", "etcd", "kubectl"])?;
        // A port found free may be taken before the server binds it, which takes it a second.
        let mut attempts = if settings.port.is_some() { 1 } else { 3 };
        loop {
            attempts -= 1;
            let port = settings.port.map_or_else(free_port, Ok)?;
            match Self::start_at(settings.clone(), port) {
                Err(error) if attempts > 0 && error.to_string().contains("address already in use") => {}
                result => return result,
            }
        }
    }

    fn start_at(settings: Settings, port: u16) -> Result<Self> {
        let folder = Folder::create()?;
        let authority = Authority::new()?;
        api_server::write_keys(folder.path(), &authority, settings.address)?;
        let url = format!("https://{}", SocketAddr::new(settings.address, port));
        let admin = identity::administrator(folder.path(), &url, &authority)?;
        let kubectl = Kubectl {
            program: program("kubectl")?,
            launcher: settings.launcher.clone(),
            home: folder.path().join("home"),
        };
        let etcd = api_server::start_etcd(folder.path())?;
        let mut started = Self {
            controllers: Vec::new(),
            api_server: None,
            etcd,
            settings,
            port,
            kubectl,
            admin,
            authority,
            folder,
        };
        started.start_api_server()?;
        Ok(started)
    }

    /// The server's address, `https://ADDRESS:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", SocketAddr::new(self.settings.address, self.port))
    }

    /// The administrator: a client certificate of the group `system:masters`, which RBAC does not limit.
    #[must_use]
    pub fn admin(&self) -> &Identity {
        &self.admin
    }

    /// The certificate of the authority that signs the server's certificate and those of its clients, PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority.certificate
    }

    /// Stops the API server as an administrator would (SIGTERM, after 15 s SIGKILL). etcd and the data stay.
    pub fn stop_api_server(&mut self) {
        if let Some(mut server) = self.api_server.take() {
            server.stop(STOP_DEADLINE);
        }
    }

    /// Kills the API server (SIGKILL): its connections end as after a crash.
    pub fn kill_api_server(&mut self) {
        self.api_server = None;
    }

    /// Starts the API server that was stopped or killed again, at the same port and with the same data, and
    /// waits until it is ready. Nothing happens where it runs.
    ///
    /// # Errors
    /// Where it leaves early or is not ready within 90 s.
    pub fn start_api_server(&mut self) -> Result<()> {
        if self.api_server.as_mut().is_some_and(|server| server.exited().is_none()) {
            return Ok(());
        }
        self.api_server = Some(api_server::start_server(self.folder.path(), &self.settings, self.port)?);
        self.await_answer(&["get", "--raw", "/readyz"])?;
        // Made by a loop of the server's own, which readiness does not wait for.
        self.await_answer(&["get", "namespace", "default"])
    }

    /// Makes the API server fall silent (SIGSTOP): connections stay open and new ones are accepted by the
    /// kernel, and nobody answers.
    pub fn pause_api_server(&mut self) {
        self.signal_api_server(Signal::SIGSTOP);
    }

    /// Lets a silent API server go on (SIGCONT).
    pub fn resume_api_server(&mut self) {
        self.signal_api_server(Signal::SIGCONT);
    }

    fn signal_api_server(&mut self, signal: Signal) {
        if let Some(server) = &mut self.api_server {
            server.signal(signal);
        }
    }

    /// Asks until kubectl succeeds, or a program of ours has left, or the time is over.
    fn await_answer(&mut self, args: &[&str]) -> Result<()> {
        let until = Instant::now() + START_DEADLINE;
        loop {
            let refusal = match self.kubectl.output(&self.admin.kubeconfig, args, "", Duration::from_secs(10))
            {
                Ok(output) if output.status.success() => return Ok(()),
                Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                Err(error) => error.to_string(),
            };
            for process in self.processes() {
                if let Some(status) = process.exited() {
                    bail!("{} has left with {status}; {}", process.name(), process.last_words());
                }
            }
            if Instant::now() > until {
                bail!("after {} s still: {refusal}; {}", START_DEADLINE.as_secs(), self.logs());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        [&mut self.etcd].into_iter().chain(&mut self.api_server).chain(&mut self.controllers)
    }

    /// The ends of the logs of all its programs, for the message of a test that fails.
    #[must_use]
    pub fn logs(&self) -> String {
        let processes = [&self.etcd].into_iter().chain(&self.api_server).chain(&self.controllers);
        processes.map(Process::last_words).collect::<Vec<_>>().join("\n")
    }

    /// Its folder (on memory, deleted with it): logs, keys and kubeconfigs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
