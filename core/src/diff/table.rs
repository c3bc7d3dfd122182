//! The difference in the IPVS table.

use std::collections::BTreeSet;

use super::Draft;
use crate::custody::{Claim, Item};
use crate::ipvs::{DestinationKey, DestinationSettings, VirtualServerKey, VirtualServerSettings};
use crate::kernel::{Op, VirtualServer};
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::wanted::{PhaseName, Scope};

/// The virtual servers that are wanted, or that something of ours is about.
pub(super) fn in_scope(draft: &Draft, scope: &Scope) -> BTreeSet<VirtualServerKey> {
    let (wanted, claims) = (&draft.wanted.virtual_servers, &draft.owned.claims);
    let ours = |item: &Item| match item {
        Item::VirtualServer(key) | Item::Destination(key, _) => Some(*key),
        _ => None,
    };
    let Scope::Vips(vips) = scope else {
        return wanted.keys().copied().chain(claims.keys().filter_map(ours)).collect();
    };
    let mut keys = BTreeSet::new();
    for range in vips.iter().flat_map(|vip| VirtualServerKey::of_vip(*vip)) {
        let (first, last) = (*range.start(), *range.end());
        keys.extend(wanted.range(range).map(|(key, _)| *key));
        let servers = Item::VirtualServer(first)..=Item::VirtualServer(last);
        let destinations =
            Item::Destination(first, DestinationKey::FIRST)..=Item::Destination(last, DestinationKey::LAST);
        keys.extend(
            claims.range(servers).chain(claims.range(destinations)).filter_map(|(item, _)| ours(item)),
        );
    }
    keys
}

/// What may be done in a virtual server that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// All of it is ours or becomes ours.
    Whole,
    /// Destinations may be added; those that are not ours stay as they are.
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
        if self.wanted.keep.contains(&item) {
            return;
        }
        self.take(PhaseName::VirtualServers, item, Claim::Created);
        self.op(PhaseName::VirtualServers, Op::AddVirtualServer(key, wanted.settings));
        self.serves(key);
        self.destinations(key, wanted, None, Rights::Whole);
    }

    /// A virtual server that is wanted and there.
    fn settle(&mut self, key: VirtualServerKey, wanted: &'a VirtualServer, there: &'a VirtualServer) {
        let item = Item::VirtualServer(key);
        let (ours, kept) = (self.owned.holds(&item), self.wanted.keep.contains(&item));
        let same = wanted.settings == there.settings;
        let adopts = self.wanted.adopt.contains(&key) && (ours || wanted != there) && !kept;
        let rights = match (ours || same, adopts) {
            (_, true) => Rights::Whole,
            (true, false) => Rights::Shared,
            (false, false) => Rights::OwnOnly,
        };
        if kept || rights == Rights::OwnOnly {
            if !kept {
                self.hold(item, contrary(key, there.settings, wanted.settings));
            }
        } else if ours || adopts {
            self.take(PhaseName::VirtualServers, item, Claim::Adopted);
            if !same {
                self.op(PhaseName::VirtualServers, Op::SetVirtualServer(key, wanted.settings));
            }
        }
        if kept || rights != Rights::OwnOnly {
            self.serves(key);
        }
        self.destinations(key, wanted, Some(there), rights);
    }

    fn destinations(
        &mut self,
        server: VirtualServerKey,
        wanted: &'a VirtualServer,
        there: Option<&'a VirtualServer>,
        rights: Rights,
    ) {
        let there = there.map(|there| &there.destinations);
        let mut keys: BTreeSet<DestinationKey> = wanted.destinations.keys().copied().collect();
        keys.extend(self.owned.destinations(server));
        if rights == Rights::Whole && self.wanted.adopt.contains(&server) {
            keys.extend(there.into_iter().flat_map(|there| there.keys()));
        }
        for key in keys {
            let item = Item::Destination(server, key);
            if self.wanted.keep.contains(&item) {
                continue;
            }
            let present = there.and_then(|there| there.get(&key)).copied();
            match (wanted.destinations.get(&key).copied(), present) {
                (Some(wanted), None) if rights != Rights::OwnOnly || self.owned.holds(&item) => {
                    self.take(PhaseName::Destinations, item, Claim::Created);
                    self.op(PhaseName::Destinations, Op::AddDestination(server, key, wanted));
                }
                (Some(_), None) => {}
                (Some(wanted), Some(present)) => {
                    self.settle_destination(server, key, wanted, present, rights)
                }
                (None, Some(_)) if rights == Rights::Whole || self.owned.holds(&item) => {
                    self.remove_destination(server, key);
                }
                (None, Some(_)) => {}
                (None, None) => self.release(PhaseName::RemoveDestinations, item),
            }
        }
    }

    /// A destination that is wanted and there.
    fn settle_destination(
        &mut self,
        server: VirtualServerKey,
        key: DestinationKey,
        wanted: DestinationSettings,
        there: DestinationSettings,
        rights: Rights,
    ) {
        let item = Item::Destination(server, key);
        if rights == Rights::Whole && self.wanted.adopt.contains(&server) {
            self.take(PhaseName::Destinations, item, Claim::Adopted);
        } else if !self.owned.holds(&item) {
            if wanted != there {
                let message = format!(
                    "real server {key} of {server} is there already with other settings (weight {}, not {}) and is not \
                     ours: remove it, or set the annotation lvs-operator.io/adopt: \"true\"",
                    there.weight, wanted.weight
                );
                self.hold(item, Trouble::new(Reason::ForeignEntry, message));
            }
            return;
        }
        if wanted != there {
            self.op(PhaseName::Destinations, Op::SetDestination(server, key, wanted));
        }
    }

    fn remove_destination(&mut self, server: VirtualServerKey, key: DestinationKey) {
        let item = Item::Destination(server, key);
        if self.stays(&item) {
            return;
        }
        self.take(PhaseName::RemoveDestinations, item, Claim::Adopted);
        self.op(PhaseName::RemoveDestinations, Op::RemoveDestination(server, key));
        self.release(PhaseName::RemoveDestinations, item);
    }

    /// A virtual server that is there and not wanted, but something of ours is about it.
    fn unwanted(&mut self, key: VirtualServerKey, there: &VirtualServer) {
        let item = Item::VirtualServer(key);
        let ours: BTreeSet<DestinationKey> = self.owned.destinations(key).collect();
        if self.stays(&item) {
            self.serves(key);
            return;
        }
        let foreign = there.destinations.keys().find(|destination| !ours.contains(destination));
        if self.owned.holds(&item) && foreign.is_none() {
            // It takes its destinations along.
            self.op(PhaseName::RemoveVirtualServers, Op::RemoveVirtualServer(key));
            self.release(PhaseName::RemoveVirtualServers, item);
            for destination in ours {
                self.release(PhaseName::RemoveVirtualServers, Item::Destination(key, destination));
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
        let items = destinations.chain([Item::VirtualServer(key)]);
        for item in items.filter(|item| self.owned.holds(item)).collect::<Vec<_>>() {
            if !self.stays(&item) {
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

/// The settings as a person would compare them.
fn described(settings: VirtualServerSettings) -> String {
    let persistence = settings.persistence.map(|persistence| {
        format!(" persistent {} s /{}", persistence.timeout_seconds, persistence.prefix_length)
    });
    let flags = (settings.flags != 0).then(|| format!(" flags {:#x}", settings.flags));
    format!("{}{}{}", settings.scheduler, persistence.unwrap_or_default(), flags.unwrap_or_default())
}
