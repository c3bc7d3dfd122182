//! What holds for any bytes that a socket can receive. The bounded run of `cargo test` and the fuzzer of `make fuzz` both
//! hold the parser to it.

use netlink_packet_core::{Emitable, ParseableParametrized};
use netlink_packet_generic::GenlHeader;
use netlink_packet_ipvs::{
    AddressFamily, Command, Content, FAMILY_VERSION, Message, MessageHeader, Messages, Padding, Reply,
    Request, RequestHeader, UnknownAttribute,
};

const REPLY_HEADER: MessageHeader = MessageHeader { message_type: 28, flags: 2, sequence: 5, port: 6 };
const REQUEST_HEADER: RequestHeader = RequestHeader { family_id: 28, sequence: 5, acknowledge: true };

/// Bytes of `struct nlmsghdr`, below which there is no message.
const MESSAGE_HEADER: usize = 16;
/// Bytes of `struct genlmsghdr`.
const FAMILY_HEADER: usize = 4;

/// Reads `received` in every way that there is: nothing panics, every walk ends, nothing is read that is not there, and
/// what can be read is written and read again as the same.
pub(crate) fn hold(received: &[u8]) {
    walk_ends_within_the_bytes(received);
    for message in Messages::new(received).map_while(Result::ok) {
        if let Ok(content) = message.content() {
            content_lies_within(&message, &content);
            if let Content::Family(payload) = content {
                payload_is_written_as_it_was_read(payload);
            }
        }
    }
    payload_is_written_as_it_was_read(received);
}

/// Each item takes bytes away, at least a header's, and an error is the last one.
fn walk_ends_within_the_bytes(received: &[u8]) {
    let mut before = received.as_ptr_range().start;
    let mut messages = Messages::new(received);
    let most = received.len() / MESSAGE_HEADER + 1;
    for _ in 0..=most {
        match messages.next() {
            None => return,
            Some(Err(_)) => {
                assert!(messages.next().is_none(), "the walk goes on behind an error");
                return;
            }
            Some(Ok(message)) => {
                let payload = message.payload.as_ptr_range();
                assert!(before <= payload.start, "a message that starts in the one before");
                assert!(
                    payload.end <= received.as_ptr_range().end,
                    "a message that reaches behind the bytes"
                );
                before = payload.end;
            }
        }
    }
    panic!("more than {most} messages in {} bytes", received.len());
}

/// The text of an acknowledgement is a part of its message, and an error number is never negative.
fn content_lies_within(message: &Message<'_>, content: &Content<'_>) {
    let (errno, text) = match *content {
        Content::Acknowledgement(acknowledgement) => (acknowledgement.errno, acknowledgement.text),
        Content::Done { errno, text } => (errno, text),
        Content::Family(payload) => {
            assert_eq!(payload, message.payload);
            return;
        }
        Content::Noop | Content::Overrun => return,
    };
    assert!(errno.is_none_or(|errno| errno.get() > 0), "{errno:?}");
    if let Some(text) = text {
        let (text, payload) = (text.as_bytes().as_ptr_range(), message.payload.as_ptr_range());
        assert!(payload.start <= text.start && text.end <= payload.end, "a text from outside the message");
    }
}

fn payload_is_written_as_it_was_read(payload: &[u8]) {
    let Some((&[command, ..], attributes)) = payload.split_first_chunk::<FAMILY_HEADER>() else {
        assert!(Reply::parse(payload, None).is_err(), "a reply without its header");
        return;
    };
    // Whatever the command says: damage that hits it is to hide no other.
    for command in [command].into_iter().chain(1..=17) {
        let Ok(known) = Command::try_from(command) else { continue };
        let header = GenlHeader { cmd: command, version: FAMILY_VERSION };
        let payload = [&[command, FAMILY_VERSION, 0, 0], attributes].concat();
        for family in [None, Some(AddressFamily::Ipv4), Some(AddressFamily::Ipv6)] {
            if let Ok(reply) = Reply::parse(&payload, family) {
                assert_eq!(reply.command(), known);
                reply_is_read_again(&reply);
            }
        }
        let reply = Reply::parse_with_param(attributes, header);
        assert_eq!(reply.ok(), Reply::parse(&payload, None).ok(), "the two ways to read a reply differ");
        if let Ok(request) = Request::parse(known, attributes) {
            assert_eq!(request.command(), known);
            request_is_read_again(&request);
            assert_eq!(Request::parse_with_param(attributes, header).ok(), Some(request));
        }
    }
}

fn reply_is_read_again(reply: &Reply) {
    let mut buffer = Vec::new();
    for padding in [Padding::Unpadded, Padding::Aligned] {
        buffer.clear();
        reply.encode(REPLY_HEADER, padding, &mut buffer);
        let message = only_message(&buffer);
        assert_eq!(message.header, REPLY_HEADER);
        let again = Reply::parse(message.payload, None);
        let again = again.unwrap_or_else(|error| panic!("{reply:?} is not read again: {error}"));
        assert_eq!(again.body, reply.body);
        unknown_attributes_stay(&again.unknown, &reply.unknown);
        let mut twice = Vec::new();
        again.encode(REPLY_HEADER, padding, &mut twice);
        assert_eq!(twice, buffer, "the same reply has two forms");
    }
    buffer.clear();
    reply.encode(REPLY_HEADER, Padding::Unpadded, &mut buffer);
    emitted_as_encoded(reply, &buffer);
}

/// What goes behind what is known keeps its order within a nest; only where a nest cannot hold it is it left out.
fn unknown_attributes_stay(again: &[UnknownAttribute], before: &[UnknownAttribute]) {
    let in_order = |attributes: &[UnknownAttribute]| {
        let mut attributes = attributes.to_vec();
        attributes.sort_by_key(|attribute| attribute.within);
        attributes
    };
    let bytes = before.iter().map(|attribute| attribute.value.len() + 8).sum::<usize>();
    if bytes <= 16 << 10 {
        assert_eq!(in_order(again), in_order(before));
    } else {
        assert!(again.len() <= before.len());
    }
}

fn request_is_read_again(request: &Request) {
    let mut buffer = Vec::new();
    request.encode(REQUEST_HEADER, &mut buffer);
    let payload = only_message(&buffer).payload;
    let again = Request::parse(request.command(), payload.get(FAMILY_HEADER..).unwrap_or_default());
    assert_eq!(again.ok().as_ref(), Some(request));
    emitted_as_encoded(request, &buffer);
}

/// The way of the other rust-netlink crates gives the same attributes, and says rightly how long they are.
fn emitted_as_encoded(value: &impl Emitable, encoded: &[u8]) {
    let mut emitted = vec![0; value.buffer_len()];
    value.emit(&mut emitted);
    assert_eq!(Some(&emitted[..]), encoded.get(MESSAGE_HEADER + FAMILY_HEADER..));
}

fn only_message(bytes: &[u8]) -> Message<'_> {
    let mut messages = Messages::new(bytes);
    let (Some(Ok(message)), None) = (messages.next(), messages.next()) else { panic!("not one message") };
    message
}
