//! Doing the phases of a diff: what goes ahead after a failure, and which records are written.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::standing::{self, Standing};
use crate::custody::{Claim, Custody, Item, Record};
use crate::ipvs::{DestinationKey, ForwardingMethod, VirtualServerKey};
use crate::kernel::{Kernel, Op, Refusal};
use crate::network::Family;
use crate::packet_rule::{PacketRuleKey, PacketRuleKind};
use crate::sysctl::{IpvsSysctl, Sysctl};
use crate::wanted::{Failure, Phase, PhaseName, Wanted};

/// One run over the phases of a diff.
///
/// A failure blocks later operations of the same VIP or virtual server that would not be safe without it, and no others
/// (a link that cannot be hidden concerns every IPv4 VIP):
///
/// | failed | blocked |
/// |---|---|
/// | hiding ARP on a link | IPv4 VIPs' coming to `lo` or to an uplink |
/// | a VIP's coming to `lo` | its coming to the uplink |
/// | a VIP's leaving the uplink or `lo` | its leaving `lo`, and its virtual servers' and their destinations' removal |
/// | an IPv4 VIP's leaving | showing ARP |
/// | adding or taking over a virtual server | what is about its destinations |
/// | turning IPv4 forwarding of a link on | adding and changing destinations that are masqueraded |
/// | source NAT to a real server, connection tracking | adding and changing destinations that need them |
/// | changing or removing a destination, removing a virtual server | taking away what masquerading needs |
/// | adding every virtual server of a VIP, or what marks its packets, where no other stays | its coming to the uplink; where it is there already, the removal of those that it had |
/// | adding the virtual server of a mark | giving packets the mark |
///
/// For each phase, [`admits`](Self::admits) tells which operations go ahead and [`before`](Self::before) what has to be
/// on disk first; [`left_out`](Self::left_out) and [`tried`](Self::tried) take note of what became of each operation;
/// [`after`](Self::after) tells what is written behind them.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "failures of independent kinds")]
pub struct Run {
    standing: Standing,
    /// What custody said before the run of those items of ours that get a record in it.
    earlier: BTreeMap<Item, Record>,
    /// The virtual servers that are being taken over.
    taken_over: BTreeSet<VirtualServerKey>,
    /// Whether a link could not be hidden.
    exposed: bool,
    /// Whether an IPv4 VIP could not leave.
    left_behind: bool,
    /// Whether forwarding could not be turned on somewhere.
    not_forwarding: bool,
    /// Whether a destination may be there still that needs it.
    still_needed: bool,
    /// Whether connections could not be tracked.
    not_tracking: bool,
    /// Where source NAT is wanted: to these addresses and ports.
    translated: BTreeSet<(IpAddr, u16)>,
    /// Where it could not be had.
    not_translated: BTreeSet<(IpAddr, u16)>,
    not_come: BTreeSet<IpAddr>,
    not_left: BTreeSet<IpAddr>,
    /// Virtual servers that could not be added or taken over.
    not_ours: BTreeSet<VirtualServerKey>,
    /// The operations since the last [`Self::after`] that were not done.
    outcomes: BTreeMap<Item, Outcome>,
    failures: Vec<Failure>,
}

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    LeftOut,
    Refused(Refusal),
}

impl Run {
    /// A run over `phases`, which `diff` made of the other three.
    #[must_use]
    pub fn new(wanted: &Wanted, have: &Kernel, owned: &Custody, phases: &[Phase]) -> Self {
        let ops: Vec<&Op> = phases.iter().flat_map(|phase| &phase.ops).collect();
        let records = || phases.iter().flat_map(|phase| &phase.before);
        let taken_over = records().filter_map(|record| match record {
            Record::Take(Item::VirtualServer(key), Claim::Adopted) => Some(*key),
            _ => None,
        });
        Self {
            standing: Standing::before(wanted, have, owned, &ops),
            taken_over: taken_over.collect(),
            earlier: records()
                .map(Record::item)
                .filter(|item| owned.holds(item))
                .map(|item| (item, owned.standing(item)))
                .collect(),
            exposed: false,
            left_behind: false,
            not_forwarding: false,
            still_needed: false,
            not_tracking: false,
            translated: wanted.packet_rules.keys().filter_map(translated).collect(),
            not_translated: BTreeSet::new(),
            not_come: BTreeSet::new(),
            not_left: BTreeSet::new(),
            not_ours: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Whether an operation of a phase goes ahead, after all that has failed before it.
    #[must_use]
    pub fn admits(&self, phase: PhaseName, op: &Op) -> bool {
        match op {
            Op::SetArp(..) => phase != PhaseName::Show || !self.left_behind,
            Op::AddAddress(key, _) => {
                let vip = key.address;
                let hidden = vip.is_ipv6() || !self.exposed;
                let backed = !self.not_come.contains(&vip) && self.standing.serves(vip);
                hidden && (phase != PhaseName::Attract || backed)
            }
            Op::RemoveAddress(key) => !self.not_left.contains(&key.address),
            Op::RemoveVirtualServer(key) => self.has_left(key) && self.standing.can_lose_server(key),
            Op::RemoveDestination(key, _) => !self.not_ours.contains(key) && self.has_left(key),
            Op::RemovePacketRule(rule) => match rule.kind {
                PacketRuleKind::Mark => {
                    !self.not_left.contains(&rule.address) && self.standing.can_lose(rule.address)
                }
                PacketRuleKind::SourceNat => !self.still_needed,
                PacketRuleKind::Redirect => true,
            },
            Op::AddPacketRule(..) | Op::SetPacketRule(..) => {
                standing::mark_of(op).is_none_or(|key| !self.not_ours.contains(&key))
            }
            Op::AddDestination(key, destination, settings)
            | Op::SetDestination(key, destination, settings) => {
                !self.not_ours.contains(key) && self.comes_back(*destination, settings.method)
            }
            Op::ZeroCounters(key) => !self.not_ours.contains(key),
            Op::SetAddress(..)
            | Op::AddVirtualServer(..)
            | Op::SetVirtualServer(..)
            | Op::SetTimeouts(_)
            | Op::AddTunnel(..)
            | Op::SetTunnel(..)
            | Op::RemoveTunnel(_)
            | Op::OpenGuePort(_)
            | Op::CloseGuePort(_) => true,
            Op::SetForwarding(_, on) => *on || !self.still_needed,
            Op::SetSysctl(..) => phase == PhaseName::VirtualServers || !self.still_needed,
        }
    }

    /// Whether the replies of a destination would come back, after all that has failed.
    fn comes_back(&self, destination: DestinationKey, method: ForwardingMethod) -> bool {
        let DestinationKey { address, port } = destination;
        let among = |places: &BTreeSet<(IpAddr, u16)>| {
            places.contains(&(address, port)) || places.contains(&(address, 0))
        };
        let lost = among(&self.not_translated) || (self.not_tracking && among(&self.translated));
        method != ForwardingMethod::Masquerade || !(self.not_forwarding || lost)
    }

    /// The records that have to be on disk before the operations of a phase, all but those that were left out.
    #[must_use]
    pub fn before<'a>(&self, phase: &'a Phase, out: &[Op]) -> Cow<'a, [Record]> {
        if out.is_empty() {
            return Cow::Borrowed(&phase.before);
        }
        // A record without an operation is about an entry that is taken over as it is.
        let out: BTreeSet<Item> = out.iter().map(Op::item).collect();
        phase.before.iter().filter(|record| !out.contains(&record.item())).copied().collect()
    }

    /// Takes note of an operation that was not tried: it is not [admitted](Self::admits), or waits for its next try
    /// after `refusal`.
    pub fn left_out(&mut self, phase: PhaseName, op: &Op, refusal: Option<Refusal>) {
        self.failed(phase, op);
        self.outcomes.insert(op.item(), Outcome::LeftOut);
        self.failures.push(Failure { op: *op, refusal });
    }

    /// Takes note of what the kernel said to an operation. The removal of what is gone already counts as done.
    pub fn tried(&mut self, phase: PhaseName, op: &Op, result: Result<(), Refusal>) {
        match result {
            Err(refusal) if !is_gone(op, refusal) => {
                self.failed(phase, op);
                self.outcomes.insert(op.item(), Outcome::Refused(refusal));
                self.failures.push(Failure { op: *op, refusal: Some(refusal) });
            }
            _ => self.standing.done(op),
        }
    }

    /// The records that are written once the operations of a phase have been tried. For an operation that was refused
    /// for certain they take back what was written before it: an entry that somebody else made in between is not ours.
    #[must_use]
    pub fn after<'a>(&mut self, phase: &'a Phase) -> Cow<'a, [Record]> {
        if self.outcomes.is_empty() {
            return Cow::Borrowed(&phase.after);
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        let outcome = |record: &Record| {
            let item = record.item();
            // A virtual server takes its destinations along, where it goes and where it is taken over.
            let server =
                if let Item::Destination(key, _) = item { Some(Item::VirtualServer(key)) } else { None };
            outcomes.get(&item).or_else(|| server.and_then(|server| outcomes.get(&server))).copied()
        };
        let done = |record: &&Record| outcome(record).is_none();
        let refused = |record: &&Record| matches!(outcome(record), Some(Outcome::Refused(refusal)) if is_certain(refusal));
        let earlier = |item: Item| self.earlier.get(&item).copied().unwrap_or(Record::Release(item));
        let taken_back = phase.before.iter().filter(refused).map(|record| earlier(record.item()));
        phase.after.iter().filter(done).copied().chain(taken_back).collect()
    }

    /// What has failed so far, that included which was left out.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Whether no VIP that a virtual server serves has failed to leave; that of a mark may serve any of its family.
    fn has_left(&self, key: &VirtualServerKey) -> bool {
        match key.vip() {
            Some(vip) => !self.not_left.contains(&vip),
            None => self.not_left.iter().all(|vip| Family::of(*vip) != key.family()),
        }
    }

    fn failed(&mut self, phase: PhaseName, op: &Op) {
        match op {
            Op::SetArp(..) => self.exposed |= phase == PhaseName::Hide,
            Op::AddAddress(key, _) => {
                self.not_come.insert(key.address);
            }
            Op::RemoveAddress(key) => {
                self.not_left.insert(key.address);
                self.left_behind |= key.address.is_ipv4();
            }
            Op::AddVirtualServer(key, _) => {
                self.not_ours.insert(*key);
            }
            Op::SetForwarding(_, on) => self.not_forwarding |= on,
            Op::SetSysctl(Sysctl::Ipvs(IpvsSysctl::Conntrack), _) => self.not_tracking = true,
            Op::AddPacketRule(key, _) | Op::SetPacketRule(key, _) => {
                self.not_translated.extend(translated(key));
            }
            Op::SetDestination(..) | Op::RemoveDestination(..) | Op::RemoveVirtualServer(_) => {
                self.still_needed = true;
            }
            Op::SetVirtualServer(key, _) if self.taken_over.contains(key) => {
                self.not_ours.insert(*key);
            }
            _ => {}
        }
    }
}

/// Where packets get another source, by a rule that does that.
fn translated(key: &PacketRuleKey) -> Option<(IpAddr, u16)> {
    (key.kind == PacketRuleKind::SourceNat).then_some((key.address, key.port))
}

/// Whether a refusal says that what was to be removed is not there.
fn is_gone(op: &Op, refusal: Refusal) -> bool {
    match op {
        Op::RemoveAddress(_) => matches!(refusal, Refusal::NoAddress | Refusal::NoLink),
        Op::RemoveTunnel(_) | Op::SetForwarding(_, false) => refusal == Refusal::NoLink,
        Op::RemovePacketRule(_) => refusal == Refusal::NoPacketRule,
        Op::RemoveVirtualServer(_) => refusal == Refusal::NoVirtualServer,
        Op::RemoveDestination(..) => matches!(refusal, Refusal::NoVirtualServer | Refusal::NoDestination),
        _ => false,
    }
}

/// Whether a refusal says for certain that nothing has changed.
fn is_certain(refusal: Refusal) -> bool {
    !matches!(refusal, Refusal::Other(_))
}
