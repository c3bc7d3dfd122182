//! A rule as an element of its map.

use std::net::IpAddr;

use lvs_core::network::{Family, Protocol};
use lvs_core::packet_rule::{PacketRuleKey, PacketRuleKind};
use netlink_packet_core::{DecodeError, DefaultNla};

use super::layout::Map;
use super::message::{attribute, nest};
use crate::kernel::rtnetlink::{address, attributes};

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;

// Assigned internet protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// One element of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) map: Map,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Element {
    /// The element that is a rule; the value counts only where it is added.
    pub(super) fn of(rule: &PacketRuleKey, value: u32) -> Self {
        let map = Map::of(rule);
        let octets = match rule.address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let mut key = octets.clone();
        key.extend([protocol_number(rule.protocol), 0, 0, 0]);
        if !map.all_ports {
            key.extend(filled(rule.port));
        }
        let value = match map.kind {
            PacketRuleKind::Mark => Some(value.to_ne_bytes().to_vec()),
            // A port: no plan has another number.
            PacketRuleKind::Redirect => {
                Some([octets, filled(u16::try_from(value).unwrap_or_default()).to_vec()].concat())
            }
            PacketRuleKind::SourceNat => None,
        };
        Self { map, key, value }
    }

    pub(super) fn attributes(&self) -> DefaultNla {
        let value = self.value.iter().map(|value| data(NFTA_SET_ELEM_DATA, value));
        let parts: Vec<_> = [data(NFTA_SET_ELEM_KEY, &self.key)].into_iter().chain(value).collect();
        nest(NFTA_LIST_ELEM, &parts)
    }

    pub(super) fn key_attributes(&self) -> DefaultNla {
        nest(NFTA_LIST_ELEM, &[data(NFTA_SET_ELEM_KEY, &self.key)])
    }
}

fn data(kind: u16, value: &[u8]) -> DefaultNla {
    nest(kind, &[attribute(NFTA_DATA_VALUE, value.to_vec())])
}

/// A port in network byte order, filled up to four bytes.
fn filled(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
        Protocol::Sctp => SCTP,
    }
}

/// The rules that a list of elements holds, with their values. What somebody has put there that is no rule of ours is left
/// out.
pub(super) fn parse(map: Map, list: &[u8]) -> Result<Vec<(PacketRuleKey, u32)>, DecodeError> {
    let mut rules = Vec::new();
    for element in attributes(list) {
        let (mut key, mut value) = (None, None);
        for part in attributes(element?.1) {
            match part? {
                (NFTA_SET_ELEM_KEY, bytes) => key = data_value(bytes)?,
                (NFTA_SET_ELEM_DATA, bytes) => value = data_value(bytes)?,
                _ => {}
            }
        }
        let rule = key.and_then(|key| rule(map, key));
        rules.extend(rule.and_then(|rule| Some((rule, value_of(map, &rule, value)?))));
    }
    Ok(rules)
}

fn data_value(bytes: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
    let mut found = None;
    for part in attributes(bytes) {
        if let (NFTA_DATA_VALUE, value) = part? {
            found = Some(value);
        }
    }
    Ok(found)
}

fn rule(map: Map, key: &[u8]) -> Option<PacketRuleKey> {
    let (octets, rest) = key.split_at_checked(usize::try_from(map.address_length()).ok()?)?;
    let address = address(octets).ok()?;
    let (protocol, port) = match rest {
        [protocol, 0, 0, 0] if map.all_ports => (protocol, 0),
        [protocol, 0, 0, 0, high, low, 0, 0] if !map.all_ports => {
            (protocol, u16::from_be_bytes([*high, *low]))
        }
        _ => return None,
    };
    let protocol = match *protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        SCTP => Protocol::Sctp,
        _ => return None,
    };
    // A key with a port of 0 is none for all ports, and stands for no packet.
    let right = Family::of(address) == map.family && (map.all_ports || port != 0);
    right.then_some(PacketRuleKey { kind: map.kind, protocol, address, port })
}

/// What the value says: 0 for what no rule of ours says, such as a redirect to another address.
fn value_of(map: Map, rule: &PacketRuleKey, value: Option<&[u8]>) -> Option<u32> {
    match map.kind {
        PacketRuleKind::Mark => value?.try_into().ok().map(u32::from_ne_bytes),
        PacketRuleKind::Redirect => {
            let (octets, port) = value?.split_at_checked(usize::try_from(map.address_length()).ok()?)?;
            let same = address(octets).ok()? == rule.address;
            let [high, low, ..] = port else { return None };
            Some(if same { u16::from_be_bytes([*high, *low]).into() } else { 0 })
        }
        PacketRuleKind::SourceNat => Some(0),
    }
}
