//! Running a proof, with a bug and without one.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::copy::TreeCopy;
use super::list::Mutant;
use crate::record;
use crate::table::libtest::Ending;
use crate::table::rows::Rows;
use crate::table::selection::{Proof, Selection};
use crate::table::sheet::{Sheet, State};
use crate::table::suite::{Outcome, Suite};

/// What a scenario that failed says of the folder that it leaves.
const KEPT: &str = "all of it is kept in ";

/// What became of a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its row turned red.
    Killed {
        /// The first test that failed.
        by: String,
        /// Build included.
        took: Duration,
    },
    /// Its row stayed green.
    Survived(Duration),
    /// It could not be tried: it does not compile, for one.
    Failed(String),
}

/// What bugs are tried with.
#[derive(Debug)]
pub(super) struct Bench {
    copy: TreeCopy,
    rows: Rows,
    suite: Suite,
    log: PathBuf,
    /// Held for as long as the folder is used.
    _lock: File,
}

/// What a proof came to.
struct Found {
    outcomes: Vec<Outcome>,
    sheet: Sheet,
}

impl Bench {
    /// A bench for bugs of `tree`; its copy, and what is built of it, lie in `folder`. Fails where somebody else uses that.
    pub(super) fn new(tree: &Path, folder: &Path, rows: Rows) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let lock = File::create(folder.join("lock")).context("make the lock")?;
        ensure!(lock.try_lock().is_ok(), "another run uses {}", folder.display());
        let copy = TreeCopy::of(tree, &folder.join("tree"))?;
        let log = folder.join("log");
        fs::write(&log, "").with_context(|| format!("write {}", log.display()))?;
        let suite = Suite {
            workspace: copy.folder().to_owned(),
            target: Some(folder.join("target")),
            records: folder.join("records.jsonl"),
            log: Some(log.clone()),
            // One and the same each time, so that a bug that was noticed once always is.
            seed: record::seed()?,
        };
        Ok(Self { copy, rows, suite, log, _lock: lock })
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Fails unless a proof turns these rows green while there is no bug.
    pub(super) fn holds(&self, proof: &Proof, rows: &[&str]) -> Result<()> {
        let found = self.run(proof)?;
        for row in rows {
            let state = found.sheet.state(row);
            if state != Some(State::Passed) {
                let failed = found.failed().unwrap_or("no test counts for it");
                bail!("row {row} is not green without a bug ({failed}): nothing could be concluded with one");
            }
        }
        Ok(())
    }

    /// Seeds a bug in the copy as it was found, and runs its proof. Fails where the copy or the log cannot be written.
    pub(super) fn seed(&self, mutant: &Mutant) -> Result<Fate> {
        let began = Instant::now();
        self.copy.restore()?;
        let text = mutant.seeded(self.copy.text(&mutant.file)?)?;
        self.copy.write(Path::new(&mutant.file), text.as_bytes())?;
        let before = fs::metadata(&self.log)?.len();
        let found = self.run(&mutant.proof);
        forget_kept_folders(&self.log, before)?;
        let took = began.elapsed();
        Ok(match found {
            Ok(found) => found.fate(&mutant.row, took),
            Err(error) => Fate::Failed(format!("{error:#}")),
        })
    }

    /// Leaves no bug in the copy.
    pub(super) fn restore(&self) -> Result<()> {
        self.copy.restore()
    }

    fn run(&self, proof: &Proof) -> Result<Found> {
        let records = &self.suite.records;
        fs::write(records, "").with_context(|| format!("write {}", records.display()))?;
        let outcomes = self.suite.run(&Selection::Proof(proof.clone()))?;
        let sheet = Sheet::new(&self.rows, &outcomes, &record::read(records)?, self.suite.seed);
        Ok(Found { outcomes, sheet })
    }
}

impl Found {
    fn failed(&self) -> Option<&str> {
        let failed = self.outcomes.iter().find(|outcome| outcome.ending == Ending::Failed);
        failed.map(|outcome| outcome.name.as_str())
    }

    /// A row that lost all its cases is as red as one with a failure; a failure elsewhere kills nothing.
    fn fate(&self, row: &str, took: Duration) -> Fate {
        match (self.sheet.state(row), self.failed()) {
            (Some(State::Failed | State::Missing), Some(by)) => Fate::Killed { by: by.to_owned(), took },
            _ => Fate::Survived(took),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed { by, took } => write!(formatter, "killed by {by} ({} s)", took.as_secs()),
            Self::Survived(took) => write!(formatter, "SURVIVED ({} s)", took.as_secs()),
            Self::Failed(error) => write!(formatter, "ERROR: {error}"),
        }
    }
}

/// Removes what scenarios left that failed on purpose, as far as the log tells of it from `start` on.
fn forget_kept_folders(log: &Path, start: u64) -> Result<()> {
    let text = fs::read(log).with_context(|| format!("read {}", log.display()))?;
    let text = String::from_utf8_lossy(&text[usize::try_from(start)?.min(text.len())..]).into_owned();
    for folder in text.lines().filter_map(|line| line.split_once(KEPT)).map(|(_, folder)| folder.trim()) {
        // A log can say anything: only what the lab makes is removed.
        let made_by_the_lab =
            Path::new(folder).file_name().is_some_and(|name| name.to_string_lossy().starts_with("lvs-lab-"));
        if made_by_the_lab {
            let _ = fs::remove_dir_all(folder);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn found(ending: Ending, records: &[Record]) -> Found {
        let rows = Rows::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rows.yaml"))).unwrap();
        let outcomes =
            vec![Outcome { name: "lvs-core/laws::x".to_owned(), ending, took: Duration::default() }];
        Found { sheet: Sheet::new(&rows, &outcomes, records, 1), outcomes }
    }

    #[test]
    fn a_bug_is_killed_by_a_red_row_of_its_own() {
        let took = Duration::default();
        let killed = Fate::Killed { by: "lvs-core/laws::x".to_owned(), took };
        assert_eq!(found(Ending::Failed, &[]).fate("part 2", took), killed);
        assert_eq!(found(Ending::Passed, &[]).fate("part 2", took), Fate::Survived(took));
        // A row that lost its only record has no case any more.
        assert_eq!(found(Ending::Failed, &[]).fate("f", took), killed);
        let record = Record {
            name: "scenario foreign".to_owned(),
            rows: vec!["f".to_owned()],
            cases: 1,
            seconds: 1.0,
            seed: 1,
            passed: true,
        };
        assert_eq!(found(Ending::Failed, &[record]).fate("f", took), Fate::Survived(took));
    }

    #[test]
    fn only_folders_of_the_lab_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (log, ours, other) =
            (folder.path().join("log"), folder.path().join("lvs-lab-x"), folder.path().join("home"));
        fs::create_dir(&ours).unwrap();
        fs::create_dir(&other).unwrap();
        let lines = [&ours, &other].map(|path| format!("--- {KEPT}{}\n", path.display()));
        fs::write(&log, lines.concat()).unwrap();
        forget_kept_folders(&log, 0).unwrap();
        assert!(!ours.exists() && other.exists());
    }
}
