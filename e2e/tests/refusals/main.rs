//! The table of what each kind refuses (`crds/tests/rules`), put to a real API server by kubectl.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the whole crate is tests")]

#[path = "../../../crds/tests/rules/case.rs"]
#[expect(dead_code, reason = "what the conversion says is tested beside the table")]
mod case;
#[path = "../../../crds/tests/rules/director_group.rs"]
mod director_group;
mod table;
#[path = "../../../crds/tests/rules/virtual_service.rs"]
mod virtual_service;
