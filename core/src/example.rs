//! A director of the smallest service there is, for the tests of what an agent decides: VIP 192.168.10.40, TCP 80, round
//! robin, one real server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::forwarding::Forwarding;
use crate::ipvs::{PortKey, Timeouts};
use crate::kernel::{AddressAttributes, AddressKey, ArpSettings, Kernel};
use crate::local::{Link, Local, Probe, ProbeOutcome};
use crate::names::{FEATURES, LinkName, RealServerKey, ServiceName};
use crate::network::{MacAddress, Prefix};
use crate::node_plan::{
    NodePlan, PlannedRealServer, PlannedService, PlannedVip, ServiceForm, Stage, StageName,
};
use crate::scheduling::{Scheduling, Thresholds};
use crate::time::Monotonic;

pub(crate) const VIP: &str = "192.168.10.40";
pub(crate) const VIP6: &str = "fd00::40";
pub(crate) const RIP: &str = "192.168.10.10";
pub(crate) const NOW: Monotonic = Monotonic(100_000);
pub(crate) const FRESH: Timeouts = Timeouts { tcp_seconds: 900, tcp_fin_seconds: 120, udp_seconds: 300 };

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn link(text: &str) -> LinkName {
    text.parse().unwrap()
}

pub(crate) fn name() -> ServiceName {
    ServiceName::new("web", "shop")
}

/// All duties of a holder.
pub(crate) fn holder() -> PlannedVip {
    PlannedVip {
        accept: true,
        attract: true,
        forward: true,
        withdrawing: false,
        group: "edge".into(),
        pool: "public".into(),
        interface: None,
    }
}

pub(crate) fn form() -> ServiceForm {
    let server = PlannedRealServer {
        entry: "a".to_owned(),
        node: None,
        addresses: [address(RIP), address("fd00::10")].into(),
        weight: 1,
        thresholds: Thresholds::NONE,
        forwarding: Forwarding::DirectRouting,
        ports: BTreeMap::new(),
        stage: Stage::of(StageName::Serving),
        admitted: [address(VIP), address(VIP6)].into(),
    };
    ServiceForm {
        mark: None,
        ports: BTreeSet::from([PortKey { protocol: crate::network::Protocol::Tcp, port: 80 }]),
        scheduling: Scheduling::by("rr".parse().unwrap()),
        real_servers: [(RealServerKey::Foreign("a".to_owned()), server)].into(),
        adopt: false,
        zero_counters: None,
    }
}

/// The part of a service on its holder.
pub(crate) fn part() -> PlannedService {
    PlannedService {
        vips: [(address(VIP), holder())].into(),
        form: Some(form()),
        ..PlannedService::idle("uid")
    }
}

/// The plan of the holder.
pub(crate) fn plan() -> NodePlan {
    NodePlan { services: BTreeMap::from([(name(), part().into())]), ..NodePlan::empty(1, "lineage") }
}

/// The holder: `lo`, the uplink `eth0` in the VIP's network, `eth1` in another.
pub(crate) fn local() -> Local {
    let link_of = |loopback: bool, addresses: &[&str]| Link {
        loopback,
        arp: !loopback,
        up: true,
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        ..Link::default()
    };
    Local {
        node: "director-1".into(),
        ipvs: true,
        features: FEATURES.into_iter().map(Into::into).collect(),
        schedulers: BTreeSet::from(["rr", "wlc"].map(|name| name.parse().unwrap())),
        links: BTreeMap::from([
            (link("lo"), link_of(true, &["127.0.0.1/8", "::1/128"])),
            (link("eth0"), link_of(false, &["192.168.10.21/24", "fd00::21/64"])),
            (link("eth1"), link_of(false, &["10.0.0.21/24"])),
        ]),
        default_links: vec![link("eth1")],
        probes: BTreeMap::from([(address(VIP), clean(NOW))]),
        ..Local::default()
    }
}

pub(crate) fn clean(at: Monotonic) -> Probe {
    Probe { at, outcome: ProbeOutcome::Clean }
}

pub(crate) fn in_use(at: Monotonic) -> Probe {
    Probe { at, outcome: ProbeOutcome::InUse { mac: MacAddress([2, 0, 0, 0, 0, 9]) } }
}

/// The holder's kernel before us.
pub(crate) fn kernel() -> Kernel {
    let local = local();
    let attributes =
        AddressAttributes { scope: 0, no_dad: false, preferred_seconds: None, valid_seconds: None };
    let addresses = local.links.iter().flat_map(|(name, link)| {
        let key = |prefix: &Prefix| AddressKey {
            link: *name,
            address: prefix.address,
            prefix_length: prefix.length,
        };
        link.addresses.iter().map(move |prefix| (key(prefix), attributes))
    });
    Kernel {
        timeouts: Some(FRESH),
        addresses: addresses.collect(),
        arp: local.links.keys().map(|name| (*name, ArpSettings::default())).collect(),
        schedulers: Some(local.schedulers.clone()),
        ..Kernel::default()
    }
}
