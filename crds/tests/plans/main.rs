//! Plans and reports as objects, and back.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod faults;
mod golden;
mod identity;
mod worlds;
