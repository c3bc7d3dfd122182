//! The laws over (Kernel, Custody), on generated worlds: a node with links, addresses, ARP settings and an IPVS table of
//! somebody else's, equal to what we want, contrary to it and beside it, and a history of plans for it.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod convergence;
mod emptied;
mod incremental;
mod locality;
mod node;
mod partial;
mod safety;
mod small;
mod world;
