//! What `ipvsadm` and a kernel said to each other, against the values that it means, in both directions.
//!
//! The bytes are in `tests/captures`, each message below the command that caused it. Each module here holds, for
//! every command of one such file, the values that its messages stand for. Reading a message must give the value,
//! writing the value must give the message; neither a command nor a message may be left over.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in the functions that it calls too"
)]

mod config;
mod daemon;
mod destinations;
mod listings;
mod services;
mod transcript;

use std::net::IpAddr;
use std::num::NonZeroU32;

use netlink_packet_ipvs::{AddressFamily, Netmask, Service, ServiceFlags, ServiceIdentity};

const TCP: u16 = 6;
const UDP: u16 = 17;
const SCTP: u16 = 132;

const ESRCH: i32 = 3;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;

fn tuple(protocol: u16, address: &str, port: u16) -> ServiceIdentity {
    ServiceIdentity::Tuple { protocol, address: ip(address), port }
}

fn mark(family: AddressFamily, mark: u32) -> ServiceIdentity {
    ServiceIdentity::FirewallMark { family, mark: NonZeroU32::new(mark).unwrap() }
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// A service without flags and persistence.
fn service(identity: ServiceIdentity, scheduler: &str) -> Service {
    Service {
        identity,
        scheduler: scheduler.parse().unwrap(),
        flags: ServiceFlags::NONE,
        flags_mask: ServiceFlags::ALL,
        timeout: 0,
        netmask: Netmask::single_address(identity.family()),
        persistence_engine: None,
    }
}
