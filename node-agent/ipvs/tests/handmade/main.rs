//! Bytes that `ipvsadm` does not make: what it cannot express, what other kernels send, and what is damaged.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in the functions that it calls too"
)]

mod damaged;
mod family;
mod framing;
mod replies;
mod requests;

use std::net::IpAddr;

use netlink_packet_ipvs::ServiceIdentity;

/// Bytes from hexadecimal digits; blanks do not count.
fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<char> = hexadecimal.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// 10.0.0.1:80, TCP.
fn http() -> ServiceIdentity {
    ServiceIdentity::Tuple { protocol: 6, address: ip("10.0.0.1"), port: 80 }
}
