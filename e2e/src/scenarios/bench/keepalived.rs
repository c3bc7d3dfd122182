//! One weight changed: by the agent, and by a keepalived that reads its changed file again.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lvs_core::ipvs::{DestinationKey, VirtualServerKey};
use lvs_core::kernel::Kernel;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::raw::Raw;
use super::row::{Row, Times};
use super::stand::{engine, expect, fresh, leave, namespace, one_change, operations};
use super::{Bench, TURNS, plan};

/// In a table of so many services with so many real servers each, which both have made before: each in a namespace of its
/// own, in turn.
pub(super) fn row(bench: &mut Bench, services: u16, real_servers: u8) -> Result<Row> {
    let what = format!("change one weight of {services} services x {real_servers} real servers");
    bench.show(format!("{what}, against keepalived …"))?;
    let mut plan = plan::of(services, real_servers, 1);
    let (_, wanted) = operations(&plan)?;
    let place = namespace()?;
    let mut keepalived = place.inside(|| Keepalived::start(wanted))??;
    let (mut agent, mut reload) = (Times::default(), Times::default());
    fresh(|| {
        let mut engine = engine()?;
        engine.pass(&plan)?;
        for weight in 2..TURNS + 2 {
            let weight = u32::try_from(weight)?;
            let changed = plan::with_one_weight(&plan, weight);
            agent.add(one_change(&mut engine, &plan, &changed)?);
            plan = changed;
            reload.add(place.inside(|| keepalived.change(weight))??);
        }
        Ok(())
    })?;
    drop(keepalived);
    leave(place)?;
    Ok(Row::faster(format!("{what}: the agent, against keepalived's reload"), &agent, &reload))
}

/// A keepalived without VRRP in the caller's network namespace. Dropped, it and its children are killed.
struct Keepalived {
    process: Child,
    configuration: PathBuf,
    /// What its file says.
    table: Kernel,
    kernel: Raw,
}

/// How long it may take for a whole table.
const PATIENCE: Duration = Duration::from_mins(2);

impl Keepalived {
    /// Starts it with a file that says `table`, and waits until the kernel has that.
    fn start(table: Kernel) -> Result<Self> {
        let folder = Path::new("/run/keepalived-bench");
        std::fs::create_dir_all(folder)?;
        let (file, log) = (folder.join("keepalived.conf"), File::create(folder.join("log"))?);
        std::fs::write(&file, configuration(&table)?)?;
        let mut command = Command::new("keepalived");
        command.args(["--dont-fork", "--log-console", "--check", "--use-file"]).arg(&file);
        command.arg("--pid").arg(folder.join("pid")).arg("--checkers_pid").arg(folder.join("checkers"));
        command.process_group(0).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().context("start keepalived (e2e/setup/packages bench installs it)")?;
        let started = Self { process, configuration: file, table, kernel: Raw::open()? };
        let start = Instant::now();
        while let Err(missing) = expect(&started.table) {
            ensure!(start.elapsed() < PATIENCE, "keepalived: {missing:#}: {}", read(&folder.join("log")));
            sleep(Duration::from_secs(1));
        }
        Ok(started)
    }

    /// Changes the weight that [`plan::with_one_weight`] changes: from the signal until the kernel shows it.
    fn change(&mut self, weight: u32) -> Result<Duration> {
        let middle = self.table.virtual_servers.len() / 2;
        let (service, server) =
            self.table.virtual_servers.iter_mut().nth(middle).context("there is no service")?;
        let (destination, settings) = server.destinations.iter_mut().next().context("no real server")?;
        settings.weight = weight;
        let (service, destination) = (*service, *destination);
        std::fs::write(&self.configuration, configuration(&self.table)?)?;
        let parent = Pid::from_raw(i32::try_from(self.process.id())?);
        let start = Instant::now();
        kill(parent, Signal::SIGHUP).context("ask keepalived to read its file again")?;
        while self.kernel.weight(&service, &destination)? != Some(weight) {
            if start.elapsed() > PATIENCE {
                bail!("keepalived did not change the weight");
            }
            sleep(Duration::from_millis(1));
        }
        let took = start.elapsed();
        expect(&self.table).map(|()| took)
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.process.id()) {
            // Its children would take the whole table away, one entry at a time, had they the time.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

fn read(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().take(5).collect::<Vec<_>>().join("; ")
}

/// The table as keepalived.conf(5) says it: no health checks, so that every real server is in service at once.
fn configuration(table: &Kernel) -> Result<String> {
    let mut text = String::new();
    for (key, server) in &table.virtual_servers {
        let VirtualServerKey::Tuple { address, port, .. } = key else { bail!("{key:?} has no address") };
        let scheduler = &server.settings.scheduler;
        writeln!(
            text,
            "virtual_server {address} {port} {{\n lb_algo {scheduler}\n lvs_method DR\n protocol TCP"
        )?;
        for (destination, settings) in &server.destinations {
            let (DestinationKey { address, port }, weight) = (destination, settings.weight);
            writeln!(text, " real_server {address} {port} {{\n  weight {weight}\n }}")?;
        }
        text.push_str("}\n");
    }
    Ok(text)
}
