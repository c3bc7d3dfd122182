//! What a node's kernel and network do not allow.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::super::{Bench, typed};
use super::site::{DIRECTOR, GROUPS, NodeRow, REAL_SERVERS, Site, WEB, WEB_MANIFEST, replaced, says_all};
use crate::lab::modules;

/// A node whose only address is behind the router.
const FAR: NodeRow<'_> = ("far-client", "10.20.0.2", "");

pub(super) fn nodes(bench: &mut Bench) -> Result<Value> {
    let nodes = [DIRECTOR, REAL_SERVERS[0], REAL_SERVERS[1], FAR];
    let site = Site::new(bench, &nodes, &["router"])?;
    stranger(bench, &site)?;
    scheduler(bench, &site)?;
    interface(bench, &site)?;
    gateway(bench, &site)?;
    typed(())
}

fn stranger(bench: &mut Bench, site: &Site) -> Result<()> {
    site.fleet.host("client")?.sh("ip addr add 192.168.10.40/32 dev eth0")?;
    site.fleet.apply("web.yaml", WEB_MANIFEST)?;
    let message = site.fleet.wait_reason("web", "Programmed", "AddressInUse")?;
    says_all(&message, &["director-1", WEB, "02:00:c0:a8:0a:65"])?;
    let held = site.fleet.host("director-1")?.sh("ip -o addr show dev eth0")?;
    ensure!(!held.contains(WEB), "the director took the stranger's address: {held}");
    site.other_goes_on()?;
    bench.case("VIP in use by a stranger: named by its hardware address, not taken");
    site.fleet.host("client")?.sh("ip addr del 192.168.10.40/32 dev eth0")?;
    site.fleet.wait_ready("web")?;
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    bench.case("the stranger has left: the VIP is taken without anybody's help");
    Ok(())
}

fn scheduler(bench: &mut Bench, site: &Site) -> Result<()> {
    modules::take_away("ip_vs_wlc")?;
    let before = site.entries("director-1", WEB)?;
    site.edit_web("scheduler: rr", "scheduler: wlc")?;
    let message = site.fleet.wait_reason("web", "Programmed", "SchedulerMissing")?;
    says_all(&message, &["director-1", "wlc", "scheduler"])?;
    ensure!(site.entries("director-1", WEB)? == before, "the entries of web have changed");
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    site.other_goes_on()?;
    bench.case("missing scheduler module: named, the old scheduler goes on");
    modules::give_back("ip_vs_wlc")?;
    site.fleet.wait_ready("web")?;
    let table = site.entries("director-1", WEB)?;
    ensure!(table.iter().any(|entry| entry.contains("-s wlc")), "the scheduler was not changed: {table:?}");
    site.fleet.apply("web.yaml", WEB_MANIFEST)?;
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    bench.case("the module is there: the edit goes through without anybody's help");
    Ok(())
}

fn interface(bench: &mut Bench, site: &Site) -> Result<()> {
    let before = site.fleet.host("director-1")?.sh("ip -o -4 addr show dev eth0")?;
    let named = "{name: public, interface: eth9, addresses: [192.168.10.40/32]}";
    let groups = replaced(GROUPS, "{name: public, addresses: [192.168.10.40/32]}", named)?;
    site.fleet.apply("groups.yaml", &groups)?;
    let message = site.fleet.wait_reason("web", "Programmed", "UnknownInterface")?;
    says_all(&message, &["director-1", WEB, "eth9"])?;
    site.other_goes_on()?;
    let now = site.fleet.host("director-1")?.sh("ip -o -4 addr show dev eth0")?;
    ensure!(now == before, "the VIP that was held is lost:\n{before}now:\n{now}");
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    bench.case("unknown interface: named, the VIP stays where it is held");
    site.fleet.apply("groups.yaml", GROUPS)?;
    site.fleet.wait_ready("web")?;
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    Ok(())
}

fn gateway(bench: &mut Bench, site: &Site) -> Result<()> {
    let third =
        "  - {name: rs-2, nodeName: rs-2, weight: 1}\n  - {name: far, nodeName: far-client, weight: 1}\n";
    site.edit_web("  - {name: rs-2, nodeName: rs-2, weight: 1}\n", third)?;
    let message = site.fleet.wait_reason("web", "Programmed", "RealServerBehindGateway")?;
    says_all(&message, &["director-1", "10.20.0.2", "192.168.10.1"])?;
    let table = site.entries("director-1", WEB)?;
    ensure!(!table.iter().any(|entry| entry.contains("10.20.0.2")), "it has an entry: {table:?}");
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    site.other_goes_on()?;
    bench.case("real server behind a gateway: named with the gateway, the others serve");
    site.fleet.apply("web.yaml", WEB_MANIFEST)?;
    site.fleet.wait_ready("web")
}
