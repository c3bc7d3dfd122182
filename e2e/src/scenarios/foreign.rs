//! (f) What somebody else has set up stays as it is, also where it equals ours or contradicts it.
//! (g) Deletion and `cleanup` leave a node as it was found.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, example};
use crate::lab::{Snapshot, Topology};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "foreign",
        rows: &["f", "g"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: foreign,
    },
    Scenario { name: "cleanup", rows: &["g"], needs_ipvs: true, kernel: KernelNeeds::Common, run: cleanup },
];

const NODES: [&str; 3] = ["director-1", "rs-1", "rs-2"];

/// What an administrator did before: beside ours, equal to ours, and contrary to ours.
const DIRECTOR_BEFORE: &[&str] = &[
    "ipvsadm -A -t 10.9.9.9:80 -s wlc",
    "ipvsadm -a -t 10.9.9.9:80 -r 192.168.10.77 -g -w 3",
    "ipvsadm -A -f 7 -s rr",
    // The service of the notes, without its destinations.
    "ipvsadm -A -t 192.168.10.40:80 -s rr -p 20",
    // The service `clash` will want rr.
    "ipvsadm -A -t 192.168.10.41:80 -s wlc",
    "ipvsadm -a -t 192.168.10.41:80 -r 192.168.10.77 -g -w 3",
    "ip addr add 10.9.9.9/32 dev lo",
];
const REAL_SERVER_BEFORE: &[&str] =
    &["ip addr add 192.168.10.40/32 dev lo", "ip addr add 10.9.9.8/32 dev lo"];

fn group() -> Result<String> {
    let group = example("directorgroup.yaml")?;
    let wider = group.replace("- 192.168.10.40/32", "- 192.168.10.40/31\n    - fd00:10::40/128");
    ensure!(wider != group, "the example has another pool than this scenario supposes");
    Ok(wider)
}

fn clash(annotation: &str) -> String {
    format!(
        "apiVersion: lvs-operator.io/v1alpha1\nkind: VirtualService\nmetadata: {{name: clash, namespace: default, \
         annotations: {{{annotation}}}}}\nspec:\n  vips: [{{address: 192.168.10.41}}]\n  \
         ports: [{{port: 80, protocol: TCP}}]\n  scheduler: rr\n  realServers: [{{name: one, nodeName: rs-1}}]\n"
    )
}

fn snapshots(fleet: &Fleet) -> Result<Vec<(&'static str, Snapshot)>> {
    NODES.iter().map(|node| Ok((*node, Snapshot::of(fleet.host(node)?)?))).collect()
}

fn foreign(bench: &mut Bench) -> Result<Value> {
    let mut fleet = Fleet::new(bench, Topology::lan().only(&["director-1", "rs-1", "rs-2", "client"]))?;
    for command in DIRECTOR_BEFORE {
        fleet.host("director-1")?.sh(command)?;
    }
    for command in REAL_SERVER_BEFORE {
        fleet.host("rs-1")?.sh(command)?;
    }
    // Addresses that hiding would silence are not in the LAN here; one ARP setting equals ours, one is stricter.
    fleet.host("rs-1")?.write_file("/proc/sys/net/ipv4/conf/eth0/arp_ignore", "1")?;
    fleet.host("rs-2")?.write_file("/proc/sys/net/ipv4/conf/eth0/arp_ignore", "8")?;
    let before = snapshots(&fleet)?;
    fleet.apply("directorgroup.yaml", &group()?)?;
    fleet.apply("nodes.yaml", &example("nodes.yaml")?)?;
    fleet.apply("virtualservice.yaml", &example("virtualservice.yaml")?)?;
    fleet.apply("clash.yaml", &clash(""))?;
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    fleet.wait_ready("web")?;
    nothing_lost(&fleet, &before)?;
    bench.case("created: everything foreign is there, the equal service is used");

    let message = fleet.wait_reason("clash", "Programmed", "ForeignEntry")?;
    ensure!(message.contains("192.168.10.41:80"), "the message does not name the entry: {message}");
    bench.case("a contrary entry is named and left alone");
    let table = fleet.host("director-1")?.sh("ipvsadm -Sn")?;
    ensure!(table.contains("-A -t 192.168.10.41:80 -s wlc\n"), "the contrary service was changed:\n{table}");

    let edited = example("virtualservice.yaml")?.replace("scheduler: rr", "scheduler: wrr");
    fleet.apply("virtualservice.yaml", &edited)?;
    fleet.wait_reason("web", "Programmed", "ForeignEntry")?;
    nothing_lost(&fleet, &before)?;
    bench.case("edited: the service that was equal is not ours to change");
    fleet.apply("virtualservice.yaml", &example("virtualservice.yaml")?)?;
    fleet.wait_ready("web")?;

    fleet.delete("virtualservice.yaml")?;
    fleet.delete("clash.yaml")?;
    fleet.wait_clean(&NODES)?;
    as_before(&fleet, &before)?;
    bench.case("deleted: every node is as it was found");
    typed(())
}

fn nothing_lost(fleet: &Fleet, before: &[(&str, Snapshot)]) -> Result<()> {
    for (node, before) in before {
        let now = Snapshot::of(fleet.host(node)?)?;
        let lost: BTreeSet<&String> = before.ipvs.difference(&now.ipvs).collect();
        ensure!(lost.is_empty(), "{node} lost entries: {lost:?}");
        let lost: BTreeSet<&String> = before.addresses.difference(&now.addresses).collect();
        ensure!(lost.is_empty(), "{node} lost addresses: {lost:?}");
        for (setting, value) in before.settings.iter().filter(|(setting, _)| setting.contains("conf/all/")) {
            ensure!(now.settings.get(setting) == Some(value), "{setting} of {node} has changed");
        }
    }
    Ok(())
}

fn as_before(fleet: &Fleet, before: &[(&str, Snapshot)]) -> Result<()> {
    for (node, before) in before {
        let differences = before.differences(&Snapshot::of(fleet.host(node)?)?);
        ensure!(differences.is_empty(), "{node} is not as it was found: {differences:#?}");
    }
    Ok(())
}

fn cleanup(bench: &mut Bench) -> Result<Value> {
    let mut fleet = Fleet::new(bench, Topology::lan().only(&["director-1", "rs-1", "rs-2", "client"]))?;
    fleet.host("director-1")?.sh("ipvsadm -A -t 10.9.9.9:80 -s wlc")?;
    let before = snapshots(&fleet)?;
    fleet.apply("directorgroup.yaml", &group()?)?;
    fleet.apply("nodes.yaml", &example("nodes.yaml")?)?;
    let dual = example("virtualservice.yaml")?
        .replace("- address: 192.168.10.40", "- address: 192.168.10.40\n  - address: fd00:10::40");
    ensure!(dual.contains("fd00"), "the example has another VIP than this scenario supposes");
    fleet.apply("virtualservice.yaml", &dual)?;
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    fleet.wait_ready("web")?;
    let working = snapshots(&fleet)?;

    let refused = fleet.agent_verb("rs-1", &["cleanup"]);
    ensure!(refused.is_err(), "cleanup ran beside a running agent");
    bench.case("cleanup refuses while an agent runs");

    // One agent is stopped as a service manager does it, the others are killed; neither changes the kernel.
    fleet.agent("director-1")?.signal(Signal::SIGTERM)?;
    let status = fleet.agent("director-1")?.wait(Duration::from_secs(10))?;
    ensure!(status.success(), "the agent ended with {status}");
    fleet.kill_agent("rs-1")?;
    fleet.kill_agent("rs-2")?;
    for (node, working) in &working {
        let differences = working.differences(&Snapshot::of(fleet.host(node)?)?);
        ensure!(differences.is_empty(), "stopping the agent changed {node}: {differences:#?}");
    }
    bench.case("a stopped and a killed agent leave the kernel as it is");

    for node in NODES {
        let said = fleet.agent_verb(node, &["cleanup"])?;
        ensure!(!said.trim().is_empty(), "cleanup on {node} says nothing");
        let again = fleet.agent_verb(node, &["cleanup"])?;
        ensure!(!again.contains("remove"), "a second cleanup on {node} still removes: {again}");
    }
    as_before(&fleet, &before)?;
    bench.case("cleanup leaves every node as it was found");
    typed(())
}
