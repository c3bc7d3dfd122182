//! The lab tries itself.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Bench, Scenario, typed};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "lab-boots", rows: &["part 7"], needs_ipvs: true, run: boots },
    Scenario { name: "lab-panics", rows: &[], needs_ipvs: false, run: panics },
    Scenario { name: "lab-hangs", rows: &[], needs_ipvs: false, run: hangs },
];

/// What `lab-boots` returns.
#[derive(Debug, Serialize, Deserialize)]
pub struct Booted {
    /// The guest kernel's release.
    pub release: String,
    /// First line of `/proc/net/ip_vs`.
    pub ipvs: String,
}

fn boots(bench: &mut Bench) -> Result<Value> {
    let table = std::fs::read_to_string("/proc/net/ip_vs").context("read the IPVS table")?;
    let ipvs = table.lines().next().unwrap_or_default().to_owned();
    ensure!(ipvs.starts_with("IP Virtual Server version"), "an IPVS table does not start so: {ipvs}");
    bench.case("the guest has IPVS");
    let release = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    typed(Booted { release, ipvs })
}

fn panics(bench: &mut Bench) -> Result<Value> {
    println!("the console says this before the panic");
    let wanted = bench.request.arguments.as_str().unwrap_or("deliberate").to_owned();
    panic!("{wanted}")
}

fn hangs(bench: &mut Bench) -> Result<Value> {
    bench.show("hanging")?;
    loop {
        std::thread::park();
    }
}
