//! Messages of nftables (`linux/netfilter/nf_tables.h`): numbers are in network byte order, names end with a zero byte.

use lvs_core::packet_rule::PacketRuleKind;
use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST,
};

use super::element::Element;
use super::expression;
use super::layout::{Chain, Map, TABLE};
use crate::kernel::rtnetlink::{Bytes, message, nested};

// linux/netfilter/nfnetlink.h
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
/// `NFPROTO_IPV4`, `NFPROTO_IPV6`.
pub(super) const NFPROTO_IP: [u8; 2] = [2, 10];
/// Bytes of `struct nfgenmsg`: the family, a version, 16 bits more.
pub(super) const HEADER_LENGTH: usize = 4;

const NFT_MSG_NEWTABLE: u16 = 0;
pub(super) const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
pub(super) const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_DELCHAIN: u16 = 5;
const NFT_MSG_NEWRULE: u16 = 6;
pub(super) const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_DELSET: u16 = 11;
const NFT_MSG_NEWSETELEM: u16 = 12;
pub(super) const NFT_MSG_GETSETELEM: u16 = 13;
const NFT_MSG_DELSETELEM: u16 = 14;
/// Only what holds nothing any more (`NLM_F_NONREC` of linux/netlink.h).
const NLM_F_NONREC: u16 = 0x100;

const NFTA_TABLE_NAME: u16 = 1;
pub(super) const NFTA_TABLE_FLAGS: u16 = 2;
pub(super) const NFTA_TABLE_USE: u16 = 3;

const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
pub(super) const NFTA_CHAIN_HOOK: u16 = 4;
pub(super) const NFTA_CHAIN_POLICY: u16 = 5;
pub(super) const NFTA_CHAIN_TYPE: u16 = 7;
pub(super) const NFTA_HOOK_HOOKNUM: u16 = 1;
pub(super) const NFTA_HOOK_PRIORITY: u16 = 2;
/// `NF_ACCEPT` of linux/netfilter.h
pub(super) const ACCEPT: u32 = 1;

const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
pub(super) const NFTA_RULE_USERDATA: u16 = 7;
/// A comment, as `nft` puts it among what the kernel keeps for it: type, length, text.
const COMMENT: u8 = 0;

const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
/// The byte order of a map's values, for `nft` to show them: type, length, number.
const VALUES_BYTE_ORDER: u8 = 1;
const HOST_BYTE_ORDER: u32 = 1;
const NFT_SET_MAP: u32 = 8;

const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
pub(super) const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;

/// One message without its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Message {
    /// A message about what is in our table.
    fn new(kind: u16, flags: u16, attributes: &[DefaultNla]) -> Self {
        let mut body = vec![NFPROTO_INET, 0, 0, 0];
        body.extend(all(attributes));
        Self { kind: NFNL_SUBSYS_NFTABLES << 8 | kind, flags: NLM_F_REQUEST | flags, body }
    }

    /// What begins a transaction.
    pub(super) fn begin() -> Self {
        Self::fence(NFNL_MSG_BATCH_BEGIN)
    }

    /// What ends it.
    pub(super) fn end() -> Self {
        Self::fence(NFNL_MSG_BATCH_END)
    }

    fn fence(kind: u16) -> Self {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        Self { kind, flags: NLM_F_REQUEST, body: vec![NFPROTO_UNSPEC, 0, high, low] }
    }

    pub(super) fn emit(&self, sequence: u32, buffer: &mut Vec<u8>) {
        message(self.kind, self.flags, sequence, &[&Bytes(&self.body)], buffer);
    }

    /// Makes the table, or wakes one that sleeps.
    pub(super) fn add_table() -> Self {
        Self::new(
            NFT_MSG_NEWTABLE,
            NLM_F_CREATE,
            &[text(NFTA_TABLE_NAME, TABLE), number(NFTA_TABLE_FLAGS, 0)],
        )
    }

    pub(super) fn get_table(flags: u16) -> Self {
        Self::new(NFT_MSG_GETTABLE, flags, &[text(NFTA_TABLE_NAME, TABLE)])
    }

    /// Asks for a table of kube-proxy's (`pkg/proxy/nftables/proxier.go`).
    pub(super) fn get_kube_proxy_table(family: u8) -> Self {
        let mut message = Self::new(NFT_MSG_GETTABLE, NLM_F_ACK, &[text(NFTA_TABLE_NAME, "kube-proxy")]);
        message.body[0] = family;
        message
    }

    pub(super) fn remove_table() -> Self {
        Self::new(NFT_MSG_DELTABLE, NLM_F_NONREC, &[text(NFTA_TABLE_NAME, TABLE)])
    }

    pub(super) fn add_chain(chain: Chain) -> Self {
        let priority = chain.priority.cast_unsigned();
        let hook = [number(NFTA_HOOK_HOOKNUM, chain.hook), number(NFTA_HOOK_PRIORITY, priority)];
        let mut attributes = of_chain(chain);
        attributes.extend([
            text(NFTA_CHAIN_TYPE, chain.kind),
            number(NFTA_CHAIN_POLICY, ACCEPT),
            nest(NFTA_CHAIN_HOOK, &hook),
        ]);
        Self::new(NFT_MSG_NEWCHAIN, NLM_F_CREATE, &attributes)
    }

    pub(super) fn get_chain(chain: Chain, flags: u16) -> Self {
        Self::new(NFT_MSG_GETCHAIN, flags, &of_chain(chain))
    }

    /// With its rules.
    pub(super) fn remove_chain(chain: Chain) -> Self {
        Self::new(NFT_MSG_DELCHAIN, 0, &of_chain(chain))
    }

    pub(super) fn add_rule(map: Map) -> Self {
        let mut attributes = of_rules(Chain::of(map.kind));
        attributes.push(nest(NFTA_RULE_EXPRESSIONS, &expression::rule(map)));
        attributes.push(attribute(NFTA_RULE_USERDATA, comment(map)));
        Self::new(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, &attributes)
    }

    pub(super) fn get_rules(chain: Chain, flags: u16) -> Self {
        Self::new(NFT_MSG_GETRULE, flags, &of_rules(chain))
    }

    /// `id` tells it from others of the same transaction.
    pub(super) fn add_map(map: Map, id: u32) -> Self {
        let (key_type, key_length) = map.keys();
        let flags = if map.values().is_some() { NFT_SET_MAP } else { 0 };
        let mut attributes = of_map(map);
        attributes.extend([
            number(NFTA_SET_FLAGS, flags),
            number(NFTA_SET_KEY_TYPE, key_type),
            number(NFTA_SET_KEY_LEN, key_length),
        ]);
        if let Some((value_type, value_length)) = map.values() {
            attributes.push(number(NFTA_SET_DATA_TYPE, value_type));
            attributes.push(number(NFTA_SET_DATA_LEN, value_length));
        }
        attributes.push(number(NFTA_SET_ID, id));
        if map.kind == PacketRuleKind::Mark {
            let order = [&[VALUES_BYTE_ORDER, 4][..], &HOST_BYTE_ORDER.to_ne_bytes()].concat();
            attributes.push(attribute(NFTA_SET_USERDATA, order));
        }
        Self::new(NFT_MSG_NEWSET, NLM_F_CREATE, &attributes)
    }

    pub(super) fn remove_map(map: Map) -> Self {
        Self::new(NFT_MSG_DELSET, 0, &of_map(map))
    }

    pub(super) fn get_elements(map: Map, flags: u16) -> Self {
        Self::new(NFT_MSG_GETSETELEM, flags, &of_elements(map))
    }

    /// Refused where there is one with the same key.
    pub(super) fn add_element(element: &Element) -> Self {
        Self::elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, element.map, element.attributes())
    }

    pub(super) fn remove_element(element: &Element) -> Self {
        Self::elements(NFT_MSG_DELSETELEM, 0, element.map, element.key_attributes())
    }

    fn elements(kind: u16, flags: u16, map: Map, element: DefaultNla) -> Self {
        let mut attributes = of_elements(map);
        attributes.push(nest(NFTA_SET_ELEM_LIST_ELEMENTS, &[element]));
        Self::new(kind, flags, &attributes)
    }
}

/// The comment of the rule for a map. By it we know our rules.
pub(super) fn comment(map: Map) -> Vec<u8> {
    let mut text = map.name().into_bytes();
    text.push(0);
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [vec![COMMENT, length], text].concat()
}

fn of_chain(chain: Chain) -> Vec<DefaultNla> {
    vec![text(NFTA_CHAIN_TABLE, TABLE), text(NFTA_CHAIN_NAME, chain.name)]
}

fn of_rules(chain: Chain) -> Vec<DefaultNla> {
    vec![text(NFTA_RULE_TABLE, TABLE), text(NFTA_RULE_CHAIN, chain.name)]
}

fn of_map(map: Map) -> Vec<DefaultNla> {
    vec![text(NFTA_SET_TABLE, TABLE), text(NFTA_SET_NAME, &map.name())]
}

fn of_elements(map: Map) -> Vec<DefaultNla> {
    vec![text(NFTA_SET_ELEM_LIST_TABLE, TABLE), text(NFTA_SET_ELEM_LIST_SET, &map.name())]
}

pub(super) fn attribute(kind: u16, value: Vec<u8>) -> DefaultNla {
    DefaultNla::new(kind, value)
}

pub(super) fn number(kind: u16, value: u32) -> DefaultNla {
    attribute(kind, value.to_be_bytes().to_vec())
}

pub(super) fn text(kind: u16, value: &str) -> DefaultNla {
    attribute(kind, [value.as_bytes(), &[0]].concat())
}

pub(super) fn nest(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    attribute(kind | NLA_F_NESTED, all(attributes))
}

fn all(attributes: &[DefaultNla]) -> Vec<u8> {
    let attributes: Vec<&dyn Emitable> =
        attributes.iter().map(|attribute| attribute as &dyn Emitable).collect();
    nested(&attributes)
}
