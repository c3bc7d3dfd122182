//! A kernel's table as `ipvsadm -Sn` prints it, byte for byte (measured with ipvsadm 1.31).

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvs_core::ipvs::{
    DestinationKey, DestinationSettings, ForwardingMethod, Tunnel, VirtualServerKey, VirtualServerSettings,
};
use lvs_core::kernel::Kernel;
use lvs_core::network::{Family, Protocol};
use lvs_core::scheduling::{ONE_PACKET, SchedulerFlag};

/// `IP_VS_SVC_F_SCHED1` to `SCHED3`.
const SCHEDULER_FLAGS: u32 = 0x38;

/// The rules, a line each, which `ipvsadm -R` takes. As in ipvsadm's own, thresholds are missing: it does not save them.
#[must_use]
pub fn rules(kernel: &Kernel) -> String {
    let mut text = String::new();
    let mut servers: Vec<_> = kernel.virtual_servers.iter().collect();
    sort(&mut servers, &|(one, _), (other, _)| by_service(one, other));
    for (key, server) in servers {
        let name = name(key);
        let _ =
            writeln!(text, "-A {name} -s {}{}", server.settings.scheduler, options(key, &server.settings));
        let mut destinations: Vec<_> = server.destinations.iter().collect();
        sort(&mut destinations, &|(one, _), (other, _)| by_destination(one, other));
        for (destination, settings) in destinations {
            let to = SocketAddr::new(destination.address, destination.port);
            let method = method(settings.method);
            let _ = writeln!(text, "-a {name} -r {to} {method} -w {}{}", settings.weight, tunnel(settings));
        }
    }
    text
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

fn options(key: &VirtualServerKey, settings: &VirtualServerSettings) -> String {
    let mut text = String::new();
    if let Some(persistence) = settings.persistence {
        let _ = write!(text, " -p {}", persistence.timeout_seconds);
        let length = persistence.prefix_length;
        if length != key.family().host_length() {
            let _ = match key.family() {
                Family::IPv4 => write!(text, " -M {}", mask(length)),
                Family::IPv6 => write!(text, " -M {length}"),
            };
        }
        if let Some(engine) = settings.persistence_engine {
            let _ = write!(text, " --pe {engine}");
        }
    }
    if settings.flags & ONE_PACKET != 0 {
        text.push_str(" -o");
    }
    if settings.flags & SCHEDULER_FLAGS != 0 {
        let _ = write!(text, " -b {}", scheduler_flags(settings).join(","));
    }
    text
}

fn mask(length: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0))
}

/// The flags of the scheduler by their names; `flag-1` and so on where it has none of its own. ipvsadm passes over the
/// third flag of those that name their first two.
fn scheduler_flags(settings: &VirtualServerSettings) -> Vec<String> {
    let is_set = |bit: u32| settings.flags & bit != 0;
    let scheduler = settings.scheduler.as_str();
    let mut named = SchedulerFlag::ALL.into_iter().filter(|flag| flag.scheduler() == scheduler).peekable();
    if named.peek().is_some() {
        return named.filter(|flag| is_set(flag.bit())).map(|flag| flag.to_string()).collect();
    }
    let unnamed = [(0x8, "flag-1"), (0x10, "flag-2"), (0x20, "flag-3")];
    unnamed.into_iter().filter(|(bit, _)| is_set(*bit)).map(|(_, name)| name.to_owned()).collect()
}

fn method(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Masquerade => "-m",
        ForwardingMethod::Tunnel => "-i",
        _ => "-g",
    }
}

fn tunnel(settings: &DestinationSettings) -> String {
    if settings.method != ForwardingMethod::Tunnel {
        return String::new();
    }
    let tunnel = settings.tunnel.unwrap_or(Tunnel { kind: 0, port: 0, flags: 0 });
    let checksum = match tunnel.flags {
        1 => "--tun-csum",
        2 => "--tun-remcsum",
        _ => "--tun-nocsum",
    };
    match tunnel.kind {
        1 => format!(" --tun-type gue --tun-port {} {checksum}", tunnel.port),
        2 => format!(" --tun-type gre {checksum}"),
        _ => " --tun-type ipip".to_owned(),
    }
}

fn by_service(one: &VirtualServerKey, other: &VirtualServerKey) -> Ordering {
    let parts = |key: &VirtualServerKey| match key {
        VirtualServerKey::Tuple { protocol, address, port } => (0, Some(*protocol), words(*address), *port),
        VirtualServerKey::Mark { mark, .. } => (*mark, None, [0; 4], 0),
    };
    let (one_mark, one_protocol, one_address, one_port) = parts(one);
    let (mark, protocol, address, port) = parts(other);
    difference(one_mark, mark)
        .then(one.family().cmp(&other.family()))
        .then(one_protocol.cmp(&protocol))
        .then_with(|| by_address(one_address, address))
        .then(one_port.cmp(&port))
}

fn by_destination(one: &DestinationKey, other: &DestinationKey) -> Ordering {
    by_address(words(one.address), words(other.address)).then(one.port.cmp(&other.port))
}

fn by_address(one: [u32; 4], other: [u32; 4]) -> Ordering {
    let differences = one.into_iter().zip(other).map(|(one, other)| difference(one, other));
    differences.fold(Ordering::Equal, Ordering::then)
}

/// ipvsadm takes the sign of a 32-bit difference, which wraps: 10.0.0.1 comes after 192.168.0.1.
fn difference(one: u32, other: u32) -> Ordering {
    one.wrapping_sub(other).cast_signed().cmp(&0)
}

fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(v4) => [v4.to_bits(), 0, 0, 0],
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            // Each shift leaves 32 bits that count.
            [96, 64, 32, 0].map(|shift| u32::try_from(bits >> shift & 0xffff_ffff).unwrap_or_default())
        }
    }
}

/// A stable merge sort, as the C library's qsort. The wrapping order can go in a circle, which the standard library's
/// sort may answer with a panic.
fn sort<T: Copy>(items: &mut [T], order: &impl Fn(&T, &T) -> Ordering) {
    if items.len() < 2 {
        return;
    }
    let (left, right) = items.split_at_mut(items.len() / 2);
    sort(left, order);
    sort(right, order);
    let (left, right) = (left.to_vec(), right.to_vec());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    for place in items {
        let next = match (left.peek(), right.peek()) {
            (Some(one), Some(other)) if order(one, other) == Ordering::Greater => right.next(),
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        };
        if let Some(next) = next {
            *place = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use lvs_core::ipvs::Persistence;
    use lvs_core::kernel::VirtualServer;

    use super::*;

    fn kernel(keys: &[&str]) -> Kernel {
        let server = |scheduler: &str| VirtualServer {
            settings: VirtualServerSettings {
                scheduler: scheduler.parse().unwrap(),
                flags: 0,
                persistence: None,
                persistence_engine: None,
            },
            destinations: lvs_core::flat_map::FlatMap::new(),
        };
        let servers = keys.iter().map(|key| (key.parse().unwrap(), server("rr")));
        Kernel { virtual_servers: servers.collect(), ..Kernel::default() }
    }

    #[test]
    fn the_order_is_ipvsadms() {
        let wanted = [
            "TCP 172.16.0.1:80",
            "TCP 192.168.10.40:0",
            "TCP 192.168.10.40:80",
            "TCP 10.0.0.1:0",
            "TCP 10.0.0.1:40000",
            "UDP 10.0.0.1:53",
            "SCTP 10.0.0.1:9",
            "TCP [fd00::1]:0",
            "FWM 7 IPv4",
            "FWM 8 IPv6",
        ];
        let kernel = kernel(&wanted);
        let lines: Vec<String> =
            wanted.iter().map(|key| format!("-A {} -s rr", name(&key.parse().unwrap()))).collect();
        assert_eq!(rules(&kernel).lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn an_order_that_goes_in_a_circle_loses_nothing() {
        let keys: Vec<String> = (0..=255).map(|n| format!("TCP {n}.0.0.1:80")).collect();
        let kernel = kernel(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let text = rules(&kernel);
        let lines: std::collections::BTreeSet<&str> = text.lines().collect();
        assert_eq!(lines.len(), 256);
    }

    #[test]
    fn every_option_of_a_service_is_there() {
        let settings = |scheduler: &str, flags, persistence, engine: Option<&str>| VirtualServerSettings {
            scheduler: scheduler.parse().unwrap(),
            flags,
            persistence,
            persistence_engine: engine.map(|engine| engine.parse().unwrap()),
        };
        let persistence = |prefix_length| Some(Persistence { timeout_seconds: 30, prefix_length });
        let udp = "UDP 10.0.0.1:54".parse().unwrap();
        let v6 = "TCP [fd00::1]:80".parse().unwrap();
        for (key, settings, wanted) in [
            (udp, settings("rr", 0x4, persistence(16), None), " -p 30 -M 255.255.0.0 -o"),
            (udp, settings("rr", 0, persistence(32), Some("sip")), " -p 30 --pe sip"),
            (v6, settings("rr", 0, persistence(64), None), " -p 30 -M 64"),
            (v6, settings("mh", 0x18, None, None), " -b mh-fallback,mh-port"),
            (v6, settings("sh", 0x30, None, None), " -b sh-port"),
            (v6, settings("wlc", 0x38, None, None), " -b flag-1,flag-2,flag-3"),
        ] {
            assert_eq!(options(&key, &settings), wanted);
        }
    }

    #[test]
    fn every_tunnel_is_there() {
        let settings = |tunnel| DestinationSettings {
            method: ForwardingMethod::Tunnel,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel,
        };
        let of = |kind, port, flags| tunnel(&settings(Some(Tunnel { kind, port, flags })));
        assert_eq!(tunnel(&settings(None)), " --tun-type ipip");
        assert_eq!(of(1, 6080, 1), " --tun-type gue --tun-port 6080 --tun-csum");
        assert_eq!(of(1, 6080, 2), " --tun-type gue --tun-port 6080 --tun-remcsum");
        assert_eq!(of(2, 0, 0), " --tun-type gre --tun-nocsum");
        assert_eq!(of(2, 0, 1), " --tun-type gre --tun-csum");
    }
}
