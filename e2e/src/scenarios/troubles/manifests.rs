//! What a person writes wrongly, and a Node object that goes.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::super::{Bench, typed};
use super::site::{
    DIRECTOR, OTHER, OTHER_MANIFEST, REAL_SERVERS, Site, WEB, WEB_MANIFEST, manifest_of, replaced, says_all,
};
use crate::fleet::PATIENCE;
use crate::lab::process::wait_until;

pub(super) fn manifests(bench: &mut Bench) -> Result<Value> {
    let nodes = [DIRECTOR, REAL_SERVERS[0], REAL_SERVERS[1]];
    let site = Site::with_web(bench, &nodes, &[])?;
    does_not_parse(bench, &site)?;
    does_not_fit(bench, &site)?;
    node_gone(bench, &site)?;
    typed(())
}

fn does_not_parse(bench: &mut Bench, site: &Site) -> Result<()> {
    let before = site.entries("director-1", WEB)?;
    let broken =
        replaced(WEB_MANIFEST, "vips: [{address: 192.168.10.40}]", "vips: [{address: 192.168.10.40}")?;
    site.fleet.apply("web.yaml", &broken)?;
    wait_until("the operator complains of web.yaml", PATIENCE, || {
        says_all(&site.fleet.operator()?.log()?, &["ERROR", "/web.yaml:7:"])
    })?;
    // The other service can still be edited: the operator goes on with what it can read.
    site.fleet.apply("other.yaml", &replaced(OTHER_MANIFEST, "weight: 1", "weight: 2")?)?;
    wait_until("an edit of the other service is programmed", PATIENCE, || {
        let entries = site.entries("director-1", OTHER)?;
        ensure!(entries.iter().any(|entry| entry.contains("-w 2")), "{entries:?}");
        Ok(true)
    })?;
    ensure!(site.entries("director-1", WEB)? == before, "the entries of web have changed");
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    site.fleet.apply("other.yaml", OTHER_MANIFEST)?;
    wait_until("the other service is as it was", PATIENCE, || site.other_goes_on().map(|()| true))?;
    site.fleet.apply("web.yaml", WEB_MANIFEST)?;
    bench.case("malformed manifest: named by file, line and column; its service stays");
    Ok(())
}

fn does_not_fit(bench: &mut Bench, site: &Site) -> Result<()> {
    let before = site.entries("director-1", WEB)?;
    for (from, to, field) in
        [("port: 80", "port: eighty", "line 7, column "), ("scheduler: rr", "schedular: wlc", "schedular")]
    {
        site.edit_web(from, to)?;
        let message = site.fleet.wait_reason("web", "Accepted", "InvalidSpec")?;
        says_all(&message, &[field, "The last accepted specification stays in force"])?;
        ensure!(site.entries("director-1", WEB)? == before, "the entries of web have changed");
        site.web_is_served_by(&["rs-1", "rs-2"])?;
        site.other_goes_on()?;
        bench.case(format!(
            "a manifest with {to:?}: the field is named, the last accepted one stays in force"
        ));
        site.fleet.apply("web.yaml", WEB_MANIFEST)?;
        site.fleet.wait_reason("web", "Accepted", "Accepted")?;
    }
    Ok(())
}

fn node_gone(bench: &mut Bench, site: &Site) -> Result<()> {
    site.fleet.apply("nodes.yaml", &manifest_of(&[DIRECTOR, REAL_SERVERS[1]]))?;
    let message = site.fleet.wait_reason("web", "ResolvedRefs", "NodeNotFound")?;
    says_all(&message, &["there is no Node rs-1", "realServers[rs-1]"])?;
    site.web_is_served_by(&["rs-2"])?;
    site.other_goes_on()?;
    bench.case("a real server's Node object is gone: named, the rest serves");
    site.fleet.apply("nodes.yaml", &manifest_of(&[DIRECTOR, REAL_SERVERS[0], REAL_SERVERS[1]]))?;
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    site.fleet.wait_ready("web")?;
    site.other_goes_on()?;
    bench.case("the Node object is back: its real server serves again");
    Ok(())
}
