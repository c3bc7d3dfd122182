//! CPUs for a guest alone: User-Mode Linux is several times faster while its processes stay on one CPU, and two guests on
//! one CPU disturb each other's timing.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::{Pid, Uid};

/// CPUs that no other guest of this user runs on while this value lives. The locks free themselves when their process
/// ends.
#[derive(Debug)]
pub struct Cpus {
    held: Vec<(usize, Flock<File>)>,
}

impl Cpus {
    /// Waits until that many of the CPUs that this process may use are free of other guests, and takes them; all that
    /// there are, where there are fewer.
    ///
    /// Fails where the lock files cannot be made.
    pub fn claim(wanted: usize) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("lvs-lab-cpus-{}", Uid::effective()));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("make {}", folder.display()))?;
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("read the CPUs of this process")?;
        let usable: Vec<usize> =
            (0..CpuSet::count()).filter(|n| allowed.is_set(*n).unwrap_or(false)).collect();
        let wanted = wanted.min(usable.len());
        for attempt in 0_u32.. {
            // What is held of too few is given back before the next attempt: two that wait for each other would never end.
            let held = free_ones(&folder, &usable, wanted)?;
            if held.len() == wanted {
                return Ok(Self { held });
            }
            // A person who waits wants to know for what.
            if attempt == 40 {
                eprintln!("lvs-lab: other guests have the CPUs; waiting for {wanted}");
            }
            sleep(Duration::from_millis(50));
        }
        bail!("no {wanted} CPUs of {} became free", usable.len())
    }

    /// The set that holds these CPUs alone.
    pub fn set(&self) -> Result<CpuSet> {
        let mut set = CpuSet::new();
        for (number, _) in &self.held {
            set.set(*number).with_context(|| format!("CPU {number} is beyond what a CPU set holds"))?;
        }
        Ok(set)
    }
}

/// Takes those that are free, up to `wanted`.
fn free_ones(folder: &Path, usable: &[usize], wanted: usize) -> Result<Vec<(usize, Flock<File>)>> {
    let mut held = Vec::new();
    for &number in usable {
        if held.len() == wanted {
            break;
        }
        let path = folder.join(number.to_string());
        let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
        if let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            held.push((number, lock));
        }
    }
    Ok(held)
}
