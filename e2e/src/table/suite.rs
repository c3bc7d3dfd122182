//! Builds the workspace's programs and tests, runs the tests one program after the other, and shows what they say.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::libtest::{self, Ending, Line};
use super::program::{TestProgram, test_program};
use super::selection::Selection;
use crate::lab::launch::CRASHING_AGENT;
use crate::record::{RECORDS_VARIABLE, SEED_VARIABLE};

/// How one test ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// `PACKAGE/TARGET::PATH`.
    pub name: String,
    /// Whether it held.
    pub ending: Ending,
    /// Time since the test before it ended. Tests of one program run at once, so only the sum means something.
    pub took: Duration,
}

/// The run that all tests are part of.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The workspace's folder.
    pub workspace: PathBuf,
    /// The folder that cargo builds into; none: the one that it chooses by itself.
    pub target: Option<PathBuf>,
    /// File that tests append records to.
    pub records: PathBuf,
    /// File that all output is appended to; none: it is shown.
    pub log: Option<PathBuf>,
    /// Start of every random choice.
    pub seed: u64,
}

impl Suite {
    /// Builds what a selection needs and runs its tests.
    ///
    /// Fails where something does not build, a test program cannot be started, or the log cannot be written.
    pub fn run(&self, selection: &Selection) -> Result<Vec<Outcome>> {
        if selection.needs_programs() {
            self.build_programs()?;
        }
        self.say("== building the tests")?;
        let programs = self.build_tests(selection)?;
        let mut outcomes = Vec::new();
        for (place, program) in programs.iter().enumerate() {
            self.say(&format!("== {} of {}: {}", place + 1, programs.len(), program.name()))?;
            let mut command = Command::new(&program.path);
            command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
            command.args(selection.filter());
            outcomes.extend(self.run_one(command, &program.name())?);
        }
        if selection.has_examples() {
            self.say("== the examples in the documentation")?;
            outcomes.extend(self.run_one(self.cargo(&["test", "--workspace", "--doc"]), "doc")?);
        }
        Ok(outcomes)
    }

    fn build_programs(&self) -> Result<()> {
        self.say("== building the programs")?;
        self.build(&["build", "--workspace", "--bins"]).context("the programs do not build")?;
        // With the whole workspace, so that all that it depends on is built already.
        let crashing =
            ["build", "--workspace", "--features", "lvs-node-agent/crash-points", "--bin", CRASHING_AGENT];
        self.build(&crashing).context("the agent with crash points does not build")
    }

    fn build(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.cargo(arguments);
        let status = command.stdout(self.sink()?).stderr(self.sink()?).status().context("run cargo")?;
        ensure!(status.success(), "cargo ended with {status}");
        Ok(())
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.workspace).args(arguments).arg("--locked");
        command.envs(self.target.iter().map(|target| ("CARGO_TARGET_DIR", target)));
        command
    }

    /// The test programs of a selection, built.
    fn build_tests(&self, selection: &Selection) -> Result<Vec<TestProgram>> {
        let told = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
        let mut command = self.cargo(&told);
        command.args(selection.targets()).stdout(Stdio::piped()).stderr(self.sink()?);
        // Not `output`, which would take the errors too.
        let built = command.spawn().and_then(std::process::Child::wait_with_output).context("run cargo")?;
        ensure!(built.status.success(), "the tests do not build");
        let messages = String::from_utf8(built.stdout).context("cargo's messages are no text")?;
        let mut programs: Vec<TestProgram> = messages.lines().filter_map(test_program).collect();
        ensure!(!programs.is_empty(), "cargo built no tests");
        programs.retain(|program| selection.takes(&program.name()));
        programs.sort_by_key(TestProgram::name);
        Ok(programs)
    }

    /// Runs a test program to its end and shows what it says while it runs.
    fn run_one(&self, mut command: Command, name: &str) -> Result<Vec<Outcome>> {
        command.env(RECORDS_VARIABLE, &self.records).env(SEED_VARIABLE, self.seed.to_string());
        command.env("PROPTEST_RNG_SEED", self.seed.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(self.sink()?);
        let mut child = command.spawn().with_context(|| format!("start the tests of {name}"))?;
        let pipe = child.stdout.take().context("the output is a pipe")?;
        let (mut outcomes, mut finished, mut last) = (Vec::new(), false, Instant::now());
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line.with_context(|| format!("read what the tests of {name} say"))?;
            let line = String::from_utf8_lossy(&line);
            self.say(&line)?;
            match libtest::read(&line) {
                Line::Test(test, ending) => {
                    let took = last.elapsed();
                    last = Instant::now();
                    outcomes.push(Outcome { name: format!("{name}::{test}"), ending, took });
                }
                Line::Summary => finished = true,
                Line::Other => {}
            }
        }
        let status = child.wait().with_context(|| format!("wait for the tests of {name}"))?;
        let said_so = outcomes.iter().any(|outcome| outcome.ending == Ending::Failed);
        if !finished || (!status.success() && !said_so) {
            // It ended in the middle, or badly without a failed test: that is a failure of its own.
            let name = format!("{name}::(the program itself: {status})");
            outcomes.push(Outcome { name, ending: Ending::Failed, took: last.elapsed() });
        }
        Ok(outcomes)
    }

    /// Where what programs print goes.
    fn sink(&self) -> Result<Stdio> {
        self.log.as_deref().map_or_else(|| Ok(Stdio::inherit()), |path| appending(path).map(Stdio::from))
    }

    fn say(&self, line: &str) -> Result<()> {
        match &self.log {
            None => println!("{line}"),
            Some(path) => writeln!(appending(path)?, "{line}").context("write the log")?,
        }
        Ok(())
    }
}

fn appending(path: &Path) -> Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.with_context(|| format!("append to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(folder: &Path) -> Suite {
        Suite {
            workspace: folder.to_owned(),
            target: None,
            records: folder.join("records"),
            log: None,
            seed: 7,
        }
    }

    fn run(script: &str) -> Vec<(String, Ending)> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let outcomes = suite(folder.path()).run_one(command, "p/t").unwrap();
        outcomes.into_iter().map(|outcome| (outcome.name, outcome.ending)).collect()
    }

    #[test]
    fn a_program_that_dies_in_the_middle_fails() {
        let outcomes = run("echo 'test one ... ok'; kill -9 $$");
        assert_eq!(outcomes[0], ("p/t::one".to_owned(), Ending::Passed));
        assert_eq!(outcomes[1].1, Ending::Failed);
        assert!(outcomes[1].0.contains("the program itself"), "{outcomes:?}");
    }

    #[test]
    fn a_program_that_ends_badly_without_a_failed_test_fails() {
        let outcomes = run("echo 'test one ... ok'; echo 'test result: ok.'; exit 3");
        assert_eq!(outcomes[1].1, Ending::Failed);
    }

    #[test]
    fn with_a_log_nothing_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test one ... ok'; echo oh >&2; echo 'test result: ok.'"]);
        Suite { log: Some(log.clone()), ..suite(folder.path()) }.run_one(command, "p/t").unwrap();
        let text = std::fs::read_to_string(log).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["oh", "test one ... ok", "test result: ok."]);
    }

    #[test]
    fn a_program_is_told_the_seed() {
        let outcomes = run("echo \"test seed$LVS_SEED$PROPTEST_RNG_SEED ... ok\"; echo 'test result: ok.'");
        assert_eq!(outcomes, [("p/t::seed77".to_owned(), Ending::Passed)]);
    }
}
