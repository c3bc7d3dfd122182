//! The processes that can be seen: in a container its own alone, on a host all.

use std::collections::BTreeSet;
use std::fs;

use lvs_core::neighbour::TableWriter;

/// Who of those that write to the IPVS table runs, as far as that can be seen.
#[must_use]
pub fn table_writers() -> BTreeSet<TableWriter> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let names = entries.flatten().filter_map(|entry| {
        let is_process = entry.file_name().to_str()?.bytes().all(|byte| byte.is_ascii_digit());
        // One that has ended meanwhile has no name.
        is_process.then(|| fs::read_to_string(entry.path().join("comm")).ok())?
    });
    names.filter_map(|name| TableWriter::of_process(name.trim_end())).collect()
}
