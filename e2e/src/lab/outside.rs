//! A network outside the guest: where a server runs that the hosts of the lab reach, such as an API server.
//!
//! It is a network namespace on the machine that tests, with a bridge and a tap on it. The guest's kernel runs in that
//! namespace and takes the other end as `vec0` (`LAB=host`: a veth pair instead of the tap); a lab with management links ([`super::Topology::with_management`]) plugs `vec0` into their
//! switch. So each host has its own address on 10.77.0.0/24 and reaches [`ADDRESS`] without anybody's routing or
//! translation, and a server outside sees who asks.

use std::ffi::OsStr;

use anyhow::{Context as _, Result};

use super::namespace::{Isolation, Namespace};
use super::process::{self, Output};

/// Address of the outside, as the hosts see it.
pub const ADDRESS: &str = "10.77.0.1";

/// Bridge that holds [`ADDRESS`].
pub(super) const BRIDGE: &str = "outside";

/// The outside. It goes with this value.
#[derive(Debug)]
pub struct Outside {
    namespace: Namespace,
}

impl Outside {
    /// Makes the namespace with the bridge, which has [`ADDRESS`], and `tap0`.
    ///
    /// Fails without root, without `/dev/net/tun`, or without the program `ip`.
    pub fn new() -> Result<Self> {
        let namespace = Namespace::new(Isolation::Network, || {
            let lines = format!(
                "link set lo up
                link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0
                addr add {ADDRESS}/24 dev {BRIDGE}
                link set {BRIDGE} up
                tuntap add dev tap0 mode tap
                link set tap0 master {BRIDGE} up\n"
            );
            process::run(&process::words(["ip", "-batch", "-"]), &lines)?.success().map(drop)
        });
        Ok(Self { namespace: namespace.context("make the network outside the guest")? })
    }

    /// Its namespace: what runs there can listen on [`ADDRESS`].
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Runs a command there to its end. Fails where it cannot be started.
    pub fn run<W: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = W>) -> Result<Output> {
        let words = process::words(command);
        self.namespace.inside(|| process::run(&words, ""))?
    }
}
