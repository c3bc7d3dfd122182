//! Runs kubectl: the user's own way to the API server, and the tests' second opinion on it.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::process::{command, signal_group, spawn};
use super::{ControlPlane, Identity};

/// No call may outlast this. A server that is stopped by a signal accepts connections and never answers.
const DEADLINE: Duration = Duration::from_mins(2);

impl ControlPlane {
    /// Runs `kubectl ARGS` as the administrator, with `input` on its standard input, and returns what it
    /// printed.
    ///
    /// # Errors
    /// Where kubectl fails: the message holds its standard error. Where it takes longer than two minutes.
    pub fn kubectl(&self, args: &[&str], input: &str) -> Result<String> {
        self.kubectl_as(&self.admin, args, input)
    }

    /// The same as somebody else.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub fn kubectl_as(&self, user: &Identity, args: &[&str], input: &str) -> Result<String> {
        self.kubectl.run(&user.kubeconfig, args, input)
    }

    /// The same with its exit status and both outputs, for what is expected to be refused.
    ///
    /// # Errors
    /// Where kubectl cannot be started or takes longer than `deadline`.
    pub fn kubectl_output(
        &self,
        user: &Identity,
        args: &[&str],
        input: &str,
        deadline: Duration,
    ) -> Result<Output> {
        self.kubectl.output(&user.kubeconfig, args, input, deadline)
    }
}

/// How to call kubectl for one control plane.
#[derive(Debug)]
pub(super) struct Kubectl {
    pub(super) program: PathBuf,
    pub(super) launcher: Vec<OsString>,
    /// Where it may keep its cache of the API's kinds: with the control plane, so that no other server's
    /// answers are taken for this one's.
    pub(super) home: PathBuf,
}

impl Kubectl {
    fn run(&self, kubeconfig: &Path, args: &[&str], input: &str) -> Result<String> {
        let output = self.output(kubeconfig, args, input, DEADLINE)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {}: {}", args.join(" "), output.status, said.trim());
        }
        String::from_utf8(output.stdout).context("kubectl's output")
    }

    pub(super) fn output(
        &self,
        kubeconfig: &Path,
        args: &[&str],
        input: &str,
        deadline: Duration,
    ) -> Result<Output> {
        let mut command = command(&self.launcher, &self.program);
        // The caller's environment stays outside: a proxy in it would be asked for addresses of the lab.
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.home)
            .env("KUBECONFIG", kubeconfig)
            .args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command).context("start kubectl")?;
        feed(&mut child, input);
        let leader = child.id();
        let (answer, answered) = channel();
        thread::spawn(move || answer.send(child.wait_with_output()).ok());
        let Ok(output) = answered.recv_timeout(deadline) else {
            // Not waited for yet, so the number is still its own.
            signal_group(leader, Signal::SIGKILL);
            bail!("kubectl {}: no answer within {} s", args.join(" "), deadline.as_secs());
        };
        output.context("kubectl's output")
    }
}

/// Writes beside the reading: a pipe holds 64 KiB, and kubectl may print before it has read everything.
fn feed(child: &mut Child, input: &str) {
    let input = input.to_owned();
    if let Some(mut pipe) = child.stdin.take() {
        // It may leave without reading, which its exit status says better than a broken pipe does.
        thread::spawn(move || pipe.write_all(input.as_bytes()).ok());
    }
}
