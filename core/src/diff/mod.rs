//! What is left to do, in an order that is safe to be stopped anywhere.
//!
//! Ownership decides everything: what is in custody is ours, anything else is somebody else's.
//!
//! | wanted | there | ours | what happens |
//! |---|---|---|---|
//! | yes | no | | added; taken into custody first where it is not ours yet |
//! | yes | the same | yes or no | nothing: a foreign entry is used, and never removed |
//! | yes | another | yes | changed |
//! | yes | another | no | held as `ForeignEntry`, or taken over whole where a user's annotation says so |
//! | no | yes | yes | removed, then released from custody |
//! | no | yes | no | nothing |
//! | no | no | yes | released from custody |
//!
//! Tunnel devices and GUE ports go by the same table; where somebody else's device takes the packets already, that one is
//! used and none of ours is made (see `tunnel`). So do packet rules. Settings (ARP of a link, timeouts, sysctls,
//! forwarding) always exist: custody remembers what they were and what we made of them, and each value that is still ours
//! goes back at the end.

mod address;
mod arp;
mod forwarding;
mod packet_rule;
mod run;
mod servers;
mod standing;
mod sysctl;
mod table;
mod timeouts;
mod tunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::custody::{Claim, Custody, Item, Record};
use crate::kernel::{AddressKey, Kernel, Op};
use crate::network::Family;
use crate::node_report::Trouble;
use crate::wanted::{Hold, Phase, PhaseName, Scope, Wanted};

pub use run::Run;
pub use servers::diff_servers;

/// The phases that make our part of `have` what is wanted, and what is held back.
///
/// The phases are in the order of [`PhaseName`], none is empty, and their length is that of the difference. They are
/// meant to be done by a [`Run`], which leaves out what depends on a failure.
#[must_use]
pub fn diff(wanted: &Wanted, have: &Kernel, owned: &Custody, scope: &Scope) -> (Vec<Phase>, Vec<Hold>) {
    let mut draft = Draft::new(wanted, have, owned);
    for key in table::in_scope(&draft, scope) {
        draft.virtual_server(key);
    }
    for key in address::in_scope(&draft, scope) {
        draft.address(key);
    }
    draft.hide();
    draft.packet_rules(scope);
    if *scope == Scope::Everything {
        draft.timeouts();
        draft.sysctls();
        draft.forwarding();
        draft.tunnels();
        draft.show();
    }
    (draft.phases.into_values().collect(), draft.holds.into_iter().collect())
}

struct Draft<'a> {
    wanted: &'a Wanted,
    have: &'a Kernel,
    owned: &'a Custody,
    phases: BTreeMap<PhaseName, Phase>,
    holds: BTreeSet<Hold>,
    /// VIPs that have a virtual server of ours, or one that serves as ours, once everything is done.
    serving: BTreeSet<IpAddr>,
    /// Whether an IPv4 VIP of ours is on `lo` once everything is done.
    bound: bool,
}

impl<'a> Draft<'a> {
    fn new(wanted: &'a Wanted, have: &'a Kernel, owned: &'a Custody) -> Self {
        let (phases, holds, serving) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { wanted, have, owned, phases, holds, serving, bound: false }
    }

    fn phase(&mut self, name: PhaseName) -> &mut Phase {
        self.phases.entry(name).or_insert_with(|| Phase { name, ..Phase::default() })
    }

    fn op(&mut self, phase: PhaseName, op: Op) {
        self.phase(phase).ops.push(op);
    }

    /// Writes down that an item is ours before anything is done to it, unless it is ours already.
    fn take(&mut self, phase: PhaseName, item: Item, claim: Claim) {
        if !self.owned.holds(&item) {
            self.retake(phase, item, claim);
        }
    }

    /// Writes down what is ours of an item, also where it is ours already.
    fn retake(&mut self, phase: PhaseName, item: Item, claim: Claim) {
        self.phase(phase).before.push(Record::Take(item, claim));
    }

    fn release(&mut self, phase: PhaseName, item: Item) {
        self.phase(phase).after.push(Record::Release(item));
    }

    fn hold(&mut self, item: Item, trouble: Trouble) {
        self.holds.insert(Hold { item, trouble });
    }

    /// Whether an item is to be left exactly as it is.
    fn is_kept(&self, item: &Item) -> bool {
        self.wanted.keep.contains(item)
    }

    /// Whether an item that is not wanted stays nevertheless.
    fn stays(&self, item: &Item) -> bool {
        let kept = &self.wanted.keep_vips;
        // What stays of a service that the agent cannot serve may need what masquerading needs.
        let may_be_needed = !kept.is_empty() && item.is_for_masquerading();
        self.wanted.keep_everything
            || may_be_needed
            || match (item, item.vip()) {
                (_, Some(vip)) => kept.contains(&vip),
                // Which VIPs a mark stood for is not known any more.
                (Item::VirtualServer(key) | Item::Destination(key, _) | Item::Counters(key), None) => {
                    kept.iter().any(|vip| Family::of(*vip) == key.family())
                }
                (_, None) => false,
            }
    }
}

impl Wanted {
    /// Whether an address is on the link where VIPs are bound.
    pub(crate) fn binds(&self, key: &AddressKey) -> bool {
        self.loopback.map_or_else(|| key.link.as_str() == "lo", |loopback| loopback == key.link)
    }
}

#[cfg(test)]
mod tests;
