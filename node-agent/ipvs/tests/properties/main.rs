//! Laws over every value and every input: what is written is read back, and nothing panics.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in the functions that it calls too"
)]

mod values;

use netlink_packet_ipvs::{
    AddressFamily, Command, Content, Daemon, DaemonState, Message, MessageHeader, Messages, Nest, Padding,
    Reply, ReplyBody, Request, RequestHeader, UnknownAttribute,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::values::{body, request, unknown};

/// Any message, a few of its bytes changed, and cut off somewhere or not: damage that lies deep.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (request(), body(), vec(change, 0..6), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(request, body, changes, cut, as_reply)| {
            let mut bytes = Vec::new();
            if as_reply {
                Reply { body, unknown: Vec::new() }.encode(REPLY_HEADER, Padding::Aligned, &mut bytes);
            } else {
                request.encode(REQUEST_HEADER, &mut bytes);
            }
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let kept = cut.index(bytes.len() * 2);
            bytes.truncate(kept.max(1));
            bytes
        },
    )
}

const REPLY_HEADER: MessageHeader = MessageHeader { message_type: 28, flags: 2, sequence: 5, port: 6 };
const REQUEST_HEADER: RequestHeader = RequestHeader { family_id: 28, sequence: 5, acknowledge: true };

fn only_message(bytes: &[u8]) -> Message<'_> {
    let messages: Vec<_> = Messages::new(bytes).collect::<Result<_, _>>().unwrap();
    let [message] = messages[..] else { panic!("not one message") };
    message
}

/// Reads the bytes in every way that there is.
fn read_all(bytes: &[u8]) {
    for message in Messages::new(bytes).flatten() {
        if let Ok(Content::Family(payload)) = message.content() {
            read_payload(payload);
        }
    }
    read_payload(bytes);
    for number in 0..=u8::MAX {
        if let Ok(command) = Command::try_from(number) {
            let _ = Request::parse(command, bytes);
            let payload = [&[number, 1, 0, 0], bytes].concat();
            read_payload(&payload);
        }
    }
}

/// What can be read can also be written, and then read again as the same.
fn read_payload(payload: &[u8]) {
    let _ = Reply::parse(payload, None);
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        let Ok(reply) = Reply::parse(payload, Some(family)) else { continue };
        let mut bytes = Vec::new();
        reply.encode(REPLY_HEADER, Padding::Unpadded, &mut bytes);
        let again = Reply::parse(only_message(&bytes).payload, None).unwrap();
        assert_eq!(again.body, reply.body);
    }
    if let Some((&[command, ..], attributes)) = payload.split_first_chunk::<4>()
        && let Ok(command) = Command::try_from(command)
        && let Ok(request) = Request::parse(command, attributes)
    {
        let mut bytes = Vec::new();
        request.encode(REQUEST_HEADER, &mut bytes);
        assert_eq!(Request::parse(command, &only_message(&bytes).payload[4..]).unwrap(), request);
    }
}

proptest! {
    #[test]
    fn requests_are_read_as_they_were_written(request in request(), before in vec(any::<[u8; 4]>(), 0..3)) {
        let mut buffer = before.concat();
        let start = buffer.len();
        request.encode(REQUEST_HEADER, &mut buffer);
        prop_assert_eq!(&buffer[..start], before.concat());
        prop_assert_eq!(buffer.len() % 4, 0);
        let message = only_message(&buffer[start..]);
        prop_assert_eq!(message.payload[0], request.command() as u8);
        prop_assert_eq!(Request::parse(request.command(), &message.payload[4..]).unwrap(), request);
    }

    #[test]
    fn replies_are_read_as_they_were_written(
        body in body(),
        unknown in unknown(),
        padding in prop_oneof![Just(Padding::Unpadded), Just(Padding::Aligned)],
    ) {
        let reply = Reply { body, unknown };
        let mut buffer = Vec::new();
        reply.encode(REPLY_HEADER, padding, &mut buffer);
        let message = only_message(&buffer);
        prop_assert_eq!(message.header, REPLY_HEADER);
        prop_assert_eq!(Reply::parse(message.payload, None).unwrap(), reply);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..256)) {
        read_all(&bytes);
    }

    #[test]
    fn damaged_messages_do_not_panic(bytes in damaged()) {
        read_all(&bytes);
    }

    /// Nests of a valid shape with values of any length: deeper than bytes by themselves would get.
    #[test]
    fn attributes_of_any_size_do_not_panic(
        nest in 1u16..4,
        attributes in vec((1u16..17, vec(any::<u8>(), 0..20)), 0..12),
    ) {
        let inner = attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect::<Vec<_>>();
        read_all(&attribute(nest, &inner));
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The longest attributes there can be: of what would not fit into a nest the rest is left out, none is damaged.
#[test]
fn unknown_attributes_that_do_not_fit_are_left_out() {
    let long = |kind, within| UnknownAttribute { within, kind, value: vec![1; 10_000] };
    let daemon = Daemon {
        state: DaemonState::Master,
        interface: "eth0".parse().unwrap(),
        sync_id: 0,
        maximum_length: None,
        multicast_port: None,
        multicast_ttl: None,
        multicast_group: None,
    };
    let too_much = [long(100, Nest::Daemon), long(101, Nest::Daemon)].to_vec();
    let reply = Reply { body: ReplyBody::Daemon(daemon), unknown: too_much };
    let mut buffer = Vec::new();
    reply.encode(REPLY_HEADER, Padding::Unpadded, &mut buffer);
    let read = Reply::parse(only_message(&buffer).payload, None).unwrap();
    assert_eq!(read, Reply { unknown: vec![long(100, Nest::Daemon)], ..reply });
}
