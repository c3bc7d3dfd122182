//! Custody: what of a node's kernel is ours, and what it was before.
//!
//! Written down before it is done. Whatever is not in here is somebody else's and is never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::counters::ZeroMark;
use crate::flat_map::FlatMap;
use crate::ipvs::{DestinationKey, Timeouts, VirtualServerKey};
use crate::kernel::{AddressKey, ArpSettings};
use crate::names::LinkName;
use crate::packet_rule::{PacketRuleKey, PacketRuleKind};
use crate::sysctl::{IpvsSysctl, Sysctl};
use crate::tunnel::GuePort;

/// What we answer for on this node since its boot: our items, each with what came before it.
///
/// Destinations lie by their virtual server: there are a hundred thousand of them where there are a dozen of all else.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Custody {
    claims: BTreeMap<Item, Claim>,
    /// None of the inner maps is empty.
    destinations: BTreeMap<VirtualServerKey, FlatMap<DestinationKey, Origin>>,
}

/// How a destination came to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Created,
    Adopted,
}

/// One thing in a kernel that can be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Item {
    /// A virtual service; the destinations in it are items of their own.
    VirtualServer(VirtualServerKey),
    /// A destination of a virtual service.
    Destination(VirtualServerKey, DestinationKey),
    /// The counters of a virtual service of ours, which were zeroed.
    Counters(VirtualServerKey),
    /// An address on a link.
    Address(AddressKey),
    /// The two ARP settings of a link.
    Arp(LinkName),
    /// IPVS's timeouts.
    Timeouts,
    /// A setting under `/proc/sys/net`.
    Sysctl(Sysctl),
    /// A tunnel device, with whatever is on it.
    Tunnel(LinkName),
    /// A UDP port at which the kernel takes GUE in.
    GuePort(GuePort),
    /// That IPv4 packets are forwarded which come in on a link.
    Forwarding(LinkName),
    /// A rule for packets.
    PacketRule(PacketRuleKey),
}

impl Item {
    /// The VIP that the item belongs to, where it belongs to one.
    #[must_use]
    pub fn vip(&self) -> Option<IpAddr> {
        match self {
            Self::VirtualServer(key) | Self::Destination(key, _) | Self::Counters(key) => key.vip(),
            Self::Address(key) => Some(key.address),
            Self::PacketRule(key) => key.vip(),
            Self::Arp(_)
            | Self::Timeouts
            | Self::Sysctl(_)
            | Self::Tunnel(_)
            | Self::GuePort(_)
            | Self::Forwarding(_) => None,
        }
    }

    /// Whether masqueraded real servers may need it on their director.
    #[must_use]
    pub fn is_for_masquerading(&self) -> bool {
        match self {
            Self::Forwarding(_) | Self::Sysctl(Sysctl::Ipvs(IpvsSysctl::Conntrack)) => true,
            Self::PacketRule(key) => key.kind == PacketRuleKind::SourceNat,
            _ => false,
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
    /// Counters that were zeroed for this token; at the end that is forgotten.
    Zeroed(ZeroMark),
    /// A sysctl; at the end `prior` comes back where `ours` is still in place.
    Sysctl {
        /// What was set before.
        prior: i32,
        /// What we set.
        ours: i32,
        /// What we had set before that. It counts as ours too, because the change may never have been made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        earlier: Option<i32>,
    },
    /// Forwarding, which was off; at the end it is turned off again.
    Forwarding {
        /// What `all` said then. Where it was off and is on now, somebody has turned it on for every link since: then it
        /// stays on.
        of_all: bool,
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

    /// The virtual server in which a destination becomes ours, where that is what the record says.
    fn destination_taken_in(&self) -> Option<VirtualServerKey> {
        match self {
            Self::Take(Item::Destination(server, _), _) => Some(*server),
            _ => None,
        }
    }
}

impl Custody {
    /// The record that brings an item back to what it is now, after others about it.
    #[must_use]
    pub fn standing(&self, item: Item) -> Record {
        self.claim(&item).map_or(Record::Release(item), |claim| Record::Take(item, claim))
    }

    /// What is known of an item, where it is ours.
    #[must_use]
    pub fn claim(&self, item: &Item) -> Option<Claim> {
        match item {
            Item::Destination(server, key) => {
                self.destinations.get(server)?.get(key).map(|origin| origin.claim())
            }
            _ => self.claims.get(item).copied(),
        }
    }

    /// Whether an item is ours.
    #[must_use]
    pub fn holds(&self, item: &Item) -> bool {
        self.claim(item).is_some()
    }

    /// Whether nothing is ours: the node is as it was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.claims.is_empty() && self.destinations.is_empty()
    }

    /// How many items are ours.
    #[must_use]
    pub fn count(&self) -> usize {
        self.claims.len() + self.destinations.values().map(FlatMap::len).sum::<usize>()
    }

    /// Everything that is ours; the destinations come last.
    pub fn items(&self) -> impl Iterator<Item = (Item, Claim)> {
        let destinations = self.destinations.iter().flat_map(|(server, destinations)| {
            destinations.iter().map(|(key, origin)| (Item::Destination(*server, *key), origin.claim()))
        });
        self.claims.iter().map(|(item, claim)| (*item, *claim)).chain(destinations)
    }

    /// Our addresses.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<AddressKey> {
        let address = |item: &Item| if let Item::Address(key) = item { Some(*key) } else { None };
        self.claims.keys().filter_map(address).collect()
    }

    /// Everything that is ours but destinations.
    pub(crate) fn but_destinations(&self) -> impl Iterator<Item = &Item> {
        self.claims.keys()
    }

    /// The links whose ARP settings are ours.
    pub(crate) fn arp(&self) -> impl Iterator<Item = (LinkName, ArpSettings, ArpSettings)> {
        self.claims.iter().filter_map(|(item, claim)| match (item, claim) {
            (Item::Arp(link), Claim::Arp { prior, ours }) => Some((*link, *prior, *ours)),
            _ => None,
        })
    }

    /// Our packet rules.
    pub(crate) fn packet_rules(&self) -> impl Iterator<Item = PacketRuleKey> {
        let rule = |(item, _): (&Item, _)| if let Item::PacketRule(key) = item { Some(*key) } else { None };
        self.claims.range(Item::PacketRule(PacketRuleKey::LEAST)..).map_while(rule)
    }

    /// Whether any packet rule is ours.
    #[must_use]
    pub fn holds_packet_rules(&self) -> bool {
        self.packet_rules().next().is_some()
    }

    /// The virtual servers that are ours or hold something of ours.
    pub(crate) fn servers(&self) -> impl Iterator<Item = VirtualServerKey> {
        let server = |item: &Item| match item {
            Item::VirtualServer(key) | Item::Counters(key) => Some(*key),
            _ => None,
        };
        self.claims.keys().filter_map(server).chain(self.destinations.keys().copied())
    }

    /// Those of [`Self::servers`] in a range of keys.
    pub(crate) fn servers_in(
        &self,
        range: &RangeInclusive<VirtualServerKey>,
    ) -> impl Iterator<Item = VirtualServerKey> {
        let (first, last) = (*range.start(), *range.end());
        let servers = self.claims.range(Item::VirtualServer(first)..=Item::VirtualServer(last));
        let counters = self.claims.range(Item::Counters(first)..=Item::Counters(last));
        let ours = servers.chain(counters).filter_map(|(item, _)| match item {
            Item::VirtualServer(key) | Item::Counters(key) => Some(*key),
            _ => None,
        });
        ours.chain(self.destinations.range(range.clone()).map(|(key, _)| *key))
    }

    /// Our destinations in one virtual service, be that ours or not, in their order.
    pub(crate) fn destinations(&self, server: VirtualServerKey) -> impl Iterator<Item = DestinationKey> {
        self.destinations.get(&server).into_iter().flat_map(|destinations| destinations.keys()).copied()
    }

    /// Follows many lines of the journal.
    pub fn record_all(&mut self, records: &[Record]) {
        for run in records.chunk_by(|one, next| {
            one.destination_taken_in().is_some_and(|server| next.destination_taken_in() == Some(server))
        }) {
            match run[0].destination_taken_in() {
                Some(server) => {
                    let taken = |record: &Record| match record {
                        Record::Take(Item::Destination(_, key), claim) => Some((*key, Origin::of(claim))),
                        _ => None,
                    };
                    let destinations = self.destinations.entry(server).or_default();
                    destinations.reserve(run.len());
                    destinations.extend(run.iter().filter_map(taken));
                }
                None => run.iter().for_each(|record| self.record(record)),
            }
        }
    }

    /// Follows one line of the journal.
    pub fn record(&mut self, record: &Record) {
        match record {
            Record::Take(Item::Destination(server, key), claim) => {
                self.destinations.entry(*server).or_default().insert(*key, Origin::of(claim));
            }
            Record::Release(Item::Destination(server, key)) => {
                let Some(destinations) = self.destinations.get_mut(server) else { return };
                destinations.remove(key);
                if destinations.is_empty() {
                    self.destinations.remove(server);
                }
            }
            Record::Take(item, claim) => {
                self.claims.insert(*item, *claim);
            }
            Record::Release(item) => {
                self.claims.remove(item);
            }
        }
    }
}

impl Origin {
    /// A destination has no settings of its own to give back: it was there, or it was not.
    fn of(claim: &Claim) -> Self {
        if *claim == Claim::Adopted { Self::Adopted } else { Self::Created }
    }

    fn claim(self) -> Claim {
        match self {
            Self::Created => Claim::Created,
            Self::Adopted => Claim::Adopted,
        }
    }
}

/// As a list of pairs: the keys are no texts.
impl Serialize for Custody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.items())
    }
}

impl<'de> Deserialize<'de> for Custody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut custody = Self::default();
        for (item, claim) in Vec::<(Item, Claim)>::deserialize(deserializer)? {
            custody.record(&Record::Take(item, claim));
        }
        Ok(custody)
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
            if let Some(claim) = claim {
                custody.record(&Record::Take(item, claim));
            }
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
