//! The demo: from two manifests to packets and back to nothing, each line read from a node, and asserted.

mod shown;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::{Host, Snapshot, Topology, frame, neighbour, packet, traffic};
use shown::{heading, indented};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "demo",
    rows: &["part 5", "part 4"],
    needs_ipvs: true,
    kernel: KernelNeeds::Common,
    run: demo,
}];

/// Those that run beside an API server ([`crate::fleet::Site`]).
pub const ON_API_SERVER: &[Scenario] = &[Scenario {
    name: "demo-cluster",
    rows: &["part 6"],
    needs_ipvs: true,
    kernel: KernelNeeds::Common,
    run: demo,
}];

const NODES: [&str; 3] = ["director-1", "rs-1", "rs-2"];
const VIP: &str = "192.168.10.40";
/// The director's hardware address in the lab: 02:00 and its address.
const DIRECTOR_MAC: &str = "02:00:c0:a8:0a:14";
/// The table of the notes.
const TABLE: [&str; 4] = [
    "TCP  192.168.10.40:80 rr persistent 20",
    "  -> 192.168.10.10:80             Route   1      0          0",
    "  -> 192.168.10.11:80             Route   1      0          0",
    "Tcp/tcpfin/udp: 30 5 60",
];

fn demo(bench: &mut Bench) -> Result<Value> {
    let hosts = ["director-1", "rs-1", "rs-2", "client"];
    let mut fleet = Fleet::new(bench, Topology::lan().only(&hosts))?;
    let servers = ["rs-1", "rs-2"].map(|name| traffic::start_server(bench, fleet.host(name)?, 80));
    let _servers = servers.into_iter().collect::<Result<Vec<_>>>()?;
    let before = snapshots(&fleet)?;

    heading(bench, "Two manifests, and the nodes", "deploy/examples/lvs-notes/")?;
    for file in ["directorgroup.yaml", "virtualservice.yaml"] {
        let text = example(file)?;
        let spec: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        indented(bench, &spec.join("\n"))?;
        let said = fleet.apply_aloud(file, &text)?;
        indented(bench, &said)?;
    }
    if !fleet.has_api_server() {
        // A folder has nobody else to name them.
        fleet.apply("nodes.yaml", &example("nodes.yaml")?)?;
    }
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    fleet.wait_ready("web")?;
    if fleet.has_api_server() {
        columns(bench, &fleet)?;
    }

    plans(bench, &fleet)?;
    director(bench, &fleet)?;
    real_server(bench, &fleet)?;
    answers(bench, &fleet)?;
    connections(bench, &fleet)?;
    quiesce(bench, &fleet)?;
    deletion(bench, &fleet, &before)?;
    typed(())
}

fn snapshots(fleet: &Fleet) -> Result<Vec<(&'static str, Snapshot)>> {
    NODES.iter().map(|node| Ok((*node, Snapshot::of(fleet.host(node)?)?))).collect()
}

/// What the API server shows of the service: the print columns are the operator's words.
fn columns(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    heading(bench, "The service as a user sees it", "kubectl get lvs; kubectl get nodeplans")?;
    let shown = fleet.kubectl(&["get", "lvs"])?;
    indented(bench, &shown)?;
    let words: Vec<&str> = shown.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    let wanted = ["web", VIP, "80/TCP", "director-1", "2/2", "True", "True"];
    ensure!(words.starts_with(&wanted), "the columns are not {wanted:?}: {words:?}");
    bench.case("kubectl get lvs says holder, real servers, acceptance and readiness");
    let shown = fleet.kubectl(&["get", "nodeplans"])?;
    indented(bench, &shown)?;
    ensure!(NODES.iter().all(|node| shown.contains(node)), "a node has no plan");
    Ok(())
}

fn plans(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let source =
        if fleet.has_api_server() { "kubectl get nodeplans,nodeplanslices -o yaml" } else { "plans/*.yaml" };
    heading(bench, "The operator has written a NodePlan for each node", source)?;
    for node in NODES {
        let documents = fleet.plan(node)?;
        let slices = documents.iter().filter(|document| document["kind"] == "NodePlanSlice");
        let part =
            slices.map(|slice| &slice["spec"]["services"]["default/web"]).find(|part| part.is_object());
        let Some(part) = part else { bail!("the plan of {node} has no part of default/web") };
        let duty = &part["vips"][VIP];
        let is_director = node == "director-1";
        for (name, wanted) in [("accept", true), ("attract", is_director), ("forward", is_director)] {
            ensure!(duty[name] == wanted, "{node} is planned to {name}: {}", duty[name]);
        }
        let duties: Vec<&str> =
            ["accept", "attract", "forward"].into_iter().filter(|name| duty[*name] == true).collect();
        let revision = part["revision"].as_str().unwrap_or_default();
        bench.show(format!("    {node:12} {VIP}  {:25} revision {revision}", duties.join(" ")))?;
    }
    bench.case("each node has its plan");
    Ok(())
}

fn director(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    heading(
        bench,
        "The director's kernel: the table of the notes",
        "director-1# ipvsadm -Ln; ipvsadm -L --timeout",
    )?;
    let host = fleet.host("director-1")?;
    let table = host.sh("ipvsadm -Ln")?;
    let timeouts = host.sh("ipvsadm -L --timeout")?;
    indented(bench, &table)?;
    indented(bench, &timeouts)?;
    let mut lines: Vec<&str> = table.lines().skip(3).map(str::trim_end).collect();
    lines[1..].sort_unstable();
    let timeouts = timeouts.trim().replace("Timeout (tcp tcpfin udp):", "Tcp/tcpfin/udp:");
    lines.push(&timeouts);
    ensure!(lines == TABLE, "the table is not that of the notes: {lines:#?}");
    bench.case("the IPVS table and the timeouts are those of the notes");
    Ok(())
}

fn real_server(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    heading(
        bench,
        "A real server: the VIP on lo, ARP hidden",
        "rs-1# ip addr show lo; cat /proc/sys/net/ipv4/conf/…",
    )?;
    let host = fleet.host("rs-1")?;
    let lo = host.sh("ip addr show lo")?;
    indented(bench, &lo)?;
    ensure!(lo.contains("inet 192.168.10.40/32 scope global lo"), "the VIP is not on lo:\n{lo}");
    let snapshot = Snapshot::of(host)?;
    for (setting, wanted) in [("arp_ignore", 1), ("arp_announce", 2)] {
        let value = snapshot.effective("eth0", setting)?;
        bench.show(format!("    effective {setting} of eth0: {value}"))?;
        ensure!(value == wanted, "the effective {setting} is {value}");
    }
    bench.case("the VIP is on lo and hidden");
    Ok(())
}

fn answers(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    heading(bench, "Who answers ARP for the VIP", "client: who has 192.168.10.40?")?;
    let macs = neighbour::ask_once(fleet.host("client")?, "eth0", "192.168.10.101".parse()?, VIP.parse()?)?;
    for mac in &macs {
        bench.show(format!("    {VIP} is at {mac}"))?;
    }
    let own = fleet.host("director-1")?.sh("cat /sys/class/net/eth0/address")?;
    bench.show(format!("    director-1's eth0 is    {}", own.trim()))?;
    let said: Vec<String> = macs.iter().map(ToString::to_string).collect();
    ensure!(
        own.trim() == DIRECTOR_MAC && said == [DIRECTOR_MAC],
        "one answer was wanted, the director's: {said:?}"
    );
    bench.case("one answer, the director's");
    Ok(())
}

fn connections(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    heading(bench, "Connections from four client addresses", "client: connect to 192.168.10.40:80")?;
    let seen = packet::capture(fleet.host("director-1")?, "eth0", |bytes| frame::tcp(bytes).is_some())?;
    let mut served = Vec::new();
    for number in 101..=104 {
        let from: IpAddr = format!("192.168.10.{number}").parse()?;
        let name = ask(fleet, from)?;
        bench.show(format!("    {from} was answered by {name}"))?;
        served.push(name);
    }
    let on = |server: &str| served.iter().filter(|name| *name == server).count();
    ensure!((on("rs-1"), on("rs-2")) == (2, 2), "round robin gives each two of four: {served:?}");
    bench.case("two clients on each real server");
    let again = ask(fleet, "192.168.10.101".parse()?)?;
    ensure!(again == served[0], "a persistent client went to {again} after {}", served[0]);
    bench.show(format!("    192.168.10.101 again:      {again} (persistent)"))?;
    bench.case("a client stays with its real server");

    heading(bench, "Replies bypass the director", "director-1# ipvsadm -Ln --stats; packets on its eth0")?;
    let host = fleet.host("director-1")?;
    let stats = counted(host, 5)?;
    indented(bench, &stats)?;
    let frames = seen.stop()?;
    let vip: IpAddr = VIP.parse()?;
    let replies =
        frames.iter().filter(|frame| frame::tcp(&frame.bytes).is_some_and(|(from, _)| from == vip)).count();
    let requests = frames.iter().filter(|frame| !frame.outgoing).count() - replies;
    bench.show(format!("    packets to the VIP {requests}, packets from the VIP {replies}"))?;
    let outgoing: Vec<&str> =
        stats.lines().skip(3).filter_map(|line| line.split_whitespace().rev().nth(2)).collect();
    ensure!(outgoing == ["0", "0", "0"], "outgoing packets are counted: {outgoing:?}");
    ensure!(
        requests > 0 && replies == 0,
        "{requests} requests and {replies} replies went through the director"
    );
    bench.case("replies bypass the director");
    Ok(())
}

/// IPVS's counters once they show so many connections: the kernel brings them up to date every two seconds.
fn counted(host: &Host, connections: u64) -> Result<String> {
    let mut stats = String::new();
    wait_until("the counters show every connection", PATIENCE, || {
        stats = host.sh("ipvsadm -Ln --stats --exact")?;
        let service = stats.lines().nth(3).unwrap_or_default();
        Ok(service.split_whitespace().nth(2) == Some(connections.to_string().as_str()))
    })?;
    Ok(stats)
}

fn quiesce(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let edit =
        if fleet.has_api_server() { "kubectl apply -f virtualservice.yaml" } else { "virtualservice.yaml" };
    heading(bench, "rs-1 gets weight 0: fresh clients go to rs-2", &format!("{edit}, with weight: 0"))?;
    let manifest = example("virtualservice.yaml")?;
    let quiesced = manifest.replacen("weight: 1", "weight: 0", 1);
    ensure!(quiesced != manifest, "the example names no weight 1");
    fleet.apply("virtualservice.yaml", &quiesced)?;
    let host = fleet.host("director-1")?;
    wait_until("rs-1 has weight 0", PATIENCE, || {
        let table = host.sh("ipvsadm -Sn")?;
        ensure!(table.contains("-r 192.168.10.10:80 -g -w 0"), "{table}");
        Ok(true)
    })?;
    indented(bench, &host.sh("ipvsadm -Ln")?)?;
    for number in 105..=108 {
        let from: IpAddr = format!("192.168.10.{number}").parse()?;
        let name = ask(fleet, from)?;
        bench.show(format!("    {from} was answered by {name}"))?;
        ensure!(name == "rs-2", "a fresh client went to {name}");
    }
    bench.case("fresh clients go to the other real server");
    Ok(())
}

fn deletion(bench: &mut Bench, fleet: &Fleet, before: &[(&str, Snapshot)]) -> Result<()> {
    let command = if fleet.has_api_server() {
        "kubectl delete -f virtualservice.yaml"
    } else {
        "rm virtualservice.yaml"
    };
    heading(bench, "The service is deleted: nothing is left on any node", command)?;
    fleet.delete("virtualservice.yaml")?;
    fleet.wait_clean(&NODES)?;
    for (node, before) in before {
        let differences = before.differences(&Snapshot::of(fleet.host(node)?)?);
        ensure!(differences.is_empty(), "{node} is not as it was found: {differences:#?}");
        bench.show(format!(
            "    {node:12} as it was found: IPVS table, timeouts, addresses, routes, {} settings",
            before.settings.len()
        ))?;
        bench.case(format!("{node} is as it was found"));
    }
    Ok(())
}

fn ask(fleet: &Fleet, from: IpAddr) -> Result<String> {
    let vip = SocketAddr::new(VIP.parse()?, 80);
    traffic::ask(fleet.host("client")?, from, vip, Duration::from_secs(5))
}
