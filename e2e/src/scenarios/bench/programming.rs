//! The whole table at once: by the agent's own path, by `ipvsadm --restore`, and by its messages alone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lvs_node_agent::verbs::ipvsadm;

use super::raw::Raw;
use super::row::{Row, Times};
use super::stand::{by_agent, expect, fresh, operations, timed};
use super::{Bench, TURNS, plan};

/// So many services with so many real servers each, in turn; the agent is to be `least` times as fast as ipvsadm.
pub(super) fn rows(bench: &mut Bench, services: u16, real_servers: u8, least: f64) -> Result<Vec<Row>> {
    let what = format!("{services} services x {real_servers} real servers");
    bench.show(format!("programming {what} …"))?;
    let plan = plan::of(services, real_servers, 1);
    let (_, wanted) = operations(&plan)?;
    let dump = Path::new("/run/dump");
    std::fs::write(dump, ipvsadm::rules(&wanted)).context("write the dump")?;
    let (mut agent, mut restore, mut bare) = (Times::default(), Times::default(), Times::default());
    for turn in 1..=TURNS {
        agent.add(by_agent(&plan, &wanted)?);
        bare.add(fresh(|| {
            let mut raw = Raw::open()?;
            let messages = raw.messages(&wanted)?;
            let took = timed(|| raw.send(&messages))?;
            expect(&wanted).map(|()| took)
        })?);
        restore.add(fresh(|| {
            let took = timed(|| ipvsadm_restore(dump))?;
            expect(&wanted).map(|()| took)
        })?);
        bench.show(format!("  turn {turn} of {TURNS}"))?;
    }
    Ok(vec![
        Row::faster(format!("program {what}: the agent, against ipvsadm --restore"), &agent, &restore)
            .at_least(least),
        Row::slower(format!("program {what}: the agent, against its messages alone"), &agent, &bare)
            .at_most(1.3),
    ])
}

fn ipvsadm_restore(dump: &Path) -> Result<()> {
    let input = std::fs::File::open(dump)?;
    let status = Command::new("ipvsadm").arg("--restore").stdin(input).status().context("run ipvsadm")?;
    ensure!(status.success(), "ipvsadm --restore failed");
    Ok(())
}
