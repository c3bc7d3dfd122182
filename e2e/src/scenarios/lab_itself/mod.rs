//! The lab tries itself: what every other scenario rests on.

mod direct_routing;
mod distribution;
mod hosts;
mod neighbours;

pub use direct_routing::ByHand;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::lab::process::wait_until;
use crate::lab::{Lab, Topology, outside};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lab-boots",
        rows: &["part 7"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: boots,
    },
    Scenario {
        name: "lab-hosts",
        rows: &["part 7"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: hosts::have_their_own,
    },
    Scenario {
        name: "lab-reboot",
        rows: &["part 7"],
        needs_ipvs: false,
        kernel: KernelNeeds::Common,
        run: hosts::reboot,
    },
    Scenario {
        name: "lab-neighbours",
        rows: &["part 7"],
        needs_ipvs: false,
        kernel: KernelNeeds::Common,
        run: neighbours::two_answer,
    },
    Scenario {
        name: "lab-direct-routing",
        rows: &["part 7"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: direct_routing::by_hand,
    },
    Scenario {
        name: "lab-outside",
        rows: &["part 7"],
        needs_ipvs: false,
        kernel: KernelNeeds::Common,
        run: reaches_outside,
    },
    Scenario { name: "lab-all", rows: &["part 7"], needs_ipvs: true, kernel: KernelNeeds::Common, run: all },
    Scenario {
        name: "lab-nftables",
        rows: &["part 7"],
        needs_ipvs: false,
        kernel: KernelNeeds::Distribution { cpus: 2 },
        run: distribution::nftables_and_cpus,
    },
    Scenario { name: "lab-panics", rows: &[], needs_ipvs: false, kernel: KernelNeeds::Common, run: panics },
    Scenario { name: "lab-hangs", rows: &[], needs_ipvs: false, kernel: KernelNeeds::Common, run: hangs },
];

/// What `lab-all` does one after the other.
const PARTS: [fn(&mut Bench) -> Result<Value>; 6] = [
    boots,
    hosts::have_their_own,
    hosts::reboot,
    neighbours::two_answer,
    direct_routing::by_hand,
    reaches_outside,
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

/// All that the lab tries of itself, in one guest. Arguments: those of `lab-outside`.
fn all(bench: &mut Bench) -> Result<Value> {
    typed(PARTS.iter().map(|part| part(bench)).collect::<Result<Vec<_>>>()?)
}

/// Every host with a management link asks the server outside, which answers with the address that it sees. Arguments: the
/// server's port.
fn reaches_outside(bench: &mut Bench) -> Result<Value> {
    let port = u16::try_from(bench.request.arguments.as_u64().context("the argument is the server's port")?)?;
    let names = ["director-1", "rs-1"];
    let lab = Lab::new(&Topology::lan().only(&names).with_management(&names))?;
    let mut seen = Vec::new();
    for host in lab.hosts() {
        let mut answer = String::new();
        wait_until("the server outside answers", std::time::Duration::from_secs(30), || {
            answer = host.inside(|| ask_outside(port))??;
            Ok(true)
        })?;
        bench.case(format!("{} reaches the outside", host.name()));
        seen.push(answer);
    }
    typed(seen)
}

fn ask_outside(port: u16) -> Result<String> {
    let stream = std::net::TcpStream::connect((outside::ADDRESS, port)).context("connect to the outside")?;
    std::io::read_to_string(stream).context("read what the outside says")
}

#[allow(clippy::panic, reason = "that a panic is reported is what this scenario tries")]
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
