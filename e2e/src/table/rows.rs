//! Which rows the table has and what counts for each: `e2e/rows.yaml`.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// The rows, in the order of the table.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name, by which records name it: `part 7`, `a`.
    pub row: String,
    /// What it is about.
    pub title: String,
    /// Whether it must have cases.
    pub expected: bool,
    /// Prefixes of the names of tests that count for it.
    #[serde(default)]
    pub tests: Vec<String>,
}

impl Rows {
    /// Reads the file. Fails where it cannot be read, is no such file, or names a row twice.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let rows: Self =
            serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        for (place, row) in rows.rows.iter().enumerate() {
            let twice = rows.rows[..place].iter().any(|earlier| earlier.row == row.row);
            ensure!(!twice, "{} names row {:?} twice", path.display(), row.row);
        }
        Ok(rows)
    }
}

impl Row {
    /// Whether a test counts for this row. Its name is `PACKAGE/TARGET::PATH`.
    #[must_use]
    pub fn counts(&self, test: &str) -> bool {
        self.tests.iter().any(|prefix| {
            let rest = test.strip_prefix(prefix.as_str());
            // A package named alone is the whole package, not each package whose name starts so.
            rest.is_some_and(|rest| prefix.contains('/') || rest.starts_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tests: &[&str]) -> Row {
        let tests = tests.iter().map(ToString::to_string).collect();
        Row { row: "part 2".to_owned(), title: String::new(), expected: true, tests }
    }

    #[test]
    fn a_package_counts_whole_and_alone() {
        assert!(row(&["lvs-core"]).counts("lvs-core/laws::converges"));
        assert!(!row(&["lvs-core"]).counts("lvs-core-more/laws::converges"));
        assert!(!row(&[]).counts("lvs-core/laws::converges"));
    }

    #[test]
    fn a_path_counts_by_its_start() {
        assert!(row(&["lvs-e2e/lab::a_panic"]).counts("lvs-e2e/lab::a_panic_in_the_guest"));
        assert!(!row(&["lvs-e2e/lab::a_panic"]).counts("lvs-e2e/lab::a_guest_boots"));
    }

    #[test]
    fn the_committed_rows_are_the_parts_and_the_letters() {
        let rows = Rows::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rows.yaml"))).unwrap();
        let names: Vec<&str> = rows.rows.iter().map(|row| row.row.as_str()).collect();
        let wanted = (1..=8).map(|n| format!("part {n}")).chain(('a'..='n').map(String::from));
        assert_eq!(names, wanted.collect::<Vec<_>>());
    }
}
