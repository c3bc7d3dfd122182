//! The whole table at once: by the agent's own path, and by the Go library under kube-proxy and kube-router.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_node_agent::verbs::ipvsadm;

use super::row::{Row, Times};
use super::stand::{by_agent, expect, fresh, operations};
use super::{Bench, TURNS, plan};
use crate::lab::launch::GO_LIBRARY;

/// So many services with so many real servers each, in turn.
pub(super) fn row(bench: &mut Bench, services: u16, real_servers: u8) -> Result<Row> {
    let what = format!("program {services} services x {real_servers} real servers");
    let program = bench.binary(GO_LIBRARY).context("e2e/bench/moby-ipvs/build puts it there")?;
    bench.show(format!("{what}, against a Go library …"))?;
    let plan = plan::of(services, real_servers, 1);
    let (_, wanted) = operations(&plan)?;
    let table = Path::new("/run/table");
    std::fs::write(table, ipvsadm::rules(&wanted)).context("write the table")?;
    let (mut agent, mut library) = (Times::default(), Times::default());
    for _ in 0..TURNS {
        agent.add(by_agent(&plan, &wanted)?);
        library.add(fresh(|| {
            let took = by_library(&program, table)?;
            expect(&wanted).map(|()| took)
        })?);
    }
    Ok(Row::faster(
        format!("{what}: the agent, against the Go library github.com/moby/ipvs"),
        &agent,
        &library,
    ))
}

/// How long the library takes by its own clock, which does not count the start of its process.
fn by_library(program: &Path, table: &Path) -> Result<Duration> {
    let done = Command::new(program)
        .stdin(File::open(table)?)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    ensure!(done.status.success(), "{}: {}", program.display(), done.status);
    let seconds = String::from_utf8(done.stdout)?;
    let seconds: f64 = seconds.trim().parse().with_context(|| format!("{seconds:?} is no time"))?;
    Ok(Duration::try_from_secs_f64(seconds)?)
}
