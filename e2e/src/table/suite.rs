//! Builds the workspace's programs and tests, runs the tests one program after the other, and shows what they say.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::libtest::{self, Ending, Line};
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

/// A built test program.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TestProgram {
    package: String,
    target: String,
    path: PathBuf,
    folder: PathBuf,
}

/// The run that all tests are part of.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The workspace's folder.
    pub workspace: PathBuf,
    /// File that tests append records to.
    pub records: PathBuf,
    /// Start of every random choice.
    pub seed: u64,
}

impl Suite {
    /// Builds everything and runs every test whose program's `PACKAGE/TARGET` starts with `only`.
    ///
    /// Fails where something does not build, or a test program cannot be started.
    pub fn run(&self, only: &str) -> Result<Vec<Outcome>> {
        println!("== building the programs");
        let built = self.cargo(&["build", "--workspace", "--bins"]).status().context("run cargo")?;
        ensure!(built.success(), "the programs do not build");
        // With the whole workspace, so that all that it depends on is built already.
        let crashing = ["--features", "lvs-node-agent/crash-points", "--bin", CRASHING_AGENT];
        let built = self.cargo(&["build", "--workspace"]).args(crashing).status().context("run cargo")?;
        ensure!(built.success(), "the agent with crash points does not build");
        println!("== building the tests");
        let programs = self.build_tests()?;
        let programs: Vec<_> =
            programs.into_iter().filter(|program| program.name().starts_with(only)).collect();
        let mut outcomes = Vec::new();
        for (place, program) in programs.iter().enumerate() {
            println!("== {} of {}: {}", place + 1, programs.len(), program.name());
            let mut command = Command::new(&program.path);
            command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
            outcomes.extend(self.run_one(command, &program.name())?);
        }
        if only.is_empty() {
            println!("== the examples in the documentation");
            outcomes.extend(self.run_one(self.cargo(&["test", "--workspace", "--doc"]), "doc")?);
        }
        Ok(outcomes)
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.workspace).args(arguments).arg("--locked");
        command
    }

    fn build_tests(&self) -> Result<Vec<TestProgram>> {
        let told = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
        let built = self
            .cargo(&told)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .output()
            .context("run cargo")?;
        ensure!(built.status.success(), "the tests do not build");
        let messages = String::from_utf8(built.stdout).context("cargo's messages are no text")?;
        let mut programs: Vec<TestProgram> = messages.lines().filter_map(test_program).collect();
        programs.sort_by_key(TestProgram::name);
        ensure!(!programs.is_empty(), "cargo built no tests");
        Ok(programs)
    }

    /// Runs a test program to its end and shows what it says while it runs.
    fn run_one(&self, mut command: Command, name: &str) -> Result<Vec<Outcome>> {
        command.env(RECORDS_VARIABLE, &self.records).env(SEED_VARIABLE, self.seed.to_string());
        command.env("PROPTEST_RNG_SEED", self.seed.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start the tests of {name}"))?;
        let pipe = child.stdout.take().context("the output is a pipe")?;
        let (mut outcomes, mut finished, mut last) = (Vec::new(), false, Instant::now());
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line.with_context(|| format!("read what the tests of {name} say"))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
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
}

impl TestProgram {
    fn name(&self) -> String {
        format!("{}/{}", self.package, self.target)
    }
}

/// The test program that one of cargo's messages speaks of.
fn test_program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    // path+file:///folder#name@version, or without the name where the folder has it.
    let (folder_part, fragment) = message["package_id"].as_str()?.rsplit_once('#')?;
    let package =
        fragment.split_once('@').map_or_else(|| folder_part.rsplit('/').next(), |(name, _)| Some(name))?;
    Some(TestProgram {
        package: package.to_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        path: message["executable"].as_str()?.into(),
        folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(folder: &Path) -> Suite {
        Suite { workspace: folder.to_owned(), records: folder.join("records"), seed: 7 }
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
    fn a_program_is_told_the_seed() {
        let outcomes = run("echo \"test seed$LVS_SEED$PROPTEST_RNG_SEED ... ok\"; echo 'test result: ok.'");
        assert_eq!(outcomes, [("p/t::seed77".to_owned(), Ending::Passed)]);
    }

    #[test]
    fn cargo_names_a_package_in_two_ways() {
        let message = |id: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","manifest_path":"/w/core/Cargo.toml",
                "target":{{"name":"lvs_core"}},"profile":{{"test":true}},"executable":"/w/target/x"}}"#
            )
        };
        let named = test_program(&message("path+file:///w/core#lvs-core@0.1.0")).unwrap();
        assert_eq!((named.package.as_str(), named.folder.as_path()), ("lvs-core", Path::new("/w/core")));
        assert_eq!(test_program(&message("path+file:///w/core#0.1.0")).unwrap().package, "core");
        assert_eq!(test_program("not a message"), None);
    }
}
