//! How the demo's steps look.

use anyhow::Result;

use crate::scenarios::Bench;

/// A step's title, with the command or place that it shows.
pub(super) fn heading(bench: &mut Bench, title: &str, source: &str) -> Result<()> {
    bench.show(format!("\n{title}\n  {source}"))
}

/// Text as it came, set off from the titles.
pub(super) fn indented(bench: &mut Bench, text: &str) -> Result<()> {
    let lines: Vec<String> = text.trim_end().lines().map(|line| format!("    {}", line.trim_end())).collect();
    if lines.is_empty() { Ok(()) } else { bench.show(lines.join("\n")) }
}
