//! Operations as one transaction: what they need first, then they, then what nothing needs any more.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::kernel::{Op, Refusal};
use lvs_core::packet_rule::{PacketRuleKey, PacketRuleKind};
use nix::errno::Errno;

use super::element::Element;
use super::layout::{Chain, Map};
use super::message::Message;
use super::refusal_of_all;
use super::standing::Standing;
use crate::kernel::socket::{Answer, Socket};

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All was done.
    Done,
    /// Nothing was done, because of these operations, by their place; others might have been.
    Refused(BTreeMap<usize, Refusal>),
    /// Nothing was done, whichever the operations.
    AllRefused(Refusal),
}

/// What a message of a transaction is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// All of it.
    Whole,
    /// The chain and the maps of a kind.
    Kind(PacketRuleKind),
    /// The operation at this place.
    Op(usize),
}

/// A transaction.
pub(super) struct Draft<'a> {
    ops: &'a [Op],
    places: &'a [usize],
    messages: Vec<(About, Message)>,
}

impl<'a> Draft<'a> {
    /// The operations at some places of `ops`, on a table that stands so.
    pub(super) fn of(standing: &Standing, ops: &'a [Op], places: &'a [usize]) -> Self {
        let mut draft = Self { ops, places, messages: vec![(About::Whole, Message::begin())] };
        draft.prepare(standing);
        for place in places {
            draft.op(*place);
        }
        draft.clear_away(standing);
        draft
    }

    /// Sends it.
    pub(super) fn commit(self, socket: &mut Socket) -> Outcome {
        let count = self.messages.len();
        let end = Message::end();
        let answers = socket.transaction("changing packet rules", count, &mut |index, sequence, bytes| {
            let message = self.messages.get(index).map_or(&end, |(_, message)| message);
            message.emit(sequence, bytes);
        });
        self.outcome(&answers)
    }

    fn add(&mut self, about: About, message: Message) {
        self.messages.push((about, message));
    }

    /// Makes or mends what new and changed rules need.
    fn prepare(&mut self, standing: &Standing) {
        let coming = self.places.iter().filter_map(|place| match self.ops[*place] {
            Op::AddPacketRule(key, _) | Op::SetPacketRule(key, _) => Some(key.kind),
            _ => None,
        });
        let coming: BTreeSet<PacketRuleKind> = coming.collect();
        let broken = |kind: &PacketRuleKind| !standing.kinds.get(kind).is_some_and(|there| there.reached);
        let broken: Vec<PacketRuleKind> = coming.into_iter().filter(broken).collect();
        if broken.is_empty() {
            return;
        }
        self.add(About::Whole, Message::add_table());
        let mut id = 0;
        for kind in broken {
            let there = standing.kinds.get(&kind);
            if there.is_some_and(|there| there.chain) {
                self.add(About::Kind(kind), Message::remove_chain(Chain::of(kind)));
            }
            self.add(About::Kind(kind), Message::add_chain(Chain::of(kind)));
            for map in Map::of_kind(kind) {
                if !there.is_some_and(|there| there.maps.contains(&map)) {
                    id += 1;
                    self.add(About::Kind(kind), Message::add_map(map, id));
                }
            }
            for map in Map::of_kind(kind) {
                self.add(About::Kind(kind), Message::add_rule(map));
            }
        }
    }

    fn op(&mut self, place: usize) {
        let about = About::Op(place);
        match self.ops[place] {
            Op::AddPacketRule(key, settings) => {
                self.add(about, Message::add_element(&Element::of(&key, settings.value)));
            }
            Op::SetPacketRule(key, settings) => {
                let element = Element::of(&key, settings.value);
                self.add(about, Message::remove_element(&element));
                self.add(about, Message::add_element(&element));
            }
            Op::RemovePacketRule(key) => self.add(about, Message::remove_element(&Element::of(&key, 0))),
            // The others are not about packet rules.
            _ => {}
        }
    }

    /// Removes what has no rules afterwards, and the table where nothing else is in it.
    fn clear_away(&mut self, standing: &Standing) {
        let Some(table) = standing.table else { return };
        let mut left = table.holds;
        let (mut coming, mut going) = (BTreeSet::new(), BTreeSet::<PacketRuleKey>::new());
        for place in self.places {
            match self.ops[*place] {
                Op::AddPacketRule(key, _) | Op::SetPacketRule(key, _) => _ = coming.insert(key.kind),
                Op::RemovePacketRule(key) => _ = going.insert(key),
                _ => {}
            }
        }
        let mut removed = false;
        for (kind, there) in &standing.kinds {
            let emptied = there.rules.keys().all(|key| going.contains(key));
            if coming.contains(kind) || !emptied || !going.iter().any(|key| key.kind == *kind) {
                continue;
            }
            removed = true;
            if there.chain {
                self.add(About::Kind(*kind), Message::remove_chain(Chain::of(*kind)));
                left = left.saturating_sub(1);
            }
            for map in &there.maps {
                self.add(About::Kind(*kind), Message::remove_map(*map));
                left = left.saturating_sub(1);
            }
        }
        if removed && left == 0 && coming.is_empty() {
            self.add(About::Whole, Message::remove_table());
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.messages.len()
    }

    /// What the answers to its messages mean. What is refused makes others be refused that come after it, so that only what
    /// is about the most of it counts.
    pub(super) fn outcome(&self, answers: &[Answer]) -> Outcome {
        let (mut kinds, mut ops) = (BTreeMap::new(), BTreeMap::new());
        for ((about, _), answer) in self.messages.iter().zip(answers) {
            let errno = match answer {
                Answer::Done => continue,
                Answer::Refused(errno) => *errno,
                Answer::Unknown(errno) => return Outcome::AllRefused(Refusal::Other(*errno as i32)),
            };
            match about {
                About::Whole => return Outcome::AllRefused(refusal_of_all(errno)),
                About::Kind(kind) => _ = kinds.entry(*kind).or_insert_with(|| refusal_of_all(errno)),
                About::Op(place) => _ = ops.entry(*place).or_insert_with(|| refusal_of_op(errno)),
            }
        }
        if kinds.is_empty() && ops.is_empty() {
            return Outcome::Done;
        }
        if !kinds.is_empty() {
            let of_kind = |place: &usize| match self.ops[*place].item() {
                lvs_core::custody::Item::PacketRule(key) => {
                    kinds.get(&key.kind).map(|refusal| (*place, *refusal))
                }
                _ => None,
            };
            return Outcome::Refused(self.places.iter().filter_map(of_kind).collect());
        }
        Outcome::Refused(ops)
    }
}

fn refusal_of_op(errno: Errno) -> Refusal {
    match errno {
        Errno::EEXIST => Refusal::Exists,
        Errno::ENOENT => Refusal::NoPacketRule,
        Errno::EPERM => Refusal::NotPermitted,
        errno => Refusal::Other(errno as i32),
    }
}
