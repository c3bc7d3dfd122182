//! The pure brain of lvs-operator.
//!
//! ```text
//!  VirtualService, DirectorGroup, Node        previous NodePlans, reports
//!            |                                          |
//!            v                                          v
//!  plan(&Cluster, now) ------------> Plan { a NodePlan per node, a Verdict per service and group }
//!  render(&NodePlan, &Local, now) -> Wanted            the kernel as it should be
//!  diff(&Wanted, &Kernel, &Custody, &Scope) -> phases  what is left to do, in a safe order
//!  Kernel::step(&Op)                                   what a kernel does with an operation
//!  report(...) -> NodeReport                           what the node says of itself
//!  status(&Verdict, &Reports, ...) -> ServiceStatus    what the user reads
//! ```
//!
//! Plain functions over plain, ordered, serialisable values. There is no clock, no IO, no async, no Kubernetes
//! client and no netlink here; time is an argument. Everything is total: what can be wrong with an input was
//! found when it was parsed, and is a value (a verdict, a hold, a refusal) from then on.

pub mod addresses;
pub mod announce;
pub mod cluster;
pub mod counters;
pub mod custody;
pub mod diff;
pub mod epoch;
#[cfg(test)]
mod example;
pub mod flat_map;
pub mod forwarding;
pub mod inline;
pub mod ipvs;
pub mod kernel;
pub mod local;
pub mod marking;
pub mod names;
pub mod neighbour;
pub mod network;
pub mod node_plan;
pub mod node_report;
pub mod packet_rule;
pub mod plan;
pub mod reason;
pub mod redirection;
pub mod render;
pub mod report;
pub mod scheduling;
pub mod selector;
pub mod status;
pub mod sysctl;
pub mod time;
pub mod tunnel;
pub mod verdict;
pub mod wanted;
