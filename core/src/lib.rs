//! The pure brain.
