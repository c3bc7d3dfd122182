use netlink_packet_core::NLM_F_ACK;
use netlink_packet_ipvs::{
    AddressFamily, Command, Content, Info, Message, MessageHeader, Messages, Padding, Reply, ReplyBody,
    Request, RequestHeader,
};

/// One message, as the value that it stands for.
#[derive(Debug)]
pub(crate) enum Step {
    /// A request whose bytes are as ours.
    Asked(Request),
    /// A request to which `ipvsadm` adds attributes that the kernel does not read. Ours, from the generic netlink
    /// header on, is given in hexadecimal.
    AskedWithSurplus(Request, String),
    /// A reply.
    Told(ReplyBody),
    /// The request before was carried out.
    Acknowledged,
    /// The request before was refused with this error number.
    Refused(i32),
    /// The dump is whole.
    Done,
}

/// A command's line, and what was said because of it, the question for the version aside.
pub(crate) type Expected = (&'static str, Vec<Step>);

/// Every command of `transcript` against what is expected of it, in order.
pub(crate) fn check(transcript: &str, expected: Vec<Expected>) {
    let mut sections = transcript.split("\n$ ").skip(1);
    for (command, steps) in expected {
        let section = sections.next().unwrap_or_else(|| panic!("nothing was captured for: {command}"));
        let mut lines = section.lines();
        assert_eq!(lines.next(), Some(command));
        let mut messages = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        for step in version_steps().into_iter().chain(steps) {
            let line = messages.next().unwrap_or_else(|| panic!("{command}: no message for {step:?}"));
            step.check(line, command);
        }
        assert_eq!(messages.next(), None, "{command}: one message more than expected");
    }
    assert_eq!(sections.next(), None, "one command more than expected");
}

/// `ipvsadm` begins each command by asking for the version.
fn version_steps() -> Vec<Step> {
    let info = Info { version: 0x01_02_01, connection_table_size: 4096 };
    vec![Step::Asked(Request::GetInfo), Step::Told(ReplyBody::Info(info)), Step::Acknowledged]
}

impl Step {
    fn check(&self, line: &str, command: &str) {
        let (direction, hexadecimal) = line.split_once(' ').unwrap();
        let bytes = bytes(hexadecimal);
        let message = only_message(&bytes);
        let from_kernel = !matches!(self, Self::Asked(_) | Self::AskedWithSurplus(..));
        assert_eq!(direction == "<", from_kernel, "{command}: {self:?}");
        match self {
            Self::Asked(request) => {
                assert_eq!(&parse_request(&message), request, "{command}");
                assert_eq!(hex(&encode_request(request, &message)), hexadecimal, "{command}");
            }
            Self::AskedWithSurplus(request, ours) => {
                assert_eq!(&parse_request(&message), request, "{command}");
                let encoded = encode_request(request, &message);
                assert_eq!(hex(&encoded[16..]), ours.replace(' ', ""), "{command}");
                assert_eq!(encoded[4..16], bytes[4..16], "{command}: the headers differ");
                assert!(encoded.len() < bytes.len(), "{command}: there is no surplus");
            }
            Self::Told(body) => check_reply(body, &message, hexadecimal, command),
            Self::Acknowledged => assert_eq!(errno(&message), Some(0), "{command}"),
            Self::Refused(expected) => assert_eq!(errno(&message), Some(*expected), "{command}"),
            Self::Done => {
                assert_eq!(
                    message.content().unwrap(),
                    Content::Done { errno: None, text: None },
                    "{command}"
                );
            }
        }
    }
}

fn check_reply(body: &ReplyBody, message: &Message<'_>, hexadecimal: &str, command: &str) {
    let reply = Reply::parse(family_payload(message), None).unwrap();
    assert_eq!(&reply.body, body, "{command}");
    assert_eq!(reply.unknown, [], "{command}");
    let mut encoded = Vec::new();
    reply.encode(message.header, Padding::Aligned, &mut encoded);
    assert_eq!(hex(&encoded), hexadecimal, "{command}");

    // A kernel for x86-64 pads nothing; the value is the same.
    let mut unpadded = Vec::new();
    reply.encode(message.header, Padding::Unpadded, &mut unpadded);
    let family = AddressFamily::Ipv4;
    assert_eq!(
        Reply::parse(family_payload(&only_message(&unpadded)), Some(family)).unwrap(),
        reply,
        "{command}"
    );
}

fn parse_request(message: &Message<'_>) -> Request {
    let payload = family_payload(message);
    Request::parse(Command::try_from(payload[0]).unwrap(), &payload[4..]).unwrap()
}

/// Our message with the same family, sequence number and wish for an acknowledgement; the port is the sender's.
fn encode_request(request: &Request, captured: &Message<'_>) -> Vec<u8> {
    let MessageHeader { message_type, flags, sequence, port } = captured.header;
    let header = RequestHeader { family_id: message_type, sequence, acknowledge: flags & NLM_F_ACK != 0 };
    let mut encoded = Vec::new();
    request.encode(header, &mut encoded);
    assert_eq!(encoded[12..16], [0; 4]);
    encoded[12..16].copy_from_slice(&port.to_ne_bytes());
    encoded
}

/// The error number of an acknowledgement of an IPVS request; 0 is success.
fn errno(message: &Message<'_>) -> Option<i32> {
    let Content::Acknowledgement(acknowledgement) = message.content().unwrap() else { return None };
    assert_eq!(acknowledgement.request.message_type, FAMILY_ID);
    assert_eq!(acknowledgement.request.sequence, message.header.sequence);
    assert_eq!(acknowledgement.request.port, message.header.port);
    Some(acknowledgement.errno.map_or(0, std::num::NonZero::get))
}

/// The family's id where the messages were captured.
const FAMILY_ID: u16 = 28;

fn family_payload<'a>(message: &Message<'a>) -> &'a [u8] {
    assert_eq!(message.header.message_type, FAMILY_ID);
    let Content::Family(payload) = message.content().unwrap() else {
        panic!("not of the family: {message:?}")
    };
    payload
}

fn only_message(bytes: &[u8]) -> Message<'_> {
    let messages: Result<Vec<_>, _> = Messages::new(bytes).collect();
    let [message] = messages.unwrap()[..] else { panic!("not one message: {bytes:?}") };
    message
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<char> = hexadecimal.chars().collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
