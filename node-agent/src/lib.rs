//! The agent of a node: it makes the node's kernel equal to the node's plan, and says what came of it.
//!
//! ```text
//!  plan_source --NodePlan--> run --> core::render --> core::diff --> kernel::Linux::apply
//!                             ^  ^                                        |
//!                        local facts, Kernel <------- kernel::Linux::observe
//!                             |
//!                             +--> core::report --> report (API or folder)
//! ```
//!
//! Every decision is `lvs-core`'s. What is ours of the kernel is written down (`custody`) before it is done, and the
//! last good plan lies on disk (`state`), so that nothing here has to be alive for traffic to flow.

pub mod arguments;
pub mod crash_point;
pub mod custody;
pub mod kernel;
pub mod local;
pub mod memory;
pub mod plan_source;
pub mod report;
pub mod run;
pub mod state;
pub mod verbs;
