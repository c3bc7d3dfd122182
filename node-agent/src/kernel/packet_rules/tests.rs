use lvs_core::packet_rule::PacketRuleKind;
use netlink_packet_core::Emitable as _;

use super::element::{self, Element};
use super::layout::{Chain, Map};
use super::message::Message;
use super::standing::Kind;
use super::*;
use crate::kernel::rtnetlink::{attributes, nested};
use crate::kernel::socket::Answer;

fn key(text: &str) -> PacketRuleKey {
    text.parse().unwrap()
}

/// A message's attributes as `strace` shows those of `nft`: each with its number, the value in hexadecimal digits.
fn shown(message: &Message) -> Vec<(u16, String)> {
    let mut bytes = Vec::new();
    message.emit(0, &mut bytes);
    let hex = |value: &[u8]| value.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    attributes(&bytes[20..])
        .map(|attribute| attribute.unwrap())
        .map(|(kind, value)| (kind, hex(value)))
        .collect()
}

/// Those that stand in `nft`'s message too, which has more.
fn assert_like_nft(message: &Message, captured: &[(u16, &str)]) {
    let shown = shown(message);
    for (kind, value) in captured {
        let ours = shown.iter().find(|(number, _)| number == kind).map(|(_, value)| value.as_str());
        assert_eq!(ours, Some(*value), "attribute {kind}");
    }
}

const TABLE_NAME: &str = "6c76732d6f70657261746f7200";

/// `nft add map inet lvs-operator mark-ipv4 '{ type ipv4_addr . inet_proto . inet_service : mark; }'`, 1.0.6.
#[test]
fn a_map_is_made_as_nft_makes_it() {
    let [_, ports, ..] = Map::of_kind(PacketRuleKind::Mark);
    let captured = [
        (1, TABLE_NAME),
        (2, "6d61726b2d6970763400"),
        (3, "00000008"),
        (4, "0000730d"),
        (5, "0000000c"),
        (6, "00000013"),
        (7, "00000004"),
        (10, "00000001"),
    ];
    assert_like_nft(&Message::add_map(ports, 1), &captured);
    // Of what `nft` has kept with it, the values' byte order alone: without that it shows marks turned round.
    assert_like_nft(&Message::add_map(ports, 1), &[(13, "010401000000")]);
}

/// `… 'map redirect-ipv4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }'`, and a set without
/// values.
#[test]
fn what_a_map_gives_depends_on_its_kind() {
    let [redirect, ..] = Map::of_kind(PacketRuleKind::Redirect);
    assert_like_nft(&Message::add_map(redirect, 4), &[(4, "0000730d"), (6, "000001cd"), (7, "00000008")]);
    let [masquerade, ..] = Map::of_kind(PacketRuleKind::SourceNat);
    assert_like_nft(&Message::add_map(masquerade, 5), &[(3, "00000000"), (4, "0000730d"), (5, "0000000c")]);
    assert_eq!(shown(&Message::add_map(masquerade, 5)).len(), 6);
}

/// `nft add element inet lvs-operator mark-ipv4 '{ 192.168.10.40 . tcp . 80 : 7 }'` and the like.
#[test]
fn elements_are_those_of_nft() {
    let captured = [
        (
            "Mark TCP 192.168.10.40:80",
            7,
            "240001801400018010000100c0a80a2806000000005000000c0002800800010007000000",
        ),
        (
            "Mark TCP [fd00::40]:80",
            7,
            "30000180200001801c000100fd00000000000000000000000000004006000000005000000c0002800800010007000000",
        ),
        ("Mark TCP 192.168.10.40:0", 8, "20000180100001800c000100c0a80a28060000000c0002800800010008000000"),
        (
            "Redirect TCP 192.168.10.40:80",
            8080,
            "280001801400018010000100c0a80a280600000000500000100002800c000100c0a80a281f900000",
        ),
        ("SourceNat TCP 192.168.10.40:80", 0, "180001801400018010000100c0a80a280600000000500000"),
    ];
    for (text, value, bytes) in captured {
        assert_like_nft(
            &Message::add_element(&Element::of(&key(text), value)),
            &[(1, TABLE_NAME), (3, bytes)],
        );
    }
}

/// What is done in the rule that `nft` makes of `meta mark set ip daddr . meta l4proto . th dport map @mark-ipv4`, but for
/// the map's number in the transaction, by which it names it too.
const MARK_RULE: &str = concat!(
    "24000180090001006d6574610000000014000280080002000000000f0800010000000001",
    "2c00018008000100636d700020000280080001000000000108000200000000000c0003800500010002000000",
    "340001800c0001007061796c6f616400240002800800010000000001080002000000000108000300000000100800040000000004",
    "24000180090001006d657461000000001400028008000200000000100800010000000009",
    "340001800c0001007061796c6f61640024000280080001000000000a080002000000000208000300000000020800040000000002",
    "340001800b0001006c6f6f6b75700000240002800800020000000001",
    "08000300000000010e0001006d61726b2d69707634000000",
    "24000180090001006d657461000000001400028008000200000000030800030000000001",
);

#[test]
fn rules_are_those_of_nft() {
    let steps = |map| shown(&Message::add_rule(map)).into_iter().find(|(kind, _)| *kind == 4).unwrap().1;
    let [all, ports, ..] = Map::of_kind(PacketRuleKind::Mark);
    assert_eq!(steps(ports), MARK_RULE);
    // A rule for all ports asks for none.
    assert_eq!(steps(all).len(), MARK_RULE.len() - 104 + 8);
    let [redirect, ..] = Map::of_kind(PacketRuleKind::Redirect);
    let nat =
        "30000180080001006e617400240002800800010000000001080002000000000208000300000000010800050000000009";
    assert!(steps(redirect).ends_with(nat));
    let [.., masquerade] = Map::of_kind(PacketRuleKind::SourceNat);
    assert!(steps(masquerade).ends_with("14000180090001006d6173710000000004000280"));
}

/// `nft add chain inet lvs-operator mark-packets '{ type filter hook prerouting priority mangle; policy accept; }'`.
#[test]
fn a_chain_is_that_of_nft() {
    let captured = [
        (1, TABLE_NAME),
        (3, "6d61726b2d7061636b65747300"),
        (7, "66696c74657200"),
        (5, "00000001"),
        (4, "080001000000000008000200ffffff6a"),
    ];
    assert_like_nft(&Message::add_chain(Chain::of(PacketRuleKind::Mark)), &captured);
}

#[test]
fn a_rule_reads_back_from_its_element() {
    for (text, value) in [
        ("Mark TCP 192.168.10.40:80", 7),
        ("Mark SCTP [fd00::40]:0", u32::MAX),
        ("Redirect UDP [fd00::40]:53", 5353),
        ("Redirect TCP 192.168.10.40:0", 8080),
        ("SourceNat TCP 10.0.0.1:65535", 0),
    ] {
        let (map, attributes) = (Map::of(&key(text)), Element::of(&key(text), value).attributes());
        let list = nested(&[&attributes]);
        assert_eq!(list.len(), attributes.buffer_len());
        assert_eq!(element::parse(map, &list).unwrap(), [(key(text), value)]);
        // What is in another map is no rule of that one.
        let other = Map { all_ports: !map.all_ports, ..map };
        assert_eq!(element::parse(other, &list).unwrap(), []);
    }
}

fn standing(rules: &[&str], reached: bool) -> Standing {
    let mut standing = Standing { table: Some(super::standing::Table::default()), ..Standing::default() };
    for text in rules {
        let kind = key(text).kind;
        let maps = Map::of_kind(kind).to_vec();
        let there =
            standing.kinds.entry(kind).or_insert(Kind { chain: true, reached, maps, ..Kind::default() });
        there.rules.insert(key(text), 7);
    }
    let holds = standing.kinds.len() * 5;
    standing.table.as_mut().unwrap().holds = u32::try_from(holds).unwrap();
    standing
}

const ONE: &str = "Mark TCP 192.168.10.40:80";
const OTHER: &str = "Mark TCP 192.168.10.40:443";

/// How many messages a transaction has besides those that begin and end it.
fn messages(standing: &Standing, ops: &[Op]) -> usize {
    let places: Vec<usize> = (0..ops.len()).collect();
    Draft::of(standing, ops, &places).count() - 1
}

#[test]
fn one_change_is_one_element_where_the_rest_stands() {
    let add = Op::AddPacketRule(key(ONE), PacketRuleSettings::of(7));
    let set = Op::SetPacketRule(key(OTHER), PacketRuleSettings::of(8));
    // The table, the chain, four maps, four rules.
    assert_eq!(messages(&Standing::default(), &[add]), 11);
    assert_eq!(messages(&standing(&[OTHER], true), &[add]), 1);
    assert_eq!(messages(&standing(&[OTHER], true), &[set]), 2);
    // The table, another chain, four rules.
    assert_eq!(messages(&standing(&[OTHER], false), &[set]), 9);
    let remove = Op::RemovePacketRule(key(OTHER));
    assert_eq!(messages(&standing(&[ONE, OTHER], true), &[remove]), 1);
    // The chain, four maps, the table.
    assert_eq!(messages(&standing(&[OTHER], true), &[remove]), 7);
    // The table stays where something else is in it.
    assert_eq!(messages(&standing(&[OTHER, "Redirect TCP 192.168.10.40:80"], true), &[remove]), 6);
    assert_eq!(messages(&standing(&[OTHER], true), &[remove, add]), 2);
}

#[test]
fn a_refusal_is_that_of_the_operation_or_of_its_kind() {
    let ops = [
        Op::AddPacketRule(key(ONE), PacketRuleSettings::of(7)),
        Op::AddPacketRule(key("Redirect TCP 192.168.10.40:80"), PacketRuleSettings::of(8080)),
    ];
    let draft = Draft::of(&standing(&[OTHER], true), &ops, &[0, 1]);
    let count = draft.count();
    let done = vec![Answer::Done; count];
    assert_eq!(draft.outcome(&done), Outcome::Done);
    let with = |changes: &[(usize, Answer)]| {
        let mut answers = done.clone();
        for (place, answer) in changes {
            answers[*place] = *answer;
        }
        draft.outcome(&answers)
    };
    let refused = |errno| Answer::Refused(errno);
    // Message 0 begins, 1 is the table, 2 the chain of redirects; the two before the last are the elements.
    let exists = [(count - 2, refused(Errno::EEXIST))];
    assert_eq!(with(&exists), Outcome::Refused([(0, Refusal::Exists)].into()));
    let no_nat = [(2, refused(Errno::ENOENT)), (count - 1, refused(Errno::ENOENT))];
    assert_eq!(with(&no_nat), Outcome::Refused([(1, Refusal::NoPacketRules)].into()));
    assert_eq!(with(&[(1, refused(Errno::EOPNOTSUPP))]), Outcome::AllRefused(Refusal::NoPacketRules));
    assert_eq!(with(&[(0, refused(Errno::EPERM))]), Outcome::AllRefused(Refusal::NotPermitted));
    let lost = [(3, Answer::Unknown(Errno::ENOBUFS))];
    assert_eq!(with(&lost), Outcome::AllRefused(Refusal::Other(105)));
}

proptest::proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        for kind in PacketRuleKind::ALL {
            for map in Map::of_kind(kind) {
                let _ = element::parse(map, &bytes);
            }
        }
    }
}
