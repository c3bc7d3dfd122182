//! (e) The API server is stopped: traffic goes on, agents work from their disks, a changed world waits. Started again,
//! nothing moves that need not.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, Order, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::{Snapshot, Topology, traffic};

/// The scenarios of this module. They run beside an API server ([`crate::fleet::Site`]).
pub const ON_API_SERVER: &[Scenario] = &[Scenario {
    name: "api-server-away",
    rows: &["e", "part 6"],
    needs_ipvs: true,
    kernel: KernelNeeds::Common,
    run: api_server_away,
}];

const NODES: [&str; 3] = ["director-1", "rs-1", "rs-2"];
const VIP: &str = "192.168.10.40:80";
/// What stands in an agent's log beside each change of the kernel.
const CHANGED: &str = " phase=";

fn api_server_away(bench: &mut Bench) -> Result<Value> {
    let mut fleet = Fleet::new(bench, Topology::lan().only(&["director-1", "rs-1", "rs-2", "client"]))?;
    let servers = ["rs-1", "rs-2"].map(|name| traffic::start_server(bench, fleet.host(name)?, 80));
    let _servers = servers.into_iter().collect::<Result<Vec<_>>>()?;
    for file in ["directorgroup.yaml", "virtualservice.yaml"] {
        fleet.apply(file, &example(file)?)?;
    }
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    fleet.wait_ready("web")?;
    let working = snapshots(&fleet)?;
    let vip: SocketAddr = VIP.parse()?;
    // One client address, so that persistence keeps both on one real server, and the other may be disturbed.
    let from = "192.168.10.101".parse()?;
    let serving = traffic::ask(fleet.host("client")?, from, vip, PATIENCE)?;
    let long = traffic::transfer(fleet.host("client")?, from, vip)?;
    let fresh = traffic::ask_on(fleet.host("client")?, from, vip)?;

    fleet.order(Order::Stop)?;
    let edited = example("virtualservice.yaml")?.replacen("weight: 1", "weight: 2", 1);
    ensure!(fleet.apply("virtualservice.yaml", &edited).is_err(), "a stopped API server took an edit");
    from_disk(bench, &mut fleet, &working, if serving == "rs-1" { "rs-2" } else { "rs-1" })?;

    fleet.order(Order::Start)?;
    comes_back(bench, &mut fleet, &working, &edited)?;

    let done = long.stop()?;
    ensure!(done.bytes > 0 && done.server == serving, "{done:?} was not with {serving}");
    bench.case("a transfer went on all the time and lost no byte");
    let answers = fresh.stop()?;
    let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    ensure!(
        failed.is_empty(),
        "{} of {} fresh connections failed: {:?}",
        failed.len(),
        answers.len(),
        failed[0]
    );
    ensure!(answers.len() > 10, "only {} fresh connections were made", answers.len());
    bench.case("fresh connections were served all the time");
    typed(done)
}

/// Every program is killed and started again while there is no API server. `idle` is the real server without traffic.
fn from_disk(bench: &mut Bench, fleet: &mut Fleet, working: &[(&str, Snapshot)], idle: &str) -> Result<()> {
    fleet.kill_operator()?;
    for node in NODES {
        fleet.kill_agent(node)?;
    }
    as_before(fleet, working)?;
    bench.case("killed programs leave the kernel as it is");
    // What is put right again while there is no API server can only come from the copy on disk.
    fleet.host("director-1")?.sh("ipvsadm -e -t 192.168.10.40:80 -r 192.168.10.11 -g -w 7")?;
    fleet.host(idle)?.sh("ip addr del 192.168.10.40/32 dev lo")?;
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    wait_until("the agents put right what differs from their copies", PATIENCE, || {
        as_before(fleet, working).map(|()| true)
    })?;
    bench.case("restarted agents work from their disks");
    Ok(())
}

/// The API server is there again: first nothing moves, then an edit is done, and nothing but that.
fn comes_back(
    bench: &mut Bench,
    fleet: &mut Fleet,
    working: &[(&str, Snapshot)],
    edited: &str,
) -> Result<()> {
    let before = changes(fleet)?;
    let epoch = |fleet: &Fleet| -> Result<u64> {
        let plan = fleet.plan("director-1")?;
        plan[0]["spec"]["epoch"].as_u64().context("a plan has an epoch")
    };
    let old = epoch(fleet)?;
    wait_until("the operator leads again and every agent reports of its plan", PATIENCE, || {
        let new = epoch(fleet)?;
        ensure!(new > old, "the epoch is still {new}");
        for node in NODES {
            let reported = &fleet.report(node)?[0]["status"]["epoch"];
            ensure!(*reported == new, "{node} reports of epoch {reported}, not {new}");
        }
        Ok(true)
    })?;
    fleet.wait_ready("web")?;
    as_before(fleet, working)?;
    ensure!(changes(fleet)? == before, "an agent changed its kernel when the API server came back");
    bench.case("started again: nothing moves");

    fleet.apply("virtualservice.yaml", edited)?;
    let table = |fleet: &Fleet| fleet.host("director-1")?.sh("ipvsadm -Sn");
    wait_until("the edit that had to wait is done", PATIENCE, || {
        let table = table(fleet)?;
        ensure!(table.contains("-r 192.168.10.10:80 -g -w 2"), "{table}");
        Ok(true)
    })?;
    fleet.wait_ready("web")?;
    for (node, working) in working.iter().filter(|(node, _)| *node != "director-1") {
        let differences = working.differences(&Snapshot::of(fleet.host(node)?)?);
        ensure!(differences.is_empty(), "the edit of a weight changed {node}: {differences:#?}");
    }
    bench.case("the edit is done then, and nothing but that");
    Ok(())
}

/// How often each agent has said that it changed its kernel.
fn changes(fleet: &mut Fleet) -> Result<Vec<usize>> {
    NODES.iter().map(|node| Ok(fleet.agent(node)?.log()?.matches(CHANGED).count())).collect()
}

fn snapshots(fleet: &Fleet) -> Result<Vec<(&'static str, Snapshot)>> {
    NODES.iter().map(|node| Ok((*node, Snapshot::of(fleet.host(node)?)?))).collect()
}

fn as_before(fleet: &Fleet, before: &[(&str, Snapshot)]) -> Result<()> {
    for (node, before) in before {
        let differences = before.differences(&Snapshot::of(fleet.host(node)?)?);
        ensure!(differences.is_empty(), "{node} is not as it was: {differences:#?}");
    }
    Ok(())
}
