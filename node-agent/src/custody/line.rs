//! The lines of the journal: one record each, but for the destinations that were added to one virtual server, which
//! share a line. A table of 100,000 entries is on disk before the kernel has begun to take it in.

use std::io;
use std::net::IpAddr;

use lvs_core::custody::{Claim, Item, Record};
use lvs_core::ipvs::{DestinationKey, VirtualServerKey};
use serde::Deserialize;

/// How a line of many begins.
const MANY: &[u8] = b"{\"takeDestinations\":[";

/// Destinations of one virtual server that did not exist before.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    take_destinations: (VirtualServerKey, Vec<DestinationKey>),
}

/// Hands on the records of a line.
///
/// # Errors
/// Where it is no line of a journal.
pub(super) fn read(line: &[u8], mut take: impl FnMut(Record)) -> serde_json::Result<()> {
    if line.starts_with(MANY) {
        let (server, destinations) = serde_json::from_slice::<Many>(line)?.take_destinations;
        for key in destinations {
            take(created(server, key));
        }
    } else {
        take(serde_json::from_slice(line)?);
    }
    Ok(())
}

fn created(server: VirtualServerKey, key: DestinationKey) -> Record {
    Record::Take(Item::Destination(server, key), Claim::Created)
}

/// Appends the lines of records.
pub(super) fn write(text: &mut Vec<u8>, records: impl Iterator<Item = Record>) -> io::Result<()> {
    // The virtual server of the line that is being written.
    let mut open = None;
    for record in records {
        if let Record::Take(Item::Destination(server, key), Claim::Created) = record {
            if open == Some(server) {
                text.push(b',');
            } else {
                close(text, &mut open);
                text.extend_from_slice(MANY);
                serde_json::to_writer(&mut *text, &server)?;
                text.extend_from_slice(b",[");
                open = Some(server);
            }
            destination(text, key)?;
        } else {
            close(text, &mut open);
            serde_json::to_writer(&mut *text, &record)?;
            text.push(b'\n');
        }
    }
    close(text, &mut open);
    Ok(())
}

fn close(text: &mut Vec<u8>, open: &mut Option<VirtualServerKey>) {
    if open.take().is_some() {
        text.extend_from_slice(b"]]}\n");
    }
}

/// As `serde_json` would write it. For IPv4 it is done by hand, which is ten times as fast: of a large table this is
/// most of what the disk has to be told.
fn destination(text: &mut Vec<u8>, key: DestinationKey) -> io::Result<()> {
    let IpAddr::V4(address) = key.address else { return Ok(serde_json::to_writer(text, &key)?) };
    let mut written = Written { bytes: [b'"'; LONGEST], length: 1 };
    for (octet, after) in address.octets().into_iter().zip(*b"...:") {
        written.decimal(octet.into());
        written.byte(after);
    }
    written.decimal(key.port);
    written.byte(b'"');
    text.extend_from_slice(&written.bytes[..written.length]);
    Ok(())
}

/// The length of `"255.255.255.255:65535"` with its quotation marks.
const LONGEST: usize = 23;

/// A text that is being written where it costs no allocation.
struct Written {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Written {
    fn byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn decimal(&mut self, number: u16) {
        for unit in [10_000, 1_000, 100, 10] {
            if number >= unit {
                self.digit(number / unit);
            }
        }
        self.digit(number);
    }

    /// The last digit of a number.
    fn digit(&mut self, number: u16) {
        self.byte(b"0123456789"[usize::from(number % 10)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_of_one_server_share_a_line_and_read_back() {
        let records: Vec<Record> = [
            ("TCP 192.168.10.40:80", "192.168.10.10:80"),
            ("TCP 192.168.10.40:80", "10.0.200.255:65535"),
            ("TCP [fd00::40]:80", "[fd00::10]:80"),
            ("TCP 192.168.10.40:443", "0.0.0.0:0"),
        ]
        .into_iter()
        .map(|(server, key)| created(server.parse().unwrap(), key.parse().unwrap()))
        .chain([
            Record::Release(Item::Timeouts),
            Record::Take(
                Item::Destination("FWM 7 IPv4".parse().unwrap(), "10.0.0.1:0".parse().unwrap()),
                Claim::Adopted,
            ),
        ])
        .collect();
        let mut text = Vec::new();
        write(&mut text, records.iter().copied()).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(
            text.starts_with(
                r#"{"takeDestinations":["TCP 192.168.10.40:80",["192.168.10.10:80","10.0.200.255:65535"]]}"#
            ),
            "{text}"
        );
        let mut found = Vec::new();
        for line in text.lines() {
            read(line.as_bytes(), |record| found.push(record)).unwrap();
        }
        assert_eq!(found, records);
    }

    #[test]
    fn addresses_are_written_whole() {
        for octet in [0, 9, 10, 99, 100, 255] {
            for port in [0, 9, 10, 99, 100, 999, 1_000, 9_999, 10_000, u16::MAX] {
                let key = DestinationKey { address: [octet, 1, octet, octet].into(), port };
                let mut text = Vec::new();
                destination(&mut text, key).unwrap();
                assert_eq!(text, serde_json::to_vec(&key).unwrap());
            }
        }
    }
}
