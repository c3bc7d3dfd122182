use netlink_packet_ipvs::{Command, Reply, Request};

use crate::bytes;

/// The reply that starts with this header and continues with this damage is refused, and the error names it.
fn refused(payload: &str, complaint: &str) {
    let error = Reply::parse(&bytes(payload), None).unwrap_err().to_string();
    assert!(error.contains(complaint), "{error:?} does not say {complaint:?}");
}

#[test]
fn damaged_attributes() {
    refused("0e0100", "3");
    refused("0e010000 0800", "malformed attribute in Message");
    refused("0e010000 00000100", "malformed attribute in Message");
    refused("0e010000 03000100", "malformed attribute in Message");
    refused("0e010000 09000100 00000000", "malformed attribute in Message");
    refused(
        "0e010000 0800010001000000 06000200 0010",
        "IPVS_INFO_ATTR_CONN_TAB_SIZE: expected 4 bytes, received 2",
    );
    // A nest that ends within an attribute, and one that reaches behind the message.
    refused("01010000 0a000100 08000100 0200", "malformed attribute in Service");
    refused("01010000 10000100 0600010002000000", "malformed attribute in Message");
    refused("05010000 08000200 09000100", "malformed attribute in Destination");
    refused("09010000 08000300 09000100", "malformed attribute in Daemon");
    refused("01010000 0c000100 08000a00 0c000100", "malformed attribute in Stats");
    refused("01010000 0c000100 08000c00 0c000100", "malformed attribute in Stats64");
}

#[test]
fn values_that_cannot_be() {
    refused("01010000 0c000100 0600010003000000", "3 is neither AF_INET (2) nor AF_INET6 (10)");
    refused("01010000 14000100 0600010002000000 0800050000000000", "IPVS_SVC_ATTR_FWMARK: 0 marks no packet");
    refused("01010000 18000100 14000600 6162636465666768696a6b6c6d6e6f70", "at most 15 are allowed");
    refused(
        "01010000 10000100 0a000700 010000000100 0000",
        "the mask of IPVS_SVC_ATTR_FLAGS: expected 4 bytes",
    );
    refused("01010000 0c000100 07000700 01000000", "IPVS_SVC_ATTR_FLAGS: expected 4 bytes, received 3");
    let tuple = |address: &str| {
        format!("01010000 2c000100 060001000a000000 0600020006000000 0600040000500000 {address}")
    };
    refused(&tuple("0d000300fd00000000000000 01000000"), "IPVS_SVC_ATTR_ADDR: expected 16 bytes, received 9");
}

#[test]
fn missing_attributes() {
    refused("01010000", "IPVS_CMD_ATTR_SERVICE is missing");
    refused("05010000", "IPVS_CMD_ATTR_DEST is missing");
    refused("09010000", "IPVS_CMD_ATTR_DAEMON is missing");
    refused("01010000 04000100", "IPVS_SVC_ATTR_AF is missing");
    refused("01010000 0c000100 0600010002000000", "IPVS_SVC_ATTR_ADDR is missing");
    refused("01010000 14000100 0600010002000000 0800050001000000", "IPVS_SVC_ATTR_FLAGS is missing");
    refused("0e010000 0800010001000000", "IPVS_INFO_ATTR_CONN_TAB_SIZE is missing");
    refused("09010000 0c000300 0800010001000000", "IPVS_DAEMON_ATTR_MCAST_IFN is missing");
}

#[test]
fn commands_that_are_no_reply_or_no_request() {
    refused("04010000", "GetService is not the command of a reply");
    refused("00010000", "unknown IPVS command 0");
    refused("12010000", "unknown IPVS command 18");
    let error = Request::parse(Command::SetInfo, &[]).unwrap_err().to_string();
    assert_eq!(error, "IPVS_CMD_SET_INFO is a reply only");
}

#[test]
fn names_that_are_none() {
    use netlink_packet_ipvs::{InvalidName, SchedulerName};
    let parse = |text: &str| text.parse::<SchedulerName>();
    assert_eq!(parse("sixteen-bytes-it"), Err(InvalidName::TooLong { length: 16, longest: 15 }));
    assert_eq!(parse("r\0r"), Err(InvalidName::ContainsNul));
    assert_eq!(parse("fifteen-bytes-i").unwrap().to_string(), "fifteen-bytes-i");
    assert_eq!(format!("{:5}|{:?}", parse("rr").unwrap(), parse("rr").unwrap()), "rr   |\"rr\"");
    assert!(parse("").unwrap().is_empty());
}
