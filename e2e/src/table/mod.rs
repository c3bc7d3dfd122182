//! `make test`: runs every test there is, and ends with a table that says what was proved.
//!
//! [`rows`] says which rows there are and what counts for each, [`suite`] builds and runs the test programs,
//! [`libtest`] reads what they say, [`sheet`] judges and prints.

pub mod libtest;
pub mod rows;
pub mod sheet;
pub mod suite;
