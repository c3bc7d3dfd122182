//! (a) The notes' recipe, by this software and by hand: what they do to a kernel, and how it then behaves.

mod by_hand;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, example};
use crate::lab::{Host, Snapshot, neighbour, traffic};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] =
    &[Scenario { name: "recipe", rows: &["a"], needs_ipvs: true, kernel: KernelNeeds::Common, run: recipe }];

const NODES: [&str; 3] = ["director-1", "rs-1", "rs-2"];
const VIP: &str = "192.168.10.40";
/// What differs on purpose, and why; nothing else may.
const DELIBERATE: &str = include_str!("differences.yaml");

/// One deliberate difference.
#[derive(Debug, Deserialize)]
struct Difference {
    /// The hosts, by their name in the set of this software.
    hosts: Vec<String>,
    /// Lines of [`Snapshot::differences`] from by hand (`-`) to by this software (`+`).
    lines: Vec<String>,
    /// Why it is so.
    reason: String,
}

/// What `recipe` returns.
#[derive(Debug, Serialize)]
struct Compared {
    table: BTreeSet<String>,
    deliberate: usize,
}

fn recipe(bench: &mut Bench) -> Result<Value> {
    let mut fleet = Fleet::new(bench, by_hand::two_sets())?;
    let all = NODES.iter().map(|node| (*node).to_owned()).chain(NODES.map(by_hand::name));
    let servers = all
        .filter(|node| node.contains("rs-"))
        .map(|name| traffic::start_server(bench, fleet.host(&name)?, 80));
    let _servers = servers.collect::<Result<Vec<_>>>()?;
    by_hand::set_up(&fleet.lab)?;
    for file in ["directorgroup.yaml", "virtualservice.yaml", "nodes.yaml"] {
        fleet.apply(file, &example(file)?)?;
    }
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    fleet.wait_ready("web")?;

    let table = same_table(bench, &fleet)?;
    let deliberate = only_deliberate_differences(bench, &fleet)?;
    same_behaviour(bench, &fleet)?;
    typed(Compared { table, deliberate })
}

fn pair<'a>(fleet: &'a Fleet, node: &str) -> Result<(&'a Host, &'a Host)> {
    Ok((fleet.host(node)?, fleet.host(&by_hand::name(node))?))
}

fn same_table(bench: &mut Bench, fleet: &Fleet) -> Result<BTreeSet<String>> {
    let (ours, by_hand) = pair(fleet, "director-1")?;
    let (ours, by_hand) = (Snapshot::of(ours)?, Snapshot::of(by_hand)?);
    ensure!(!ours.ipvs.is_empty(), "the director's table is empty");
    ensure!(ours.ipvs == by_hand.ipvs, "the tables differ: {:?} and by hand {:?}", ours.ipvs, by_hand.ipvs);
    bench.case("equal sorted IPVS tables");
    ensure!(
        ours.timeouts == by_hand.timeouts,
        "the timeouts differ: {} and by hand {}",
        ours.timeouts,
        by_hand.timeouts
    );
    bench.case("equal timeouts");
    for node in ["rs-1", "rs-2"] {
        let (ours, by_hand) = pair(fleet, node)?;
        let (ours, by_hand) = (Snapshot::of(ours)?, Snapshot::of(by_hand)?);
        for setting in ["arp_ignore", "arp_announce"] {
            let (value, wanted) = (ours.effective("eth0", setting)?, by_hand.effective("eth0", setting)?);
            ensure!(value == wanted, "effective {setting} on {node} is {value}, by hand {wanted}");
            bench.case(format!("equal effective {setting} on {node}"));
        }
    }
    Ok(ours.ipvs)
}

fn only_deliberate_differences(bench: &mut Bench, fleet: &Fleet) -> Result<usize> {
    let deliberate: Vec<Difference> = serde_saphyr::from_str(DELIBERATE).context("parse differences.yaml")?;
    ensure!(deliberate.iter().all(|difference| !difference.reason.is_empty()), "a difference has no reason");
    for node in NODES {
        let (ours, by_hand) = pair(fleet, node)?;
        let found: BTreeSet<String> =
            Snapshot::of(by_hand)?.differences(&Snapshot::of(ours)?).into_iter().collect();
        let here = deliberate.iter().filter(|difference| difference.hosts.iter().any(|host| host == node));
        let listed: BTreeSet<String> = here.flat_map(|difference| &difference.lines).cloned().collect();
        let unlisted: Vec<_> = found.difference(&listed).collect();
        let idle: Vec<_> = listed.difference(&found).collect();
        ensure!(unlisted.is_empty(), "{node} differs in what is not listed: {unlisted:#?}");
        ensure!(idle.is_empty(), "{node} does not differ in what is listed: {idle:#?}");
        bench.case(format!("{node} differs in the listed {} lines and nothing else", listed.len()));
    }
    Ok(deliberate.len())
}

/// Who answers ARP, which way packets take, and whom connections reach.
fn same_behaviour(bench: &mut Bench, fleet: &Fleet) -> Result<()> {
    let (ours, by_hand) = pair(fleet, "client")?;
    let who = |client: &Host| neighbour::ask_once(client, "eth0", "192.168.10.101".parse()?, VIP.parse()?);
    let (answers, wanted) = (who(ours)?, who(by_hand)?);
    ensure!(answers.len() == 1 && answers == wanted, "ARP is answered by {answers:?}, by hand by {wanted:?}");
    bench.case("one and the same answer to ARP");
    for node in NODES {
        let (ours, by_hand) = pair(fleet, node)?;
        for target in ["192.168.10.101", "192.168.10.102", "192.168.10.1", "10.20.0.2"] {
            let route = |host: &Host| -> Result<String> {
                let text = host.sh(&format!("ip route get {target}"))?;
                Ok(text.split_whitespace().take_while(|word| *word != "uid").collect::<Vec<_>>().join(" "))
            };
            let (route, wanted) = (route(ours)?, route(by_hand)?);
            ensure!(route == wanted, "{node} sends to {target} by {route}, by hand by {wanted}");
        }
        bench.case(format!("{node} routes the same way"));
    }
    let (ours, by_hand) = (spread(ours)?, spread(by_hand)?);
    ensure!(ours == [2, 2] && ours == by_hand, "clients were spread {ours:?}, by hand {by_hand:?}");
    bench.case("connections reach the same servers in equal parts");
    Ok(())
}

/// How many of four fresh clients each real server gets.
fn spread(client: &Host) -> Result<[usize; 2]> {
    let mut names = Vec::new();
    for number in 101..=104 {
        let from: IpAddr = format!("192.168.10.{number}").parse()?;
        names.push(traffic::ask(client, from, SocketAddr::new(VIP.parse()?, 80), Duration::from_secs(5))?);
    }
    Ok(["rs-1", "rs-2"].map(|server| names.iter().filter(|name| name.ends_with(server)).count()))
}
