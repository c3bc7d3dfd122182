//! The agent with the hook of `crash_point` in it, for tests that kill it before and after every change it makes.
//!
//! It has a name of its own, so that building it leaves the program `lvs-node-agent` as it is, without the hook.

use std::process::ExitCode;

#[path = "../main.rs"]
mod program;

fn main() -> ExitCode {
    program::main()
}
