//! Inside the guest: its first process.

use std::any::Any;
use std::fs::File;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::sys::reboot::{RebootMode, reboot};
use serde_json::Value;

use super::request::{RUN, Request, Verdict};
use crate::scenarios::{self, Bench};

/// Runs the requested scenario as the first process of a guest, and ends the guest.
///
/// Fails where not even a verdict could be written: the machine that tests then finds none and shows the console.
pub fn main(request: &Path) -> Result<()> {
    let request = Request::read(request)?;
    let kernel = request.kernel;
    let ended = run(request);
    if kernel.boots() {
        if let Err(error) = &ended {
            println!("the guest failed: {error:#}");
        }
        nix::unistd::sync();
        let refused = reboot(RebootMode::RB_POWER_OFF);
        println!("the guest cannot switch itself off: {refused:?}");
    }
    ended
}

fn run(request: Request) -> Result<()> {
    // SAFETY: this process has no other thread yet that could read the environment.
    #[allow(
        unsafe_code,
        reason = "the kernel starts a first process with a PATH that lacks the sbin folders"
    )]
    unsafe {
        std::env::set_var("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    }
    super::root::prepare(&request).context("make the root file system")?;
    let mut bench = Bench::new(request)?;
    let result = match catch_unwind(AssertUnwindSafe(|| prepare_and_run(&mut bench))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(panic) => Err(format!("panicked: {}", message(panic.as_ref()))),
    };
    let verdict = Verdict { result, cases: bench.into_cases() };
    let mut file = File::create(Path::new(RUN).join("verdict.json")).context("make the verdict file")?;
    file.write_all(&serde_json::to_vec(&verdict)?)?;
    file.sync_all().context("write the verdict through to the machine")
}

fn prepare_and_run(bench: &mut Bench) -> Result<Value> {
    let scenario = scenarios::find(&bench.request.scenario)?;
    if scenario.needs_ipvs {
        // A kernel that has it built in needs no module: what counts is the table.
        let loaded = Command::new("modprobe").arg("ip_vs").status().context("run modprobe")?;
        ensure!(Path::new("/proc/net/ip_vs").exists(), "this kernel has no ip_vs (modprobe ip_vs: {loaded})");
    }
    (scenario.run)(bench)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("with a value that is no text")
}
