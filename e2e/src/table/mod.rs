//! `make test`: runs every test there is, and ends with a table that says what was proved.
//!
//! [`rows`] says which rows there are and what counts for each, [`suite`] builds and runs the test programs that a
//! [`selection`] takes, [`libtest`] reads what they say, [`sheet`] judges and prints.

pub mod libtest;
mod program;
pub mod rows;
pub mod selection;
pub mod sheet;
pub mod suite;
