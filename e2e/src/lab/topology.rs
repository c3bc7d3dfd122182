//! Which hosts there are and how they are wired, as data.

use std::net::Ipv4Addr;

/// The wired hosts of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The hosts, in the order in which they are made.
    pub hosts: Vec<HostSpec>,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSpec {
    /// Its name, also its host name.
    pub name: String,
    /// Its links besides `lo`.
    pub links: Vec<LinkSpec>,
    /// Routes in the words of `ip route add`: `default via 192.168.10.1`, `::/0 via fd00:10::1`.
    pub routes: Vec<String>,
    /// Whether it forwards packets of others, as a router does.
    pub forwards: bool,
}

/// One link of a host: an Ethernet port on a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// Name on the host: `eth0`.
    pub name: String,
    /// Name of the switch, at most 15 characters; it is made when a first link names it.
    pub network: String,
    /// Addresses with prefix length, IPv4 and IPv6.
    pub addresses: Vec<String>,
}

/// Switch on which the directors, the real servers and the nearer client are.
pub const LAN: &str = "lan";
/// Switch beyond the router.
pub const FAR: &str = "far";
/// Switch of the links `mgmt0`, whose uplink is the guest's `vec0`.
pub const MANAGEMENT: &str = "mgmt";

impl Topology {
    /// The network of the lab, 192.168.10.0/24 and `fd00:10::/64`; everybody's default route is the router.
    ///
    /// ```text
    /// director-1 .21   director-2 .22   rs-1 .10   rs-2 .11   rs-3 .12   client .101 to .108   router .1
    /// behind the router: far-client 10.20.0.2 to .5 and fd00:20::2 to ::5
    /// ```
    ///
    /// An IPv6 address ends in the digits of the IPv4 one: `fd00:10::21`.
    #[must_use]
    pub fn lan() -> Self {
        let nodes = [("director-1", 20), ("director-2", 21), ("rs-1", 10), ("rs-2", 11), ("rs-3", 12)];
        let mut hosts: Vec<HostSpec> =
            nodes.iter().map(|(name, number)| on_lan(name, *number..=*number)).collect();
        hosts.push(on_lan("client", 101..=108));
        let far = |numbers: std::ops::RangeInclusive<u8>| LinkSpec {
            name: "eth0".to_owned(),
            network: FAR.to_owned(),
            addresses: numbers
                .flat_map(|n| [format!("10.20.0.{n}/24"), format!("fd00:20::{n}/64")])
                .collect(),
        };
        let mut router = on_lan("router", 1..=1);
        router.links.push(LinkSpec { name: "eth1".to_owned(), ..far(1..=1) });
        router.routes.clear();
        router.forwards = true;
        let by_router = vec!["default via 10.20.0.1".to_owned(), "::/0 via fd00:20::1".to_owned()];
        hosts.push(router);
        hosts.push(HostSpec {
            name: "far-client".to_owned(),
            links: vec![far(2..=5)],
            routes: by_router,
            forwards: false,
        });
        Self { hosts }
    }

    /// The same with only the hosts named here.
    #[must_use]
    pub fn only(mut self, names: &[&str]) -> Self {
        self.hosts.retain(|host| names.contains(&host.name.as_str()));
        self
    }

    /// The same with one more link on a host.
    #[must_use]
    pub fn with_link(mut self, host: &str, link: &LinkSpec) -> Self {
        for host in self.hosts.iter_mut().filter(|spec| spec.name == host) {
            host.links.push(link.clone());
        }
        self
    }

    /// The same with a link `mgmt0` on each of the named hosts, by which they reach the server outside the guest. Its
    /// address is 10.77.0. and 100 plus the host's place in the list.
    #[must_use]
    pub fn with_management(mut self, names: &[&str]) -> Self {
        for (place, host) in self.hosts.iter_mut().enumerate() {
            if names.contains(&host.name.as_str()) {
                let addresses = vec![format!("10.77.0.{}/24", 100 + place)];
                host.links.push(LinkSpec {
                    name: "mgmt0".to_owned(),
                    network: MANAGEMENT.to_owned(),
                    addresses,
                });
            }
        }
        self
    }
}

impl LinkSpec {
    /// The link's hardware address: 02:00 and its first IPv4 address, so that a capture reads by itself. Nothing where it
    /// has no IPv4 address: the kernel then draws one.
    #[must_use]
    pub fn mac(&self) -> Option<String> {
        let first =
            self.addresses.iter().find_map(|text| text.split('/').next()?.parse::<Ipv4Addr>().ok())?;
        let [a, b, c, d] = first.octets();
        Some(format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}"))
    }
}

fn on_lan(name: &str, numbers: std::ops::RangeInclusive<u8>) -> HostSpec {
    let addresses =
        numbers.flat_map(|n| [format!("192.168.10.{n}/24"), format!("fd00:10::{n}/64")]).collect();
    HostSpec {
        name: name.to_owned(),
        links: vec![LinkSpec { name: "eth0".to_owned(), network: LAN.to_owned(), addresses }],
        routes: vec!["default via 192.168.10.1".to_owned(), "::/0 via fd00:10::1".to_owned()],
        forwards: false,
    }
}
