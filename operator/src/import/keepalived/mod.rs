//! keepalived.conf: its `virtual_server` and `virtual_server_group` blocks (keepalived.conf(5)).

mod setting;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use lvs_core::forwarding::Forwarding;
use lvs_core::ipvs::{PortKey, Timeouts};
use lvs_core::network::Family;
use lvs_core::scheduling::Thresholds;

use super::block::{Block, blocks};
use super::table::{Packets, RealServer, RealServers, Table, VirtualServer};
use setting::{draft, method};

/// Reads every block; what cannot be carried over is noted with its reason.
pub(super) fn read(text: &str) -> Table {
    let mut table = Table::default();
    let (blocks, broken) = blocks(text);
    for line in broken {
        table.leave(line, "}", "braces do not match here");
    }
    let groups = groups(&blocks, &mut table);
    for block in &blocks {
        match block.word(0) {
            "virtual_server" => virtual_server(block, &groups, &mut table),
            "virtual_server_group" => {}
            "global_defs" => global(block, &mut table),
            "vrrp_instance" | "vrrp_sync_group" | "vrrp_script" | "vrrp" => {
                let why = "the VIPs' holder is the DirectorGroup's choice: keepalived must not hold them too";
                table.leave(block.line, block.text(), why);
            }
            "include" => {
                table.leave(block.line, block.text(), "an included file is not read: give it by itself");
            }
            _ => table.leave(block.line, block.text(), "not about virtual servers"),
        }
    }
    table
}

/// What a group or a virtual server takes: a VIP with a port, or a firewall mark.
#[derive(Clone, Copy)]
enum Member {
    To(IpAddr, u16),
    Marked(u32),
}

type Groups = BTreeMap<String, Vec<Member>>;

/// VIPs and ports by the name of their group.
fn groups(blocks: &[Block], table: &mut Table) -> Groups {
    let mut groups = Groups::new();
    for block in blocks.iter().filter(|block| block.word(0) == "virtual_server_group") {
        let members = groups.entry(block.word(1).to_owned()).or_default();
        for entry in &block.children {
            match members_of(entry) {
                Ok(found) => members.extend(found),
                Err(why) => table.leave(entry.line, entry.text(), why),
            }
        }
    }
    groups
}

/// `10.0.0.1 80`, `10.0.0.1-9 80` for a range of the last number, or `fwmark 7`.
fn members_of(entry: &Block) -> Result<Vec<Member>, String> {
    if entry.word(0) == "fwmark" {
        return Ok(vec![mark(entry.word(1))?]);
    }
    let port: u16 = match entry.word(1) {
        "" => 0,
        port => port.parse().map_err(|_| format!("{port} is no port in figures"))?,
    };
    let wrong = || format!("{} is neither an address nor a range", entry.word(0));
    let Some((first, last)) = entry.word(0).split_once('-') else {
        return Ok(vec![Member::To(entry.word(0).parse().map_err(|_| wrong())?, port)]);
    };
    let first: Ipv4Addr = first.parse().map_err(|_| wrong())?;
    let last: u8 = last.rsplit('.').next().unwrap_or_default().parse().map_err(|_| wrong())?;
    let [a, b, c, d] = first.octets();
    if last < d {
        return Err(wrong());
    }
    Ok((d..=last).map(|d| Member::To(IpAddr::from([a, b, c, d]), port)).collect())
}

fn mark(word: &str) -> Result<Member, String> {
    word.parse().map(Member::Marked).map_err(|_| format!("{word} is no mark in figures"))
}

fn global(block: &Block, table: &mut Table) {
    for entry in &block.children {
        let seconds = |word: &str| word.parse::<u32>().ok();
        let timeouts = (entry.word(0) == "lvs_timeouts").then(|| {
            let of = |name| {
                entry.words.iter().skip_while(|word| *word != name).nth(1).and_then(|word| seconds(word))
            };
            Some(Timeouts {
                tcp_seconds: of("tcp")?,
                tcp_fin_seconds: of("tcpfin")?,
                udp_seconds: of("udp")?,
            })
        });
        match timeouts.flatten() {
            Some(timeouts) => table.timeouts = Some(timeouts),
            None => table.leave(entry.line, entry.text(), "a setting of keepalived itself"),
        }
    }
}

fn virtual_server(block: &Block, groups: &Groups, table: &mut Table) {
    let members = match block.word(1) {
        "group" => {
            groups.get(block.word(2)).cloned().ok_or_else(|| format!("there is no group {}", block.word(2)))
        }
        "fwmark" => mark(block.word(2)).map(|mark| vec![mark]),
        address => {
            let port = if block.word(2).is_empty() { Ok(0) } else { block.word(2).parse() };
            match (address.parse(), port) {
                (Ok(address), Ok(port)) => Ok(vec![Member::To(address, port)]),
                _ => Err("write the address and the port in figures".to_owned()),
            }
        }
    };
    let members = match members {
        Ok(members) => members,
        Err(why) => return table.leave(block.line, block.text(), why),
    };
    let draft = draft(block, table);
    let Some(forwarding) = draft.forwarding else {
        let why = "it has no lb_kind that can be written; the whole virtual server is left out";
        return table.leave(block.line, block.text(), why);
    };
    for member in members {
        let packets = match member {
            Member::To(vip, port) => Packets::To(vip, PortKey { protocol: draft.protocol, port }),
            Member::Marked(mark) => Packets::Marked(family_of_real_servers(block), mark),
        };
        let mut scheduling = draft.scheduling.clone();
        if let (Some(persistence), Some(length)) = (&mut scheduling.persistence, draft.mask) {
            match packets.family() {
                Family::IPv4 => persistence.ipv4_prefix_length = length.min(32),
                Family::IPv6 => persistence.ipv6_prefix_length = length,
            }
        }
        if table.servers.iter().any(|other| other.packets == packets) {
            table.leave(block.line, block.text(), format!("{packets} stands here twice; the first counts"));
            continue;
        }
        let real_servers = real_servers(block, packets, forwarding, table);
        table.servers.push(VirtualServer { line: block.line, packets, scheduling, real_servers });
    }
}

/// A mark has no family of its own: it is that of the first real server.
fn family_of_real_servers(block: &Block) -> Family {
    let mut servers = block.children.iter().filter(|entry| entry.word(0) == "real_server");
    let first = servers.find_map(|entry| entry.word(1).parse::<IpAddr>().ok());
    first.map_or(Family::IPv4, Family::of)
}

fn real_servers(block: &Block, packets: Packets, forwarding: Forwarding, table: &mut Table) -> RealServers {
    let mut found = RealServers::new();
    for entry in block.children.iter().filter(|entry| entry.word(0) == "real_server") {
        match real_server(entry, packets, forwarding, table) {
            Ok((key, server)) => _ = found.insert(key, server),
            Err(why) => table.leave(entry.line, entry.text(), why),
        }
    }
    found
}

fn real_server(
    block: &Block,
    packets: Packets,
    forwarding: Forwarding,
    table: &mut Table,
) -> Result<((IpAddr, Option<u16>), RealServer), String> {
    let address: IpAddr = block.word(1).parse().map_err(|_| "write the address in figures".to_owned())?;
    let port = packets.port();
    let its_port = match (block.word(2), packets) {
        // Behind a mark a real server gets the port that a packet came to, whatever is written there.
        ("", _) | (_, Packets::Marked(..)) => port,
        (number, Packets::To(..)) => number.parse().map_err(|_| format!("{number} is no port in figures"))?,
    };
    let mut server = RealServer { weight: 1, thresholds: Thresholds::NONE, forwarding };
    for entry in &block.children {
        let number = || {
            let value = entry.word(1);
            value.parse::<u32>().map_err(|_| format!("{value} is no number"))
        };
        match entry.word(0) {
            "weight" => server.weight = number()?,
            "uthreshold" => server.thresholds.upper = number()?,
            "lthreshold" => server.thresholds.lower = number()?,
            "lvs_method" | "lb_kind" => server.forwarding = method(entry)?,
            _ => {
                let why = "health checks are not there yet";
                let new = !table.left.iter().any(|left| left.line == entry.line);
                if new {
                    table.leave(entry.line, entry.text(), why);
                }
            }
        }
    }
    if i32::try_from(server.weight).is_err() {
        return Err(format!("weight {} is above 2147483647", server.weight));
    }
    if Family::of(address) != packets.family() && !server.forwarding.crosses_families() {
        return Err("a real server of the other family needs a tunnel".to_owned());
    }
    let own_port = Some(its_port).filter(|its_port| *its_port != port);
    if own_port.is_some() && !server.forwarding.rewrites() {
        let forwarding = server.forwarding;
        return Err(format!("its port is not the service's {port}, and {forwarding} changes no port"));
    }
    Ok(((address, own_port), server))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
! the web
global_defs { router_id LVS_1
  lvs_timeouts tcp 30 tcpfin 5 udp 60
}
virtual_server_group both {
  10.0.0.1 80      # http
  10.0.0.2-3 443
  fwmark 7
}
virtual_server group both {
  delay_loop 6
  lb_algo mh
  lb_kind DR
  mh-port
  persistence_timeout 50
  persistence_granularity 255.255.255.0
  protocol TCP
  real_server 10.0.1.1 80 {
    weight 3
    uthreshold 100
    TCP_CHECK { connect_timeout 3 }
  }
  real_server 10.0.1.2 443 { weight 1 }
}
virtual_server 10.0.0.9 53 {
  lvs_sched rr
  lvs_method DR
  ops
  protocol UDP
  real_server 10.0.1.1 53 {}
}
virtual_server 10.0.0.9 25 {
  lb_kind NOWHERE
  real_server 10.0.1.1 25 {}
}
vrrp_instance VI_1 {
  virtual_ipaddress { 10.0.0.1 }
}
";

    #[test]
    fn blocks_become_virtual_servers() {
        let table = read(FILE);
        let named: Vec<String> = table.servers.iter().map(|server| server.packets.to_string()).collect();
        assert_eq!(
            named,
            [
                "10.0.0.1 TCP 80",
                "10.0.0.2 TCP 443",
                "10.0.0.3 TCP 443",
                "firewall mark 7 IPv4",
                "10.0.0.9 UDP 53"
            ]
        );
        assert_eq!(table.servers[3].real_servers.len(), 2);
        let first = &table.servers[0];
        assert_eq!((first.scheduling.scheduler.as_str(), first.scheduling.flags.len()), ("mh", 1));
        let persistence = first.scheduling.persistence.unwrap();
        assert_eq!((persistence.timeout_seconds, persistence.ipv4_prefix_length), (50, 24));
        let real: Vec<_> =
            first.real_servers.iter().map(|((rip, _), server)| (rip.to_string(), server.weight)).collect();
        assert_eq!(real, [("10.0.1.1".to_owned(), 3)], "the other listens on another port");
        assert!(table.servers[4].scheduling.one_packet);
        assert_eq!(table.timeouts.map(|timeouts| timeouts.tcp_fin_seconds), Some(5));
    }

    #[test]
    fn what_cannot_be_carried_is_named_with_its_line() {
        let table = read(FILE);
        let left: Vec<(usize, &str)> =
            table.left.iter().map(|left| (left.line, left.text.as_str())).collect();
        for wanted in [
            (3, "router_id LVS_1"),
            (12, "delay_loop 6"),
            (22, "TCP_CHECK"),
            (33, "virtual_server 10.0.0.9 25"),
            (37, "vrrp_instance VI_1"),
        ] {
            assert!(left.contains(&wanted), "{wanted:?} is not in {left:?}");
        }
    }

    #[test]
    fn a_method_is_of_the_virtual_server_or_of_one_real_server() {
        let table = read(
            "virtual_server 10.0.0.9 80 {\n lvs_method TUN\n real_server 10.0.1.1 80 { weight 1 }\n \
             real_server fd00::1 80 { lvs_method TUN type gue port 6080 csum\n }\n \
             real_server 10.0.1.3 80 { lvs_method DR\n }\n real_server 10.0.1.4 8080 { lvs_method NAT\n }\n \
             real_server 10.0.1.5 8080 { weight 1 }\n}\n",
        );
        let written: Vec<String> = (table.servers[0].real_servers.iter())
            .map(|((rip, port), server)| format!("{rip} {port:?} {}", server.forwarding))
            .collect();
        assert_eq!(
            written,
            [
                "10.0.1.1 None an IPIP tunnel",
                "10.0.1.3 None direct routing",
                "10.0.1.4 Some(8080) masquerading",
                "fd00::1 None a GUE tunnel to port 6080"
            ]
        );
        assert!(table.left[0].why.contains("changes no port"), "{:?}", table.left);
    }

    #[test]
    fn anything_at_all_is_read_without_a_panic() {
        for text in [
            "}",
            "{",
            "virtual_server {",
            "virtual_server 1.2.3.4 x { }",
            "real_server",
            "a { b { c } } }",
            "\"x",
        ] {
            let _ = read(text);
        }
    }
}
