//! The verbs that do one thing and end: the same functions as in `run`, behind files and standard output.

pub mod apply;
pub mod cleanup;
pub mod diff;
pub mod ipvsadm;
pub mod observe;
pub mod print;
pub mod stand;
pub mod text;
pub mod written;
