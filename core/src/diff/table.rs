//! The difference in the IPVS table.

use std::collections::BTreeSet;

use super::Draft;
use crate::custody::{Claim, Item, Record};
use crate::ipvs::{DestinationKey, DestinationSettings, VirtualServerKey, VirtualServerSettings};
use crate::kernel::{Op, VirtualServer};
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::wanted::{PhaseName, Scope};

/// The virtual servers that are wanted, or that something of ours is about.
pub(super) fn in_scope(draft: &Draft, scope: &Scope) -> BTreeSet<VirtualServerKey> {
    let wanted = &draft.wanted.virtual_servers;
    let Scope::Part(part) = scope else {
        return wanted.keys().copied().chain(draft.owned.servers()).collect();
    };
    let mut keys = part.servers.clone();
    for range in part.vips.iter().flat_map(|vip| VirtualServerKey::of_vip(*vip)) {
        keys.extend(draft.owned.servers_in(&range));
        keys.extend(wanted.range(range).map(|(key, _)| *key));
    }
    keys
}

/// What may be done in a virtual server that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// Everything: it is taken over.
    Whole,
    /// Destinations are added; those that are not ours stay as they are.
    Shared,
    /// Only what is ours already.
    OwnOnly,
}

impl<'a> Draft<'a> {
    pub(super) fn virtual_server(&mut self, key: VirtualServerKey) {
        let (wanted, have) = (self.wanted, self.have);
        match (wanted.virtual_servers.get(&key), have.virtual_servers.get(&key)) {
            (Some(wanted), None) => self.add(key, wanted),
            (Some(wanted), Some(there)) => self.settle(key, wanted, there),
            (None, Some(there)) => self.unwanted(key, there),
            (None, None) => self.forget(key),
        }
    }

    fn add(&mut self, key: VirtualServerKey, wanted: &'a VirtualServer) {
        let item = Item::VirtualServer(key);
        if self.is_kept(&item) {
            return;
        }
        self.take(PhaseName::VirtualServers, item, Claim::Created);
        self.op(PhaseName::VirtualServers, Op::AddVirtualServer(key, wanted.settings));
        self.serves(key);
        self.destinations(key, wanted, None, Rights::Shared);
        self.zero_counters(key, true);
    }

    /// Zeroes the counters of a virtual server that is ours, unless that was done for the same token. That it was done is
    /// written down afterwards: an agent that is killed in between does it twice.
    fn zero_counters(&mut self, key: VirtualServerKey, ours: bool) {
        let item = Item::Counters(key);
        let wanted = self.wanted.zero_counters.get(&key).filter(|_| ours);
        let claim = self.owned.claim(&item);
        match wanted {
            Some(mark) if claim == Some(Claim::Zeroed(*mark)) => {}
            Some(mark) => {
                self.op(PhaseName::Destinations, Op::ZeroCounters(key));
                self.phase(PhaseName::Destinations).after.push(Record::Take(item, Claim::Zeroed(*mark)));
            }
            None if claim.is_some() && !self.stays(&item) => {
                self.release(PhaseName::RemoveDestinations, item);
            }
            None => {}
        }
    }

    /// A virtual server that is wanted and there.
    fn settle(&mut self, key: VirtualServerKey, wanted: &'a VirtualServer, there: &'a VirtualServer) {
        let item = Item::VirtualServer(key);
        let (ours, same) = (self.owned.holds(&item), wanted.settings == there.settings);
        let rights = if self.is_kept(&item) {
            if ours { Rights::Shared } else { Rights::OwnOnly }
        } else if self.wanted.adopt.contains(&key) && wanted != there {
            self.adopt(key, there);
            Rights::Whole
        } else if ours || same {
            Rights::Shared
        } else {
            self.hold(item, contrary(key, there.settings, wanted.settings));
            Rights::OwnOnly
        };
        if rights != Rights::OwnOnly || self.is_kept(&item) {
            self.serves(key);
        }
        if rights != Rights::OwnOnly && !same && !self.is_kept(&item) {
            self.op(PhaseName::VirtualServers, Op::SetVirtualServer(key, wanted.settings));
        }
        self.destinations(key, wanted, Some(there), rights);
        if !self.is_kept(&item) {
            self.zero_counters(key, ours || rights == Rights::Whole);
        }
    }

    /// Takes over a virtual server with all its destinations. They are written down together, so that a stop in between
    /// leaves no virtual server of ours with destinations of somebody else's.
    fn adopt(&mut self, key: VirtualServerKey, there: &VirtualServer) {
        let destinations = there.destinations.keys().map(|destination| Item::Destination(key, *destination));
        for item in destinations.chain([Item::VirtualServer(key)]) {
            self.take(PhaseName::VirtualServers, item, Claim::Adopted);
        }
    }

    fn destinations(
        &mut self,
        server: VirtualServerKey,
        wanted: &VirtualServer,
        there: Option<&VirtualServer>,
        rights: Rights,
    ) {
        for (key, wanted) in &wanted.destinations {
            let there = there.and_then(|there| there.destinations.get(key)).copied();
            self.destination(server, *key, Some(*wanted), there, rights);
        }
        let ours = self.owned.destinations(server);
        let theirs = there.filter(|_| rights == Rights::Whole).into_iter();
        let theirs = theirs.flat_map(|there| there.destinations.keys().copied());
        let others = ours.chain(theirs).filter(|key| !wanted.destinations.contains_key(key));
        for key in others.collect::<BTreeSet<_>>() {
            let there = there.and_then(|there| there.destinations.get(&key)).copied();
            self.destination(server, key, None, there, rights);
        }
    }

    fn destination(
        &mut self,
        server: VirtualServerKey,
        key: DestinationKey,
        wanted: Option<DestinationSettings>,
        there: Option<DestinationSettings>,
        rights: Rights,
    ) {
        if wanted.is_some() && wanted == there {
            return;
        }
        let item = Item::Destination(server, key);
        let held = self.owned.holds(&item);
        let ours = held || rights == Rights::Whole;
        match (wanted, there) {
            _ if self.is_kept(&item) => {}
            (Some(wanted), None) if ours || rights != Rights::OwnOnly => {
                if !held {
                    self.retake(PhaseName::Destinations, item, Claim::Created);
                }
                self.op(PhaseName::Destinations, Op::AddDestination(server, key, wanted));
            }
            (Some(wanted), Some(_)) if ours => {
                self.op(PhaseName::Destinations, Op::SetDestination(server, key, wanted));
            }
            (Some(wanted), Some(there)) => {
                self.hold(item, contrary_destination(server, key, there, wanted));
            }
            (None, Some(_)) if ours => self.remove_destination(server, key),
            (None, None) if !self.stays(&item) => self.release(PhaseName::RemoveDestinations, item),
            // Somebody else's.
            _ => {}
        }
    }

    fn remove_destination(&mut self, server: VirtualServerKey, key: DestinationKey) {
        let item = Item::Destination(server, key);
        if !self.stays(&item) {
            self.op(PhaseName::RemoveDestinations, Op::RemoveDestination(server, key));
            self.release(PhaseName::RemoveDestinations, item);
        }
    }

    /// A virtual server that is there and not wanted, but something of ours is about it.
    fn unwanted(&mut self, key: VirtualServerKey, there: &VirtualServer) {
        let item = Item::VirtualServer(key);
        let ours: BTreeSet<DestinationKey> = self.owned.destinations(key).collect();
        if self.stays(&item) || self.is_kept(&item) {
            self.serves(key);
            return;
        }
        let foreign = there.destinations.keys().find(|destination| !ours.contains(destination));
        if self.owned.holds(&item) && foreign.is_none() {
            // It takes its destinations along.
            self.op(PhaseName::RemoveVirtualServers, Op::RemoveVirtualServer(key));
            self.release(PhaseName::RemoveVirtualServers, item);
            let counters = Some(Item::Counters(key)).filter(|item| self.owned.holds(item));
            let destinations = ours.into_iter().map(|destination| Item::Destination(key, destination));
            for item in destinations.chain(counters) {
                self.release(PhaseName::RemoveVirtualServers, item);
            }
            return;
        }
        if let Some(foreign) = foreign.filter(|_| self.owned.holds(&item)) {
            let message = format!(
                "virtual server {key} is not removed, because somebody else has put real server {foreign} into it: \
                 remove that one"
            );
            self.hold(item, Trouble::new(Reason::ForeignEntry, message));
        }
        let counters = Item::Counters(key);
        if self.owned.holds(&counters) {
            self.release(PhaseName::RemoveDestinations, counters);
        }
        for destination in ours {
            if there.destinations.contains_key(&destination) {
                self.remove_destination(key, destination);
            } else {
                self.release(PhaseName::RemoveDestinations, Item::Destination(key, destination));
            }
        }
    }

    /// A virtual server that is neither there nor wanted.
    fn forget(&mut self, key: VirtualServerKey) {
        let destinations =
            self.owned.destinations(key).map(|destination| Item::Destination(key, destination));
        let items = destinations.chain([Item::Counters(key), Item::VirtualServer(key)]);
        for item in items.filter(|item| self.owned.holds(item)).collect::<Vec<_>>() {
            if !self.stays(&item) && !self.is_kept(&item) {
                self.release(PhaseName::RemoveVirtualServers, item);
            }
        }
    }

    fn serves(&mut self, key: VirtualServerKey) {
        self.serving.extend(key.vip());
    }
}

fn contrary(key: VirtualServerKey, there: VirtualServerSettings, wanted: VirtualServerSettings) -> Trouble {
    let message = format!(
        "virtual server {key} is there already with other settings ({}, not {}) and is not ours: remove it, or set the \
         annotation lvs-operator.io/adopt: \"true\"",
        described(there),
        described(wanted)
    );
    Trouble::new(Reason::ForeignEntry, message)
}

fn contrary_destination(
    server: VirtualServerKey,
    key: DestinationKey,
    there: DestinationSettings,
    wanted: DestinationSettings,
) -> Trouble {
    let message = format!(
        "real server {key} of {server} is there already with other settings ({}, not {}) and is not ours: remove it, or \
         set the annotation lvs-operator.io/adopt: \"true\"",
        described_destination(there),
        described_destination(wanted)
    );
    Trouble::new(Reason::ForeignEntry, message)
}

fn described_destination(settings: DestinationSettings) -> String {
    let tunnel = settings.tunnel.map(|tunnel| format!(" {} {} {}", tunnel.kind, tunnel.port, tunnel.flags));
    format!("{:?}{} weight {}", settings.method, tunnel.unwrap_or_default(), settings.weight)
}

/// The settings as a person would compare them.
fn described(settings: VirtualServerSettings) -> String {
    let persistence = settings.persistence.map(|persistence| {
        format!(" persistent {} s /{}", persistence.timeout_seconds, persistence.prefix_length)
    });
    let flags = (settings.flags != 0).then(|| format!(" flags {:#x}", settings.flags));
    let engine = settings.persistence_engine.map(|engine| format!(" engine {engine}"));
    let more: String = [persistence, engine, flags].into_iter().flatten().collect();
    format!("{}{more}", settings.scheduler)
}
