//! The kernel that runs here, as a pass uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lvs_core::kernel::{Kernel, Op, Refusal};
use lvs_core::local::{Local, Path, ProbeOutcome};
use lvs_core::names::LinkName;
use lvs_core::node_plan::NodePlan;
use lvs_core::time::Monotonic;

use super::host::Host;
use crate::kernel::{Error, IpvsModule, Linux};
use crate::local::api_servers;

/// Paths are asked for anew after this, whatever has been heard of routes.
const PATHS_LAST: Duration = Duration::from_secs(30);

/// This node.
#[derive(Debug)]
pub struct Live {
    linux: Linux,
    lasting: Local,
    api_servers: api_servers::Known,
    purpose: Purpose,
    started: Instant,
    paths: Paths,
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

/// The paths to the RIPs of the last plan.
#[derive(Debug)]
struct Paths {
    known: BTreeMap<IpAddr, Path>,
    asked: BTreeSet<IpAddr>,
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
            started: now,
            paths: Paths { known: BTreeMap::new(), asked: BTreeSet::new(), at: now, stale },
            left_out: BTreeSet::new(),
        })
    }

    /// To be set where routes may have changed.
    #[must_use]
    pub fn routes_changed(&self) -> Arc<AtomicBool> {
        self.paths.stale.clone()
    }

    fn paths(&mut self, plan: &NodePlan) -> Result<BTreeMap<IpAddr, Path>, Error> {
        let wanted = real_servers(plan);
        let stale = self.paths.stale.swap(false, Ordering::Relaxed);
        if stale || wanted != self.paths.asked || self.paths.at.elapsed() > PATHS_LAST {
            let targets: Vec<IpAddr> = wanted.iter().copied().collect();
            self.paths.known = self.linux.paths(&targets)?;
            self.paths.asked = wanted;
            self.paths.at = Instant::now();
        }
        Ok(self.paths.known.clone())
    }
}

impl Host for Live {
    fn now(&self) -> Monotonic {
        Monotonic(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn observe(&mut self, plan: &NodePlan) -> anyhow::Result<(Kernel, Local)> {
        let module = match self.purpose {
            Purpose::Change if needs_ipvs(plan) => IpvsModule::Load,
            Purpose::Change | Purpose::Look => IpvsModule::AsFound,
        };
        let observation = self.linux.observe(module)?;
        for sentence in observation.left_out.difference(&self.left_out) {
            tracing::info!("not looked at: {sentence}");
        }
        self.left_out = observation.left_out;
        let api_servers = self.api_servers.read().map(|known| known.clone()).unwrap_or_default();
        let kernel = observation.kernel;
        let local = Local {
            ipvs: observation.ipvs,
            schedulers: kernel.schedulers.clone().unwrap_or_default(),
            links: observation.links,
            arp_all: kernel.arp_all,
            default_links: observation.default_links,
            gateways: observation.gateways,
            api_servers,
            paths: self.paths(plan)?,
            ..self.lasting.clone()
        };
        Ok((kernel, local))
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)> {
        self.linux.apply(ops)
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

/// Whether anything that the plan wants stands in the IPVS table.
fn needs_ipvs(plan: &NodePlan) -> bool {
    let forwards = plan.services.values().flat_map(|part| part.vips.values()).any(|vip| vip.forward);
    forwards || plan.settings.timeouts.is_some()
}

/// The RIPs that a plan names.
fn real_servers(plan: &NodePlan) -> BTreeSet<IpAddr> {
    let forms = plan.services.values().filter_map(|part| part.form.as_ref());
    forms
        .flat_map(|form| form.real_servers.values())
        .flat_map(|server| server.addresses.iter().copied())
        .collect()
}
