//! The table: what each row has, what is missing, and the last line.

use std::fmt::Write as _;
use std::time::Duration;

use super::libtest::Ending;
use super::rows::Rows;
use super::suite::Outcome;
use crate::record::Record;

/// A filled table.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    lines: Vec<SheetLine>,
    failures: Vec<String>,
    passed: usize,
    seed: u64,
}

/// One row with what counts for it.
#[derive(Clone, Debug, PartialEq)]
struct SheetLine {
    row: String,
    title: String,
    cases: usize,
    seconds: f64,
    state: State,
}

/// How a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has cases, and all of them held.
    Passed,
    /// Something of it did not hold.
    Failed,
    /// Expected to have cases and has none.
    Missing,
    /// Has none, and nobody expects it to yet.
    NotYet,
}

impl Sheet {
    /// Fills the rows. A failed test or record, a row that is expected and has no case, and a record of a row that there
    /// is not are failures.
    #[must_use]
    pub fn new(rows: &Rows, outcomes: &[Outcome], records: &[Record], seed: u64) -> Self {
        let failed_tests = outcomes.iter().filter(|outcome| outcome.ending == Ending::Failed);
        let mut failures: Vec<String> = failed_tests.map(|outcome| outcome.name.clone()).collect();
        let mut lines = Vec::new();
        for row in &rows.rows {
            let tests: Vec<&Outcome> = outcomes.iter().filter(|outcome| row.counts(&outcome.name)).collect();
            let records: Vec<&Record> =
                records.iter().filter(|record| record.rows.contains(&row.row)).collect();
            let held = tests.iter().filter(|outcome| outcome.ending == Ending::Passed).count();
            let cases = held + records.iter().map(|record| record.cases).sum::<usize>();
            let took: Duration = tests.iter().map(|outcome| outcome.took).sum();
            let seconds = took.as_secs_f64() + records.iter().map(|record| record.seconds).sum::<f64>();
            let failed = held < tests.len() || records.iter().any(|record| !record.passed);
            let state = match (failed, cases, row.expected) {
                (true, _, _) => State::Failed,
                (false, 0, true) => State::Missing,
                (false, 0, false) => State::NotYet,
                (false, _, _) => State::Passed,
            };
            if state == State::Missing {
                failures.push(format!("row {} has no case", row.row));
            }
            lines.push(SheetLine { row: row.row.clone(), title: row.title.clone(), cases, seconds, state });
        }
        for record in records {
            let unknown = |row: &&String| !rows.rows.iter().any(|known| known.row == **row);
            let unknown = record.rows.iter().filter(unknown);
            failures.extend(
                unknown.map(|row| format!("{} counts for row {row:?}, which there is not", record.name)),
            );
        }
        let passed = outcomes.iter().filter(|outcome| outcome.ending == Ending::Passed).count();
        Self { lines, failures, passed, seed }
    }

    /// Whether all held and nothing is missing.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    /// How a row stands; `None` where there is no such row.
    #[must_use]
    pub fn state(&self, row: &str) -> Option<State> {
        self.lines.iter().find(|line| line.row == row).map(|line| line.state)
    }

    /// The table as text; its last line is `N passed, N failed`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text =
            format!("{:7} {:42} {:>6} {:>8}  {:12} result\n", "row", "about", "cases", "seconds", "seed");
        for SheetLine { row, title, cases, seconds, state } in &self.lines {
            let result = match state {
                State::Passed => "passed",
                State::Failed => "FAILED",
                State::Missing => "MISSING",
                State::NotYet => "not yet",
            };
            // Writing to a string does not fail.
            let _ =
                writeln!(text, "{row:7} {title:42} {cases:>6} {seconds:>8.1}  {:<12} {result}", self.seed);
        }
        for failure in &self.failures {
            let _ = writeln!(text, "failed: {failure}");
        }
        let _ = writeln!(text, "{} passed, {} failed", self.passed, self.failures.len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::rows::Row;

    fn rows() -> Rows {
        let row = |row: &str, expected, tests: &[&str]| Row {
            row: row.to_owned(),
            title: String::new(),
            expected,
            tests: tests.iter().map(ToString::to_string).collect(),
        };
        Rows { rows: vec![row("part 2", true, &["lvs-core"]), row("a", true, &[]), row("b", false, &[])] }
    }

    fn outcome(name: &str, ending: Ending) -> Outcome {
        Outcome { name: name.to_owned(), ending, took: Duration::from_secs(1) }
    }

    fn record(row: &str, cases: usize, passed: bool) -> Record {
        Record {
            name: "scenario s".to_owned(),
            rows: vec![row.to_owned()],
            cases,
            seconds: 2.0,
            seed: 1,
            passed,
        }
    }

    fn judge(outcomes: &[Outcome], records: &[Record]) -> (bool, String) {
        let sheet = Sheet::new(&rows(), outcomes, records, 5);
        let text = sheet.render();
        (sheet.is_good(), text.lines().last().unwrap().to_owned())
    }

    #[test]
    fn all_rows_that_are_expected_have_cases() {
        let outcomes = [outcome("lvs-core/laws::x", Ending::Passed)];
        assert_eq!(judge(&outcomes, &[record("a", 3, true)]), (true, "1 passed, 0 failed".to_owned()));
    }

    #[test]
    fn an_expected_row_without_a_case_fails() {
        let outcomes = [outcome("lvs-core/laws::x", Ending::Passed)];
        assert_eq!(judge(&outcomes, &[]), (false, "1 passed, 1 failed".to_owned()));
        assert_eq!(judge(&outcomes, &[record("a", 0, true)]), (false, "1 passed, 1 failed".to_owned()));
        assert_eq!(judge(&[], &[record("a", 3, true)]), (false, "0 passed, 1 failed".to_owned()));
    }

    #[test]
    fn a_failed_test_fails_also_outside_of_every_row() {
        let outcomes = [outcome("lvs-core/laws::x", Ending::Passed), outcome("other/t::y", Ending::Failed)];
        assert_eq!(judge(&outcomes, &[record("a", 3, true)]), (false, "1 passed, 1 failed".to_owned()));
    }

    #[test]
    fn a_record_of_an_unknown_row_fails() {
        let outcomes = [outcome("lvs-core/laws::x", Ending::Passed)];
        let records = [record("a", 3, true), record("z", 1, true)];
        assert_eq!(judge(&outcomes, &records), (false, "1 passed, 1 failed".to_owned()));
    }

    #[test]
    fn a_row_shows_cases_seconds_and_seed() {
        let outcomes =
            [outcome("lvs-core/laws::x", Ending::Passed), outcome("lvs-core/laws::y", Ending::Passed)];
        let text = Sheet::new(&rows(), &outcomes, &[record("part 2", 3, true)], 5).render();
        let line: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(line, ["part", "2", "5", "4.0", "5", "passed"]);
    }
}
