//! A simulated node: a kernel as a value, and the agent's own steps on it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::custody::Custody;
use crate::diff::{Run, diff};
use crate::forwarding::{Encapsulation, Forwarding, GueChecksum};
use crate::ipvs::{DestinationSettings, Timeouts, VirtualServerKey};
use crate::kernel::{AddressKey, ArpSettings, Kernel, Op};
use crate::local::{Link, Local, Probe, ProbeOutcome};
use crate::names::{BootId, FEATURES, Feature, LinkName};
use crate::network::{Family, MacAddress, Prefix};
use crate::node_plan::NodePlan;
use crate::node_report::NodeReport;
use crate::render::render;
use crate::report::report;
use crate::sysctl::Sysctl;
use crate::time::Monotonic;
use crate::wanted::{Phase, Scope, Wanted};

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    /// Its kernel.
    pub(super) kernel: Kernel,
    /// Its kernel at the start of the boot.
    pub(super) untouched: Kernel,
    /// Whether the agent has run since the boot.
    pub(super) awake: bool,
    rip: IpAddr,
    boot: u32,
    custody: Custody,
    local: Local,
    /// The plan that it took last, which also lies on its disk.
    plan: Option<NodePlan>,
}

fn link(name: &str) -> LinkName {
    name.parse().unwrap()
}

impl Agent {
    /// A node with one link in 192.168.10.0/24.
    pub(super) fn new(rip: IpAddr) -> Self {
        let silent = ArpSettings::default();
        let timeouts = Timeouts { tcp_seconds: 900, tcp_fin_seconds: 120, udp_seconds: 300 };
        let kernel = Kernel {
            arp: [(link("lo"), silent), (link("eth0"), silent)].into(),
            timeouts: Some(timeouts),
            ..Kernel::default()
        };
        let local = Local {
            features: FEATURES.iter().map(|feature| (*feature).into()).collect(),
            ipvs: true,
            ..Local::default()
        };
        let custody = Custody::default();
        let mut agent =
            Self { untouched: kernel.clone(), kernel, awake: true, rip, boot: 0, custody, local, plan: None };
        agent.start();
        agent
    }

    fn start(&mut self) {
        self.local.boot_id = self.boot();
        self.local.probes.clear();
    }

    /// The present boot.
    pub(super) fn boot(&self) -> BootId {
        BootId(self.boot.to_string())
    }

    /// The kernel forgets, and so does everything under /run; the disk does not.
    pub(super) fn reboot(&mut self) {
        self.boot += 1;
        self.awake = false;
        self.kernel = self.untouched.clone();
        self.custody = Custody::default();
        self.start();
    }

    /// Whether the VIP is on `lo`.
    pub(super) fn bound(&self, vip: IpAddr) -> bool {
        self.kernel.addresses.contains_key(&AddressKey::host(link("lo"), vip))
    }

    /// Whether the VIP is on the uplink.
    pub(super) fn held(&self, vip: IpAddr) -> bool {
        self.kernel.addresses.contains_key(&AddressKey::host(link("eth0"), vip))
    }

    /// The RIPs to which the kernel would send a new connection to the service.
    pub(super) fn destinations(&self, key: &VirtualServerKey) -> BTreeSet<IpAddr> {
        let servers =
            self.kernel.virtual_servers.get(key).into_iter().flat_map(|server| server.destinations.keys());
        servers.map(|destination| destination.address).collect()
    }

    /// The agent becomes one of a version without a feature.
    pub(super) fn forget(&mut self, feature: &Feature) {
        self.local.features.remove(feature);
    }

    /// Whether the node has a route by this next hop.
    pub(super) fn route_by(&mut self, gateway: IpAddr, yes: bool) {
        if yes {
            self.local.gateways.insert(gateway);
        } else {
            self.local.gateways.remove(&gateway);
        }
    }

    /// The kernel has a setting with this value.
    pub(super) fn has_sysctl(&mut self, sysctl: Sysctl, value: i32) {
        self.kernel.sysctls.insert(sysctl, value);
        self.untouched.sysctls.insert(sysctl, value);
    }

    /// Whether replies come back by a director with this address.
    pub(super) fn replies_by(&self, director: IpAddr) -> bool {
        director == self.rip || self.local.gateways.contains(&director)
    }

    /// The RIP.
    pub(super) fn rip(&self) -> IpAddr {
        self.rip
    }

    /// How the kernel would send a new connection to a real server.
    pub(super) fn settings(&self, key: &VirtualServerKey, rip: IpAddr) -> Option<DestinationSettings> {
        let server = self.kernel.virtual_servers.get(key)?;
        let mut there = server.destinations.iter().filter(|(destination, _)| destination.address == rip);
        there.next().map(|(_, settings)| *settings)
    }

    /// Whether the kernel takes in what a director sends with these settings.
    pub(super) fn takes_in(&self, settings: DestinationSettings) -> bool {
        let gue = Encapsulation::Gue { port: 6080, checksum: GueChecksum::Absent };
        let tunnels = [Encapsulation::Ipip, gue, Encapsulation::Gre { checksum: false }];
        let ways = tunnels.map(Forwarding::Tunnel).into_iter().chain([Forwarding::DirectRouting]);
        let mut ways = ways.filter(|way| way.settings() == (settings.method, settings.tunnel));
        ways.any(|way| {
            let needed = way.receptions(&[self.rip], [Family::IPv4]);
            needed.iter().all(|reception| self.kernel.receives(reception))
        })
    }

    /// Whether nothing of ours is left.
    pub(super) fn is_untouched(&self) -> bool {
        self.custody.is_clean() && self.kernel == self.untouched
    }

    /// Takes a plan if there is one, and does what it says; `used` tells who else has an address.
    pub(super) fn work(&mut self, plan: Option<&NodePlan>, used: impl Fn(IpAddr) -> bool) {
        self.awake = true;
        if let Some(plan) = plan {
            self.plan = Some(plan.clone());
        }
        for _ in 0..8 {
            let Some(wanted) = self.wanted() else { return };
            let (phases, _) = diff(&wanted, &self.kernel, &self.custody, &Scope::Everything);
            if phases.is_empty() && wanted.probes.is_empty() {
                return;
            }
            self.run(&wanted, &phases);
            for vip in wanted.probes.keys() {
                let outcome = if used(*vip) {
                    ProbeOutcome::InUse { mac: MacAddress([2, 0, 0, 0, 0, 9]) }
                } else {
                    ProbeOutcome::Clean
                };
                self.local.probes.insert(*vip, Probe { at: Monotonic(0), outcome });
            }
        }
    }

    fn run(&mut self, wanted: &Wanted, phases: &[Phase]) {
        let mut run = Run::new(wanted, &self.kernel, &self.custody, phases);
        for phase in phases {
            let (ahead, out): (Vec<Op>, Vec<Op>) =
                phase.ops.iter().partition(|op| run.admits(phase.name, op));
            self.custody.record_all(&run.before(phase, &out));
            for op in &out {
                run.left_out(phase.name, op, None);
            }
            for op in &ahead {
                let result = self.kernel.step(op);
                assert_eq!(result, Ok(()), "{op}");
                run.tried(phase.name, op, result);
            }
            self.custody.record_all(&run.after(phase));
        }
    }

    fn wanted(&mut self) -> Option<Wanted> {
        let plan = self.plan.as_ref()?;
        let on_link = |name: &str| {
            let keys = self.kernel.addresses.keys().filter(|key| key.link.as_str() == name);
            let ours = keys.map(|key| Prefix { address: key.address, length: key.prefix_length });
            let own = (name == "eth0").then_some(Prefix { address: self.rip, length: 24 });
            ours.chain(own).collect()
        };
        let lo = Link { index: 1, up: true, loopback: true, addresses: on_link("lo"), ..Link::default() };
        let uplink = Link { index: 2, up: true, arp: true, addresses: on_link("eth0"), ..Link::default() };
        self.local.links = [(link("lo"), lo), (link("eth0"), uplink)].into();
        let held: Vec<IpAddr> = self.local.probes.keys().copied().collect();
        let wanted = render(plan, &self.local, Monotonic(0)).0;
        for vip in held {
            let stays = wanted.announce.contains_key(&vip) || wanted.probes.contains_key(&vip);
            if !stays {
                self.local.probes.remove(&vip);
            }
        }
        Some(wanted)
    }

    /// What the agent says.
    pub(super) fn report(&mut self) -> Option<NodeReport> {
        let wanted = self.wanted()?;
        let plan = self.plan.as_ref()?;
        let (_, holds) = diff(&wanted, &self.kernel, &self.custody, &Scope::Everything);
        Some(report(plan, &self.local, &wanted, &self.kernel, &self.custody, &holds, &[]))
    }
}
