//! A kernel's table in the words of `ipvsadm -Sn`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvs_core::ipvs::{ForwardingMethod, VirtualServerKey, VirtualServerSettings};
use lvs_core::kernel::Kernel;
use lvs_core::network::{Family, Protocol};

/// The lines, in no order.
pub(super) fn rules(kernel: &Kernel) -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    for (key, server) in &kernel.virtual_servers {
        let name = name(key);
        rules.insert(format!(
            "-A {name} -s {}{}",
            server.settings.scheduler,
            persistence(key, &server.settings)
        ));
        for (destination, settings) in &server.destinations {
            let to = SocketAddr::new(destination.address, destination.port);
            rules.insert(format!("-a {name} -r {to} {} -w {}", method(settings.method), settings.weight));
        }
    }
    rules
}

fn name(key: &VirtualServerKey) -> String {
    match key {
        VirtualServerKey::Tuple { protocol, address, port } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!("{option} {}", SocketAddr::new(*address, *port))
        }
        VirtualServerKey::Mark { family: Family::IPv4, mark } => format!("-f {mark}"),
        VirtualServerKey::Mark { family: Family::IPv6, mark } => format!("-f {mark} -6"),
    }
}

fn persistence(key: &VirtualServerKey, settings: &VirtualServerSettings) -> String {
    let Some(persistence) = settings.persistence else { return String::new() };
    let timeout = persistence.timeout_seconds;
    if persistence.prefix_length == key.family().host_length() {
        return format!(" -p {timeout}");
    }
    match key.family() {
        Family::IPv4 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(persistence.prefix_length)).unwrap_or(0);
            format!(" -p {timeout} -M {}", IpAddr::from(Ipv4Addr::from(mask)))
        }
        Family::IPv6 => format!(" -p {timeout} -M {}", persistence.prefix_length),
    }
}

fn method(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Masquerade => "-m",
        ForwardingMethod::Tunnel => "-i",
        _ => "-g",
    }
}
