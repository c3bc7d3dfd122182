//! Somebody else at the IPVS table: a flush under traffic, entries of his own, one changed destination among many.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::{Topology, traffic};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "second-writer",
        rows: &["m"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: second_writer,
    },
    Scenario {
        name: "lone-change",
        rows: &["m"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: lone_change,
    },
];

const DIRECTOR: &str = "director-1";
const VIP: &str = "192.168.10.40";

/// Entries of somebody else, and the link that kube-proxy makes in its ipvs mode.
const THEIRS: &str = "-A -t 10.96.0.1:443 -s rr
-a -t 10.96.0.1:443 -r 10.9.9.1:6443 -m -w 1
";

fn second_writer(bench: &mut Bench) -> Result<Value> {
    let mut fleet = Fleet::new(bench, Topology::lan().only(&[DIRECTOR, "rs-1", "rs-2", "client"]))?;
    let servers = [
        traffic::start_server(bench, fleet.host("rs-1")?, 80)?,
        traffic::start_server(bench, fleet.host("rs-2")?, 80)?,
    ];
    // Without persistence each connection may find another real server.
    let web = example("virtualservice.yaml")?;
    let more = web.replacen("name: web", "name: more", 1).replace("port: 80", "port: 81");
    ensure!(more.contains("port: 81") && more.contains("name: more"), "the example is written otherwise");
    fleet.apply("directorgroup.yaml", &example("directorgroup.yaml")?)?;
    fleet.apply("nodes.yaml", &example("nodes.yaml")?)?;
    fleet.apply("virtualservice.yaml", &web)?;
    fleet.apply("more.yaml", &more)?;
    fleet.start_operator()?;
    fleet.start_agents(&[DIRECTOR, "rs-1", "rs-2"])?;
    fleet.wait_ready("web")?;
    fleet.wait_ready("more")?;
    neighbour(bench, &fleet)?;
    flush_under_traffic(bench, &fleet)?;
    fights(bench, &fleet)?;
    drop(servers);
    typed(())
}

/// His entries stay, and he is named by what he leaves behind.
fn neighbour(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let director = fleet.host(DIRECTOR)?;
    for entry in THEIRS.lines() {
        director.sh(&format!("ipvsadm {entry}"))?;
    }
    director.sh("ip link add kube-ipvs0 type dummy")?;
    let sentence = fleet.wait_trouble(DIRECTOR, "SecondWriter")?;
    ensure!(
        sentence.contains("kube-proxy in its ipvs mode") && sentence.contains("excludeCIDRs"),
        "{sentence}"
    );
    ensure!(director.sh("ipvsadm -Sn")?.contains(THEIRS), "his entries were changed");
    fleet.ensure_ready("web")?;
    bench.case("a second writer is named by his link, his entries stay, and services go on");
    Ok(())
}

/// Everything of ours is back while clients keep asking, and the flush is named.
fn flush_under_traffic(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let director = fleet.host(DIRECTOR)?;
    let (from, to) = ("192.168.10.104".parse()?, SocketAddr::new(VIP.parse()?, 80));
    let ours = ours(&director.sh("ipvsadm -Sn")?);
    ensure!(ours.lines().count() == 6, "the director has\n{ours}");
    let asking = traffic::ask_on(fleet.host("client")?, from, to)?;
    director.sh("ipvsadm -C")?;
    let start = Instant::now();
    wait_until("everything of ours is back", PATIENCE, || {
        let now = director.sh("ipvsadm -Sn")?;
        ensure!(now == ours, "the table is\n{now}");
        Ok(true)
    })?;
    let took = start.elapsed();
    let answers = asking.stop()?;
    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    ensure!(answered > 0, "nobody was answered: {answers:?}");
    traffic::ask(fleet.host("client")?, from, to, Duration::from_secs(5)).context("after the flush")?;
    bench
        .case(format!("the table flushed under traffic: all of ours is back, after {} ms", took.as_millis()));
    let sentence = fleet.wait_trouble(DIRECTOR, "TableFlushed")?;
    ensure!(sentence.contains("2 virtual servers of ours"), "{sentence}");
    ensure!(sentence.contains("likely by kube-proxy"), "{sentence}");
    fleet.wait_ready("web")?;
    bench.case("the flush is named as the reason, with who is likely to have done it");
    Ok(())
}

/// Who removes again and again what we set up is named, and not fought in a hot loop.
fn fights(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let director = fleet.host(DIRECTOR)?;
    wait_until("he is named, who removes it again and again", PATIENCE, || {
        // Where it is not there at the moment, it is waited for.
        let _ = director.sh(&format!("ipvsadm -D -t {VIP}:81"));
        let (_, reason, message) = fleet.condition("more", "Programmed")?;
        ensure!(reason == "ForeignChange", "it says {reason}: {message}");
        ensure!(message.contains("likely kube-proxy in its ipvs mode"), "{message}");
        Ok(true)
    })?;
    fleet.ensure_ready("web")?;
    fleet.wait_ready("more")?;
    bench.case(
        "who keeps undoing us is named, the other service is not touched by it, and at the end ours is there",
    );
    Ok(())
}

/// The lines of a dump that are about our VIP.
fn ours(dump: &str) -> String {
    dump.split_inclusive('\n').filter(|line| line.contains(VIP)).collect()
}

/// Ports of the large table: of more services than one audit reads the destinations of.
const PORTS: usize = 200;

fn lone_change(bench: &mut Bench) -> Result<Value> {
    let mut fleet = Fleet::new(bench, Topology::lan().only(&[DIRECTOR, "rs-1", "rs-2", "client"]))?;
    fleet.apply("directorgroup.yaml", &example("directorgroup.yaml")?)?;
    fleet.apply("nodes.yaml", &example("nodes.yaml")?)?;
    fleet.apply("services.yaml", &large())?;
    fleet.start_operator()?;
    fleet.start_agents(&[DIRECTOR, "rs-1", "rs-2"])?;
    let director = fleet.host(DIRECTOR)?;
    let mut table = String::new();
    wait_until("the table is complete", PATIENCE, || {
        table = director.sh("ipvsadm -Sn")?;
        let lines = table.lines().count();
        ensure!(lines == 3 * PORTS, "it has {lines} lines");
        Ok(true)
    })?;
    // In no service's counters and settings a destination shows: the agent comes round to it.
    for (port, change) in [(8000, "-e"), (8099, "-d"), (8199, "-e")] {
        let more = if change == "-e" { " -g -w 77" } else { "" };
        director.sh(&format!("ipvsadm {change} -t {VIP}:{port} -r 192.168.10.10:{port}{more}"))?;
    }
    ensure!(director.sh("ipvsadm -Sn")? != table, "nothing was changed");
    wait_until("lone destinations are as they were", PATIENCE, || {
        let now = director.sh("ipvsadm -Sn")?;
        ensure!(sorted(&now) == sorted(&table), "the table differs");
        Ok(true)
    })?;
    bench.case("a destination changed or removed by somebody else is repaired within a rotation of audits");
    typed(())
}

/// The kernel tells destinations in the order in which they came.
fn sorted(dump: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = dump.lines().collect();
    lines.sort_unstable();
    lines
}

/// VirtualServices of 50 ports each.
fn large() -> String {
    let mut text = String::new();
    for first in (8000..8000 + PORTS).step_by(50) {
        let ports: Vec<String> = (first..first + 50).map(|port| format!("{{port: {port}}}")).collect();
        let _ = writeln!(
            text,
            "---
apiVersion: lvs-operator.io/v1alpha1
kind: VirtualService
metadata: {{name: from-{first}, namespace: default}}
spec:
  vips: [{{address: {VIP}}}]
  ports: [{}]
  scheduler: rr
  realServers: [{{name: a, nodeName: rs-1}}, {{name: b, nodeName: rs-2}}]",
            ports.join(", ")
        );
    }
    text
}
