//! (l) Each way in which a director sends to a real server, in real kernels and on real connections: every kind of
//! tunnel, every mix of families, behind a router too.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::topology::FAR;
use crate::lab::{HostSpec, LinkSpec, Snapshot, Topology, frame, modules, packet, traffic};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "every-forwarding",
    rows: &["l", "g"],
    needs_ipvs: true,
    kernel: KernelNeeds::Common,
    run: every_forwarding,
}];

const DIRECTOR: &str = "director-1";
const NODES: [&str; 4] = [DIRECTOR, "rs-1", "rs-2", "rs-far"];
const REAL_SERVERS: [&str; 3] = ["rs-1", "rs-2", "rs-far"];
const VIPS: [&str; 2] = ["192.168.10.40", "fd00:10::40"];

/// Services: name, port, the tunnel.
const TUNNELS: [(&str, u16, &str); 5] = [
    ("ipip", 8001, "{type: IPIP}"),
    ("gue", 8002, "{type: GUE, port: 6080}"),
    ("gue-sum", 8003, "{type: GUE, port: 6080, checksum: Outer}"),
    ("gue-remote", 8004, "{type: GUE, port: 6080, checksum: Remote}"),
    ("gre", 8005, "{type: GRE}"),
];

/// The service that goes from one method to another.
const CHANGING: (&str, u16) = ("changing", 8006);

fn every_forwarding(bench: &mut Bench) -> Result<Value> {
    prepare_kernel()?;
    let topology = Topology::lan().only(&[DIRECTOR, "rs-1", "rs-2", "client", "router"]);
    let mut fleet = Fleet::new(bench, behind_the_router(topology))?;
    prepare_hosts(&fleet)?;
    let before = snapshots(&fleet)?;
    let mut servers = Vec::new();
    for name in REAL_SERVERS {
        for port in TUNNELS.iter().map(|(_, port, _)| *port).chain([CHANGING.1]) {
            servers.push(traffic::start_server(bench, fleet.host(name)?, port)?);
        }
    }
    fleet.apply("directorgroup.yaml", &group()?)?;
    fleet.apply("nodes.yaml", &nodes())?;
    for (name, port, tunnel) in TUNNELS {
        fleet.apply(&format!("{name}.yaml"), &by_tunnel(name, port, tunnel))?;
    }
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    missing_module(bench, &fleet)?;
    for (name, ..) in TUNNELS {
        fleet.wait_ready(name)?;
    }
    connections(bench, &fleet)?;
    others_device(bench, &fleet)?;
    another_checksum(bench, &fleet)?;
    another_method(bench, &fleet)?;
    for (name, ..) in TUNNELS {
        fleet.delete(&format!("{name}.yaml"))?;
    }
    fleet.delete("changing.yaml")?;
    fleet.wait_clean(&NODES)?;
    nothing_left(&fleet, &before)?;
    bench.case("deleted: no tunnel, port, address or setting is left on any node");
    typed(())
}

/// A module that is loaded makes a device in every namespace, and that stays. So all are there beforehand but `fou`.
fn prepare_kernel() -> Result<()> {
    modules::take_away("fou")?;
    for module in ["ipip", "sit", "ip6_tunnel", "ip_gre", "ip6_gre"] {
        modules::load(module)?;
    }
    Ok(())
}

/// The same with a real server beyond the router, where direct routing does not reach.
fn behind_the_router(mut topology: Topology) -> Topology {
    let addresses = ["10.20.0.10/24", "fd00:20::10/64"].map(str::to_owned).to_vec();
    topology.hosts.push(HostSpec {
        name: "rs-far".to_owned(),
        links: vec![LinkSpec { name: "eth0".to_owned(), network: FAR.to_owned(), addresses }],
        routes: ["default via 10.20.0.1", "::/0 via fd00:20::1"].map(str::to_owned).to_vec(),
        forwards: false,
    });
    topology
}

/// Reverse path filters as distributions have them, one each; and a tunnel device that somebody uses already.
fn prepare_hosts(fleet: &Fleet) -> Result<()> {
    for (host, all) in [("rs-1", "1"), ("rs-2", "2"), ("rs-far", "0")] {
        for whose in ["all", "default"] {
            let path = format!("/proc/sys/net/ipv4/conf/{whose}/rp_filter");
            fleet.host(host)?.write_file(&path, all)?;
        }
    }
    fleet.host("rs-2")?.sh("ip addr add 10.8.0.1/32 dev tunl0")?;
    fleet.host("rs-2")?.sh("ip link set tunl0 up").map(drop)
}

fn group() -> Result<String> {
    let group = example("directorgroup.yaml")?;
    let wider = group.replace("- 192.168.10.40/32", "- 192.168.10.40/32\n    - fd00:10::40/128");
    ensure!(wider != group, "the example has another pool than this scenario supposes");
    Ok(wider)
}

/// rs-1 has an address of each family, rs-2 is reached by IPv4 alone, and the far one by IPv6 alone.
fn nodes() -> String {
    let node = |(name, label, annotation, address): (&str, &str, &str, &str)| {
        let annotation = if annotation.is_empty() {
            String::new()
        } else {
            format!(", annotations: {{lvs-operator.io/real-server-addresses: '{annotation}'}}")
        };
        let second = address.replace("192.168.10.", "fd00:10::").replace("10.20.0.", "fd00:20::");
        format!(
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{label}}}{annotation}}}\nstatus:\n  \
             addresses:\n  - {{type: InternalIP, address: {address}}}\n  - {{type: InternalIP, address: '{second}'}}\n"
        )
    };
    [
        (DIRECTOR, "lvs: director", "", "192.168.10.20"),
        ("rs-1", "role: web", "", "192.168.10.10"),
        ("rs-2", "role: web", "192.168.10.11", "192.168.10.11"),
        ("rs-far", "role: web", "fd00:20::10", "10.20.0.10"),
    ]
    .map(node)
    .concat()
}

fn manifest(name: &str, port: u16, vips: &[&str], forwarding: &str, real_servers: &str) -> String {
    let vips: Vec<String> = vips.iter().map(|vip| format!("{{address: '{vip}'}}")).collect();
    format!(
        "apiVersion: lvs-operator.io/v1alpha1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\n\
         spec:\n  vips: [{}]\n  ports: [{{port: {port}}}]\n  scheduler: rr\n  forwarding: {forwarding}\n  \
         realServers: [{real_servers}]\n",
        vips.join(", ")
    )
}

fn by_tunnel(name: &str, port: u16, tunnel: &str) -> String {
    let web = "{name: web, nodeSelector: {matchLabels: {role: web}}}";
    manifest(name, port, &VIPS, &format!("{{method: Tunnel, tunnel: {tunnel}}}"), web)
}

fn missing_module(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    fleet.wait_ready("ipip")?;
    let message = fleet.wait_reason("gue", "Programmed", "TunnelMissing")?;
    ensure!(message.contains("rs-1") && message.contains("module fou"), "{message}");
    bench.case("a tunnel that a node's kernel lacks is named, with the module; the others go on");
    modules::give_back("fou")?;
    modules::load("fou")
}

/// Each real server is reached at each VIP by each tunnel, and its replies pass the director by.
fn connections(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let seen = packet::capture(fleet.host(DIRECTOR)?, "eth0", |bytes| frame::tcp(bytes).is_some())?;
    for (name, port, _) in TUNNELS {
        for vip in VIPS {
            everybody_serves(fleet, SocketAddr::new(vip.parse()?, port))?;
            bench.case(format!(
                "{name}: {vip} is served by real servers of either family, behind a router too"
            ));
        }
    }
    std::thread::sleep(packet::SETTLE);
    let vips = VIPS.map(str::parse::<IpAddr>);
    let back =
        |frame: &packet::Seen| frame::tcp(&frame.bytes).is_some_and(|(from, _)| vips.contains(&Ok(from)));
    let replies = seen.stop()?.iter().filter(|frame| back(frame)).count();
    ensure!(replies == 0, "{replies} replies went through the director");
    bench.case("replies bypass the director");
    Ok(())
}

/// As many connections one after the other as there are real servers reach each once.
fn everybody_serves(fleet: &Fleet, to: SocketAddr) -> Result<()> {
    let from: IpAddr = if to.is_ipv4() { "192.168.10.101".parse()? } else { "fd00:10::101".parse()? };
    let mut served = BTreeSet::new();
    for _ in REAL_SERVERS {
        served.insert(traffic::ask(fleet.host("client")?, from, to, Duration::from_secs(10))?);
    }
    ensure!(served == REAL_SERVERS.map(str::to_owned).into(), "{to} is served by {served:?}");
    Ok(())
}

/// On rs-2 somebody else's tunl0 takes in all IPIP.
fn others_device(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let links = |host: &str| fleet.host(host)?.sh("ip -o link show type ipip");
    ensure!(links("rs-1")?.contains("lvs-ip-c0a80a0a"), "rs-1 has no device of ours: {}", links("rs-1")?);
    ensure!(!links("rs-2")?.contains("lvs-ip"), "rs-2 has a second device: {}", links("rs-2")?);
    bench.case("a tunnel device that somebody else has up is used, and no second one made");
    fleet.host("rs-2")?.sh("ip addr del 10.8.0.1/32 dev tunl0")?;
    let message = fleet.wait_reason("ipip", "Programmed", "ForeignEntry")?;
    ensure!(message.contains("tunl0") && message.contains("rp_filter"), "{message}");
    let to = SocketAddr::new(VIPS[0].parse()?, TUNNELS[0].1);
    wait_until("rs-2 gets no more IPv4 by IPIP", PATIENCE, || {
        let table = fleet.host(DIRECTOR)?.sh(&format!("ipvsadm -Ln -t {to}"))?;
        ensure!(!table.contains("192.168.10.11"), "the table is {table}");
        Ok(true)
    })?;
    bench.case("where it would drop the packets, that is said, and nothing is sent there");
    fleet.host("rs-2")?.sh("ip addr add 10.8.0.1/32 dev tunl0")?;
    fleet.wait_ready("ipip")?;
    wait_until("rs-2 serves again", PATIENCE, || everybody_serves(fleet, to).map(|()| true))
}

/// A device takes GRE either with a checksum or without.
fn another_checksum(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let (name, port, _) = TUNNELS[4];
    fleet.apply("gre.yaml", &by_tunnel(name, port, "{type: GRE, checksum: Outer}"))?;
    fleet.wait_ready(name)?;
    for vip in VIPS {
        let to = SocketAddr::new(vip.parse()?, port);
        wait_until("GRE has a checksum", PATIENCE, || everybody_serves(fleet, to).map(|()| true))?;
    }
    bench.case("gre with a checksum");
    Ok(())
}

/// A service goes from direct routing to a tunnel and back, and no connection fails on the way.
fn another_method(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let (name, port) = CHANGING;
    let both = "{name: a, nodeName: rs-1}, {name: b, nodeName: rs-2}";
    let apply =
        |forwarding: &str| fleet.apply("changing.yaml", &manifest(name, port, &VIPS[..1], forwarding, both));
    apply("{method: DirectRouting}")?;
    fleet.wait_ready(name)?;
    let (client, to) = (fleet.host("client")?, SocketAddr::new(VIPS[0].parse()?, port));
    let ask = || traffic::ask(client, "192.168.10.102".parse()?, to, Duration::from_secs(10));
    for (forwarding, flag) in [
        ("{method: Tunnel, tunnel: {type: GUE, port: 6081}}", "-i"),
        ("{method: Tunnel}", "-i"),
        ("{method: DirectRouting}", "-g"),
    ] {
        apply(forwarding)?;
        wait_until("both are sent to in the new way", PATIENCE, || {
            ask()?;
            let table = fleet.host(DIRECTOR)?.sh("ipvsadm -Sn")?;
            let ours = table.lines().filter(|line| line.starts_with(&format!("-a -t {to}")));
            let gue = forwarding.contains("GUE");
            let in_the_new_way = |line: &&str| line.contains(flag) && line.contains("gue") == gue;
            Ok(ours.filter(in_the_new_way).count() == 2)
        })?;
        fleet.wait_ready(name)?;
        for _ in 0..4 {
            ask()?;
        }
    }
    // It goes once the director has said that it sends in the new way: a report and a plan later.
    wait_until("the port of before is closed", PATIENCE, || {
        Ok(!fleet.host("rs-1")?.sh("ip fou show")?.contains("6081"))
    })?;
    bench.case("from direct routing to a tunnel, to another, and back: each connection is served");
    Ok(())
}

fn snapshots(fleet: &Fleet) -> Result<Vec<(&'static str, Snapshot)>> {
    NODES.iter().map(|node| Ok((*node, Snapshot::of(fleet.host(node)?)?))).collect()
}

fn nothing_left(fleet: &Fleet, before: &[(&str, Snapshot)]) -> Result<()> {
    for (node, before) in before {
        let differences = before.differences(&Snapshot::of(fleet.host(node)?)?);
        ensure!(differences.is_empty(), "{node} is not as it was found: {differences:#?}");
        let ports = fleet.host(node)?.sh("ip fou show")?;
        ensure!(ports.trim().is_empty(), "{node} still takes GUE in: {ports}");
    }
    Ok(())
}
