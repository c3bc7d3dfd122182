//! (l) Another address or port on the real server: masquerading, full NAT, and ports that the real server itself
//! redirects.
//!
//! ```text
//! client .101 ── lan ── director-1 .20   10.9.0.1 ── inside ── rs-1 10.9.0.10   rs-2 10.9.0.11
//!                rs-3 .12
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::topology::LAN;
use crate::lab::{HostSpec, LinkSpec, Snapshot, Topology, traffic};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "masquerade",
        rows: &["l", "g"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: masquerade,
    },
    Scenario {
        name: "full-nat",
        rows: &["l", "g"],
        needs_ipvs: true,
        kernel: KernelNeeds::Distribution { cpus: 1 },
        run: full_nat,
    },
];

const DIRECTOR: &str = "director-1";
const INSIDE: &str = "inside";
const VIPS: [&str; 2] = ["192.168.10.40", "fd00:10::40"];
const IPV6_FORWARDING: &str = "/proc/sys/net/ipv6/conf/all/forwarding";

/// Two real servers that see nothing of the LAN but the director. rs-1 replies by it; rs-2 by nobody.
fn topology() -> Topology {
    let link = |name: &str, network: &str, addresses: [&str; 2]| LinkSpec {
        name: name.to_owned(),
        network: network.to_owned(),
        addresses: addresses.map(str::to_owned).to_vec(),
    };
    let host = |name: &str, link: LinkSpec, routes: &[&str]| HostSpec {
        name: name.to_owned(),
        links: vec![link],
        routes: routes.iter().map(|route| (*route).to_owned()).collect(),
        forwards: false,
    };
    let mut topology = Topology::lan()
        .only(&[DIRECTOR, "client", "router"])
        .with_link(DIRECTOR, &link("eth1", INSIDE, ["10.9.0.1/24", "fd00:9::1/64"]));
    topology.hosts.extend([
        host(
            "rs-1",
            link("eth0", INSIDE, ["10.9.0.10/24", "fd00:9::10/64"]),
            &["default via 10.9.0.1", "::/0 via fd00:9::1"],
        ),
        host("rs-2", link("eth0", INSIDE, ["10.9.0.11/24", "fd00:9::11/64"]), &[]),
        host("rs-3", link("eth0", LAN, ["192.168.10.12/24", "fd00:10::12/64"]), &[]),
    ]);
    topology
}

fn nodes(real_servers: &[(&str, &str)]) -> String {
    let node = |name: &str, label: &str, v4: &str, v6: &str| {
        format!(
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{label}}}}}\nstatus:\n  addresses:\n  \
             - {{type: InternalIP, address: {v4}}}\n  - {{type: InternalIP, address: '{v6}'}}\n"
        )
    };
    let real_servers = real_servers.iter().map(|(name, v4)| {
        let v6 = v4.replace("10.9.0.", "fd00:9::").replace("192.168.10.", "fd00:10::");
        node(name, "role: web", v4, &v6)
    });
    let director = node(DIRECTOR, "lvs: director", "192.168.10.20", "fd00:10::20");
    std::iter::once(director).chain(real_servers).collect()
}

fn group() -> Result<String> {
    let group = example("directorgroup.yaml")?;
    let wider = group.replace("- 192.168.10.40/32", "- 192.168.10.40/32\n    - fd00:10::40/128");
    ensure!(wider != group, "the example has another pool than this scenario supposes");
    Ok(wider)
}

fn service(name: &str, ports: &str, forwarding: &str, real_servers: &str) -> String {
    let [v4, v6] = VIPS;
    format!(
        "apiVersion: lvs-operator.io/v1alpha1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\n\
         spec:\n  vips: [{{address: {v4}}}, {{address: '{v6}'}}]\n  ports: [{ports}]\n  scheduler: rr\n  \
         forwarding: {{method: {forwarding}}}\n  realServers: [{real_servers}]\n"
    )
}

/// Asks each VIP at a port until these and no others have answered, one connection for each.
fn served_by(fleet: &Fleet, vip: &str, port: u16, servers: &[&str]) -> Result<()> {
    let to = SocketAddr::new(vip.parse()?, port);
    let from: IpAddr = if to.is_ipv4() { "192.168.10.101".parse()? } else { "fd00:10::101".parse()? };
    let wanted: BTreeSet<String> = servers.iter().map(|name| (*name).to_owned()).collect();
    wait_until(&format!("{to} is served by {servers:?}"), PATIENCE, || {
        let mut served = BTreeSet::new();
        for _ in servers {
            served.insert(traffic::ask(fleet.host("client")?, from, to, Duration::from_secs(3))?);
        }
        ensure!(served == wanted, "it is served by {served:?}");
        Ok(true)
    })
}

fn setting(fleet: &Fleet, host: &str, path: &str) -> Result<String> {
    Ok(fleet.host(host)?.read_file(&format!("/proc/sys/net/{path}"))?.trim().to_owned())
}

fn masquerade(bench: &mut Bench) -> Result<Value> {
    const NODES: [&str; 3] = [DIRECTOR, "rs-1", "rs-2"];
    let mut fleet = Fleet::new(bench, topology())?;
    let director = Snapshot::of(fleet.host(DIRECTOR)?)?;
    let real_server = Snapshot::of(fleet.host("rs-1")?)?;
    let mut servers = Vec::new();
    for name in ["rs-1", "rs-2"] {
        servers.push(traffic::start_server(bench, fleet.host(name)?, 9001)?);
    }
    fleet.apply("directorgroup.yaml", &group()?)?;
    fleet.apply("nodes.yaml", &nodes(&[("rs-1", "10.9.0.10"), ("rs-2", "10.9.0.11")]))?;
    let web = "{name: web, nodeSelector: {matchLabels: {role: web}}}";
    fleet.apply("web.yaml", &service("web", "{port: 8001, targetPort: 9001}", "Masquerade", web))?;
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;

    let message = fleet.wait_reason("web", "ResolvedRefs", "NoReturnPath")?;
    ensure!(message.contains("Node rs-2") && message.contains("FullNAT"), "{message}");
    ensure!(!message.contains("rs-1"), "{message}");
    served_by(&fleet, VIPS[0], 8001, &["rs-1"])?;
    bench.case("a real server without a route by the director is named and not sent to; the other serves, at its own port");
    let message = fleet.wait_reason("web", "Programmed", "Ipv6ForwardingOff")?;
    ensure!(message.contains("net.ipv6.conf.all.forwarding"), "{message}");
    bench.case("where the director forwards no IPv6, that is said, and the setting is named");
    fleet.host(DIRECTOR)?.write_file(IPV6_FORWARDING, "1")?;
    served_by(&fleet, VIPS[1], 8001, &["rs-1"])?;

    fleet.host("rs-2")?.sh("ip route add default via 10.9.0.1")?;
    fleet.host("rs-2")?.sh("ip -6 route add default via fd00:9::1")?;
    for vip in VIPS {
        served_by(&fleet, vip, 8001, &["rs-1", "rs-2"])?;
        bench.case(format!("masquerade: {vip} is served at another port once there is a way back"));
    }
    fleet.wait_ready("web")?;
    what_is_set(bench, &fleet)?;

    fleet.delete("web.yaml")?;
    fleet.wait_clean(&NODES)?;
    fleet.host(DIRECTOR)?.write_file(IPV6_FORWARDING, "0")?;
    for (name, before) in [(DIRECTOR, director), ("rs-1", real_server)] {
        let differences = before.differences(&Snapshot::of(fleet.host(name)?)?);
        ensure!(differences.is_empty(), "{name} is not as it was found: {differences:#?}");
    }
    bench.case("masquerade deleted: no entry is left, and forwarding is off again");
    typed(())
}

/// The director forwards on the link of the real servers alone, and they have no VIP.
fn what_is_set(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let forwarding = |link: &str| setting(fleet, DIRECTOR, &format!("ipv4/conf/{link}/forwarding"));
    let found = [forwarding("eth0")?, forwarding("eth1")?, forwarding("all")?];
    ensure!(found == ["0", "1", "0"], "forwarding of eth0, eth1 and all is {found:?}");
    bench.case("the director forwards IPv4 from the link of the real servers alone");
    let addresses = fleet.host("rs-1")?.sh("ip -o addr")?;
    ensure!(!VIPS.iter().any(|vip| addresses.contains(&format!("{vip}/"))), "{addresses}");
    bench.case("a masqueraded real server has no VIP");
    let dump = fleet.host(DIRECTOR)?.sh("ipvsadm -Sn")?;
    ensure!(dump.matches(":9001 -m").count() == 4, "{dump}");
    let ours = fleet.agent_verb(DIRECTOR, &["observe", "-o", "ipvsadm"])?;
    ensure!(ours == dump, "ipvsadm says\n{dump}\nand the agent\n{ours}");
    bench.case("observe -o ipvsadm and ipvsadm -Sn say the same of it");
    Ok(())
}

fn full_nat(bench: &mut Bench) -> Result<Value> {
    const NODES: [&str; 4] = [DIRECTOR, "rs-1", "rs-2", "rs-3"];
    let mut fleet = Fleet::new(bench, topology())?;
    fleet.host(DIRECTOR)?.write_file(IPV6_FORWARDING, "1")?;
    let mut servers = Vec::new();
    for (name, port) in [("rs-1", 9002), ("rs-2", 9002), ("rs-3", 9003)] {
        servers.push(traffic::start_server(bench, fleet.host(name)?, port)?);
    }
    let rules = |fleet: &Fleet, name: &str| fleet.host(name)?.sh("nft list ruleset");
    let mut before = Vec::new();
    for name in [DIRECTOR, "rs-3"] {
        before.push((name, Snapshot::of(fleet.host(name)?)?, rules(&fleet, name)?));
    }
    fleet.apply("directorgroup.yaml", &group()?)?;
    let addresses = [("rs-1", "10.9.0.10"), ("rs-2", "10.9.0.11"), ("rs-3", "192.168.10.12")];
    fleet.apply("nodes.yaml", &nodes(&addresses))?;
    let inside = "{name: a, nodeName: rs-1}, {name: b, nodeName: rs-2}";
    fleet.apply("full.yaml", &service("full", "{port: 8002, targetPort: 9002}", "FullNAT", inside))?;
    let moved = "{name: c, nodeName: rs-3, port: 9003}";
    fleet.apply("moved.yaml", &service("moved", "{port: 8003}", "DirectRouting", moved))?;
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    for vip in VIPS {
        served_by(&fleet, vip, 8002, &["rs-1", "rs-2"])?;
        bench.case(format!("full NAT: {vip} is served by a real server that has no route to the client"));
        served_by(&fleet, vip, 8003, &["rs-3"])?;
        bench.case(format!(
            "direct routing: {vip} is served at another port, which the real server redirects to"
        ));
    }
    for name in ["full", "moved"] {
        fleet.wait_ready(name)?;
    }
    let tracked = setting(&fleet, DIRECTOR, "ipv4/vs/conntrack")?;
    ensure!(tracked == "1", "net.ipv4.vs.conntrack is {tracked}");
    let found = rules(&fleet, DIRECTOR)?;
    ensure!(found.contains("10.9.0.10") && found.contains("masquerade"), "{found}");
    ensure!(rules(&fleet, "rs-3")?.contains("9003"), "{}", rules(&fleet, "rs-3")?);
    bench.case("the rules are in nftables as `nft` lists it, and connections are tracked");

    fleet.apply("moved.yaml", &service("moved", "{port: 8003}", "Tunnel", moved))?;
    wait_until("rs-3 is sent to by tunnel", PATIENCE, || {
        let dump = fleet.host(DIRECTOR)?.sh("ipvsadm -Sn")?;
        ensure!(dump.matches(":8003 -i").count() == 2, "{dump}");
        Ok(true)
    })?;
    for vip in VIPS {
        served_by(&fleet, vip, 8003, &["rs-3"])?;
    }
    bench.case("a tunnel: what comes out of it is redirected as well");

    for name in ["full", "moved"] {
        fleet.delete(&format!("{name}.yaml"))?;
    }
    fleet.wait_clean(&NODES)?;
    for (name, snapshot, ruleset) in before {
        let differences = snapshot.differences(&Snapshot::of(fleet.host(name)?)?);
        let settings: Vec<&String> = differences.iter().filter(|line| !is_of_a_module(line)).collect();
        ensure!(settings.is_empty(), "{name} is not as it was found: {settings:#?}");
        ensure!(rules(&fleet, name)? == ruleset, "the rules of {name} differ: {}", rules(&fleet, name)?);
    }
    bench.case("deleted: `nft list ruleset` says what it said before, and every setting is as it was");
    typed(())
}

/// A module that is loaded for a tunnel makes a device in every namespace, and that stays.
fn is_of_a_module(line: &str) -> bool {
    ["tunl0", "sit0", "ip6tnl0"].iter().any(|device| line.contains(device))
}
