//! The kernel of this node: read as core's values, changed by core's operations.
//!
//! ```text
//!  Linux::observe --> Kernel, links, routes, modules       Linux::apply <-- the operations of one phase
//!     |        |                                              |        |
//!  ipvs, gue, link, address, route                       ipvs, gue,  address, arp_settings, tunnel
//!  packet_rules, sysctl                                  packet_rules, sysctl
//!     |        |                                              |        |
//!     +---- socket (netlink) ---------------------------------+--------+
//!
//!  Linux::probe, Linux::announce --> frame (bytes) --> packet_socket          Watch: something changed
//! ```
//!
//! Everything here blocks, and belongs to the network namespace in which it was opened: one thread uses it, and
//! stays in that namespace. Nothing here decides what to do.

mod address;
mod announce;
mod arp_settings;
mod error;
mod frame;
mod gue;
mod ipvs;
mod link;
mod modules;
mod packet_rules;
mod packet_socket;
mod probe;
mod route;
mod rtnetlink;
mod socket;
mod sysctl;
mod tunnel;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};

use lvs_core::custody::Item;
use lvs_core::ipvs::{Timeouts, VirtualServerKey};
use lvs_core::kernel::{Kernel, Op, Refusal};
use lvs_core::local::{Link, Path, ProbeOutcome};
use lvs_core::names::LinkName;
use lvs_core::network::Prefix;
use lvs_core::sysctl::Sysctl;
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use nix::errno::Errno;

pub use error::{Cause, Error};
pub use ipvs::{IpvsModule, Sentry, VirtualServers};
pub use sysctl::SYSCTLS;
pub use watch::Watch;

use crate::crash_point;
use link::Links;
use modules::Modules;
use packet_rules::PacketRules;
use socket::Socket;

/// This node's kernel, as it is in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Linux {
    generic: Socket,
    route: Socket,
    modules: Modules,
    packet_rules: PacketRules,
    /// Whether packet rules are looked at.
    looks_at_packet_rules: bool,
    /// Where sysctls are written.
    sysctls: PathBuf,
}

/// Everything that was read of the kernel at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// What is ours and everybody else's.
    pub kernel: Kernel,
    /// The links with all their addresses.
    pub links: BTreeMap<LinkName, Link>,
    /// The links of the default routes, IPv4 before IPv6, the preferred one first.
    pub default_links: Vec<LinkName>,
    /// Next hops of all routes in all tables.
    pub gateways: BTreeSet<IpAddr>,
    /// Whether the kernel has IPVS, or can load it.
    pub ipvs: bool,
    /// Whether IPv6 packets for others are forwarded.
    pub forwards_ipv6: bool,
    /// What core has no form for and is not in `kernel`, each in a sentence. None of it is ever ours.
    pub left_out: BTreeSet<String>,
}

impl Linux {
    /// Opens the kernel in the thread's network namespace.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket. Capabilities are not needed for that.
    pub fn open() -> Result<Self, Error> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_err(|source| Error::io("reading the kernel's release", source))?;
        Ok(Self {
            generic: Socket::open(NETLINK_GENERIC)?,
            route: Socket::open(NETLINK_ROUTE)?,
            modules: Modules::of(release.trim()),
            packet_rules: PacketRules::default(),
            looks_at_packet_rules: false,
            sysctls: SYSCTLS.into(),
        })
    }

    /// Whether packet rules are looked at from now on. A node that needs none does not have to have nftables.
    pub fn look_at_packet_rules(&mut self, needed: bool) {
        self.looks_at_packet_rules = needed;
    }

    /// Writes sysctls from now on in a folder that stands for [`SYSCTLS`] and can be written.
    pub fn write_sysctls_in(&mut self, folder: &FilePath) {
        folder.clone_into(&mut self.sysctls);
    }

    /// Reads everything, and changes nothing but that it loads IPVS where `module` says so.
    ///
    /// # Errors
    /// The first part that cannot be read. Without `CAP_NET_ADMIN` that is the IPVS table, if the module is loaded.
    pub fn observe(&mut self, module: IpvsModule) -> Result<Observation, Error> {
        let table = ipvs::Table::read(&mut self.generic, module)?;
        let mut observation = self.observe_network(module, table.timeouts)?;
        observation.left_out.extend(table.left_out);
        observation.kernel.virtual_servers = table.virtual_servers;
        Ok(observation)
    }

    /// Reads everything but destinations, of which only those that [`ipvs::Sentry`] asks for are, and brings `have`, the
    /// virtual servers as they were seen before, up to date. The observation's own are empty. Yields those that are
    /// other than before.
    ///
    /// # Errors
    /// As [`Self::observe`]; `have` is not to be relied on then.
    pub fn audit(
        &mut self,
        module: IpvsModule,
        sentry: &mut Sentry,
        named: &BTreeSet<VirtualServerKey>,
        have: &mut VirtualServers,
    ) -> Result<(Observation, BTreeSet<VirtualServerKey>), Error> {
        let audit = sentry.audit(&mut self.generic, module, named, have)?;
        let mut observation = self.observe_network(module, audit.timeouts)?;
        observation.left_out.extend(audit.left_out);
        Ok((observation, audit.changed))
    }

    /// Reads some virtual servers alone, and brings them up to date in `have`. Yields those that are other than before.
    ///
    /// # Errors
    /// As [`Self::observe`]; `have` is not to be relied on then.
    pub fn observe_servers(
        &mut self,
        keys: &BTreeSet<VirtualServerKey>,
        have: &mut VirtualServers,
    ) -> Result<BTreeSet<VirtualServerKey>, Error> {
        ipvs::read_some(&mut self.generic, keys, have)
    }

    /// Reads all but the IPVS table; `timeouts` are those of IPVS where it is loaded.
    fn observe_network(
        &mut self,
        module: IpvsModule,
        timeouts: Option<Timeouts>,
    ) -> Result<Observation, Error> {
        // After IPVS, which may have been loaded only now.
        let available = self.modules.available();
        let links = Links::read(&mut self.route)?;
        let addresses = address::read(&mut self.route, &links)?;
        let routes = route::Routes::read(&mut self.route, &links)?;

        let mut observation = Observation {
            ipvs: timeouts.is_some() || (module == IpvsModule::AsFound && available.ipvs),
            default_links: routes.default_links,
            gateways: routes.gateways,
            left_out: links.left_out,
            ..Observation::default()
        };
        observation.kernel.sysctls = sysctl::read()?;
        let of_all = observation.kernel.sysctls.get(&Sysctl::Ipv6ForwardingAll);
        observation.forwards_ipv6 = of_all.is_some_and(|value| *value != 0);
        for (name, found) in links.found {
            let forwarding = found.ipv6_forwarding.map(|value| (Sysctl::Ipv6Forwarding(name), value));
            observation.kernel.sysctls.extend(forwarding);
            observation.kernel.arp.extend(found.arp.map(|settings| (name, settings)));
            observation.kernel.tunnels.extend(found.tunnel.map(|tunnel| (name, tunnel)));
            observation.kernel.forwarding.extend(found.forwarding.then_some(name));
            observation.links.insert(name, found.link);
        }
        for (key, _) in &addresses {
            if let Some(link) = observation.links.get_mut(&key.link) {
                link.addresses.insert(Prefix { address: key.address, length: key.prefix_length });
            }
            if let Some(tunnel) = observation.kernel.tunnels.get_mut(&key.link) {
                tunnel.addressed |= key.address.is_ipv4();
            }
        }
        observation.kernel.timeouts = timeouts;
        observation.kernel.addresses = addresses.into_iter().collect();
        let of_all = arp_settings::of_all()?;
        observation.kernel.arp_all = of_all.arp;
        observation.kernel.rp_filter_all = of_all.rp_filter;
        observation.kernel.forwarding_all = of_all.forwarding;
        observation.kernel.gue_ports = gue::read(&mut self.generic)?;
        if self.looks_at_packet_rules {
            observation.kernel.packet_rules = self.packet_rules.read()?;
        }
        observation.kernel.schedulers = available.schedulers;
        Ok(observation)
    }

    /// How the kernel would route to each of these addresses now; those that it has no route to are left out.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn paths(&mut self, targets: &[IpAddr]) -> Result<BTreeMap<IpAddr, Path>, Error> {
        let links = Links::read(&mut self.route)?;
        route::paths(&mut self.route, &links, targets)
    }

    /// Whether there is a table of nftables that kube-proxy makes; not where that cannot be found out.
    pub fn has_kube_proxy_table(&mut self) -> bool {
        self.packet_rules.has_kube_proxy_table()
    }

    /// Carries out the operations of one phase in their order, and returns those that were refused, by their place in
    /// `ops`, in ascending order. All others are done.
    ///
    /// Where it is not known what became of an operation because the kernel's answer was lost, it counts as refused
    /// with [`Refusal::Other`] of ETIMEDOUT, ENOBUFS or the error of the socket: only observing again tells.
    pub fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)> {
        let mut refusals = Vec::new();
        let mut start = 0;
        for run in ops.chunk_by(|left, right| Way::of(left) == Way::of(right)) {
            let refused = match run.first().map(Way::of) {
                Some(Way::Ipvs) => ipvs::apply(&mut self.generic, run, crash_point::batch_size()),
                Some(Way::PacketRules) => self.packet_rules.apply(run),
                Some(Way::Network) | None => self.apply_one_by_one(run),
            };
            refusals.extend(refused.into_iter().map(|(index, refusal)| (start + index, refusal)));
            start += run.len();
        }
        refusals
    }

    fn apply_one_by_one(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)> {
        let mut refusals = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            if let Err(error) = self.apply_to_network(op) {
                tracing::debug!(%op, %error, "refused");
                refusals.push((index, refusal(op, &error)));
            }
        }
        refusals
    }

    fn apply_to_network(&mut self, op: &Op) -> Result<(), Error> {
        let route = &mut self.route;
        match op {
            Op::SetSysctl(sysctl, value) => sysctl::set(&self.sysctls, *sysctl, *value),
            Op::SetArp(link, settings) => arp_settings::set(route, *link, *settings),
            Op::SetForwarding(link, on) => arp_settings::set_forwarding(route, *link, *on),
            Op::AddAddress(key, attributes) => address::add(route, key, attributes),
            Op::SetAddress(key, attributes) => {
                let links = Links::read(route)?;
                address::set(route, &links, key, attributes)
            }
            Op::RemoveAddress(key) => address::remove(route, key),
            Op::AddTunnel(link, device) => tunnel::add(route, *link, device),
            Op::SetTunnel(link, device) => tunnel::set(route, *link, device),
            Op::RemoveTunnel(link) => tunnel::remove(route, *link),
            Op::OpenGuePort(port) => gue::open(&mut self.generic, *port),
            Op::CloseGuePort(port) => gue::close(&mut self.generic, *port),
            // All others go other ways; see `Way`.
            _ => Ok(()),
        }
    }

    /// Asks on its link whether anybody else has a VIP, three times in 200 ms, for all of them at once. It takes that
    /// long whatever is found.
    ///
    /// # Errors
    /// When the links cannot be read; what goes wrong with one VIP is its outcome.
    pub fn probe(
        &mut self,
        vips: &BTreeMap<IpAddr, LinkName>,
    ) -> Result<BTreeMap<IpAddr, ProbeOutcome>, Error> {
        let links = Links::read(&mut self.route)?;
        Ok(probe::probe(vips, &links))
    }

    /// Announces each VIP on its link once, and returns the links on which that failed.
    ///
    /// # Errors
    /// When the links cannot be read.
    pub fn announce(
        &mut self,
        vips: &BTreeMap<IpAddr, LinkName>,
    ) -> Result<BTreeMap<LinkName, Error>, Error> {
        let links = Links::read(&mut self.route)?;
        Ok(announce::announce(vips, &links))
    }
}

/// How operations get to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Many to IPVS at once.
    Ipvs,
    /// Many to nftables at once.
    PacketRules,
    /// One after the other.
    Network,
}

impl Way {
    fn of(op: &Op) -> Self {
        match op.item() {
            Item::VirtualServer(_) | Item::Destination(..) | Item::Counters(_) | Item::Timeouts => Self::Ipvs,
            Item::PacketRule(_) => Self::PacketRules,
            Item::Address(_)
            | Item::Arp(_)
            | Item::Sysctl(_)
            | Item::Tunnel(_)
            | Item::GuePort(_)
            | Item::Forwarding(_) => Self::Network,
        }
    }
}

/// What an error of an operation that is not about IPVS means to core.
fn refusal(op: &Op, error: &Error) -> Refusal {
    match error.errno() {
        errno if matches!(op, Op::SetSysctl(..)) => sysctl::refusal(errno),
        Errno::EOPNOTSUPP if matches!(op, Op::AddTunnel(..) | Op::SetTunnel(..)) => Refusal::NoTunnel,
        Errno::ENOENT if matches!(op, Op::OpenGuePort(_)) => Refusal::NoGue,
        Errno::EADDRINUSE => Refusal::PortTaken,
        Errno::EEXIST => Refusal::Exists,
        Errno::EADDRNOTAVAIL => Refusal::NoAddress,
        Errno::ENODEV => Refusal::NoLink,
        Errno::EPERM => Refusal::NotPermitted,
        errno => Refusal::Other(errno as i32),
    }
}
