//! Hosts have for themselves what machines have for themselves, and a reboot takes what a reboot takes.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::lab::process::wait_until;
use crate::lab::{Lab, LinkSpec, Snapshot, Topology};
use crate::scenarios::{Bench, typed};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

pub(super) fn have_their_own(bench: &mut Bench) -> Result<Value> {
    let names = ["rs-1", "rs-2"];
    let mut lab = Lab::new(&Topology::lan().only(&names))?;
    for (host, other) in names.iter().zip(names.iter().rev()) {
        for folder in ["/run", "/var/lib"] {
            let path = format!("{folder}/lvs-node-agent/whose");
            lab.host(host)?.write_file(&path, host)?;
            let there = lab.host(other)?.read_file(&path);
            ensure!(
                there.as_ref().ok().map(String::as_str) != Some(*host),
                "{path} of {host} shows on {other}"
            );
        }
        ensure!(lab.host(host)?.sh("hostname")?.trim() == *host, "{host} does not know its name");
    }
    bench.case("each host has its own name, /run and /var/lib");

    let shared = lab.shared_folder("plans")?.join("plan.yaml");
    let shared = shared.display().to_string();
    lab.host("rs-1")?.write_file(&shared, "a plan")?;
    ensure!(lab.host("rs-2")?.read_file(&shared)? == "a plan", "a shared folder is not shared");
    bench.case("a shared folder is one folder on all hosts");

    let host = lab.host("rs-1")?;
    let before = Snapshot::of(host)?;
    let none = before.differences(&Snapshot::of(host)?);
    ensure!(none.is_empty(), "a snapshot differs from the next one: {none:?}");
    host.sh("ip addr add 192.168.10.40/32 dev lo")?;
    host.write_file("/proc/sys/net/ipv4/conf/eth0/arp_ignore", "1")?;
    let now = Snapshot::of(host)?;
    let differences = before.differences(&now);
    for part in ["+ address: ", "+ route: local 192.168.10.40", "- setting: ipv4/conf/eth0/arp_ignore = 0"] {
        ensure!(
            differences.iter().any(|line| line.starts_with(part)),
            "no line starts {part:?}: {differences:?}"
        );
    }
    ensure!(now.effective("eth0", "arp_ignore")? == 1, "the effective value is not the greater one");
    bench.case("a snapshot tells an address, its route and a setting");

    let link =
        LinkSpec { name: "eth9".into(), network: "lan".into(), addresses: vec!["192.168.10.99/24".into()] };
    lab.add_link("rs-1", &link)?;
    ensure!(
        lab.host("rs-1")?.sh("ip -br addr show eth9")?.contains("192.168.10.99/24"),
        "the added link is not there"
    );
    bench.case("a link is added while a host runs");
    typed(differences)
}

pub(super) fn reboot(bench: &mut Bench) -> Result<Value> {
    let mut lab = Lab::new(&Topology::lan().only(&["rs-1", "rs-2"]))?;
    let host = lab.host("rs-1")?;
    let first = host.read_file(BOOT_ID)?;
    ensure!(first != lab.host("rs-2")?.read_file(BOOT_ID)?, "two hosts have one boot id");
    host.write_file("/run/state", "lost")?;
    host.write_file("/var/lib/state", "kept")?;
    host.sh("ip addr add 192.168.10.40/32 dev lo")?;
    let mut sleeper = host.spawn(["sleep", "1000"], &[])?;
    let ping = |lab: &Lab| -> Result<bool> {
        let program = ["busybox", "ping", "-c", "1", "-W", "1", "192.168.10.10"];
        Ok(lab.host("rs-2")?.run(program)?.status.success())
    };
    ensure!(ping(&lab)?, "rs-2 does not reach rs-1");

    lab.reboot("rs-1", || {
        let ended = sleeper.wait(Duration::from_secs(30))?;
        ensure!(!ended.success(), "a process outlived the power cut");
        Ok(())
    })?;
    let host = lab.host("rs-1")?;
    ensure!(host.read_file(BOOT_ID)? != first, "the boot id stayed");
    ensure!(host.read_file("/run/state").is_err(), "/run outlived the power cut");
    ensure!(host.read_file("/var/lib/state")? == "kept", "/var/lib did not outlive the power cut");
    ensure!(!host.sh("ip addr show lo")?.contains("192.168.10.40"), "an address outlived the power cut");
    bench.case("a reboot takes processes, /run and the network, and leaves /var/lib");
    wait_until("rs-2 reaches rs-1 after its reboot", Duration::from_secs(30), || ping(&lab))?;
    bench.case("a rebooted host is reached again");
    typed(())
}
