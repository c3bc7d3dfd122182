//! The lines of `ipvsadm -Sn`, which are also what scripts hand to ipvsadm.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use lvs_core::forwarding::Forwarding;
use lvs_core::ipvs::{PortKey, Timeouts};
use lvs_core::network::{Family, Protocol};
use lvs_core::scheduling::Thresholds;

use super::table::{Packets, RealServer, Scheduling, Table, VirtualServer, flag, persistence, prefix_length};
use super::tunnel::Tunnel;

/// ipvsadm's own, where `-p` has no number.
const DEFAULT_PERSISTENCE: u32 = 300;

/// Reads every line; one that cannot be carried over is noted with its reason, and so are the real servers of a virtual
/// server that was not.
pub(super) fn read(text: &str) -> Table {
    let mut table = Table::default();
    for (place, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().skip_while(|word| word.ends_with("ipvsadm")).collect();
        if words.is_empty() || words[0].starts_with('#') {
            continue;
        }
        if let Err(why) = read_line(&mut table, place + 1, &words) {
            table.leave(place + 1, line.trim(), why);
        }
    }
    table
}

fn read_line(table: &mut Table, line: usize, words: &[&str]) -> Result<(), String> {
    let (verb, rest) = words.split_first().ok_or("an empty line")?;
    match *verb {
        "-A" | "--add-service" => {
            let server = service(line, &mut Words(rest))?;
            if table.servers.iter().any(|other| other.packets == server.packets) {
                return Err("this virtual server stands here twice; the first counts".to_owned());
            }
            table.servers.push(server);
            Ok(())
        }
        "-a" | "--add-server" => real_server(table, &mut Words(rest)),
        "--set" => {
            let seconds: Vec<u32> = rest.iter().filter_map(|word| word.parse().ok()).collect();
            let [tcp_seconds, tcp_fin_seconds, udp_seconds] = seconds[..] else {
                return Err("--set takes three numbers of seconds".to_owned());
            };
            table.timeouts = Some(Timeouts { tcp_seconds, tcp_fin_seconds, udp_seconds });
            Ok(())
        }
        "-C" | "--clear" => Err("the table is never flushed; leave this out".to_owned()),
        other => Err(format!("{other} is not a line of `ipvsadm -Sn`")),
    }
}

/// The words of a line, one after the other.
struct Words<'a>(&'a [&'a str]);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn value(&mut self, option: &str) -> Result<&'a str, String> {
        self.next().ok_or_else(|| format!("{option} has no value"))
    }

    fn number(&mut self, option: &str) -> Result<u32, String> {
        let value = self.value(option)?;
        value.parse().map_err(|_| format!("{option} {value}: not a number from 0 to 4294967295"))
    }

    /// The next word, where it is a number.
    fn number_if_any(&mut self) -> Option<u32> {
        let number = self.0.first()?.parse().ok()?;
        self.next();
        Some(number)
    }
}

fn protocol(option: &str) -> Option<Protocol> {
    match option {
        "-t" | "--tcp-service" => Some(Protocol::Tcp),
        "-u" | "--udp-service" => Some(Protocol::Udp),
        "--sctp-service" => Some(Protocol::Sctp),
        _ => None,
    }
}

fn identity(protocol: Protocol, text: &str) -> Result<Packets, String> {
    let socket: SocketAddr =
        text.parse().map_err(|_| format!("{text} is not ADDRESS:PORT in figures; use ipvsadm -Sn"))?;
    Ok(Packets::To(socket.ip(), PortKey { protocol, port: socket.port() }))
}

/// `-f 7`, and `-6` behind it for IPv6.
fn mark(words: &mut Words<'_>, option: &str) -> Result<Packets, String> {
    let mark = words.number(option)?;
    let v6 = words.0.first() == Some(&"-6");
    if v6 {
        words.next();
    }
    Ok(Packets::Marked(if v6 { Family::IPv6 } else { Family::IPv4 }, mark))
}

fn service(line: usize, words: &mut Words<'_>) -> Result<VirtualServer, String> {
    let mut found = None;
    let mut scheduling = Scheduling::default();
    let (mut engine, mut mask) = (None, None);
    while let Some(option) = words.next() {
        if let Some(protocol) = protocol(option) {
            found = Some(identity(protocol, words.value(option)?)?);
            continue;
        }
        match option {
            "-f" | "--fwmark-service" => found = Some(mark(words, option)?),
            "-s" | "--scheduler" => words.value(option)?.clone_into(&mut scheduling.scheduler),
            "-p" | "--persistent" => {
                let seconds = words.number_if_any().unwrap_or(DEFAULT_PERSISTENCE);
                scheduling.persistence = Some(persistence(seconds));
            }
            "-M" | "--netmask" => mask = Some(words.value(option)?),
            "--pe" => engine = Some(words.value(option)?),
            "-o" | "--ops" => scheduling.one_packet = true,
            "-b" | "--sched-flags" => {
                for name in words.value(option)?.split(',') {
                    let flag = flag(name).ok_or_else(|| format!("{name} is no flag that can be written"))?;
                    scheduling.flags.push(flag);
                }
            }
            other => return Err(format!("{other} is not known")),
        }
    }
    let packets = found.ok_or("no virtual server is named")?;
    finish(&mut scheduling, packets.family(), mask, engine)?;
    Ok(VirtualServer { line, packets, scheduling, real_servers: BTreeMap::new() })
}

/// Puts what belongs to persistence into it.
fn finish(
    scheduling: &mut Scheduling,
    family: Family,
    mask: Option<&str>,
    engine: Option<&str>,
) -> Result<(), String> {
    scheduling.flags.sort_unstable();
    let Some(persistence) = &mut scheduling.persistence else { return Ok(()) };
    if let Some(mask) = mask {
        let most = family.host_length();
        let length = prefix_length(mask, most).ok_or_else(|| format!("-M {mask} is not a prefix"))?;
        match family {
            Family::IPv4 => persistence.ipv4_prefix_length = length,
            Family::IPv6 => persistence.ipv6_prefix_length = length,
        }
    }
    if let Some(engine) = engine {
        if engine != "sip" {
            return Err(format!("--pe {engine}: only sip can be written"));
        }
        persistence.engine = engine.parse().ok();
    }
    Ok(())
}

fn real_server(table: &mut Table, words: &mut Words<'_>) -> Result<(), String> {
    let (mut of, mut to) = (None, None);
    let forwarding = Forwarding::DirectRouting;
    let mut server = RealServer { weight: 1, thresholds: Thresholds::NONE, forwarding };
    let (mut tunnel, mut by_tunnel) = (Tunnel::default(), false);
    while let Some(option) = words.next() {
        if let Some(protocol) = protocol(option) {
            of = Some(identity(protocol, words.value(option)?)?);
            continue;
        }
        match option {
            "-f" | "--fwmark-service" => of = Some(mark(words, option)?),
            "-r" | "--real-server" => to = Some(words.value(option)?),
            "-g" | "--gatewaying" => {}
            "-i" | "--ipip" => by_tunnel = true,
            "--tun-type" => tunnel.set_type(words.value(option)?)?,
            "--tun-port" => tunnel.set_port(words.value(option)?)?,
            other if other.strip_prefix("--tun-").is_some_and(|word| tunnel.set_checksum(word)) => {}
            "-m" | "--masquerading" => server.forwarding = Forwarding::Masquerade,
            "-w" | "--weight" => server.weight = words.number(option)?,
            "-x" | "--u-threshold" => server.thresholds.upper = words.number(option)?,
            "-y" | "--l-threshold" => server.thresholds.lower = words.number(option)?,
            other => return Err(format!("{other} is not known")),
        }
    }
    let packets = of.ok_or("no virtual server is named")?;
    let to = to.ok_or("no real server is named")?;
    if by_tunnel {
        server.forwarding = tunnel.forwarding()?;
    }
    let address = real_address(to, packets, server.forwarding)?;
    if i32::try_from(server.weight).is_err() {
        return Err(format!("weight {} is above 2147483647", server.weight));
    }
    let virtual_server = table.servers.iter_mut().find(|other| other.packets == packets);
    let virtual_server = virtual_server.ok_or("its virtual server was not carried over")?;
    if virtual_server.real_servers.insert(address, server).is_some() {
        return Err("this real server stands here twice; the last counts".to_owned());
    }
    Ok(())
}

/// The address of a real server, and its port where that is not the virtual server's, as it may be by masquerading alone.
fn real_address(to: &str, packets: Packets, forwarding: Forwarding) -> Result<(IpAddr, Option<u16>), String> {
    let port = packets.port();
    let bare = to.trim_start_matches('[').trim_end_matches(']');
    let (address, its_port) = to
        .parse::<SocketAddr>()
        .map(|socket| (socket.ip(), socket.port()))
        .or_else(|_| bare.parse().map(|address| (address, port)))
        .map_err(|_| format!("{to} is not ADDRESS:PORT in figures"))?;
    let own_port = Some(its_port).filter(|its_port| *its_port != port);
    if own_port.is_some() && !forwarding.rewrites() {
        return Err(format!("port {its_port} is not the service's {port}, and {forwarding} changes no port"));
    }
    if Family::of(address) != packets.family() && !forwarding.crosses_families() {
        return Err("a real server of the other family needs a tunnel".to_owned());
    }
    Ok((address, own_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_read_whole() {
        let table = read(
            "-A -t 192.168.10.40:80 -s rr -p 20\n\
             -a -t 192.168.10.40:80 -r 192.168.10.10:80 -g -w 1\n\
             -A -u 10.0.0.1:54 -s rr -p 30 -M 255.255.0.0 -o\n\
             -A -t [fd00::1]:80 -s mh -p 360 -M 64 -b mh-fallback,mh-port\n\
             -a -t [fd00::1]:80 -r [fd00::9]:80 -g -w 0\n\
             -A -u 10.0.0.1:5060 -s rr -p 30 --pe sip\n",
        );
        assert_eq!(table.left, []);
        assert_eq!(table.servers.len(), 4);
        let mh = &table.servers[2];
        assert_eq!(mh.scheduling.flags.len(), 2);
        assert_eq!(mh.scheduling.persistence.map(|found| found.ipv6_prefix_length), Some(64));
        assert_eq!(mh.real_servers[&("fd00::9".parse::<IpAddr>().unwrap(), None)].weight, 0);
        assert_eq!(table.servers[1].scheduling.persistence.map(|found| found.ipv4_prefix_length), Some(16));
        assert!(table.servers[1].scheduling.one_packet);
    }

    #[test]
    fn a_tunnel_is_read_with_all_that_it_has() {
        let table = read(
            "-A -t 10.0.0.1:80 -s rr\n\
             -a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type ipip\n\
             -a -t 10.0.0.1:80 -r [fd00::9]:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum\n\
             -a -t 10.0.0.1:80 -r 10.0.0.4:80 -i -w 1 --tun-type gre --tun-csum\n",
        );
        assert_eq!(table.left, []);
        let written: Vec<String> = (table.servers[0].real_servers.values())
            .map(|server| serde_json::to_string(&server.forwarding).unwrap())
            .collect();
        assert_eq!(
            written,
            [
                r#"{"method":"Tunnel","tunnel":{"type":"IPIP","checksum":"Absent"}}"#,
                r#"{"method":"Tunnel","tunnel":{"type":"GRE","checksum":"Outer"}}"#,
                r#"{"method":"Tunnel","tunnel":{"type":"GUE","port":6080,"checksum":"Remote"}}"#,
            ]
        );
    }

    #[test]
    fn a_masqueraded_real_server_has_a_port_of_its_own() {
        let table = read(
            "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 1\n\
             -a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m -w 2\n",
        );
        assert_eq!(table.left, []);
        let found: Vec<_> = (table.servers[0].real_servers.iter())
            .map(|((_, port), server)| (*port, server.forwarding, server.weight))
            .collect();
        assert_eq!(found, [(None, Forwarding::Masquerade, 1), (Some(8080), Forwarding::Masquerade, 2)]);
    }

    #[test]
    fn a_script_is_read_too() {
        let table = read(
            "# the web\n/sbin/ipvsadm --set 30 5 60\nipvsadm -A --tcp-service 10.0.0.1:80 --persistent\n\
             ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.2 -g -x 10 -y 5\n",
        );
        assert_eq!(table.left, []);
        assert_eq!(table.timeouts.map(|timeouts| timeouts.udp_seconds), Some(60));
        let server = &table.servers[0];
        assert_eq!(server.scheduling.persistence.map(|found| found.timeout_seconds), Some(300));
        assert_eq!(
            server.real_servers.values().next().unwrap().thresholds,
            Thresholds { upper: 10, lower: 5 }
        );
    }

    #[test]
    fn what_cannot_be_carried_is_named_line_by_line() {
        for (line, why) in [
            ("-A -f x -s rr", "not a number"),
            ("-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -g", "changes no port"),
            ("-a -t 10.0.0.1:80 -r [fd00::9]:8080 -m -w 1", "other family"),
            ("-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type gue", "has no port"),
            ("-a -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type vxlan", "no type of tunnel"),
            ("-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -i -w 1", "IPIP tunnel changes no port"),
            ("-a -t 10.0.0.1:80 -r [fd00::9]:80 -g", "other family"),
            ("-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 3000000000", "above 2147483647"),
            ("-a -t 10.0.0.9:80 -r 10.0.0.2:80 -g", "was not carried over"),
            ("-A -t 10.0.0.1:http -s rr", "in figures"),
            ("-A -t 10.0.0.1:81 -s rr -b flag-3", "no flag"),
            ("-A -t 10.0.0.1:81 -p 10 -M 255.0.255.0", "not a prefix"),
            ("-A -t 10.0.0.1:80 -s rr", "twice"),
            ("-A -t", "no value"),
            ("-C", "never flushed"),
            ("hello", "not a line"),
        ] {
            let table = read(&format!("-A -t 10.0.0.1:80 -s rr\n{line}\n"));
            let [left] = &table.left[..] else { panic!("{line}: {:?}", table.left) };
            assert_eq!((left.line, left.text.as_str()), (2, line));
            assert!(left.why.contains(why), "{line}: {}", left.why);
        }
    }
}
