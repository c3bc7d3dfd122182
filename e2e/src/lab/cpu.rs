//! One CPU per guest: User-Mode Linux is several times faster while its processes stay on one CPU, and two guests on
//! one CPU disturb each other's timing.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::{Pid, Uid};

/// A CPU that no other guest of this user runs on while this value lives. The lock frees itself when its process ends.
#[derive(Debug)]
pub struct Cpu {
    number: usize,
    _lock: Flock<File>,
}

impl Cpu {
    /// Waits until one of the CPUs that this process may use is free of other guests, and takes it.
    ///
    /// Fails where the lock files cannot be made.
    pub fn claim() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("lvs-lab-cpus-{}", Uid::effective()));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("make {}", folder.display()))?;
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("read the CPUs of this process")?;
        let usable: Vec<usize> =
            (0..CpuSet::count()).filter(|n| allowed.is_set(*n).unwrap_or(false)).collect();
        for attempt in 0_u32.. {
            for &number in &usable {
                let path = folder.join(number.to_string());
                let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
                if let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                    return Ok(Self { number, _lock: lock });
                }
            }
            // A person who waits wants to know for what.
            if attempt == 40 {
                eprintln!("lvs-lab: other guests have every CPU; waiting for one");
            }
            sleep(Duration::from_millis(50));
        }
        bail!("no CPU of {} became free", usable.len())
    }

    /// The set that holds this CPU alone.
    pub fn set(&self) -> Result<CpuSet> {
        let mut set = CpuSet::new();
        set.set(self.number)
            .with_context(|| format!("CPU {} is beyond what a CPU set holds", self.number))?;
        Ok(set)
    }
}
