//! Rules for packets: marks, redirects and source NAT, in a table of nftables that is ours alone.
//!
//! The kernel is spoken to directly, in transactions: what makes a rule possible (the table, a chain, its maps) comes with
//! the first one and goes with the last. See [`layout`].

mod element;
mod expression;
mod layout;
mod message;
mod standing;
mod transaction;

use std::collections::BTreeMap;

use lvs_core::kernel::{Op, Refusal};
use lvs_core::packet_rule::{PacketRuleKey, PacketRuleSettings};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;

use super::error::Error;
use super::socket::Socket;
use crate::crash_point;
use standing::Standing;
use transaction::{Draft, Outcome};

/// Operations of the longest transaction: so many answers fit into a receive buffer that could not be forced larger.
const LONGEST: usize = 128;

/// The way to nftables, opened with its first use: a socket alone brings nfnetlink into a kernel that does without.
#[derive(Debug, Default)]
pub(super) struct PacketRules {
    socket: Option<Socket>,
}

impl PacketRules {
    /// The rules in our table; none where the kernel has no nftables.
    pub(super) fn read(&mut self) -> Result<BTreeMap<PacketRuleKey, PacketRuleSettings>, Error> {
        match self.socket() {
            Err(error) if is_lack(error.errno()) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
            Ok(socket) => Ok(Standing::read(socket)?.rules()),
        }
    }

    /// Whether there is a table of kube-proxy's, for either family. Where no rules are needed this does not bring
    /// nftables into the kernel.
    pub(super) fn has_kube_proxy_table(&mut self) -> bool {
        let loaded = self.socket.is_some() || std::path::Path::new("/sys/module/nf_tables").exists();
        loaded && self.socket().is_ok_and(standing::has_kube_proxy_table)
    }

    /// Carries out operations on packet rules, and returns those that were refused, by their place in `ops`, in ascending
    /// order.
    pub(super) fn apply(&mut self, ops: &[Op]) -> Vec<(usize, Refusal)> {
        let places: Vec<usize> = (0..ops.len()).collect();
        let mut refused = Vec::new();
        for places in places.chunks(crash_point::batch_size().min(LONGEST)) {
            refused.extend(self.carry_out(ops, places.to_vec()));
        }
        refused.sort_by_key(|(place, _)| *place);
        refused
    }

    /// One transaction, again and again without what was refused: a refused operation keeps the others from being done.
    fn carry_out(&mut self, ops: &[Op], mut places: Vec<usize>) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        while !places.is_empty() {
            let outcome = match self.attempt(ops, &places) {
                Ok(outcome) => outcome,
                Err(error) => Outcome::AllRefused(refusal_of_all(error.errno())),
            };
            match outcome {
                Outcome::Done => break,
                Outcome::AllRefused(refusal) => {
                    refused.extend(places.drain(..).map(|place| (place, refusal)));
                }
                Outcome::Refused(some) => {
                    places.retain(|place| !some.contains_key(place));
                    refused.extend(some);
                }
            }
        }
        for (place, refusal) in &refused {
            tracing::debug!(op = %ops[*place], ?refusal, "refused");
        }
        refused
    }

    fn attempt(&mut self, ops: &[Op], places: &[usize]) -> Result<Outcome, Error> {
        let socket = self.socket()?;
        let standing = Standing::read(socket)?;
        Ok(Draft::of(&standing, ops, places).commit(socket))
    }

    fn socket(&mut self) -> Result<&mut Socket, Error> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => Socket::open(NETLINK_NETFILTER)?,
        };
        Ok(self.socket.insert(socket))
    }
}

/// Whether an error of something that makes rules possible says that the kernel has none of it.
fn is_lack(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT)
}

fn refusal_of_all(errno: Errno) -> Refusal {
    match errno {
        Errno::EPERM => Refusal::NotPermitted,
        errno if is_lack(errno) => Refusal::NoPacketRules,
        errno => Refusal::Other(errno as i32),
    }
}

#[cfg(test)]
mod tests;
