//! (c) ARP and neighbour solicitations for the VIP, asked every 10 ms through everything that happens to a service:
//! never two answers to one question, never any but the present holder's.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::edge::stand::Stand;
use super::edge::witness::{self, Witness};
use super::edge::{VIPS, group, mac, nodes, service, topology, wait_accepted, wait_held};
use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, PATIENCE};
use crate::lab::process::wait_until;

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one-answer",
        rows: &["c"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: two_directors,
    },
    Scenario {
        name: "one-answer-two-roles",
        rows: &["c"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: director_that_serves,
    },
];

const ONE: &str = "director-1";
const TWO: &str = "director-2";

/// Manifests, operator, and real servers that have the VIPs long before any director runs.
fn begin(bench: &mut Bench, web: &str, real_servers: &[&str]) -> Result<Fleet> {
    let mut fleet = Fleet::new(bench, topology())?;
    fleet.apply("directorgroup.yaml", &group("")?)?;
    fleet.apply("nodes.yaml", &nodes(&[ONE], &[]))?;
    let early = Witness::start(&fleet.lab)?;
    fleet.apply("service.yaml", web)?;
    fleet.start_operator()?;
    fleet.start_agents(real_servers)?;
    for node in real_servers {
        wait_accepted(&fleet, node)?;
    }
    answers_now(&fleet, &[])?;
    let questions = early.stop(&[])?;
    bench.case(format!("nobody answers before the first holder attracts ({questions} questions)"));
    Ok(fleet)
}

/// Starts the first holder: what it probes with comes before the first answer.
fn first_holder(bench: &mut Bench, fleet: &mut Fleet) -> Result<()> {
    let probes = witness::probes(&fleet.lab)?;
    fleet.start_agent(ONE, &[])?;
    wait_held(fleet, ONE)?;
    let before = witness::probes_before_the_first_claim(probes, mac(ONE)?)?;
    for (vip, probes) in before {
        ensure!(probes == 3, "{vip} was attracted after {probes} probes");
        bench.case(format!("{vip} is answered for only after three probes"));
    }
    Ok(())
}

/// Moves the VIPs by the label that makes a director.
fn move_by_label(bench: &mut Bench, fleet: &Fleet, to: &str) -> Result<()> {
    fleet.apply("nodes.yaml", &nodes(&[ONE, TWO], &[]))?;
    wait_accepted(fleet, to)?;
    fleet.apply("nodes.yaml", &nodes(&[to], &[]))?;
    wait_held(fleet, to)?;
    bench.case(format!("the holder's label is taken away: {to} holds"));
    Ok(())
}

fn two_directors(bench: &mut Bench) -> Result<Value> {
    let web = service("scheduler: rr", &[("rs-1", 1), ("rs-2", 1)]);
    let mut fleet = begin(bench, &web, &["rs-1", "rs-2"])?;
    let watch = Witness::start(&fleet.lab)?;
    first_holder(bench, &mut fleet)?;
    fleet.start_agent(TWO, &[])?;

    fleet.apply("service.yaml", &service("scheduler: wrr", &[("rs-1", 3)]))?;
    wait_until("the edit is in the kernel", PATIENCE, || {
        Ok(fleet.host(ONE)?.sh("ipvsadm -Sn")?.matches("-g -w 3").count() == VIPS.len())
    })?;
    fleet.apply("service.yaml", &web)?;
    fleet.wait_ready("web")?;
    bench.case("edited and edited back");

    for node in [ONE, "rs-1"] {
        fleet.kill_agent(node)?;
        answers_now(&fleet, &[ONE])?;
        fleet.start_agent(node, &[])?;
        wait_held(&fleet, ONE)?;
        bench.case(format!("the agent of {node} killed and started again"));
    }
    fleet.kill_operator()?;
    answers_now(&fleet, &[ONE])?;
    fleet.start_operator()?;
    bench.case("the operator killed and started again");

    move_by_label(bench, &fleet, TWO)?;
    move_while_killed(bench, &mut fleet)?;
    force_move(bench, &mut fleet)?;
    delete(bench, &mut fleet)?;
    let questions = watch.stop(&[ONE, TWO, ONE, TWO])?;
    bench.case(format!("each answered in turn, once to each of {questions} questions"));
    typed(questions)
}

/// The move back, with the old holder's agent killed before it and the operator in the middle of it.
fn move_while_killed(bench: &mut Bench, fleet: &mut Fleet) -> Result<()> {
    fleet.apply("nodes.yaml", &nodes(&[ONE, TWO], &[]))?;
    wait_accepted(fleet, ONE)?;
    fleet.kill_agent(TWO)?;
    fleet.apply("nodes.yaml", &nodes(&[ONE], &[]))?;
    wait_until("the plan takes the VIPs from director-2", PATIENCE, || {
        Ok(!attracts(fleet, TWO)? && !attracts(fleet, ONE)?)
    })?;
    answers_now(fleet, &[TWO])?;
    bench.case("a holder whose agent is dead keeps the VIPs until it has let go");
    fleet.kill_operator()?;
    fleet.start_agent(TWO, &[])?;
    wait_until("director-2 lets go", PATIENCE, || Ok(Stand::of(fleet.host(TWO)?)?.held()?.is_empty()))?;
    answers_now(fleet, &[])?;
    bench.case("nobody answers between the old holder and the new one");
    fleet.start_operator()?;
    wait_held(fleet, ONE)?;
    Ok(())
}

/// The holder loses its power. Somebody vouches for that, and it comes back when another holds.
fn force_move(bench: &mut Bench, fleet: &mut Fleet) -> Result<()> {
    fleet.apply("nodes.yaml", &nodes(&[ONE, TWO], &[]))?;
    wait_accepted(fleet, TWO)?;
    let boot = fleet.host(ONE)?.sh("cat /proc/sys/kernel/random/boot_id")?;
    fleet.lab.set_cable(ONE, "eth0", false)?;
    fleet.kill_agent(ONE)?;
    fleet.apply("nodes.yaml", &nodes(&[ONE, TWO], &[ONE]))?;
    let vouch = format!("{ONE}={}", boot.trim());
    wait_until("the status says that the holder cannot be reached", PATIENCE, || {
        let (status, reason, message) = fleet.condition("web", "Ready")?;
        ensure!(reason == "HolderUnreachable" && message.contains(&vouch), "{status} {reason}: {message}");
        Ok(true)
    })?;
    answers_now(fleet, &[])?;
    bench.case("a holder that cannot be reached is not replaced by itself, and the message names its boot");
    fleet.apply("directorgroup.yaml", &group(&format!("lvs-operator.io/force-move: {vouch}"))?)?;
    wait_until("director-2 takes the VIPs over", PATIENCE, || {
        Ok(Stand::of(fleet.host(TWO)?)?.held()?.len() == VIPS.len())
    })?;
    answers_now(fleet, &[TWO])?;
    bench.case("vouched for, the VIPs move");
    fleet.lab.reboot(ONE, || Ok(()))?;
    // Its disk still says that it holds.
    fleet.start_agent(ONE, &[])?;
    fleet.apply("nodes.yaml", &nodes(&[ONE, TWO], &[]))?;
    wait_accepted(fleet, ONE)?;
    wait_held(fleet, TWO)?;
    answers_now(fleet, &[TWO])?;
    bench.case("the old holder comes back as the standby that it is now");
    Ok(())
}

fn delete(bench: &mut Bench, fleet: &mut Fleet) -> Result<()> {
    fleet.delete("service.yaml")?;
    fleet.wait_clean(&[ONE, TWO, "rs-1"])?;
    answers_now(fleet, &[])?;
    bench.case("deleted: nobody answers any more");
    Ok(())
}

/// The second director is also a real server of the service.
fn director_that_serves(bench: &mut Bench) -> Result<Value> {
    let web = service("scheduler: rr", &[("rs-1", 1), (TWO, 1)]);
    let mut fleet = begin(bench, &web, &["rs-1", TWO])?;
    let watch = Witness::start(&fleet.lab)?;
    first_holder(bench, &mut fleet)?;
    move_by_label(bench, &fleet, TWO)?;
    for node in [ONE, TWO] {
        fleet.kill_agent(node)?;
        answers_now(&fleet, &[TWO])?;
        fleet.start_agent(node, &[])?;
        wait_held(&fleet, TWO)?;
        bench.case(format!("the agent of {node} killed and started again"));
    }
    move_by_label(bench, &fleet, ONE)?;
    fleet.kill_operator()?;
    fleet.start_operator()?;
    move_by_label(bench, &fleet, TWO)?;
    delete(bench, &mut fleet)?;
    let questions = watch.stop(&[ONE, TWO, ONE, TWO])?;
    bench.case(format!("each answered in turn, once to each of {questions} questions"));
    typed(questions)
}

/// Who answers at this moment, asked once more beside the witness.
fn answers_now(fleet: &Fleet, nodes: &[&str]) -> Result<()> {
    let wanted = nodes.iter().map(|node| mac(node)).collect::<Result<_>>()?;
    for (vip, answers) in witness::answers_now(&fleet.lab)? {
        ensure!(answers == wanted, "{answers:?} answered for {vip}, not {wanted:?}");
    }
    Ok(())
}

/// Whether the plan of a node has it attract a VIP.
fn attracts(fleet: &Fleet, node: &str) -> Result<bool> {
    let documents = fleet.documents(&format!("plans/{node}.yaml"))?;
    let part = documents.iter().map(|document| &document["spec"]["services"]["default/web"]);
    let Some(part) = part.into_iter().find(|part| part.is_object()) else {
        bail!("the plan of {node} has no part of the service")
    };
    let vips = part["vips"].as_object().context("a part has VIPs")?;
    Ok(vips.values().any(|duty| duty["attract"] == true))
}
