//! IPVS's sysctls: set where they can be written, named where they cannot, and given back.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, PATIENCE, example};
use crate::lab::process::wait_until;
use crate::lab::{Topology, traffic};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "node-settings",
    rows: &["m"],
    needs_ipvs: true,
    kernel: KernelNeeds::Common,
    run: node_settings,
}];

const DIRECTOR: &str = "director-1";

/// What the group asks for; the last is newer than the lab's kernel.
const WANTED: &str = "  ipvsSysctls:
    conntrack: Enabled
    sloppyTcp: Enabled
    connReuseMode: FinWait
    dropEntry: Automatic
    syncRetries: 2
    estimationNiceness: -5
";

/// Each of the kernel's own values, and what becomes of it.
const SYSCTLS: [(&str, &str, &str); 5] = [
    ("conntrack", "0", "1"),
    ("sloppy_tcp", "1", "1"),
    ("conn_reuse_mode", "1", "2"),
    ("drop_entry", "3", "1"),
    ("sync_retries", "0", "2"),
];

/// An agent that may only read `/proc/sys/net`, as in a container.
const READ_ONLY: [&str; 4] = [
    "sh",
    "-c",
    "mkdir -p /tmp/sysctls && mount --bind /proc/sys/net /tmp/sysctls && mount -o remount,bind,ro /tmp/sysctls \
     && exec \"$@\" --host-sysctls /tmp/sysctls",
    "sh",
];

fn node_settings(bench: &mut Bench) -> Result<Value> {
    let mut fleet = Fleet::new(bench, Topology::lan().only(&[DIRECTOR, "rs-1", "rs-2", "client"]))?;
    // Two that are not as the kernel has them at first: one is as wanted, and is not ours.
    for (name, before, _) in SYSCTLS {
        set(&fleet, name, before)?;
    }
    fleet.apply("directorgroup.yaml", &(example("directorgroup.yaml")? + WANTED))?;
    fleet.apply("nodes.yaml", &example("nodes.yaml")?)?;
    fleet.apply("virtualservice.yaml", &example("virtualservice.yaml")?)?;
    fleet.start_operator()?;
    fleet.start_agents(&["rs-1", "rs-2"])?;
    fleet.start_agent_through(DIRECTOR, &READ_ONLY)?;
    let sentence = fleet.wait_trouble(DIRECTOR, "SysctlNotWritable")?;
    ensure!(sentence.contains("agent.hostSysctls"), "{sentence}");
    fleet.wait_ready("web")?;
    ensure_values(&fleet, |(name, before, _)| (name, before))?;
    bench.case("where /proc/sys/net can only be read, that is said, and services go on");

    fleet.kill_agent(DIRECTOR)?;
    fleet.start_agent(DIRECTOR, &[])?;
    wait_until("the sysctls are as the group wants them", PATIENCE, || {
        ensure_values(&fleet, |(name, _, after)| (name, after)).map(|()| true)
    })?;
    let sentence = fleet.wait_trouble(DIRECTOR, "SysctlMissing")?;
    ensure!(sentence.contains("net.ipv4.vs.est_nice"), "{sentence}");
    bench.case("they are set, and one that the kernel lacks is named");

    set(&fleet, "sync_retries", "1")?;
    wait_until("what somebody else sets is set again", PATIENCE, || {
        ensure!(value(&fleet, "sync_retries")? == "2", "it is not");
        Ok(true)
    })?;
    bench.case("what somebody else sets is set again");

    zero_counters(bench, &mut fleet)?;

    fleet.apply("directorgroup.yaml", &example("directorgroup.yaml")?)?;
    wait_until("the sysctls are as they were", PATIENCE, || {
        ensure_values(&fleet, |(name, before, _)| (name, before)).map(|()| true)
    })?;
    bench.case("what was there comes back");
    fleet.delete("virtualservice.yaml")?;
    fleet.wait_clean(&[DIRECTOR])?;
    typed(())
}

/// Counters are zeroed once for each token, whatever becomes of the agent.
fn zero_counters(bench: &mut Bench, fleet: &mut Fleet) -> Result<()> {
    let client = |fleet: &Fleet| -> Result<()> {
        let (from, to) = ("192.168.10.104".parse()?, SocketAddr::new("192.168.10.40".parse()?, 80));
        traffic::ask(fleet.host("client")?, from, to, Duration::from_secs(5)).map(drop)
    };
    let servers = [
        traffic::start_server(bench, fleet.host("rs-1")?, 80)?,
        traffic::start_server(bench, fleet.host("rs-2")?, 80)?,
    ];
    for _ in 0..3 {
        client(fleet)?;
    }
    wait_counted(fleet, 3)?;
    for token in ["one", "two"] {
        let annotated = example("virtualservice.yaml")?.replacen(
            "  name: web\n",
            &format!("  name: web\n  annotations: {{lvs-operator.io/zero-counters: {token}}}\n"),
            1,
        );
        fleet.apply("virtualservice.yaml", &annotated)?;
        wait_until("the status repeats the token", PATIENCE, || {
            let documents = fleet.service("web")?;
            let told = documents.iter().any(|document| document["status"]["countersZeroed"] == token);
            ensure!(told, "it does not");
            Ok(true)
        })?;
        ensure!(connections(fleet)? == 0, "the director still has {}", connections(fleet)?);
        client(fleet)?;
        fleet.kill_agent(DIRECTOR)?;
        fleet.start_agent(DIRECTOR, &[])?;
        // Having looked again, it sets again what is set otherwise meanwhile.
        set(fleet, "sync_retries", "1")?;
        wait_until("the agent is at work again", PATIENCE, || {
            ensure!(value(fleet, "sync_retries")? == "2", "it is not");
            Ok(true)
        })?;
        // It would be 0 had the agent zeroed again for the same token.
        wait_counted(fleet, 1)?;
    }
    drop(servers);
    bench.case("counters are zeroed once for each token, also across an agent's restart");
    Ok(())
}

/// The kernel sums up what it has counted every two seconds.
fn wait_counted(fleet: &Fleet, wanted: u64) -> Result<()> {
    wait_until("the director has summed up its connections", PATIENCE, || {
        let found = connections(fleet)?;
        ensure!(found == wanted, "they are {found}, not {wanted}");
        Ok(true)
    })
}

/// How many connections the director has counted.
fn connections(fleet: &Fleet) -> Result<u64> {
    let listed = fleet.host(DIRECTOR)?.sh("ipvsadm -Ln --stats --exact -t 192.168.10.40:80")?;
    let row = listed.lines().find(|line| line.starts_with("TCP  192.168.10.40:80"));
    let count = row.and_then(|row| row.split_whitespace().nth(2)).and_then(|word| word.parse().ok());
    count.with_context(|| format!("ipvsadm says {listed}"))
}

fn ensure_values(
    fleet: &Fleet,
    wanted: impl Fn((&'static str, &'static str, &'static str)) -> (&'static str, &'static str),
) -> Result<()> {
    for (name, wanted) in SYSCTLS.map(wanted) {
        let found = value(fleet, name)?;
        ensure!(found == wanted, "{name} is {found}, not {wanted}");
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("/proc/sys/net/ipv4/vs/{name}")
}

fn value(fleet: &Fleet, name: &str) -> Result<String> {
    Ok(fleet.host(DIRECTOR)?.read_file(&path(name))?.trim().to_owned())
}

fn set(fleet: &Fleet, name: &str, value: &str) -> Result<()> {
    fleet.host(DIRECTOR)?.write_file(&path(name), value)
}
