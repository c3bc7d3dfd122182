//! Plans that are not there, or only in part: on the node's disk and where the operator writes them.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::{Bench, typed};
use super::site::{DIRECTOR, REAL_SERVERS, Site};
use crate::lab::Snapshot;

const PLAN_COPY: &str = "/var/lib/lvs-operator/plan.json";

pub(super) fn plans(bench: &mut Bench) -> Result<Value> {
    let mut site = Site::with_web(bench, &[DIRECTOR, REAL_SERVERS[0], REAL_SERVERS[1]], &[])?;
    let before = Snapshot::of(site.fleet.host("director-1")?)?;
    // Otherwise it would write the plans anew at once.
    site.fleet.kill_operator()?;
    source_away(bench, &mut site, &before)?;
    slices(bench, &mut site, &before)?;
    site.fleet.start_operator()?;
    site.fleet.wait_ready("web")?;
    unchanged(&site, &before)?;
    bench.case("the operator is back: all is well, and nothing has changed");
    typed(())
}

/// The agent starts while nobody shows it a plan, with a good copy on disk and with one cut short.
fn source_away(bench: &mut Bench, site: &mut Site, before: &Snapshot) -> Result<()> {
    let plans = site.fleet.folder().join("plans");
    let away = site.fleet.folder().join(".plans-away");
    fs::rename(&plans, &away).context("take the plans away")?;
    site.fleet.kill_agent("director-1")?;
    site.fleet.host("director-1")?.sh("ipvsadm -d -t 192.168.10.40:80 -r 192.168.10.10")?;
    site.fleet.start_agent("director-1", &[])?;
    site.wait_agent_log("director-1", &["going on with the last good plan"])?;
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    unchanged(site, before)?;
    bench.case("plans away: the last good plan stays in force, what was taken away comes back");

    site.fleet.kill_agent("director-1")?;
    let host = site.fleet.host("director-1")?;
    let copy = host.read_file(PLAN_COPY)?;
    host.write_file(PLAN_COPY, &copy[..copy.len() / 2])?;
    site.fleet.start_agent("director-1", &[])?;
    site.wait_agent_log("director-1", &["ERROR", PLAN_COPY, "is damaged", "is not followed"])?;
    unchanged(site, before)?;
    bench.case("plan cut short on disk: said, not followed, nothing lost");

    fs::rename(&away, &plans).context("put the plans back")?;
    site.wait_agent_log("director-1", &["following a new plan"])?;
    unchanged(site, before)?;
    let again = site.fleet.host("director-1")?.read_file(PLAN_COPY)?;
    ensure!(again.len() >= copy.len(), "the copy on disk was not written anew");
    bench.case("the plans are back: followed, and kept on disk anew");
    Ok(())
}

/// The plan's slices are taken away or edited by hand.
fn slices(bench: &mut Bench, site: &mut Site, before: &Snapshot) -> Result<()> {
    let file = site.fleet.folder().join("plans/director-1.yaml");
    let whole = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let mut documents: Vec<&str> = whole.split("---\n").collect();
    documents.retain(|document| !document.contains("kind: NodePlanSlice"));
    let missing = documents.join("---\n");
    ensure!(missing != whole, "the plan has no slice: {whole}");
    let edited = without_web(site)?;
    for (plan, fault) in [
        (missing, "NodePlanSlice director-1.0 is missing"),
        (edited, "NodePlanSlice director-1.0 has another hash"),
    ] {
        fs::write(&file, plan).context("edit the plan")?;
        let message = site.wait_report("director-1", "IncompletePlan")?;
        ensure!(message.contains("nothing is removed"), "the message does not say what follows: {message}");
        site.wait_agent_log("director-1", &["ERROR", "the plan is incomplete", fault])?;
        unchanged(site, before)?;
        bench.case(format!("incomplete plan ({fault}): said, nothing lost"));
        fs::write(&file, &whole).context("put the plan back")?;
        site.wait_no_report("director-1", "IncompletePlan")?;
    }
    Ok(())
}

/// The plan of director-1 as somebody edits it by hand: `web` is taken out of its slice, whose hash stays.
fn without_web(site: &Site) -> Result<String> {
    let mut documents = site.fleet.documents("plans/director-1.yaml")?;
    let services = documents.iter_mut().filter_map(|document| document["spec"]["services"].as_object_mut());
    let removed = services.filter_map(|services| services.remove("default/web")).count();
    ensure!(removed == 1, "{removed} slices had a part of web");
    // JSON is YAML too.
    let documents: Vec<String> = documents.iter().map(ToString::to_string).collect();
    Ok(documents.join("\n---\n"))
}

fn unchanged(site: &Site, before: &Snapshot) -> Result<()> {
    let differences = before.differences(&Snapshot::of(site.fleet.host("director-1")?)?);
    ensure!(differences.is_empty(), "director-1 has changed: {differences:#?}");
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    site.other_goes_on()
}
