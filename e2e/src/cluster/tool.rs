//! Programs of others that are run to their end.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a command to its end with `input` on its standard input, and returns what it printed.
///
/// Fails where it cannot be started, or does not end with 0: the error holds both of its outputs.
pub fn run(command: &mut Command, input: &str) -> Result<String> {
    let spoken = spoken(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {spoken}"))?;
    let mut pipe = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // Beside the reading: a pipe holds 64 KiB, and the program may print before it has read everything. One that
        // leaves without reading says why by its status.
        scope.spawn(move || pipe.as_mut().map(|pipe| pipe.write_all(input.as_bytes())));
        child.wait_with_output()
    });
    let output = output.with_context(|| format!("wait for {spoken}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{spoken}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

/// The path of helm. Fetches it into the cache where it is not there yet.
pub fn helm() -> Result<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/fetch-helm");
    Ok(PathBuf::from(run(&mut Command::new(script), "")?.trim()))
}

/// A file of the tree, by its path from the root.
#[must_use]
pub fn in_tree(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

fn spoken(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
