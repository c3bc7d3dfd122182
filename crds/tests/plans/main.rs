//! Plans and reports as objects, and back.

mod faults;
mod golden;
mod identity;
mod worlds;
