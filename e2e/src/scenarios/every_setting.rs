//! What a VirtualService can say of scheduling, in a real kernel and on real packets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::{Topology, datagram, traffic};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "every-setting",
    rows: &["k"],
    needs_ipvs: true,
    kernel: KernelNeeds::Common,
    run: every_setting,
}];

const DIRECTOR: &str = "director-1";
const VIP: &str = "192.168.10.40";

/// Each scheduler of this kernel has the port 8000 and its place in this list.
const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];

/// Services besides: name, the ports, more of the specification.
const SERVICES: [(&str, &str, &str); 9] = [
    ("sh-flags", "{port: 8101}", "scheduler: sh\n  schedulerFlags: [sh-port, sh-fallback]"),
    ("mh-flags", "{port: 8102}", "scheduler: mh\n  schedulerFlags: [mh-port]"),
    ("net", "{port: 8103}", "scheduler: rr\n  persistence: {timeoutSeconds: 30, ipv4PrefixLength: 24}"),
    ("sip", "{port: 5060, protocol: UDP}", "scheduler: rr\n  persistence: {engine: sip}"),
    ("dns", "{port: 53, protocol: UDP}, {port: 53}", "scheduler: rr\n  udpScheduling: PerPacket"),
    ("flow", "{port: 54, protocol: UDP}", "scheduler: rr"),
    (
        "limited",
        "{port: 8104}",
        "scheduler: rr\n  connectionThresholds: {upper: 10, lower: 4, split: ByWeight}",
    ),
    ("sctp", "{port: 8105, protocol: SCTP}", "scheduler: rr"),
    ("all", "{port: 0}", "scheduler: rr\n  persistence: {timeoutSeconds: 60}"),
];

fn every_setting(bench: &mut Bench) -> Result<Value> {
    let mut fleet = Fleet::new(bench, Topology::lan().only(&[DIRECTOR, "rs-1", "rs-2", "client"]))?;
    let mut servers = Vec::new();
    for name in ["rs-1", "rs-2"] {
        for port in [53, 54, 8104, 9000] {
            servers.push(traffic::start_server(bench, fleet.host(name)?, port)?);
        }
    }
    fleet.apply("directorgroup.yaml", &example("directorgroup.yaml")?)?;
    fleet.apply("nodes.yaml", &example("nodes.yaml")?)?;
    fleet.apply("services.yaml", &manifests())?;
    fleet.start_operator()?;
    fleet.start_agents(&[DIRECTOR, "rs-1", "rs-2"])?;
    wait_until("the table is as the manifests want it", PATIENCE, || {
        let table = fleet.host(DIRECTOR)?.sh("ipvsadm -Sn")?;
        ensure!(table == expected_table(), "it is\n{table}");
        Ok(true)
    })?;
    for (name, ..) in SERVICES {
        fleet.wait_ready(name)?;
    }
    bench.case(format!("ipvsadm -Sn says what {} services want", SCHEDULERS.len() + SERVICES.len()));
    let observed = fleet.agent_verb(DIRECTOR, &["observe", "-o", "ipvsadm"])?;
    ensure!(observed == expected_table(), "observe -o ipvsadm says\n{observed}");
    bench.case("observe -o ipvsadm says the same");
    thresholds(bench, &fleet)?;
    packets(bench, &fleet)?;
    missing_scheduler(bench, &fleet)?;
    import(bench, &fleet)?;
    typed(())
}

/// A dump, made into manifests by `lvs-operator import`, makes the same table again.
fn import(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let director = fleet.host(DIRECTOR)?;
    let program = bench.binary("lvs-operator")?;
    let dump = fleet.folder().with_file_name("dump");
    std::fs::write(&dump, director.sh("ipvsadm -Sn")?).context("keep the dump")?;
    let nodes = "--node rs-1=192.168.10.10 --node rs-2=192.168.10.11";
    let manifests = director.sh(&format!("{} import {} {nodes}", program.display(), dump.display()))?;
    fleet.delete("twos.yaml")?;
    fleet.delete("services.yaml")?;
    fleet.wait_clean(&[DIRECTOR, "rs-1", "rs-2"])?;
    fleet.delete("directorgroup.yaml")?;
    fleet.apply("imported.yaml", &manifests)?;
    wait_until("the imported table is the dumped one", PATIENCE, || {
        let table = director.sh("ipvsadm -Sn")?;
        ensure!(table == expected_table(), "it is\n{table}");
        Ok(true)
    })?;
    bench.case("dump, import, apply: the same dump");
    Ok(())
}

/// ipvsadm saves no thresholds, but lists them.
fn thresholds(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let listed = fleet.host(DIRECTOR)?.sh(&format!("ipvsadm -Ln --thresholds -t {VIP}:8104"))?;
    let rows: BTreeMap<&str, Vec<&str>> = listed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-> 192."))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.take(2).collect()))
        })
        .collect();
    let wanted: BTreeMap<&str, Vec<&str>> =
        [("168.10.10:8104", vec!["2", "1"]), ("168.10.11:8104", vec!["7", "3"])].into();
    ensure!(rows == wanted, "the limits are {listed}");
    bench.case("a total of connections is split by weight");
    // Ten connections at once, and the eleventh finds nobody who may take it.
    let client = fleet.host("client")?;
    let (from, to) = ("192.168.10.105".parse()?, SocketAddr::new(VIP.parse()?, 8104));
    let mut open = Vec::new();
    for number in 0..9 {
        let connection = traffic::open(client, from, to, Duration::from_secs(5));
        open.push(connection.with_context(|| format!("connection {number}"))?);
    }
    let on = |server: &str| open.iter().filter(|(_, name)| name == server).count();
    ensure!((on("rs-1"), on("rs-2")) == (2, 7), "each has its share: {} and {}", on("rs-1"), on("rs-2"));
    ensure!(traffic::ask(client, from, to, Duration::from_secs(2)).is_err(), "one more was served");
    bench.case("who has reached the limit gets no more connections");
    Ok(())
}

fn packets(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let client = fleet.host("client")?;
    let from: IpAddr = "192.168.10.104".parse()?;
    let to = |port| -> Result<SocketAddr> { Ok(SocketAddr::new(VIP.parse()?, port)) };
    let by_packet = datagram::ask(client, from, to(53)?, 4)?;
    let differ = by_packet.windows(2).all(|pair| pair[0] != pair[1]);
    ensure!(differ, "round robin by packet: {by_packet:?}");
    bench.case("UDP is scheduled packet by packet where that is asked for");
    let by_flow = datagram::ask(client, from, to(54)?, 4)?;
    ensure!(by_flow.windows(2).all(|pair| pair[0] == pair[1]), "one flow: {by_flow:?}");
    bench.case("and flow by flow where it is not");
    // No service has this port, so that it is one of all ports.
    let first = traffic::ask(client, from, to(9000)?, Duration::from_secs(5))?;
    for _ in 0..3 {
        let again = traffic::ask(client, from, to(9000)?, Duration::from_secs(5))?;
        ensure!(again == first, "persistence on all ports: {first}, then {again}");
    }
    bench.case("port 0 takes any port, and a client stays where it is");
    Ok(())
}

/// This kernel is older than `twos`.
fn missing_scheduler(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    fleet.apply("twos.yaml", &manifest("twos", "{port: 8200}", "scheduler: twos"))?;
    let message = fleet.wait_reason("twos", "Programmed", "SchedulerMissing")?;
    ensure!(message.contains(DIRECTOR) && message.contains("ip_vs_twos"), "{message}");
    ensure!(fleet.host(DIRECTOR)?.sh("ipvsadm -Sn")? == expected_table(), "the others go on");
    bench.case("a scheduler that the kernel lacks is named, with its module; the others go on");
    Ok(())
}

fn manifests() -> String {
    let by_scheduler = SCHEDULERS.iter().enumerate().map(|(place, scheduler)| {
        manifest(
            &format!("by-{scheduler}"),
            &format!("{{port: {}}}", 8000 + place),
            &format!("scheduler: {scheduler}"),
        )
    });
    let besides = SERVICES.iter().map(|(name, ports, more)| manifest(name, ports, more));
    by_scheduler.chain(besides).collect::<Vec<_>>().join("\n---\n")
}

fn manifest(name: &str, ports: &str, more: &str) -> String {
    format!(
        "apiVersion: lvs-operator.io/v1alpha1
kind: VirtualService
metadata: {{name: {name}, namespace: default}}
spec:
  vips: [{{address: {VIP}}}]
  ports: [{ports}]
  {more}
  realServers:
  - {{name: a, nodeName: rs-1, weight: 1}}
  - {{name: b, nodeName: rs-2, weight: 3}}
"
    )
}

/// In the order of ipvsadm: by protocol and then by port.
fn expected_table() -> String {
    let schedulers = SCHEDULERS.iter().zip(8000..).map(|(name, port)| ("-t", port, format!("-s {name}")));
    let tcp = [
        ("-t", 0, "-s rr -p 60"),
        ("-t", 53, "-s rr"),
        ("-t", 8101, "-s sh -b sh-fallback,sh-port"),
        ("-t", 8102, "-s mh -b mh-port"),
        ("-t", 8103, "-s rr -p 30 -M 255.255.255.0"),
        ("-t", 8104, "-s rr"),
        ("-u", 53, "-s rr -o"),
        ("-u", 54, "-s rr"),
        ("-u", 5060, "-s rr -p 300 --pe sip"),
        ("--sctp-service", 8105, "-s rr"),
    ];
    let (first, then) = tcp.split_at(2);
    let owned = |(option, port, rest): &(&'static str, i32, &str)| (*option, *port, (*rest).to_owned());
    let mut text = String::new();
    for (option, port, rest) in first.iter().map(owned).chain(schedulers).chain(then.iter().map(owned)) {
        let _ = writeln!(text, "-A {option} {VIP}:{port} {rest}");
        for (rip, weight) in [("192.168.10.10", 1), ("192.168.10.11", 3)] {
            let _ = writeln!(text, "-a {option} {VIP}:{port} -r {rip}:{port} -g -w {weight}");
        }
    }
    text
}
