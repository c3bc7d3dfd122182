//! Generated worlds: what a node is like before us, and the plans that it gets one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::counters::ZeroToken;
use lvs_core::forwarding::{Encapsulation, Forwarding, GueChecksum};
use lvs_core::ipvs::{
    DestinationKey, DestinationSettings, ForwardingMethod, PortKey, Timeouts, VirtualServerKey,
    VirtualServerSettings,
};
use lvs_core::kernel::{AddressAttributes, AddressKey, ArpSettings, Kernel, VirtualServer};
use lvs_core::names::{Feature, LinkName, RealServerKey, ServiceName};
use lvs_core::network::{Family, Prefix, Protocol};
use lvs_core::node_plan::{
    NodePlan, NodeSettings, PlannedRealServer, PlannedService, PlannedVip, Revision, ServiceForm, Stage,
    StageName,
};
use lvs_core::packet_rule::{PacketRuleKey, PacketRuleKind, PacketRuleSettings};
use lvs_core::redirection::Redirection;
use lvs_core::scheduling::{FormPersistence, SchedulerFlag, Scheduling, Thresholds, UdpScheduling};
use lvs_core::sysctl::{IpvsSysctl, Sysctl};
use lvs_core::tunnel::{GuePort, TunnelDevice, TunnelKind, link_name};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// VIPs of both families.
pub(crate) const VIPS: [&str; 5] =
    ["192.168.10.40", "192.168.10.41", "192.168.10.42", "fd00::40", "fd00::41"];
/// RIPs of both families; the last is behind a gateway.
pub(crate) const RIPS: [&str; 6] =
    ["192.168.10.10", "192.168.10.11", "fd00::10", "fd00::11", "192.168.10.12", "172.16.0.1"];
/// Links: loopback, two that speak ARP, one that does not.
pub(crate) const LINKS: [&str; 4] = ["lo", "eth0", "eth1", "tun0"];
/// The node's own addresses at which it may take tunnels in.
const OWN_ADDRESSES: [&str; 2] = ["192.168.10.21", "fd00::21"];

/// Marks that users' own rules give to packets.
pub(crate) const OWN_MARKS: [u32; 2] = [7, 8];

/// A node before us, who else has which VIP, and what is planned for it in turn.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) kernel: Kernel,
    pub(crate) strangers: BTreeSet<IpAddr>,
    pub(crate) plans: Vec<NodePlan>,
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn link(text: &str) -> LinkName {
    text.parse().unwrap()
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let strangers = prop_oneof![3 => Just(BTreeSet::new()), 1 => btree_set(vip(), 1..3)];
    (kernel(), strangers, vec(plan(), 1..4)).prop_map(|(kernel, strangers, plans)| World {
        kernel,
        strangers,
        plans,
    })
}

fn vip() -> impl Strategy<Value = IpAddr> {
    select(&VIPS[..]).prop_map(address)
}

fn kernel() -> impl Strategy<Value = Kernel> {
    let timeouts = select(vec![
        Timeouts { tcp_seconds: 900, tcp_fin_seconds: 120, udp_seconds: 300 },
        Timeouts { tcp_seconds: 30, tcp_fin_seconds: 5, udp_seconds: 60 },
    ]);
    let all = prop_oneof![
        4 => Just(ArpSettings::default()),
        1 => (select(vec![0, 1, 2, 3, 8, 9]), 0..3_u32).prop_map(settings),
    ];
    let arp = vec((0..10_u32, 0..4_u32).prop_map(settings), LINKS.len());
    let schedulers =
        prop_oneof![1 => Just(None), 2 => Just(Some(["rr", "wlc"])), 1 => Just(Some(["rr", "sh"]))];
    let table = btree_map(virtual_server_key(), foreign_virtual_server(), 0..4);
    let settings = (timeouts, sysctls(2..5));
    let forwarding = (btree_set(select(&LINKS[..]).prop_map(link), 0..3), any::<bool>());
    let rules = (packet_rules(), forwarding);
    (table, settings, foreign_addresses(), arp, all, schedulers, tunnels(), rules).prop_map(
        |(
            virtual_servers,
            (timeouts, sysctls),
            addresses,
            arp,
            arp_all,
            schedulers,
            (tunnels, gue_ports, rp_filter_all),
            (packet_rules, (forwarding, forwarding_all)),
        )| Kernel {
            virtual_servers,
            timeouts: Some(timeouts),
            sysctls,
            addresses,
            arp: (LINKS.iter().map(|name| link(name)).zip(arp))
                .chain(tunnels.keys().map(|name| (*name, ArpSettings::default())))
                .collect(),
            tunnels,
            gue_ports,
            rp_filter_all,
            packet_rules,
            forwarding,
            forwarding_all,
            arp_all,
            schedulers: schedulers.map(|names| names.iter().map(|name| name.parse().unwrap()).collect()),
        },
    )
}

/// Some of a few sysctls; a kernel lacks one or the other.
fn sysctls(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeMap<Sysctl, i32>> {
    let ipvs = [IpvsSysctl::Conntrack, IpvsSysctl::DropEntry, IpvsSysctl::EstNice].map(Sysctl::Ipvs);
    let all = [&ipvs[..], &[Sysctl::Ipv6Forwarding(link("eth0"))]].concat();
    (subsequence(all, count), vec(0..3_i32, 4))
        .prop_map(|(some, values)| some.into_iter().zip(values).collect())
}

/// Tunnel devices of others: what a module brings along, up or down, and some at one of our addresses or names.
fn tunnels() -> impl Strategy<Value = (BTreeMap<LinkName, TunnelDevice>, BTreeSet<GuePort>, u32)> {
    let at = || select(OWN_ADDRESSES.to_vec()).prop_map(address);
    let any_address = (select(TunnelKind::ALL.to_vec()), any::<[bool; 3]>(), 0..3_u32).prop_map(
        |(kind, [up, addressed, checksum], rp_filter)| {
            let (local, remote) = (None, None);
            let device = TunnelDevice { kind, local, remote, checksum, up, rp_filter, addressed };
            (link(&format!("{kind}0")), device)
        },
    );
    let disturbing = (select(TunnelKind::ALL.to_vec()), at(), any::<[bool; 3]>()).prop_map(
        |(kind, address, [up, ours, remote])| {
            let device = TunnelDevice { up, ..TunnelDevice::receiving(kind, address, false) };
            let remote = remote.then(|| self::address("10.9.9.9"));
            let name = if ours { link_name(kind, address) } else { link(&format!("{kind}1")) };
            (name, TunnelDevice { remote, ..device })
        },
    );
    let port = (select(vec![Family::IPv4, Family::IPv6]), 6080..6082_u16)
        .prop_map(|(family, port)| GuePort { family, port });
    (vec(any_address, 0..3), vec(disturbing, 0..2), btree_set(port, 0..2), 0..3_u32)
        .prop_map(|(first, then, ports, all)| (first.into_iter().chain(then).collect(), ports, all))
}

/// Packet rules in our table that are not ours, some where ours would stand.
fn packet_rules() -> impl Strategy<Value = BTreeMap<PacketRuleKey, PacketRuleSettings>> {
    let to = prop_oneof![vip(), select(&RIPS[..]).prop_map(address)];
    let key = (select(PacketRuleKind::ALL.to_vec()), to, port());
    let key = key.prop_map(|(kind, address, PortKey { protocol, port })| PacketRuleKey {
        kind,
        protocol,
        address,
        port,
    });
    let value = select(vec![0, 7, 100, 8080]);
    let settings = (value, any::<bool>()).prop_map(|(value, reached)| PacketRuleSettings { value, reached });
    btree_map(key, settings, 0..3)
}

/// How real servers are sent to.
fn forwarding() -> impl Strategy<Value = Forwarding> {
    let gue = |checksum| Encapsulation::Gue { port: 6080, checksum };
    let tunnels = vec![
        Encapsulation::Ipip,
        gue(GueChecksum::Absent),
        gue(GueChecksum::Udp),
        Encapsulation::Gre { checksum: false },
        Encapsulation::Gre { checksum: true },
    ];
    prop_oneof![
        2 => Just(Forwarding::DirectRouting),
        1 => select(tunnels).prop_map(Forwarding::Tunnel),
        1 => select(vec![Forwarding::Masquerade, Forwarding::FullNat]),
    ]
}

fn settings((ignore, announce): (u32, u32)) -> ArpSettings {
    ArpSettings { ignore, announce }
}

/// The node's own addresses, and some that get in a VIP's way.
fn foreign_addresses() -> impl Strategy<Value = BTreeMap<AddressKey, AddressAttributes>> {
    let plain = AddressAttributes { scope: 0, no_dad: false, preferred_seconds: None, valid_seconds: None };
    let own =
        ["lo 127.0.0.1/8", "lo ::1/128", "eth0 192.168.10.21/24", "eth0 fd00::21/64", "eth1 10.0.0.21/24"];
    let disturbing = prop_oneof![
        // A VIP by hand, as we would bind it or in another form.
        (select(vec!["lo", "eth0"]), vip(), any::<bool>()).prop_map(move |(name, vip, equal)| {
            let attributes = if equal {
                AddressAttributes::vip(Family::of(vip))
            } else {
                AddressAttributes { scope: 253, ..plain }
            };
            (AddressKey::host(link(name), vip), attributes)
        }),
        // A VIP that is an address of the node.
        (select(vec!["eth0 192.168.10.41/24", "tun0 192.168.10.42/32", "eth1 fd00::41/64"]))
            .prop_map(move |text| (text.parse().unwrap(), plain)),
        // Addresses that hiding ARP would silence, and some that it would not.
        (select(vec![
            "lo 192.168.10.99/32",
            "tun0 10.0.0.99/32",
            "lo 172.31.0.1/32",
            "tun0 192.168.10.0/32"
        ]))
        .prop_map(move |text| (text.parse().unwrap(), plain)),
    ];
    vec(disturbing, 0..3).prop_map(move |disturbing| {
        own.iter().map(|text| (text.parse().unwrap(), plain)).chain(disturbing).collect()
    })
}

fn virtual_server_key() -> impl Strategy<Value = VirtualServerKey> {
    let tuple = (vip(), port()).prop_map(|(address, PortKey { protocol, port })| VirtualServerKey::Tuple {
        protocol,
        address,
        port,
    });
    let marks = vec![1, OWN_MARKS[0], 100];
    let mark = (select(marks), any::<bool>()).prop_map(|(mark, v6)| VirtualServerKey::Mark {
        family: if v6 { Family::IPv6 } else { Family::IPv4 },
        mark,
    });
    prop_oneof![5 => tuple, 1 => mark]
}

fn port() -> impl Strategy<Value = PortKey> {
    let ports = [(Protocol::Tcp, 80), (Protocol::Tcp, 443), (Protocol::Udp, 53), (Protocol::Tcp, 8080)];
    select(ports.to_vec()).prop_map(|(protocol, port)| PortKey { protocol, port })
}

fn foreign_virtual_server() -> impl Strategy<Value = VirtualServer> {
    let persistence =
        option::weighted(0.2, Just(lvs_core::ipvs::Persistence { timeout_seconds: 20, prefix_length: 32 }));
    let settings = (select(vec!["rr", "wlc"]), persistence).prop_map(|(scheduler, persistence)| {
        let scheduler = scheduler.parse().unwrap();
        VirtualServerSettings { scheduler, flags: 0, persistence, persistence_engine: None }
    });
    let destination =
        (select(&RIPS[..2]), select(vec![80, 443, 53]), 0..2_u32).prop_map(|(rip, port, weight)| {
            let method = ForwardingMethod::DirectRouting;
            let settings =
                DestinationSettings { method, weight, upper_threshold: 0, lower_threshold: 0, tunnel: None };
            (DestinationKey { address: address(rip), port }, settings)
        });
    (settings, vec(destination, 0..3)).prop_map(|(settings, destinations)| VirtualServer {
        settings,
        destinations: destinations.into_iter().collect(),
    })
}

fn plan() -> impl Strategy<Value = NodePlan> {
    let timeouts = option::of((0..2_u32, 0..3_u32, 1..3_u32).prop_map(|(tcp, fin, udp)| Timeouts {
        tcp_seconds: tcp * 30,
        tcp_fin_seconds: fin * 5,
        udp_seconds: udp * 60,
    }));
    let uplink = prop_oneof![6 => Just(None), 1 => Just(Some("eth1")), 1 => Just(Some("gone0"))];
    let silence = any::<bool>().prop_map(|allowed| {
        let addresses = if allowed { vec!["192.168.10.99", "10.0.0.99"] } else { Vec::new() };
        addresses.into_iter().map(address).collect()
    });
    let settings = (timeouts, sysctls(0..3), silence, uplink).prop_map(
        |(timeouts, sysctls, allow_arp_silence, uplink)| NodeSettings {
            timeouts,
            sysctls,
            allow_arp_silence,
            uplink: uplink.map(link),
        },
    );
    (settings, vec(service(), 0..4), prop::bool::weighted(0.9)).prop_map(|(settings, services, complete)| {
        let services = services.into_iter().enumerate();
        let named =
            services.map(|(at, part)| (ServiceName::new("web", &format!("s{at}")), part.into())).collect();
        NodePlan { complete, settings, services: named, ..NodePlan::empty(1, "lineage") }
    })
}

fn service() -> impl Strategy<Value = PlannedService> {
    let vips = btree_map(vip(), duties(), 0..4);
    let requires =
        prop_oneof![8 => Just(BTreeSet::new()), 1 => Just(BTreeSet::from([Feature::from("Later")]))];
    let receive = (forwarding(), subsequence(&OWN_ADDRESSES[..], 1..3)).prop_map(|(forwarding, at)| {
        let addresses: Vec<IpAddr> = at.into_iter().map(address).collect();
        forwarding.receptions(&addresses, [Family::IPv4, Family::IPv6])
    });
    let redirect = (vip(), port(), select(vec![8080, 9090]))
        .prop_map(|(vip, PortKey { protocol, port }, to)| Redirection { protocol, vip, port, to });
    (vips, option::weighted(0.9, form()), requires, 1..4_u32, receive, btree_set(redirect, 0..2)).prop_map(
        |(vips, form, requires, number, receive, redirect)| PlannedService {
            vips: vips.into_iter().collect(),
            receive,
            redirect,
            form,
            requires,
            revision: Revision { number, hash: 0 },
            ..PlannedService::idle("uid")
        },
    )
}

fn duties() -> impl Strategy<Value = PlannedVip> {
    let interface = prop_oneof![5 => Just(None), 1 => Just(Some("eth0")), 1 => Just(Some("gone0"))];
    (any::<bool>(), any::<bool>(), prop::bool::weighted(0.8), interface).prop_map(
        |(accept, attract, forward, interface)| PlannedVip {
            accept,
            attract,
            forward,
            withdrawing: false,
            group: "edge".into(),
            pool: "public".into(),
            interface: interface.map(link),
        },
    )
}

fn form() -> impl Strategy<Value = ServiceForm> {
    let persistence = option::weighted(
        0.3,
        Just(FormPersistence {
            timeout_seconds: 20,
            ipv4_prefix_length: 32,
            ipv6_prefix_length: 128,
            engine: None,
        }),
    );
    let scheduling = (select(vec!["rr", "wlc", "mh"]), persistence, prop::bool::weighted(0.2)).prop_map(
        |(scheduler, persistence, more)| Scheduling {
            scheduler_flags: if more && scheduler == "mh" { vec![SchedulerFlag::MhPort] } else { Vec::new() },
            udp_scheduling: if more { UdpScheduling::PerPacket } else { UdpScheduling::PerConnection },
            persistence,
            ..Scheduling::by(scheduler.parse().unwrap())
        },
    );
    let servers = vec(real_server(), 0..4);
    let token = option::weighted(0.3, select(vec!["one", "two"]));
    (btree_set(port(), 1..3), marking(), scheduling, servers, prop::bool::weighted(0.1), token).prop_map(
        |(ports, mark, scheduling, servers, adopt, token)| ServiceForm {
            zero_counters: token.map(|token| ZeroToken(token.to_owned())),
            ports: if mark.is_some_and(|mark| OWN_MARKS.contains(&mark)) { BTreeSet::new() } else { ports },
            mark,
            scheduling,
            real_servers: servers
                .into_iter()
                .enumerate()
                .map(|(at, server)| (RealServerKey::Foreign(format!("r{at}")), server))
                .collect(),
            adopt,
        },
    )
}

/// By port, by a user's own mark, or by one that directors give.
fn marking() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![3 => Just(None), 1 => select(&OWN_MARKS[..]).prop_map(Some), 2 => (100..102_u32).prop_map(Some)]
}

fn real_server() -> impl Strategy<Value = PlannedRealServer> {
    let stage = select(vec![StageName::Serving, StageName::Serving, StageName::Quiesced, StageName::Pending]);
    let limits = prop_oneof![4 => Just(Thresholds::NONE), 1 => Just(Thresholds { upper: 9, lower: 5 })];
    let admitted = subsequence(&VIPS[..], 3..6);
    let ports = btree_map(port(), select(vec![8080, 8443]), 0..3);
    (select(&RIPS[..]), 0..3_u32, limits, forwarding(), ports, stage, admitted).prop_map(
        |(rip, weight, thresholds, forwarding, ports, stage, admitted)| PlannedRealServer {
            entry: "r".to_owned(),
            node: None,
            addresses: [address(rip)].into(),
            weight,
            thresholds,
            forwarding,
            ports,
            stage: Stage::of(stage),
            admitted: admitted.into_iter().map(address).collect(),
        },
    )
}

/// The prefixes of a link, as an agent reports them.
pub(crate) fn prefixes(kernel: &Kernel, name: LinkName) -> BTreeSet<Prefix> {
    let on_link = kernel.addresses.keys().filter(|key| key.link == name);
    on_link.map(|key| Prefix { address: key.address, length: key.prefix_length }).collect()
}
