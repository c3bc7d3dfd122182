//! Laws over every value and every input: what is written is read back, and nothing panics.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in the functions that it calls too"
)]

mod corpus;
mod damage;
mod laws;
mod values;

use netlink_packet_ipvs::{
    Daemon, DaemonState, Message, MessageHeader, Messages, Nest, Padding, Reply, ReplyBody, Request,
    RequestHeader, UnknownAttribute,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::values::{body, request, unknown};

const REPLY_HEADER: MessageHeader = MessageHeader { message_type: 28, flags: 2, sequence: 5, port: 6 };
const REQUEST_HEADER: RequestHeader = RequestHeader { family_id: 28, sequence: 5, acknowledge: true };

fn only_message(bytes: &[u8]) -> Message<'_> {
    let messages: Vec<_> = Messages::new(bytes).collect::<Result<_, _>>().unwrap();
    let [message] = messages[..] else { panic!("not one message") };
    message
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
    fn arbitrary_bytes_are_read_without_harm(bytes in vec(any::<u8>(), 0..256)) {
        laws::hold(&bytes);
        // With a header before them they are read, too.
        laws::hold(&[&[0; 4], &bytes[..]].concat());
    }

    /// Nests of a valid shape with values of any length: deeper than bytes by themselves would get.
    #[test]
    fn attributes_of_any_size_are_read_without_harm(
        nest in 1u16..4,
        attributes in vec((1u16..17, vec(any::<u8>(), 0..20)), 0..12),
    ) {
        let inner = attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect::<Vec<_>>();
        laws::hold(&[&[0; 4], &attribute(nest, &inner)[..]].concat());
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
