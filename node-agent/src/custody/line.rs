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

/// As `serde_json` would write it. For IPv4 it is done by hand, which is five times as fast: of a large table this is
/// most of what the disk has to be told.
fn destination(text: &mut Vec<u8>, key: DestinationKey) -> io::Result<()> {
    let IpAddr::V4(address) = key.address else { return Ok(serde_json::to_writer(text, &key)?) };
    text.push(b'"');
    let [first, rest @ ..] = address.octets();
    decimal(text, first.into());
    for octet in rest {
        text.push(b'.');
        decimal(text, octet.into());
    }
    text.push(b':');
    decimal(text, key.port);
    text.push(b'"');
    Ok(())
}

fn decimal(text: &mut Vec<u8>, mut number: u16) {
    let (mut digits, mut first) = ([0; 5], 5);
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[first..]);
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
    fn numbers_are_written_whole() {
        for number in [0, 9, 10, 255, 1000, u16::MAX] {
            let mut text = Vec::new();
            decimal(&mut text, number);
            assert_eq!(text, number.to_string().as_bytes());
        }
    }
}
