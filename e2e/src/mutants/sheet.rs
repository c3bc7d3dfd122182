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
