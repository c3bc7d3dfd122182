//! The asker sees every answer, and tells whose it is.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::lab::{Lab, Topology, neighbour};
use crate::scenarios::{Bench, typed};

/// Two hosts answer for one address, then one, then none; then the same for IPv6, where a copy on lo never answers.
pub(super) fn two_answer(bench: &mut Bench) -> Result<Value> {
    let lab = Lab::new(&Topology::lan().only(&["rs-1", "rs-2", "client"]))?;
    let mut found = Vec::new();
    for vip in ["192.168.10.40", "fd00:10::40"] {
        let vip: IpAddr = vip.parse()?;
        let holders = ["rs-1", "rs-2"].map(|name| lab.host(name));
        let prefix = if vip.is_ipv4() { 32 } else { 128 };
        let no_dad = if vip.is_ipv4() { "" } else { " nodad" };
        for (answers, change) in [(0, None), (1, Some(0)), (2, Some(1))] {
            if let Some(holder) = change {
                let host = holders[holder].as_ref().ok().context("the topology has both")?;
                host.sh(&format!("ip addr add {vip}/{prefix} dev eth0{no_dad}"))?;
            }
            let asking = neighbour::ask(lab.host("client")?, "eth0", vip)?;
            sleep(Duration::from_millis(300));
            let seen = asking.stop()?;
            ensure!(!seen.asked.is_empty(), "nothing was asked");
            ensure!(seen.macs().len() == answers, "{answers} should answer for {vip}: {seen:?}");
            let (twice, none) = (seen.answered_twice().len(), seen.unanswered());
            let (expected_twice, expected_none) = (
                if answers == 2 { seen.asked.len() } else { 0 },
                if answers == 0 { seen.asked.len() } else { 0 },
            );
            ensure!(
                (twice, none) == (expected_twice, expected_none),
                "{twice} twice, {none} unanswered: {seen:?}"
            );
            bench.case(format!("{answers} answer for {vip}"));
            found.push(seen.macs());
        }
    }
    let once = neighbour::ask_once(
        lab.host("client")?,
        "eth0",
        "192.168.10.101".parse()?,
        "192.168.10.10".parse()?,
    )?;
    ensure!(once.iter().map(ToString::to_string).collect::<Vec<_>>() == ["02:00:c0:a8:0a:0a"], "{once:?}");
    bench.case("a single question names its one answerer");
    typed(found)
}
