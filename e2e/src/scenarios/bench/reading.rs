//! The whole table read, by the agent and by `ipvsadm -Sn`.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use lvs_node_agent::kernel::{IpvsModule, Linux};

use super::row::{Row, Times};
use super::stand::{expect, fresh, operations, timed};
use super::{Bench, TURNS, plan};

/// So many services with so many real servers each.
pub(super) fn row(bench: &mut Bench, services: u16, real_servers: u8) -> Result<Row> {
    let entries = usize::from(services) * usize::from(real_servers);
    bench.show(format!("reading {entries} destinations …"))?;
    let (ops, wanted) = operations(&plan::of(services, real_servers, 1))?;
    let (agent, save) = fresh(|| {
        let mut linux = Linux::open()?;
        ensure!(linux.apply(&ops).is_empty(), "the table cannot be made");
        expect(&wanted)?;
        let (mut agent, mut save) = (Times::default(), Times::default());
        for _ in 0..TURNS {
            agent.add(timed(|| Ok(linux.observe(IpvsModule::AsFound).map(drop)?))?);
            save.add(timed(|| {
                let status = Command::new("ipvsadm").arg("-Sn").stdout(Stdio::null()).status()?;
                ensure!(status.success(), "ipvsadm -Sn failed");
                Ok(())
            })?);
        }
        Ok((agent, save))
    })?;
    let what = format!("read {entries} destinations: the agent, against ipvsadm -Sn");
    Ok(Row::faster(what, &agent, &save).at_least(4.5))
}
