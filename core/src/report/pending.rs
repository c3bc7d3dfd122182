//! What is left to do, by whom it concerns.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::custody::Custody;
use crate::diff::diff;
use crate::kernel::{AddressKey, Kernel, Op};
use crate::local::{Local, ProbeOutcome};
use crate::names::ServiceName;
use crate::wanted::{Phase, PhaseName, Scope, Wanted};

/// What keeps a service from being as its revision wants it.
pub(super) struct Pending {
    /// Services of whose own virtual servers something is left to do.
    pub(super) services: BTreeSet<ServiceName>,
    /// VIPs of which something else is left to do.
    pub(super) vips: BTreeSet<IpAddr>,
    /// Whether tunnels are taken in, or packet rules or virtual servers of marks there, that nobody wants.
    pub(super) closing: bool,
}

impl Pending {
    /// All that is left, also what waits for the plan to be whole or for a first probe.
    pub(super) fn new(local: &Local, wanted: &Wanted, have: &Kernel, owned: &Custody) -> Self {
        let mut whole = Cow::Borrowed(wanted);
        if wanted.keep_everything {
            whole.to_mut().keep_everything = false;
        }
        let (phases, _) = diff(&whole, have, owned, &Scope::Everything);
        let mut pending = Self { services: BTreeSet::new(), vips: BTreeSet::new(), closing: false };
        for op in phases.iter().flat_map(|phase| &phase.ops) {
            pending.add(wanted, op);
        }
        pending.hiding(wanted, &phases);
        pending.probing(local, wanted, have);
        pending
    }

    fn add(&mut self, wanted: &Wanted, op: &Op) {
        self.closing |= matches!(op, Op::RemoveTunnel(_) | Op::CloseGuePort(_) | Op::RemovePacketRule(_))
            || matches!(op, Op::RemoveVirtualServer(key) if key.vip().is_none());
        self.services.extend(wanted.users.get(&op.item()).into_iter().flatten().cloned());
        match op.virtual_server().and_then(|key| wanted.owners.get(&key)) {
            Some(service) => {
                self.services.insert(service.clone());
            }
            None => self.vips.extend(op.vip()),
        }
    }

    /// A link that has yet to hide concerns every IPv4 VIP that is bound.
    fn hiding(&mut self, wanted: &Wanted, phases: &[Phase]) {
        if phases.iter().any(|phase| phase.name == PhaseName::Hide) {
            let bound = wanted.addresses.keys().filter(|key| key.address.is_ipv4() && wanted.binds(key));
            self.vips.extend(bound.map(|key| key.address));
        }
    }

    /// A VIP that is not held yet because its probe has yet to be made. One that somebody else has is no such case: the
    /// node does what it can.
    fn probing(&mut self, local: &Local, wanted: &Wanted, have: &Kernel) {
        for (vip, uplink) in &wanted.probes {
            let first = local.probes.get(vip).is_none_or(|probe| probe.outcome == ProbeOutcome::Clean);
            if first && !have.addresses.contains_key(&AddressKey::host(*uplink, *vip)) {
                self.vips.insert(*vip);
            }
        }
    }
}
