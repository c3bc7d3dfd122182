//! The lab: a real kernel with IPVS, hosts in it, and what a test needs to look at them.
//!
//! Two sides meet in a folder. On the machine that tests, [`Launch`] writes a [`request::Request`] there, starts a
//! guest kernel whose first process is this very program, and waits for its [`request::Verdict`]. In the guest,
//! [`guest::main`] makes a root file system of its own, runs one named scenario and switches the kernel off.
//!
//! Which kernel that is, the scenario's needs decide ([`KernelNeeds`]): each kernel is a file here, [`uml`], [`qemu`] and
//! [`own_kernel`], that says what is started for it.
//!
//! A scenario makes a [`Lab`] from a [`Topology`]: each [`Host`] is a network namespace with its own mount and UTS
//! namespace, its own `/run`, `/var/lib` and boot id. Nothing is ever done in the network namespace of the machine
//! that tests, and nothing that a scenario writes reaches its disk, except the folder of the run.

pub mod boot;
pub mod cpu;
pub mod datagram;
pub mod frame;
pub mod guest;
pub mod host;
pub mod kernel;
pub mod launch;
pub mod modules;
pub mod namespace;
pub mod neighbour;
pub mod network;
pub mod outside;
pub mod own_kernel;
pub mod packet;
pub mod process;
pub mod qemu;
pub mod request;
pub mod root;
pub mod snapshot;
pub mod topology;
pub mod traffic;
pub mod uml;

pub use frame::Mac;
pub use host::Host;
pub use kernel::{Kernel, KernelNeeds};
pub use launch::{Launch, Report};
pub use namespace::Namespace;
pub use network::Lab;
pub use outside::Outside;
pub use process::{Output, Process};
pub use snapshot::{Counters, Snapshot};
pub use topology::{HostSpec, LinkSpec, Topology};
