//! The kernel that runs here, as a pass uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lvs_core::kernel::{Kernel, Op, Refusal};
use lvs_core::local::{Local, Path, ProbeOutcome};
use lvs_core::names::LinkName;
use lvs_core::neighbour::TableWriter;
use lvs_core::node_plan::NodePlan;
use lvs_core::sysctl::Sysctl;
use lvs_core::time::Monotonic;

use super::host::{Attention, Host, Sight};
use crate::kernel::{Error, IpvsModule, Linux, Observation, Sentry};
use crate::local::{api_servers, processes};

/// Paths are asked for anew after this, whatever has been heard of routes.
const PATHS_LAST: Duration = Duration::from_secs(30);
/// Others who write to the IPVS table are looked for anew after this.
const NEIGHBOURS_LAST: Duration = Duration::from_secs(30);

/// This node.
#[derive(Debug)]
pub struct Live {
    linux: Linux,
    lasting: Local,
    api_servers: api_servers::Known,
    purpose: Purpose,
    /// Whether the plan needs IPVS to be loaded.
    module: IpvsModule,
    sentry: Sentry,
    started: Instant,
    paths: Paths,
    neighbours: Neighbours,
    /// What was said already of what core has no form for.
    left_out: BTreeSet<String>,
}

/// What a node is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To look only: nothing is changed, no module is loaded.
    Look,
    /// To change it: IPVS is loaded where the plan needs it.
    Change,
}

/// Others who write to the IPVS table, as they were seen last.
#[derive(Debug, Default)]
struct Neighbours {
    known: BTreeSet<TableWriter>,
    at: Option<Instant>,
}

/// The paths to the RIPs of the last plan.
#[derive(Debug)]
struct Paths {
    known: BTreeMap<IpAddr, Path>,
    wanted: BTreeSet<IpAddr>,
    at: Instant,
    /// Set where routes may have changed.
    stale: Arc<AtomicBool>,
}

impl Live {
    /// Opens the kernel in this thread's network namespace.
    ///
    /// # Errors
    /// Where the kernel gives no netlink socket.
    pub fn open(lasting: Local, api_servers: api_servers::Known, purpose: Purpose) -> Result<Self, Error> {
        let stale = Arc::new(AtomicBool::new(true));
        let now = Instant::now();
        Ok(Self {
            linux: Linux::open()?,
            lasting,
            api_servers,
            purpose,
            module: IpvsModule::AsFound,
            sentry: Sentry::default(),
            started: now,
            paths: Paths { known: BTreeMap::new(), wanted: BTreeSet::new(), at: now, stale },
            neighbours: Neighbours::default(),
            left_out: BTreeSet::new(),
        })
    }

    /// Writes sysctls in this folder (see [`Linux::write_sysctls_in`]).
    #[must_use]
    pub fn with_sysctls_in(mut self, folder: &std::path::Path) -> Self {
        self.linux.write_sysctls_in(folder);
        self
    }

    /// To be set where routes may have changed.
    #[must_use]
    pub fn routes_changed(&self) -> Arc<AtomicBool> {
        self.paths.stale.clone()
    }

    fn paths(&mut self) -> Result<BTreeMap<IpAddr, Path>, Error> {
        let stale = self.paths.stale.swap(false, Ordering::Relaxed);
        if stale || self.paths.at.elapsed() > PATHS_LAST {
            let targets: Vec<IpAddr> = self.paths.wanted.iter().copied().collect();
            self.paths.known = self.linux.paths(&targets)?;
            self.paths.at = Instant::now();
        }
        Ok(self.paths.known.clone())
    }

    fn table_writers(&mut self) -> BTreeSet<TableWriter> {
        if self.neighbours.at.is_none_or(|at| at.elapsed() > NEIGHBOURS_LAST) {
            let mut known = processes::table_writers();
            known.extend(self.linux.has_kube_proxy_table().then_some(TableWriter::KubeProxyNftables));
            self.neighbours = Neighbours { known, at: Some(Instant::now()) };
        }
        self.neighbours.known.clone()
    }

    /// The local facts of an observation.
    fn local(&mut self, observation: Observation) -> Result<Local, Error> {
        for sentence in observation.left_out.difference(&self.left_out) {
            tracing::info!("not looked at: {sentence}");
        }
        self.left_out = observation.left_out;
        let api_servers = self.api_servers.read().map(|known| known.clone()).unwrap_or_default();
        Ok(Local {
            ipvs: observation.ipvs,
            schedulers: observation.kernel.schedulers.unwrap_or_default(),
            links: observation.links,
            arp_all: observation.kernel.arp_all,
            default_links: observation.default_links,
            gateways: observation.gateways,
            forwards_ipv6: observation.forwards_ipv6,
            api_servers,
            table_writers: self.table_writers(),
            paths: self.paths()?,
            ..self.lasting.clone()
        })
    }
}

impl Host for Live {
    fn now(&self) -> Monotonic {
        Monotonic(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn prepare(&mut self, plan: &NodePlan) {
        let wanted = real_servers(plan);
        if wanted != self.paths.wanted {
            self.paths.wanted = wanted;
            self.paths.stale.store(true, Ordering::Relaxed);
        }
        self.module = match self.purpose {
            Purpose::Change if needs_ipvs(plan) => IpvsModule::Load,
            Purpose::Change | Purpose::Look => IpvsModule::AsFound,
        };
    }

    fn look_at_packet_rules(&mut self, needed: bool) {
        self.linux.look_at_packet_rules(needed);
    }

    fn observe(&mut self, attention: Attention<'_>, have: &mut Kernel) -> anyhow::Result<Sight> {
        match attention {
            Attention::Everything => {
                self.sentry = Sentry::default();
                let mut observation = self.linux.observe(self.module)?;
                let now = std::mem::take(&mut observation.kernel);
                observation.kernel.schedulers.clone_from(&now.schedulers);
                observation.kernel.arp_all = now.arp_all;
                let sight = Sight::between(have, &now);
                *have = now;
                Ok(Sight { local: Some(self.local(observation)?), ..sight })
            }
            Attention::Audit(named) => {
                let servers = &mut have.virtual_servers;
                let (observation, changed) =
                    self.linux.audit(self.module, &mut self.sentry, named, servers)?;
                let network_changed = exchange_network(have, &observation.kernel);
                let local = Some(self.local(observation)?);
                Ok(Sight { local, network_changed, servers_changed: changed })
            }
            Attention::Servers(keys) => {
                let servers_changed = self.linux.observe_servers(keys, &mut have.virtual_servers)?;
                Ok(Sight { local: None, network_changed: false, servers_changed })
            }
        }
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)> {
        let refused = self.linux.apply(ops);
        for op in ops {
            if let Op::ZeroCounters(key) = op {
                self.sentry.zeroed(key);
            }
        }
        refused
    }

    fn probe(&mut self, vips: &BTreeMap<IpAddr, LinkName>) -> BTreeMap<IpAddr, ProbeOutcome> {
        self.linux.probe(vips).unwrap_or_else(|error| {
            let failed = ProbeOutcome::Failed { message: error.to_string() };
            vips.keys().map(|vip| (*vip, failed.clone())).collect()
        })
    }

    fn announce(&mut self, vips: &BTreeMap<IpAddr, LinkName>) {
        let vips_text = || vips.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        match self.linux.announce(vips) {
            Ok(failures) => {
                tracing::debug!(vips = vips_text(), "announced");
                for (link, error) in failures {
                    tracing::warn!(%link, %error, "VIPs could not be announced");
                }
            }
            Err(error) => tracing::warn!(vips = vips_text(), %error, "VIPs could not be announced"),
        }
    }
}

/// Puts what was read of the rest of the kernel in the place of what was known. Whether it differs.
fn exchange_network(have: &mut Kernel, now: &Kernel) -> bool {
    let servers = std::mem::take(&mut have.virtual_servers);
    let changed = have != now;
    if changed {
        have.clone_from(now);
    }
    have.virtual_servers = servers;
    changed
}

/// Whether anything that the plan wants stands in the IPVS table.
fn needs_ipvs(plan: &NodePlan) -> bool {
    let forwards = plan.services.values().flat_map(|part| part.vips.values()).any(|vip| vip.forward);
    let sysctls = plan.settings.sysctls.keys().any(|sysctl| matches!(sysctl, Sysctl::Ipvs(_)));
    forwards || sysctls || plan.settings.timeouts.is_some()
}

/// The RIPs that a plan names.
fn real_servers(plan: &NodePlan) -> BTreeSet<IpAddr> {
    let forms = plan.services.values().filter_map(|part| part.form.as_ref());
    forms
        .flat_map(|form| form.real_servers.values())
        .flat_map(|server| server.addresses.iter().copied())
        .collect()
}
