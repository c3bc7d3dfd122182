//! A program that runs beside the test: in a process group of its own, its output in a file, dead when we
//! are.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A running program. Dropping it kills it and what it started (SIGKILL to its process group).
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, its output appended to `NAME.log` in `logs`.
    pub(crate) fn start(name: &'static str, mut command: Command, logs: &Path) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).context("the log file")?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = spawn(command).with_context(|| format!("start {name}"))?;
        Ok(Self { name, child, log })
    }

    /// What it is, and the name of its log.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its process number, which is its group's too.
    #[cfg(test)]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, or `None` while it runs.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to leave (SIGTERM), and kills it where it has not left within `deadline`.
    pub(crate) fn stop(&mut self, deadline: Duration) {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + deadline;
        while self.exited().is_none() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    /// Kills it and waits until it is gone. Nothing happens where it has left already.
    pub(crate) fn kill(&mut self) {
        if self.exited().is_none() {
            self.signal(Signal::SIGKILL);
            self.child.wait().ok();
        }
    }

    /// Sends a signal to its whole process group.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // A child that was waited for has given its number back: it may be somebody else's by now.
        if self.exited().is_none() {
            signal_group(self.child.id(), signal);
        }
    }

    /// The last lines of its output, for an error's message.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(25)..].join("\n");
        format!("the end of {}'s log:\n{tail}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to the process group that a child of ours leads. The child must not have been waited for
/// yet.
pub(crate) fn signal_group(leader: u32, signal: Signal) {
    // The kernel's process numbers end at 2^22 (PID_MAX_LIMIT).
    if let Ok(leader) = i32::try_from(leader) {
        killpg(Pid::from_raw(leader), signal).ok();
    }
}

/// A command for `program` that is killed with this process, whatever ends it, and that runs behind the words
/// of `launcher` (`ip netns exec NAME`), each of which must replace itself by the next (exec).
pub(crate) fn command(launcher: &[OsString], program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(launcher).arg(program).process_group(0);
    command
}

/// Starts a child on behalf of a thread that lives as long as this process. The kernel ties a parent-death
/// signal to the *thread* that started the child (`PR_SET_PDEATHSIG(2const)`), and a test's own thread, or
/// one of an asynchronous runtime's pool, may end long before the test's processes are to.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    type Wish = (Command, SyncSender<io::Result<Child>>);
    static STARTER: LazyLock<Sender<Wish>> = LazyLock::new(|| {
        let (wishes, received) = channel::<Wish>();
        thread::spawn(move || {
            for (mut command, answer) in received {
                answer.send(command.spawn()).ok();
            }
        });
        wishes
    });
    let (answer, answered) = sync_channel(1);
    STARTER.send((command, answer)).map_err(io::Error::other)?;
    answered.recv().map_err(io::Error::other)?
}
