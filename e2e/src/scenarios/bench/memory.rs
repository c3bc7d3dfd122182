//! What the agent's own program keeps in memory.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_core::names::NodeName;
use lvs_node_agent::kernel::{IpvsModule, Linux};

use super::row::Row;
use super::stand::fresh;
use super::{Bench, plan};
use crate::lab::process::wait_at_pace;

/// The agent, once it follows a plan of 5,000 services with 20 real servers each, and has audited what it made.
pub(super) fn row(bench: &mut Bench) -> Result<Row> {
    bench.show("memory of the agent with 100000 entries …")?;
    let folder = Path::new("/run/bench-memory");
    std::fs::create_dir_all(folder)?;
    let file = folder.join("plan.json");
    let node = NodeName("director-1".to_owned());
    let (plan, slices) = lvs_crds::plan::split(&node, &plan::of(5_000, 20, 1));
    let mut text = serde_json::to_string(&plan)?;
    for slice in slices {
        text += "\n---\n";
        text += &serde_json::to_string(&slice)?;
    }
    std::fs::write(&file, text).context("write the plan")?;
    let program = bench.binary("lvs-node-agent")?;
    let megabytes = fresh(|| {
        let mut agent = Command::new(&program);
        agent.args(["run", "--node", &node.0, "--plan"]).arg(&file);
        agent.arg("--run-dir").arg(folder.join("run")).arg("--state-dir").arg(folder.join("state"));
        let mut agent = Agent(agent.stderr(Stdio::null()).spawn().context("start the agent")?);
        wait_at_pace(Duration::from_secs(1), "the table is whole", Duration::from_mins(2), || {
            let services = Linux::open()?.observe(IpvsModule::AsFound)?.kernel.virtual_servers;
            Ok(services.len() == 5_000 && services.values().all(|server| server.destinations.len() == 20))
        })?;
        // A few audits.
        std::thread::sleep(Duration::from_secs(7));
        ensure!(agent.0.try_wait()?.is_none(), "the agent has ended");
        resident(agent.0.id())
    })?;
    Ok(Row::figure("memory of the agent with 100000 entries".to_owned(), megabytes, "MB").at_most(60.0))
}

/// Resident memory of a process in megabytes (proc(5), `VmRSS`).
fn resident(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("look at the agent")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes =
        line.and_then(|rest| rest.trim().strip_suffix("kB")).context("a process without memory")?;
    Ok(f64::from(kibibytes.trim().parse::<u32>()?) * 1024.0 / 1e6)
}

/// A running agent, which ends with this value.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
