//! Programs that run in the lab.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// What a program that has ended left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The command as a person would type it.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Its standard output. Fails, with all that it said, unless it ended with 0.
    pub fn success(self) -> Result<String> {
        ensure!(self.status.success(), "{}: {}\n{}{}", self.command, self.status, self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

/// Runs a program to its end, fed with `input`. Fails where it cannot be started.
pub(super) fn run(words: &[OsString], input: &str) -> Result<Output> {
    use std::io::Write as _;
    let command = spoken(words);
    let (program, arguments) = words.split_first().context("a command has at least one word")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input closes the pipe: its status says what matters.
        let _ = pipe.write_all(input.as_bytes());
    }
    let out = child.wait_with_output().with_context(|| format!("wait for {command}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { command, status: out.status, stdout: text(out.stdout), stderr: text(out.stderr) })
}

pub(super) fn words<W: AsRef<OsStr>>(command: impl IntoIterator<Item = W>) -> Vec<OsString> {
    command.into_iter().map(|word| word.as_ref().to_owned()).collect()
}

fn spoken(words: &[OsString]) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A program that runs beside the scenario, in a process group of its own. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `words` with more variables in its environment; standard output and standard error go to the file `log`.
    ///
    /// Fails where the program or the log cannot be opened.
    pub(super) fn start(words: &[OsString], environment: &[(&str, &str)], log: PathBuf) -> Result<Self> {
        let name = spoken(words);
        let (program, arguments) = words.split_first().context("a command has at least one word")?;
        let file = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { name, child, log })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has written so far, both streams. Fails where the log cannot be read.
    pub fn log(&self) -> Result<String> {
        let text = std::fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Sends a signal to it alone. Fails where it has ended and was waited for.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("send {signal} to {}", self.name))
    }

    /// How it ended, or nothing while it runs. Fails where it cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("wait for {}", self.name))
    }

    /// Waits until it ends. Fails, with its log, where it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("{} still runs after {} s:\n{}", self.name, limit.as_secs(), self.log()?);
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Kills it with SIGKILL and waits for its end. Fails where it cannot be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        // It may have ended by itself: then there is nothing to kill.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        self.child.wait().with_context(|| format!("wait for {}", self.name))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.kill();
        }
    }
}

/// Asks `holds` every 10 ms until it says yes. Fails after `limit`, saying `what` was awaited and the last answer's error.
pub fn wait_until(what: &str, limit: Duration, holds: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_at_pace(Duration::from_millis(10), what, limit, holds)
}

/// [`wait_until`] with another time between two questions, for those that cost more. Fails as that does.
pub fn wait_at_pace(
    pace: Duration,
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        let answer = holds();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > end {
            let why = answer.err().map(|error| format!(": {error:#}")).unwrap_or_default();
            bail!("waited {} s in vain for this: {what}{why}", limit.as_secs());
        }
        sleep(pace);
    }
}

/// The log file of the next program called `name` in `folder`: earlier ones are kept.
pub(super) fn log_path(folder: &Path, name: &str) -> PathBuf {
    let path = |number: u32| folder.join(format!("{name}.{number}.log"));
    let earlier = (1..u32::MAX).take_while(|number| path(*number).exists()).last();
    path(earlier.unwrap_or(0) + 1)
}
