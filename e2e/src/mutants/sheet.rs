//! What became of each bug, as a table.

use std::fmt::Write as _;

use super::list::Mutant;
use super::trial::Fate;

/// The table as text; its last line is `N of N killed`.
pub(super) fn render(fates: &[(&Mutant, Fate)]) -> String {
    let lines: Vec<(String, &str)> = fates.iter().map(|(_, fate)| columns(fate)).collect();
    let width = lines.iter().map(|(_, by)| by.len()).max().unwrap_or_default().max("killed by".len());
    let mut text = format!("{:7} {:>7}  {:width$}  mutant\n", "row", "seconds", "killed by");
    for ((mutant, _), (seconds, by)) in fates.iter().zip(&lines) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:7} {seconds:>7}  {by:width$}  {}", mutant.row, mutant.name);
    }
    let killed = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Killed { .. })).count();
    let _ = writeln!(text, "{killed} of {} killed", fates.len());
    text
}

/// How long it took, and who killed it.
fn columns(fate: &Fate) -> (String, &str) {
    match fate {
        Fate::Killed { by, took } => (took.as_secs().to_string(), by),
        Fate::Survived(took) => (took.as_secs().to_string(), "SURVIVED"),
        Fate::Failed(_) => (String::new(), "ERROR"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::table::selection::Proof;

    #[test]
    fn the_last_line_counts_what_was_killed() {
        let mutant = |row: &str| Mutant {
            name: format!("A bug of {row}"),
            row: row.to_owned(),
            file: String::new(),
            find: String::new(),
            replace: String::new(),
            proof: Proof { program: String::new(), tests: String::new() },
        };
        let (one, other, third) = (mutant("part 2"), mutant("f"), mutant("j"));
        let text = render(&[
            (&one, Fate::Killed { by: "lvs-core/laws::x".to_owned(), took: Duration::from_secs(6) }),
            (&other, Fate::Survived(Duration::from_secs(70))),
            (&third, Fate::Failed("it does not compile".to_owned())),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "part 2        6  lvs-core/laws::x  A bug of part 2");
        assert_eq!(lines[2], "f            70  SURVIVED          A bug of f");
        assert_eq!(lines[3], "j                ERROR             A bug of j");
        assert_eq!(lines[4], "1 of 3 killed");
    }
}
