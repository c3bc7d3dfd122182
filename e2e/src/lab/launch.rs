//! On the machine that tests: starting a scenario and waiting for its verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use tempfile::TempDir;

use super::boot::{Boot, Guest};
use super::cpu::Cpus;
use super::kernel::{Kernel, KernelNeeds};
use super::namespace::in_thread;
use super::request::{Request, Verdict};
use super::{Outside, own_kernel, qemu, uml};
use crate::record::{self, Record};
use crate::scenarios;

/// The agent that can be killed at any change it makes: see `lvs_node_agent::crash_point`.
pub const CRASHING_AGENT: &str = "lvs-node-agent-crash-points";

/// The program around the Go library that the agent is compared with: `e2e/bench/moby-ipvs`.
pub const GO_LIBRARY: &str = "moby-ipvs";

/// How long a guest may take to switch itself off after its verdict. Some halt and never end: they are ended then.
const SWITCHING_OFF: Duration = Duration::from_secs(10);

/// One run of a scenario, to be started by [`Launch::run`].
#[derive(Debug)]
pub struct Launch<'a> {
    program: PathBuf,
    request: Request,
    cpus: usize,
    timeout: Duration,
    outside: Option<&'a Outside>,
}

/// A run whose scenario held.
#[derive(Debug)]
pub struct Report {
    /// What the scenario returned.
    pub value: Value,
    /// The cases that held, in order.
    pub cases: Vec<String>,
    /// How long the run took, boot included.
    pub took: Duration,
}

impl<'a> Launch<'a> {
    /// A run of `scenario`. `program` is the built `lvs-lab`; the programs beside it are what the hosts can run.
    ///
    /// Fails where there is no such scenario, `LAB` or `LVS_SEED` is set to something that it cannot be, or the folder of
    /// `program` cannot be read.
    pub fn new(program: &Path, scenario: &str) -> Result<Self> {
        let program = program.canonicalize().with_context(|| format!("find {}", program.display()))?;
        let needs = scenarios::find(scenario)?.kernel;
        let request = Request {
            scenario: scenario.to_owned(),
            arguments: Value::Null,
            binaries: programs_beside(&program)?,
            seed: record::seed()?,
            kernel: Kernel::choose(needs)?,
            outside: false,
            directory: PathBuf::new(),
            show: false,
        };
        Ok(Self { program, request, cpus: needs.cpus(), timeout: Duration::from_mins(2), outside: None })
    }

    /// Free arguments of the scenario.
    #[must_use]
    pub fn arguments(mut self, arguments: Value) -> Self {
        self.request.arguments = arguments;
        self
    }

    /// A kernel for these needs instead of the scenario's own. Fails as [`Kernel::choose`] does.
    pub fn kernel(mut self, needs: KernelNeeds) -> Result<Self> {
        (self.request.kernel, self.cpus) = (Kernel::choose(needs)?, needs.cpus());
        Ok(self)
    }

    /// How long the run may take, boot included; 120 s unless said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts the guest where its link `vec0` reaches `outside`.
    #[must_use]
    pub fn outside(mut self, outside: &'a Outside) -> Self {
        self.request.outside = true;
        self.outside = Some(outside);
        self
    }

    /// Prints what the scenario shows while it runs.
    #[must_use]
    pub fn show(mut self) -> Self {
        self.request.show = true;
        self
    }

    /// Runs the scenario, waits for its end, and counts its cases for the table of `make test`.
    ///
    /// Fails where the guest cannot be started, where it ends without a verdict or not in time, and where the scenario
    /// failed. The error holds the console and the end of each log; the folder of the run is then kept and named.
    pub fn run(mut self) -> Result<Report> {
        let rows = scenarios::find(&self.request.scenario)?.rows;
        let folder =
            tempfile::Builder::new().prefix("lvs-lab-").tempdir().context("make the folder of the run")?;
        folder.path().clone_into(&mut self.request.directory);
        let started = Instant::now();
        let verdict = self.boot_and_wait(folder.path()).and_then(|()| read_verdict(folder.path()));
        let took = started.elapsed();
        let cases = verdict.as_ref().map_or_else(|_| Vec::new(), |verdict| verdict.cases.clone());
        let result = verdict.and_then(|verdict| verdict.result.map_err(|message| anyhow!(message)));
        let name = format!("scenario {}", self.request.scenario);
        let (seed, seconds, passed) = (self.request.seed, took.as_secs_f64(), result.is_ok());
        Record {
            name,
            rows: rows.iter().map(ToString::to_string).collect(),
            cases: cases.len(),
            seconds,
            seed,
            passed,
        }
        .write()?;
        match result {
            Ok(value) => Ok(Report { value, cases, took }),
            Err(error) => Err(with_logs(&error, &self.request.scenario, folder)),
        }
    }

    fn boot_and_wait(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir(folder.join("logs"))?;
        std::fs::write(folder.join("show"), "")?;
        std::fs::write(folder.join("request.json"), serde_json::to_vec(&self.request)?)?;
        let mut boot = match self.request.kernel {
            Kernel::UserModeLinux => Boot::alone(uml::command(&self.program, &self.request)?),
            Kernel::Emulated => qemu::boot(&self.program, &self.request, self.cpus)?,
            Kernel::Own => Boot::alone(own_kernel::command(&self.program, &self.request)),
        };
        let console = File::create(folder.join("console.log"))?;
        boot.kernel.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
        let cpus = Cpus::claim(self.cpus)?;
        let set = cpus.set()?;
        // The guest is started and awaited by one thread: it ends with the thread that started it.
        let run = || {
            if self.request.kernel == Kernel::UserModeLinux {
                // As the first process of a PID namespace the kernel takes its user processes with it, also when this
                // program is killed before it can end them.
                unshare(CloneFlags::CLONE_NEWPID).context("make a PID namespace (this needs root)")?;
            }
            boot.start(&set).and_then(|guest| self.wait(guest, folder))
        };
        match self.outside {
            Some(outside) => outside.namespace().inside(run)?,
            None => in_thread(run),
        }
    }

    fn wait(&self, mut guest: Guest, folder: &Path) -> Result<()> {
        let end = Instant::now() + self.timeout;
        let (verdict, mut judged) = (folder.join("verdict.json"), None);
        let mut shown = 0;
        loop {
            let ended = guest.ended()?;
            if self.request.show {
                shown += print_from(&folder.join("show"), shown)?;
            }
            if ended.is_some() {
                return Ok(());
            }
            if judged.is_none() && verdict.exists() {
                judged = Some(Instant::now());
            }
            if judged.is_some_and(|at| at.elapsed() > SWITCHING_OFF) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("no verdict after {} s: the guest was ended", self.timeout.as_secs());
            }
            sleep(Duration::from_millis(10));
        }
    }
}

fn read_verdict(folder: &Path) -> Result<Verdict> {
    let text = std::fs::read(folder.join("verdict.json"))
        .map_err(|_| anyhow!("the guest ended without a verdict"))?;
    serde_json::from_slice(&text).context("the verdict is cut short")
}

/// Prints what `path` holds from byte `from` on, and says how many bytes that were.
fn print_from(path: &Path, from: u64) -> Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    Ok(u64::try_from(text.len())?)
}

/// The programs in the folder of `program`, by name.
fn programs_beside(program: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let folder = program.parent().context("a program lies in a folder")?;
    let mut found = BTreeMap::new();
    for name in ["lvs-lab", "lvs-operator", "lvs-node-agent", CRASHING_AGENT, GO_LIBRARY] {
        let path = folder.join(name);
        if path.exists() {
            found.insert(name.to_owned(), path);
        }
    }
    Ok(found)
}

/// The error with everything that helps to understand it; the folder stays.
fn with_logs(error: &anyhow::Error, scenario: &str, folder: TempDir) -> anyhow::Error {
    let folder = folder.keep();
    let mut text =
        format!("scenario {scenario}: {error:#}\n--- console\n{}", tail(&folder.join("console.log"), 60));
    let logs = std::fs::read_dir(folder.join("logs")).into_iter().flatten().flatten();
    let mut logs: Vec<PathBuf> = logs.map(|entry| entry.path()).collect();
    logs.sort();
    for log in logs {
        let name = log.file_name().unwrap_or_default().display();
        // Writing to a string does not fail.
        let _ = write!(text, "\n--- {name}\n{}", tail(&log, 40));
    }
    anyhow!("{text}\n--- all of it is kept in {}", folder.display())
}

fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
