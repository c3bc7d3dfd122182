//! What a rule of nftables does, step by step: `struct nft_expr` in attributes of `linux/netfilter/nf_tables.h`.

use lvs_core::network::Family;
use lvs_core::packet_rule::PacketRuleKind;
use netlink_packet_core::DefaultNla;

use super::layout::Map;
use super::message::{attribute, nest, number, text};

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;

const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFTA_META_SREG: u16 = 3;
const NFT_META_MARK: u32 = 3;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;

const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFT_CMP_EQ: u32 = 0;
const NFTA_DATA_VALUE: u16 = 1;

const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;

const NFTA_LOOKUP_SET: u16 = 1;
const NFTA_LOOKUP_SREG: u16 = 2;
const NFTA_LOOKUP_DREG: u16 = 3;

const NFTA_NAT_TYPE: u16 = 1;
const NFTA_NAT_FAMILY: u16 = 2;
const NFTA_NAT_REG_ADDR_MIN: u16 = 3;
const NFTA_NAT_REG_PROTO_MIN: u16 = 5;
const NFT_NAT_DNAT: u32 = 1;

// linux/netfilter.h
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

/// Where a destination stands in an IPv4 and in an IPv6 header, and a destination port behind them.
const IPV4_DESTINATION: u32 = 16;
const IPV6_DESTINATION: u32 = 24;
const DESTINATION_PORT: u32 = 2;

/// The rule that looks packets up in a map: it begins with those of the map's family.
pub(super) fn rule(map: Map) -> Vec<DefaultNla> {
    let (address, protocol) = (0, map.address_length());
    let offset = match map.family {
        Family::IPv4 => IPV4_DESTINATION,
        Family::IPv6 => IPV6_DESTINATION,
    };
    let mut steps = vec![
        meta(NFT_META_NFPROTO, address),
        is_family(map.family),
        payload(NFT_PAYLOAD_NETWORK_HEADER, offset, map.address_length(), address),
        meta(NFT_META_L4PROTO, protocol),
    ];
    if !map.all_ports {
        steps.push(payload(NFT_PAYLOAD_TRANSPORT_HEADER, DESTINATION_PORT, 2, protocol + 4));
    }
    steps.push(lookup(map));
    steps.push(match map.kind {
        PacketRuleKind::Mark => set_mark(),
        PacketRuleKind::Redirect => destination_nat(map),
        PacketRuleKind::SourceNat => expression("masq", &[]),
    });
    steps
}

fn expression(name: &str, attributes: &[DefaultNla]) -> DefaultNla {
    nest(NFTA_LIST_ELEM, &[text(NFTA_EXPR_NAME, name), nest(NFTA_EXPR_DATA, attributes)])
}

/// The number of the register at a byte: `NFT_REG_1` and so on are of 16 bytes, `NFT_REG32_00` and so on of four, and both
/// lie in one place.
fn register(byte: u32) -> u32 {
    if byte.is_multiple_of(16) { 1 + byte / 16 } else { 8 + byte / 4 }
}

fn meta(key: u32, to: u32) -> DefaultNla {
    expression("meta", &[number(NFTA_META_KEY, key), number(NFTA_META_DREG, register(to))])
}

fn is_family(family: Family) -> DefaultNla {
    let number_of = match family {
        Family::IPv4 => NFPROTO_IPV4,
        Family::IPv6 => NFPROTO_IPV6,
    };
    let data = nest(NFTA_CMP_DATA, &[attribute(NFTA_DATA_VALUE, vec![number_of])]);
    expression("cmp", &[number(NFTA_CMP_SREG, register(0)), number(NFTA_CMP_OP, NFT_CMP_EQ), data])
}

fn payload(base: u32, offset: u32, length: u32, to: u32) -> DefaultNla {
    let attributes = [
        number(NFTA_PAYLOAD_DREG, register(to)),
        number(NFTA_PAYLOAD_BASE, base),
        number(NFTA_PAYLOAD_OFFSET, offset),
        number(NFTA_PAYLOAD_LEN, length),
    ];
    expression("payload", &attributes)
}

/// The rule ends here for a packet that is not in the map.
fn lookup(map: Map) -> DefaultNla {
    let mut attributes = vec![number(NFTA_LOOKUP_SREG, register(0))];
    if map.values().is_some() {
        attributes.push(number(NFTA_LOOKUP_DREG, register(0)));
    }
    attributes.push(text(NFTA_LOOKUP_SET, &map.name()));
    expression("lookup", &attributes)
}

fn set_mark() -> DefaultNla {
    expression("meta", &[number(NFTA_META_KEY, NFT_META_MARK), number(NFTA_META_SREG, register(0))])
}

/// To the address and the port that the map gave, one behind the other.
fn destination_nat(map: Map) -> DefaultNla {
    let family = match map.family {
        Family::IPv4 => NFPROTO_IPV4,
        Family::IPv6 => NFPROTO_IPV6,
    };
    let attributes = [
        number(NFTA_NAT_TYPE, NFT_NAT_DNAT),
        number(NFTA_NAT_FAMILY, family.into()),
        number(NFTA_NAT_REG_ADDR_MIN, register(0)),
        number(NFTA_NAT_REG_PROTO_MIN, register(map.address_length())),
    ];
    expression("nat", &attributes)
}
