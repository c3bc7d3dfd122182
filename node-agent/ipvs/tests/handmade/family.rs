//! The way that the other crates of the rust-netlink family go: a message of messages, each with its own buffer.

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use netlink_packet_ipvs::{Info, MessageHeader, Padding, Reply, ReplyBody, Request, RequestHeader};

use crate::http;

fn message<Payload: GenlFamily + std::fmt::Debug>(
    payload: Payload,
    flags: u16,
) -> NetlinkMessage<GenlMessage<Payload>>
where
    GenlMessage<Payload>: netlink_packet_core::NetlinkSerializable,
{
    let mut generic = GenlMessage::from_payload(payload);
    generic.set_resolved_family_id(30);
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = 9;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(generic));
    message.finalize();
    message
}

#[test]
fn request_is_the_same_bytes_on_both_ways() {
    assert_eq!(Request::family_name(), "IPVS");
    let request = Request::DelService(http());
    let message = message(request, NLM_F_REQUEST | NLM_F_ACK);
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let mut direct = Vec::new();
    request.encode(RequestHeader { family_id: 30, sequence: 9, acknowledge: true }, &mut direct);
    assert_eq!(bytes, direct);
    assert_eq!(NetlinkMessage::<GenlMessage<Request>>::deserialize(&bytes).unwrap(), message);
}

#[test]
fn reply_is_the_same_bytes_on_both_ways() {
    let info = Info { version: 0x01_02_01, connection_table_size: 4096 };
    let reply = Reply { body: ReplyBody::Info(info), unknown: Vec::new() };
    let message = message(reply.clone(), 0);
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let mut direct = Vec::new();
    let header = MessageHeader { message_type: 30, flags: 0, sequence: 9, port: 0 };
    reply.encode(header, Padding::Unpadded, &mut direct);
    assert_eq!(bytes, direct);
    assert_eq!(NetlinkMessage::<GenlMessage<Reply>>::deserialize(&bytes).unwrap(), message);
}
