//! An agent that may not do its work, and one too many.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::super::{Bench, typed};
use super::site::{DIRECTOR, REAL_SERVERS, Site, says_all};
use crate::lab::Snapshot;

/// What starts an agent without `CAP_NET_ADMIN`: root gains no capability that is not in the bounding set.
pub(super) const WITHOUT_NET_ADMIN: [&str; 2] = ["setpriv", "--bounding-set=-net_admin"];

pub(super) fn agents(bench: &mut Bench) -> Result<Value> {
    let mut site = Site::with_web(bench, &[DIRECTOR, REAL_SERVERS[0], REAL_SERVERS[1]], &[])?;
    let before = Snapshot::of(site.fleet.host("director-1")?)?;

    let second = site.fleet.run_second_agent("director-1")?;
    ensure!(!second.status.success(), "a second agent ran beside the first");
    let first = format!("process {}", site.fleet.agent("director-1")?.id());
    says_all(&(second.stdout + &second.stderr), &["another lvs-node-agent runs", &first])?;
    ensure!(site.fleet.agent("director-1")?.ended()?.is_none(), "the first agent has ended");
    as_before(&site, &before)?;
    bench.case("second agent: it ends and names the first, which goes on");

    site.fleet.kill_agent("director-1")?;
    site.fleet.start_agent_through("director-1", &WITHOUT_NET_ADMIN)?;
    let message = site.fleet.wait_reason("web", "Programmed", "NotPermitted")?;
    says_all(&message, &["director-1", "CAP_NET_ADMIN"])?;
    as_before(&site, &before)?;
    bench.case("no CAP_NET_ADMIN: said with the node, nothing lost");

    site.fleet.kill_agent("director-1")?;
    site.fleet.start_agent("director-1", &[])?;
    site.fleet.wait_ready("web")?;
    as_before(&site, &before)?;
    bench.case("with the capability: as before");
    typed(())
}

fn as_before(site: &Site, before: &Snapshot) -> Result<()> {
    let differences = before.differences(&Snapshot::of(site.fleet.host("director-1")?)?);
    ensure!(differences.is_empty(), "director-1 has changed: {differences:#?}");
    site.web_is_served_by(&["rs-1", "rs-2"])?;
    site.other_goes_on()
}
