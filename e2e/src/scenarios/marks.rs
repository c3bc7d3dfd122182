//! (n) Firewall marks, in a kernel that has nftables: a user's own, and ports that are scheduled together.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::{Snapshot, Topology, modules, traffic};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "marks",
    rows: &["n", "g"],
    needs_ipvs: true,
    kernel: KernelNeeds::Distribution { cpus: 2 },
    run: marks,
}];

const DIRECTOR: &str = "director-1";
const NODES: [&str; 3] = [DIRECTOR, "rs-1", "rs-2"];
const REAL_SERVERS: [&str; 2] = ["rs-1", "rs-2"];

/// VIPs of both families, with what the clients' addresses begin with.
const OWN: [(&str, &str); 2] = [("192.168.10.41", "192.168.10."), ("fd00:10::41", "fd00:10::")];
const TOGETHER: [(&str, &str); 2] = [("192.168.10.40", "192.168.10."), ("fd00:10::40", "fd00:10::")];
const OWN_PORTS: [u16; 2] = [8001, 8002];
const TOGETHER_PORTS: [u16; 2] = [8003, 8004];

/// What a user has on the director to mark packets for [`OWN`] with 7.
const USERS_RULES: &str = "table inet users {
	chain mark-mine {
		type filter hook prerouting priority -150; policy accept;
		ip daddr 192.168.10.41 tcp dport { 8001, 8002 } meta mark set 0x00000007
		ip6 daddr fd00:10::41 tcp dport { 8001, 8002 } meta mark set 0x00000007
	}
}
";

fn marks(bench: &mut Bench) -> Result<Value> {
    modules::take_away("nf_tables")?;
    let mut fleet = Fleet::new(bench, Topology::lan().only(&[DIRECTOR, "rs-1", "rs-2", "client"]))?;
    let mut servers = Vec::new();
    for name in REAL_SERVERS {
        for port in OWN_PORTS.into_iter().chain(TOGETHER_PORTS) {
            servers.push(traffic::start_server(bench, fleet.host(name)?, port)?);
        }
    }
    fleet.apply("directorgroup.yaml", &group()?)?;
    fleet.apply("nodes.yaml", &example("nodes.yaml")?)?;
    fleet.apply("together.yaml", &together("Together"))?;
    fleet.apply("own.yaml", &own())?;
    let before: Vec<(&str, Snapshot)> =
        NODES.iter().map(|node| Ok((*node, Snapshot::of(fleet.host(node)?)?))).collect::<Result<_>>()?;
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    without_nftables(bench, &fleet)?;
    nft(&fleet, USERS_RULES)?;
    // Ours is there by now.
    let users = fleet.host(DIRECTOR)?.sh("nft -n list table inet users")?;
    users_mark(bench, &fleet)?;
    ports_together(bench, &fleet)?;
    flushed(bench, &fleet)?;
    from_together_to_separate(bench, &fleet)?;
    left_as_found(bench, &fleet, &users)?;
    for (node, before) in before {
        let differences = before.differences(&Snapshot::of(fleet.host(node)?)?);
        ensure!(differences.is_empty(), "{node} is not as it was found: {differences:#?}");
    }
    bench.case("deleted: no virtual server, address or setting is left on any node");
    typed(())
}

fn group() -> Result<String> {
    let group = example("directorgroup.yaml")?;
    let pool = "- 192.168.10.40/32\n    - 192.168.10.41/32\n    - fd00:10::40/127";
    let wider = group.replace("- 192.168.10.40/32", pool);
    ensure!(wider != group, "the example has another pool than this scenario supposes");
    Ok(wider)
}

fn manifest(name: &str, vips: [(&str, &str); 2], more: &str) -> String {
    let [(v4, _), (v6, _)] = vips;
    format!(
        "apiVersion: lvs-operator.io/v1alpha1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\n\
         spec:\n  vips: [{{address: '{v4}'}}, {{address: '{v6}'}}]\n  scheduler: rr\n  \
         realServers: [{{name: a, nodeName: rs-1}}, {{name: b, nodeName: rs-2}}]\n{more}"
    )
}

fn own() -> String {
    manifest("own", OWN, "  firewallMark: 7\n")
}

fn together(scheduling: &str) -> String {
    let [one, other] = TOGETHER_PORTS;
    let ports = format!("  ports: [{{port: {one}}}, {{port: {other}}}]\n  portScheduling: {scheduling}\n");
    manifest("together", TOGETHER, &format!("{ports}  persistence: {{timeoutSeconds: 600}}\n"))
}

fn nft(fleet: &Fleet, rules: &str) -> Result<()> {
    let director = fleet.host(DIRECTOR)?;
    director.write_file("/run/users.nft", rules)?;
    director.sh("nft -f /run/users.nft").map(drop)
}

fn ruleset(fleet: &Fleet) -> Result<String> {
    fleet.host(DIRECTOR)?.sh("nft -n list ruleset")
}

fn ask(fleet: &Fleet, vip: (&str, &str), client: u8, port: u16) -> Result<String> {
    let (vip, clients) = vip;
    let (from, to) = (format!("{clients}{client}").parse()?, SocketAddr::new(vip.parse()?, port));
    traffic::ask(fleet.host("client")?, from, to, Duration::from_secs(10))
}

fn without_nftables(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    fleet.wait_ready("own")?;
    let message = fleet.wait_reason("together", "Programmed", "PacketRulesMissing")?;
    ensure!(message.contains(DIRECTOR) && message.contains("nf_tables"), "{message}");
    bench.case("a kernel without nftables is named with the module, and a service that needs none goes on");
    modules::give_back("nf_tables")?;
    modules::load("nf_tables")?;
    fleet.wait_ready("together")
}

/// Both ports of both VIPs come to both real servers, by one virtual server for each family.
fn users_mark(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let table = fleet.host(DIRECTOR)?.sh("ipvsadm -Sn")?;
    for line in ["-A -f 7 -s rr", "-A -f 7 -6 -s rr"] {
        ensure!(table.lines().any(|found| found.trim() == line), "there is no {line:?} in {table}");
    }
    for vip in OWN {
        let mut served = BTreeSet::new();
        for port in OWN_PORTS {
            served.extend([ask(fleet, vip, 101, port)?, ask(fleet, vip, 101, port)?]);
        }
        ensure!(served == REAL_SERVERS.map(str::to_owned).into(), "{} is served by {served:?}", vip.0);
        bench.case(format!("a user's own mark: {} is served by both real servers", vip.0));
    }
    Ok(())
}

/// Each client comes to one real server on both ports, and not all to the same.
fn ports_together(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    for vip in TOGETHER {
        let mut served = BTreeSet::new();
        for client in 101..=104 {
            let [one, other] = TOGETHER_PORTS.map(|port| ask(fleet, vip, client, port));
            let (one, other) = (one?, other?);
            ensure!(one == other, "client {client} comes to {one} on one port and to {other} on the other");
            served.insert(one);
        }
        ensure!(served == REAL_SERVERS.map(str::to_owned).into(), "{} is served by {served:?}", vip.0);
        bench.case(format!("ports together: a client of {} has one real server on both ports", vip.0));
    }
    let rules = ruleset(fleet)?;
    ensure!(rules.contains("192.168.10.40 . 6 . 8003 : 0x4c00"), "no packet is marked: {rules}");
    let said = fleet.agent_verb(DIRECTOR, &["observe"])?;
    ensure!(said.contains("Mark TCP 192.168.10.40:8003"), "observe says {said}");
    bench.case("observe shows the rules that nft shows");
    Ok(())
}

/// Somebody empties nftables, as firewalls do when they start.
fn flushed(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let director = fleet.host(DIRECTOR)?;
    let complete = ruleset(fleet)?;
    director.sh("nft flush ruleset")?;
    nft(fleet, USERS_RULES)?;
    let back = |what: &str| {
        wait_until(what, PATIENCE, || {
            let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
            let now = ruleset(fleet)?;
            ensure!(sorted(&now) == sorted(&complete), "the ruleset is {now}");
            Ok(true)
        })
    };
    back("the rules are back after a flush")?;
    ask(fleet, TOGETHER[0], 101, TOGETHER_PORTS[1])?;
    bench.case("a flushed ruleset is made again");
    director.sh("nft flush chain inet lvs-operator mark-packets")?;
    back("the chain's rules are back")?;
    director.sh("nft delete element inet lvs-operator mark-ipv4 { 192.168.10.40 . tcp . 8003 }")?;
    back("the element is back")?;
    ask(fleet, TOGETHER[0], 101, TOGETHER_PORTS[0])?;
    bench.case("so are an emptied chain and a removed element");
    Ok(())
}

/// New connections are served all the time. One that is open ends: IPVS keeps it with the virtual server that took it, and
/// drops its packets once that one is gone.
fn from_together_to_separate(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let client = fleet.host("client")?;
    let (vip, from): (IpAddr, IpAddr) = (TOGETHER[0].0.parse()?, "192.168.10.105".parse()?);
    let asked = traffic::ask_on(client, from, SocketAddr::new(vip, TOGETHER_PORTS[0]))?;
    let table = |wanted: &'static str, gone: &'static str| {
        wait_until("the virtual servers are others", PATIENCE, || {
            let table = fleet.host(DIRECTOR)?.sh("ipvsadm -Sn")?;
            let there = table.lines().any(|line| line.starts_with(wanted));
            Ok(there && !table.lines().any(|line| line.starts_with(gone)))
        })
    };
    fleet.apply("together.yaml", &together("Separate"))?;
    table("-A -t 192.168.10.40:8003", "-A -f 12")?;
    fleet.wait_ready("together")?;
    ask(fleet, TOGETHER[1], 101, TOGETHER_PORTS[1])?;
    fleet.apply("together.yaml", &together("Together"))?;
    table("-A -f 12", "-A -t 192.168.10.40:8003")?;
    fleet.wait_ready("together")?;
    let answers = asked.stop()?;
    let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    // A connection that is being opened at the very moment may fall between.
    ensure!(failed.len() <= 2 && answers.len() > 20, "{} of {}: {failed:?}", failed.len(), answers.len());
    bench.case("from ports together to separate and back, new connections are served");
    Ok(())
}

fn left_as_found(bench: &mut Bench, fleet: &Fleet, before: &str) -> Result<()> {
    fleet.delete("together.yaml")?;
    wait_until("no rule of ours is left", PATIENCE, || Ok(ruleset(fleet)? == before))?;
    fleet.delete("own.yaml")?;
    fleet.wait_clean(&NODES)?;
    let after = ruleset(fleet)?;
    ensure!(after == before, "the ruleset was {before}, and now it is {after}");
    bench.case("deleted: nft list ruleset shows what it showed before");
    Ok(())
}
