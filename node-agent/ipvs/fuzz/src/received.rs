//! What libFuzzer calls: any bytes are held to the laws of `tests/properties`.
#![no_main]

#[path = "../../tests/properties/corpus.rs"]
mod corpus;
#[path = "../../tests/properties/laws.rs"]
mod laws;

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: write_seeds(), |received: &[u8]| laws::hold(received));

/// Writes what the fuzzer starts from into the folder that `FUZZ_SEEDS` names, before libFuzzer reads it.
fn write_seeds() {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (number, message) in corpus::messages().iter().enumerate() {
        let path = folder.join(format!("exchanged-{number:04}"));
        std::fs::write(&path, message).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
