use std::num::NonZeroI32;

use netlink_packet_ipvs::{Acknowledgement, Content, Message, MessageHeader, Messages};

use crate::bytes;

/// What a dump of two services looks like on the wire when nothing is left of the services.
const DUMP: &str = "14000000 1e00 0200 07000000 01000000 01010000
                    14000000 1e00 0200 07000000 01000000 01010000
                    14000000 0300 0200 07000000 01000000 00000000";

fn contents(received: &[u8]) -> Vec<Content<'_>> {
    Messages::new(received).map(|message| message.unwrap().content().unwrap()).collect()
}

fn acknowledgement(received: &[u8]) -> Acknowledgement<'_> {
    let [Content::Acknowledgement(acknowledgement)] = contents(received)[..] else { panic!("not one") };
    acknowledgement
}

fn errno(number: i32) -> Option<NonZeroI32> {
    NonZeroI32::new(number)
}

#[test]
fn dump_is_replies_and_an_end() {
    let received = bytes(DUMP);
    let [first, second, end] = contents(&received)[..] else { panic!("not three") };
    assert_eq!(first, Content::Family(&[1, 1, 0, 0]));
    assert_eq!(second, first);
    assert_eq!(end, Content::Done { errno: None, text: None });
    assert_eq!(
        Messages::new(&received).next().unwrap().unwrap().header,
        MessageHeader { message_type: 30, flags: 2, sequence: 7, port: 1 }
    );
}

#[test]
fn dump_that_ended_early() {
    let received = bytes("14000000 0300 0200 07000000 01000000 fcffffff");
    assert_eq!(contents(&received), [Content::Done { errno: errno(4), text: None }]);
    // The same from a socket with NETLINK_EXT_ACK: flag 0x200, the text as attribute 1.
    let received = bytes("20000000 0300 0202 07000000 01000000 fcffffff 0a000100 6f6f70730a00 0000");
    let text = Some("oops\n");
    assert_eq!(contents(&received), [Content::Done { errno: errno(4), text }]);
}

#[test]
fn capped_acknowledgement() {
    // Flag 0x100: of the request, 104 bytes long, only the header is echoed.
    let received =
        bytes("24000000 0200 0001 07000000 01000000 efffffff 68000000 1e00 0500 07000000 00000000");
    let expected = Acknowledgement {
        errno: errno(17),
        request: MessageHeader { message_type: 30, flags: 5, sequence: 7, port: 0 },
        text: None,
        offset: None,
    };
    assert_eq!(acknowledgement(&received), expected);
}

#[test]
fn extended_acknowledgement_behind_a_capped_and_a_whole_request() {
    let text = "0a000100 6f6f70736100 0000 0800020014000000";
    let capped =
        format!("38000000 0200 0003 07000000 01000000 eaffffff 18000000 1e00 0500 07000000 00000000 {text}");
    let whole = format!(
        "40000000 0200 0002 07000000 01000000 eaffffff 18000000 1e00 0500 07000000 00000000 05010000 04000280 {text}"
    );
    for received in [bytes(&capped), bytes(&whole)] {
        let acknowledgement = acknowledgement(&received);
        assert_eq!(acknowledgement.errno, errno(22));
        assert_eq!(acknowledgement.text, Some("oopsa"));
        assert_eq!(acknowledgement.offset, Some(20));
    }
}

/// The error number is what counts: a text that cannot be read takes nothing from it.
#[test]
fn unreadable_text_is_left_out() {
    let request = "24000000 1e00 0500 07000000 00000000";
    for attributes in ["0c000100 6f6f7073", "08000100 ff000000", "03000100 00000000"] {
        let received =
            bytes(&format!("2c000000 0200 0003 07000000 01000000 eaffffff {request} {attributes}"));
        let acknowledgement = acknowledgement(&received);
        assert_eq!((acknowledgement.errno, acknowledgement.text), (errno(22), None));
    }
    // The echoed length reaches behind the message, or far behind everything.
    for length in ["25000000", "ffffffff"] {
        let received = bytes(&format!(
            "2c000000 0200 0002 07000000 01000000 eaffffff {length} 1e00 0500 07000000 00000000 08000100 61620000"
        ));
        assert_eq!(acknowledgement(&received).text, None);
    }
}

#[test]
fn error_number_of_any_size_is_positive() {
    let received =
        bytes("24000000 0200 0001 07000000 01000000 00000080 14000000 1e00 0500 07000000 00000000");
    assert_eq!(acknowledgement(&received).errno, errno(i32::MAX));
}

#[test]
fn nothing_and_overrun() {
    let received = bytes("10000000 0100 0000 00000000 00000000 10000000 0400 0000 00000000 00000000");
    assert_eq!(contents(&received), [Content::Noop, Content::Overrun]);
}

/// A length of 21 is followed by three bytes of padding, except at the end.
#[test]
fn unaligned_lengths() {
    let message = "15000000 1e00 0000 00000000 00000000 01010000 ff";
    let received = bytes(&format!("{message} 000000 {message}"));
    assert_eq!(contents(&received), [Content::Family(&[1, 1, 0, 0, 0xff]); 2]);
}

#[test]
fn impossible_lengths_end_the_walk_with_one_error() {
    let good = "10000000 0100 0000 00000000 00000000";
    for bad in [
        "00000000 0100 0000 00000000 00000000",
        "0f000000 0100 0000 00000000 00000000",
        "11000000 0100 0000 00000000 00000000",
        "ffffffff 0100 0000 00000000 00000000",
        "10000000 0100",
    ] {
        let received = bytes(&format!("{good} {bad}"));
        let results: Vec<Result<Message<'_>, _>> = Messages::new(&received).collect();
        assert!(matches!(results[..], [Ok(_), Err(_)]), "{bad}: {results:?}");
    }
}

#[test]
fn control_messages_that_are_cut_short() {
    for (received, complaint) in [
        ("12000000 0300 0000 00000000 00000000 0000", "NLMSG_DONE: expected 4 bytes of error, received 2"),
        ("12000000 0200 0000 00000000 00000000 0000", "NLMSG_ERROR: expected 4 bytes of error, received 2"),
        (
            "1c000000 0200 0000 00000000 00000000 00000000 14000000 1e000500",
            "NLMSG_ERROR: the request's header is cut short",
        ),
    ] {
        let received = bytes(received);
        let message = Messages::new(&received).next().unwrap().unwrap();
        assert_eq!(message.content().unwrap_err().to_string(), complaint);
    }
}
