//! What one test tells the table of `make test`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Environment variable that names the file which records are appended to. Unset: nobody makes a table, nothing is written.
pub const RECORDS_VARIABLE: &str = "LVS_TEST_RECORDS";

/// Environment variable that holds the seed of every random choice of a test run.
pub const SEED_VARIABLE: &str = "LVS_SEED";

/// One thing that was run, and the rows of the table that it counts for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was run.
    pub name: String,
    /// Names of rows: `part 7`, `a`.
    pub rows: Vec<String>,
    /// How many cases held.
    pub cases: usize,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Start of its random choices.
    pub seed: u64,
    /// Whether it held as a whole.
    pub passed: bool,
}

impl Record {
    /// Appends the record to the file that [`RECORDS_VARIABLE`] names. Fails where that file cannot be written.
    pub fn write(&self) -> Result<()> {
        let Some(path) = std::env::var_os(RECORDS_VARIABLE).map(PathBuf::from) else { return Ok(()) };
        // One write of one line, so that tests that run at once do not mix theirs.
        let line = serde_json::to_string(self)? + "\n";
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .with_context(|| format!("append to {}", path.display()))
    }
}

/// The records of a file; none where there is none.
///
/// Fails where it cannot be read, or a line of it is no record.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("record {line}"))).collect()
}

/// The seed of this test run: [`SEED_VARIABLE`], or 1 where it is unset.
///
/// Fails where the variable is no number.
pub fn seed() -> Result<u64> {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().with_context(|| format!("{SEED_VARIABLE}={text} is no whole number")),
        Err(_) => Ok(1),
    }
}
