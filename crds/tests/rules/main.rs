//! Every rule of the schemas, by the objects that it refuses, and the same objects through the conversion.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the whole crate is tests")]

mod case;
mod director_group;
mod structure;
mod table;
mod virtual_service;
