//! `lvs-lab bench`: one table of what was measured in all the lab's kernels.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lvs_e2e::lab::Launch;
use lvs_e2e::scenarios::bench::Row;
use serde_json::json;

/// The scenarios, and the kernel that each is measured on.
const SCENARIOS: [(&str, &str); 2] =
    [("bench", "User-Mode Linux, one CPU"), ("bench-emulated", "QEMU (TCG), one CPU, Debian's cloud kernel")];

/// Measures, prints the table and writes it to `json`. Fails the command where a figure misses what it must reach.
pub(crate) fn run(program: &Path, json: &Path) -> Result<ExitCode> {
    let mut tables = Vec::new();
    for (name, kernel) in SCENARIOS {
        eprintln!("== {kernel}");
        let report = Launch::new(program, name)?.show().timeout(Duration::from_hours(1)).run()?;
        let rows: Vec<Row> = serde_json::from_value(report.value).context("rows of the scenario")?;
        tables.push((kernel, rows));
    }
    let mut missed = 0;
    for (kernel, rows) in &tables {
        println!("\n{kernel}");
        for row in rows {
            println!("{row}");
            missed += usize::from(!row.holds());
        }
    }
    let tables: Vec<_> =
        tables.iter().map(|(kernel, rows)| json!({"kernel": kernel, "rows": rows})).collect();
    if let Some(folder) = json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(json, serde_json::to_string_pretty(&tables)?)
        .with_context(|| format!("write {}", json.display()))?;
    println!("\nthe figures are in {}", json.display());
    if missed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "lvs-lab: {missed} figures miss what they must reach; on a busy machine some may: measure again"
    );
    Ok(ExitCode::FAILURE)
}
