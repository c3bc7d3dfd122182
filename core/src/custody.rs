//! Custody: what of a node's kernel is ours, and what it was before.
//!
//! Written down before it is done. Whatever is not in here is somebody else's and is never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ipvs::{DestinationKey, Timeouts, VirtualServerKey};
use crate::kernel::{AddressKey, ArpSettings};
use crate::names::LinkName;
use crate::tunnel::GuePort;

/// What we answer for on this node since its boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Custody {
    /// Our items, each with what came before it.
    #[serde(with = "as_list")]
    pub claims: BTreeMap<Item, Claim>,
}

/// One thing in a kernel that can be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Item {
    /// A virtual service; the destinations in it are items of their own.
    VirtualServer(VirtualServerKey),
    /// A destination of a virtual service.
    Destination(VirtualServerKey, DestinationKey),
    /// An address on a link.
    Address(AddressKey),
    /// The two ARP settings of a link.
    Arp(LinkName),
    /// IPVS's timeouts.
    Timeouts,
    /// A tunnel device, with whatever is on it.
    Tunnel(LinkName),
    /// A UDP port at which the kernel takes GUE in.
    GuePort(GuePort),
}

impl Item {
    /// The VIP that the item belongs to, where it belongs to one.
    #[must_use]
    pub fn vip(&self) -> Option<IpAddr> {
        match self {
            Self::VirtualServer(key) | Self::Destination(key, _) => key.vip(),
            Self::Address(key) => Some(key.address),
            Self::Arp(_) | Self::Timeouts | Self::Tunnel(_) | Self::GuePort(_) => None,
        }
    }
}

/// What an item was before it became ours, and for settings also what we made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Claim {
    /// It did not exist; at the end it is removed.
    Created,
    /// It existed and a user's annotation gave it to us; at the end it is removed.
    Adopted,
    /// ARP settings of a link; at the end `prior` comes back where `ours` is still in place.
    Arp {
        /// What was set before.
        prior: ArpSettings,
        /// What we set.
        ours: ArpSettings,
    },
    /// Timeouts; at the end `prior` comes back where `ours` is still in place.
    Timeouts {
        /// What was set before.
        prior: Timeouts,
        /// What we set.
        ours: Timeouts,
        /// What we had set before that. It counts as ours too, because the change may never have been made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        earlier: Option<Timeouts>,
    },
}

/// One line of the custody journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Record {
    /// From now on the item is ours (again, with a later claim, where it already was).
    Take(Item, Claim),
    /// The item is ours no more.
    Release(Item),
}

impl Record {
    /// The item that the record is about.
    #[must_use]
    pub fn item(&self) -> Item {
        match self {
            Self::Take(item, _) | Self::Release(item) => *item,
        }
    }
}

impl Custody {
    /// The record that brings an item back to what it is now, after others about it.
    #[must_use]
    pub fn standing(&self, item: Item) -> Record {
        self.claims.get(&item).map_or(Record::Release(item), |claim| Record::Take(item, *claim))
    }

    /// Whether an item is ours.
    #[must_use]
    pub fn holds(&self, item: &Item) -> bool {
        self.claims.contains_key(item)
    }

    /// Whether nothing is ours: the node is as it was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.claims.is_empty()
    }

    /// Our addresses.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<AddressKey> {
        let address = |item: &Item| if let Item::Address(key) = item { Some(*key) } else { None };
        self.claims.keys().filter_map(address).collect()
    }

    /// Our destinations in one virtual service, be that ours or not.
    pub(crate) fn destinations(&self, server: VirtualServerKey) -> impl Iterator<Item = DestinationKey> {
        let item = |key| Item::Destination(server, key);
        let range = item(DestinationKey::FIRST)..=item(DestinationKey::LAST);
        self.claims.range(range).filter_map(|(item, _)| match item {
            Item::Destination(_, key) => Some(*key),
            _ => None,
        })
    }

    /// Follows one line of the journal.
    pub fn record(&mut self, record: &Record) {
        match record {
            Record::Take(item, claim) => {
                self.claims.insert(*item, *claim);
            }
            Record::Release(item) => {
                self.claims.remove(item);
            }
        }
    }
}

/// A map whose keys are no texts, as a list of pairs.
mod as_list {
    use super::{BTreeMap, Claim, Deserialize, Item};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<Item, Claim>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Item, Claim>, D::Error> {
        Vec::<(Item, Claim)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_adds_up() {
        let item = Item::Timeouts;
        let mut custody = Custody::default();
        custody.record(&Record::Take(item, Claim::Created));
        assert!(custody.holds(&item));
        custody.record(&Record::Release(item));
        assert!(custody.is_clean());
    }

    #[test]
    fn a_standing_record_undoes_later_ones() {
        let item = Item::Timeouts;
        let mut custody = Custody::default();
        for claim in [None, Some(Claim::Adopted)] {
            custody.claims.extend(claim.map(|claim| (item, claim)));
            let before = custody.clone();
            let standing = custody.standing(item);
            custody.record(&Record::Take(item, Claim::Created));
            custody.record(&standing);
            assert_eq!(custody, before);
            assert_eq!(standing.item(), item);
        }
    }

    #[test]
    fn custody_reads_back_what_it_writes() {
        let key = "TCP 192.168.10.40:80".parse().unwrap();
        let mut custody = Custody::default();
        custody.record(&Record::Take(Item::VirtualServer(key), Claim::Created));
        custody.record(&Record::Take(
            Item::Destination(key, "192.168.10.10:80".parse().unwrap()),
            Claim::Adopted,
        ));
        let text = serde_json::to_string(&custody).unwrap();
        assert_eq!(serde_json::from_str::<Custody>(&text).unwrap(), custody);
    }
}
