//! The bytes of one message.

use std::net::IpAddr;
use std::time::Instant;

use netlink_packet_ipvs::{
    Destination, DestinationIdentity, ForwardingMethod, Request, RequestHeader, ServiceIdentity, Tunnel,
    TunnelType,
};

use super::row::{Row, Times};

/// Encoding a million messages that each change a weight, into one buffer as on the way to the kernel.
pub(super) fn row() -> Row {
    let service = ServiceIdentity::Tuple { protocol: 6, address: IpAddr::from([192, 168, 10, 40]), port: 80 };
    let identity = DestinationIdentity { address: IpAddr::from([192, 168, 10, 10]), port: 80 };
    let tunnel = Tunnel { kind: TunnelType::IpInIp, port: 0, flags: 0 };
    let mut times = Times::default();
    let mut buffer = Vec::with_capacity(64 << 10);
    for _ in 0..5 {
        let start = Instant::now();
        for weight in 0..1_000_000 {
            let destination = Destination {
                identity,
                forwarding: ForwardingMethod::DirectRouting,
                weight,
                upper_threshold: 0,
                lower_threshold: 0,
                tunnel,
            };
            if buffer.len() > 60 << 10 {
                buffer.clear();
            }
            let header = RequestHeader { family_id: 28, sequence: 7, acknowledge: false };
            Request::SetDest(service, destination).encode(header, &mut buffer);
            std::hint::black_box(&buffer);
        }
        times.add(start.elapsed());
    }
    Row::alone("encode a million messages".to_owned(), &times).at_most(100.0)
}
