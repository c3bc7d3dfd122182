//! Placeholder until the loop arrives.
fn main() {}
