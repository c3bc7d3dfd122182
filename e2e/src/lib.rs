//! Scenarios on a real IPVS kernel and a real API server.
//!
//! [`lab`] boots a kernel that has IPVS and makes hosts in it; [`scenarios`] are what is tried there, each a plain
//! function by name. [`cluster`] is a whole cluster of such kernels, and what a release goes through there. [`table`]
//! runs every test and says what was proved, [`mutants`] whether the tests would notice.

pub mod cluster;
pub mod control_plane;
pub mod fleet;
pub mod lab;
pub mod mutants;
pub mod record;
pub mod scenarios;
pub mod table;
