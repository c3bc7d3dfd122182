//! What stands in our table, as the kernel tells it.

use std::collections::BTreeMap;

use lvs_core::packet_rule::{PacketRuleKey, PacketRuleKind, PacketRuleSettings};
use netlink_packet_core::{DecodeError, NLM_F_ACK, NLM_F_DUMP};
use nix::errno::Errno;

use super::element;
use super::layout::{Chain, Map};
use super::message::{
    ACCEPT, HEADER_LENGTH, Message, NFPROTO_IP, NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE,
    NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY, NFTA_RULE_USERDATA, NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_TABLE_FLAGS,
    NFTA_TABLE_USE, comment,
};
use crate::kernel::error::{Cause, Error};
use crate::kernel::rtnetlink::{attributes, behind};
use crate::kernel::socket::Socket;

/// Our table; what is not there is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) table: Option<Table>,
    pub(super) kinds: BTreeMap<PacketRuleKind, Kind>,
}

/// The table itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Whether its chains see packets.
    awake: bool,
    /// How many chains and maps it has.
    pub(super) holds: u32,
}

/// What there is for one kind of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kind {
    /// Whether there is a chain of our name.
    pub(super) chain: bool,
    /// Whether packets get to the maps: everything is as we make it.
    pub(super) reached: bool,
    /// The maps that there are.
    pub(super) maps: Vec<Map>,
    pub(super) rules: BTreeMap<PacketRuleKey, u32>,
}

impl Standing {
    /// Reads it; an empty one where the kernel has no nftables, or tells nothing without `CAP_NET_ADMIN`.
    pub(super) fn read(socket: &mut Socket) -> Result<Self, Error> {
        let Some(table) = table(socket)? else { return Ok(Self::default()) };
        let mut standing = Self { table: Some(table), kinds: BTreeMap::new() };
        for kind in PacketRuleKind::ALL {
            let found = Kind::read(socket, kind, table.awake)?;
            if found != Kind::default() {
                standing.kinds.insert(kind, found);
            }
        }
        Ok(standing)
    }

    /// The rules as core knows them.
    pub(super) fn rules(&self) -> BTreeMap<PacketRuleKey, PacketRuleSettings> {
        let of_kind = |kind: &Kind| {
            let reached = kind.reached;
            let settings = move |(key, value): (&PacketRuleKey, &u32)| {
                (*key, PacketRuleSettings { value: *value, reached })
            };
            kind.rules.iter().map(settings).collect::<Vec<_>>()
        };
        self.kinds.values().flat_map(of_kind).collect()
    }
}

impl Kind {
    fn read(socket: &mut Socket, kind: PacketRuleKind, awake: bool) -> Result<Self, Error> {
        let chain = chain(socket, Chain::of(kind))?;
        let mut found = Self { chain: chain.is_some(), ..Self::default() };
        for map in Map::of_kind(kind) {
            if let Some(rules) = elements(socket, map)? {
                found.maps.push(map);
                found.rules.extend(rules);
            }
        }
        let ours = Map::of_kind(kind);
        if awake && chain == Some(true) && found.maps == ours {
            let comments = comments(socket, Chain::of(kind))?;
            found.reached = comments == ours.map(|map| Some(comment(map)));
        }
        Ok(found)
    }
}

const DOING: &str = "reading the packet rules";

/// What is asked for; none where there is no such thing.
fn there<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error { cause: Cause::Refused { errno: Errno::ENOENT, .. }, .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// Whether kube-proxy has a table.
pub(super) fn has_kube_proxy_table(socket: &mut Socket) -> bool {
    NFPROTO_IP.into_iter().any(|family| {
        let request = Message::get_kube_proxy_table(family);
        let emit = |sequence, buffer: &mut Vec<u8>| request.emit(sequence, buffer);
        socket.ask(DOING, &emit, &mut |_, _| Ok(())).is_ok()
    })
}

fn table(socket: &mut Socket) -> Result<Option<Table>, Error> {
    let request = Message::get_table(NLM_F_ACK);
    let mut table = Table { awake: true, holds: 0 };
    let answer = socket.ask(DOING, &|sequence, buffer| request.emit(sequence, buffer), &mut |_, payload| {
        for attribute in attributes(behind(payload, HEADER_LENGTH)) {
            match attribute? {
                (NFTA_TABLE_FLAGS, value) => table.awake = number(value)? == 0,
                (NFTA_TABLE_USE, value) => table.holds = number(value)?,
                _ => {}
            }
        }
        Ok(())
    });
    match there(answer) {
        // Without CAP_NET_ADMIN nobody is told anything; without nftables there is nothing to tell.
        Err(error)
            if error.is_not_permitted() || matches!(error.errno(), Errno::EINVAL | Errno::EOPNOTSUPP) =>
        {
            Ok(None)
        }
        other => Ok(other?.map(|()| table)),
    }
}

/// Whether a chain is where ours has to be; none where there is no chain of that name.
fn chain(socket: &mut Socket, chain: Chain) -> Result<Option<bool>, Error> {
    let request = Message::get_chain(chain, NLM_F_ACK);
    let mut right = false;
    let answer = socket.ask(DOING, &|sequence, buffer| request.emit(sequence, buffer), &mut |_, payload| {
        right = is_chain(chain, behind(payload, HEADER_LENGTH))?;
        Ok(())
    });
    Ok(there(answer)?.map(|()| right))
}

fn is_chain(chain: Chain, bytes: &[u8]) -> Result<bool, DecodeError> {
    let (mut hook, mut priority, mut kind, mut accepts) = (None, None, None, false);
    for attribute in attributes(bytes) {
        match attribute? {
            (NFTA_CHAIN_HOOK, value) => {
                for part in attributes(value) {
                    match part? {
                        (NFTA_HOOK_HOOKNUM, value) => hook = Some(number(value)?),
                        (NFTA_HOOK_PRIORITY, value) => priority = Some(number(value)?.cast_signed()),
                        _ => {}
                    }
                }
            }
            (NFTA_CHAIN_TYPE, value) => kind = Some(value.strip_suffix(&[0]).unwrap_or(value)),
            (NFTA_CHAIN_POLICY, value) => accepts = number(value)? == ACCEPT,
            _ => {}
        }
    }
    let place = (hook, priority) == (Some(chain.hook), Some(chain.priority));
    Ok(place && accepts && kind == Some(chain.kind.as_bytes()))
}

/// What the kernel keeps for `nft` of each rule of a chain, in their order.
fn comments(socket: &mut Socket, chain: Chain) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let request = Message::get_rules(chain, NLM_F_DUMP);
    let comments =
        socket.dump(DOING, &|sequence, buffer| request.emit(sequence, buffer), &mut |_, payload| {
            let mut comment = None;
            for attribute in attributes(behind(payload, HEADER_LENGTH)) {
                if let (NFTA_RULE_USERDATA, value) = attribute? {
                    comment = Some(value.to_vec());
                }
            }
            Ok(Some(comment))
        });
    Ok(there(comments)?.unwrap_or_default())
}

/// The rules of a map; none where there is no such map.
fn elements(socket: &mut Socket, map: Map) -> Result<Option<Vec<(PacketRuleKey, u32)>>, Error> {
    let request = Message::get_elements(map, NLM_F_DUMP);
    let lists = socket.dump(DOING, &|sequence, buffer| request.emit(sequence, buffer), &mut |_, payload| {
        let mut rules = Vec::new();
        for attribute in attributes(behind(payload, HEADER_LENGTH)) {
            if let (NFTA_SET_ELEM_LIST_ELEMENTS, list) = attribute? {
                rules.extend(element::parse(map, list)?);
            }
        }
        Ok(Some(rules))
    });
    Ok(there(lists)?.map(|lists| lists.into_iter().flatten().collect()))
}

/// A number in network byte order.
fn number(value: &[u8]) -> Result<u32, DecodeError> {
    let bytes = value.try_into().map_err(|_| DecodeError::from("a number is not of 4 bytes"))?;
    Ok(u32::from_be_bytes(bytes))
}
