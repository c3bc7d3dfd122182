//! Printing a verb's result.

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

use crate::arguments::Format;

/// Prints a value exactly, or as the text that people read.
///
/// # Errors
/// Where standard output is closed.
pub fn print<T: Serialize>(format: Format, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    let output = match format {
        Format::Text => text(),
        Format::Yaml => serde_saphyr::to_string(value).context("this cannot be written as YAML")?,
        Format::Json => serde_json::to_string_pretty(value)? + "\n",
    };
    write(&output)
}

/// Writes a text to standard output.
///
/// # Errors
/// Where standard output is closed.
pub fn write(output: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()).context("standard output")
}
