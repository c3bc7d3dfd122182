//! Machines that boot anew: a real server, and the director that holds a VIP.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::{Bench, typed};
use super::agents::WITHOUT_NET_ADMIN;
use super::site::{NodeRow, OTHER, REAL_SERVERS, Site, WEB};
use crate::fleet::PATIENCE;
use crate::lab::process::wait_until;
use crate::lab::traffic;

/// Each service has a director of its own, so that one can be without.
const DIRECTORS: [NodeRow<'_>; 2] =
    [("director-1", "192.168.10.20", "edge: director"), ("director-2", "192.168.10.21", "spare: director")];

pub(super) fn reboots(bench: &mut Bench) -> Result<Value> {
    let nodes = [DIRECTORS[0], DIRECTORS[1], REAL_SERVERS[0], REAL_SERVERS[1]];
    let mut site = Site::with_web(bench, &nodes, &[])?;
    let other = SocketAddr::new(OTHER.parse()?, 80);
    let asked = traffic::ask_on(site.fleet.host("client")?, "192.168.10.108".parse()?, other)?;
    real_server(bench, &mut site)?;
    holder(bench, &mut site)?;
    let answers = asked.stop()?;
    let failed: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    ensure!(
        !answers.is_empty() && failed.is_empty(),
        "{} of {} clients of `other` were not served: {failed:?}",
        failed.len(),
        answers.len()
    );
    bench.case("every client of the other service was served all the while");
    typed(())
}

fn real_server(bench: &mut Bench, site: &mut Site) -> Result<()> {
    site.fleet.kill_agent("rs-1")?;
    site.fleet.lab.reboot("rs-1", || Ok(()))?;
    site.start_server(bench, "rs-1")?;
    // An agent that reports the new boot and cannot bind the VIP: the moment between the two, held.
    site.fleet.start_agent_through("rs-1", &WITHOUT_NET_ADMIN)?;
    wait_until("the rebooted real server is named", PATIENCE, || {
        let documents = site.fleet.documents("status/default.web.yaml")?;
        let rows = documents.iter().filter_map(|document| document["status"]["realServers"].as_array());
        let row = rows.flatten().find(|row| row["nodeName"] == "rs-1").context("there is no row of rs-1")?;
        ensure!(row["state"] == "Pending" && row["reason"] == "NotPermitted", "{row}");
        Ok(true)
    })?;
    site.web_is_served_by(&["rs-2"])?;
    let table = site.entries("director-1", WEB)?;
    ensure!(!table.iter().any(|entry| entry.contains("192.168.10.10:")), "rs-1 has an entry: {table:?}");
    site.other_goes_on()?;
    bench.case("real server rebooted: named, and no client is sent to it before it has the VIP");
    site.fleet.kill_agent("rs-1")?;
    site.fleet.start_agent("rs-1", &[])?;
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    site.fleet.wait_ready("web")?;
    bench.case("the real server has reported: it serves again");
    Ok(())
}

fn holder(bench: &mut Bench, site: &mut Site) -> Result<()> {
    let before = site.entries("director-1", WEB)?;
    site.fleet.kill_agent("director-1")?;
    site.fleet.lab.reboot("director-1", || Ok(()))?;
    ensure!(site.entries("director-1", WEB)?.is_empty(), "the reboot left entries");
    site.fleet.start_agent_through("director-1", &WITHOUT_NET_ADMIN)?;
    let message = site.fleet.wait_reason("web", "Ready", "HolderPending")?;
    ensure!(
        message.contains("director-1") && message.contains(WEB),
        "the message names neither node nor VIP: {message}"
    );
    site.other_goes_on()?;
    bench.case("holder rebooted: the service says who does not hold what");
    site.fleet.kill_agent("director-1")?;
    site.fleet.start_agent("director-1", &[])?;
    site.fleet.wait_ready("web")?;
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    ensure!(site.entries("director-1", WEB)? == before, "the entries are not those before the reboot");
    bench.case("the holder is back: it holds the VIP again, with the same entries");
    Ok(())
}
