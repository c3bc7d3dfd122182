//! Direct routing set up by hand with `ipvsadm`, `ip` and the ARP settings: what the lab's network must make possible.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lab::packet::{SETTLE, capture};
use crate::lab::{Lab, Topology, frame, traffic};
use crate::scenarios::{Bench, typed};

/// What `lab-direct-routing` returns.
#[derive(Debug, Serialize, Deserialize)]
pub struct ByHand {
    /// The director's table.
    pub table: String,
    /// The client's address and the server that greeted it, connection by connection.
    pub greeted: Vec<(IpAddr, String)>,
    /// Packets of the connections that the director received.
    pub requests_through_director: usize,
    /// Packets that the director saw on their way from a real server to a client.
    pub replies_through_director: usize,
}

/// Two real servers behind a VIP per family; clients on the LAN and behind the router; nothing comes back through the
/// director.
pub(super) fn by_hand(bench: &mut Bench) -> Result<Value> {
    let names = ["director-1", "rs-1", "rs-2", "client", "router", "far-client"];
    let lab = Lab::new(&Topology::lan().only(&names))?;
    let director = lab.host("director-1")?;
    let mut servers = Vec::new();
    for name in ["rs-1", "rs-2"] {
        let host = lab.host(name)?;
        host.write_file("/proc/sys/net/ipv4/conf/eth0/arp_ignore", "1")?;
        host.write_file("/proc/sys/net/ipv4/conf/eth0/arp_announce", "2")?;
        host.sh("ip addr add 192.168.10.40/32 dev lo")?;
        host.sh("ip addr add fd00:10::40/128 dev lo nodad preferred_lft 0")?;
        servers.push(traffic::start_server(bench, host, 80)?);
    }
    director.sh("ipvsadm --set 30 5 60")?;
    for (vip, reals) in [
        ("192.168.10.40:80", ["192.168.10.10", "192.168.10.11"]),
        ("[fd00:10::40]:80", ["[fd00:10::10]", "[fd00:10::11]"]),
    ] {
        director.sh(&format!("ipvsadm -A -t {vip} -s rr -p 20"))?;
        for real in reals {
            director.sh(&format!("ipvsadm -a -t {vip} -r {real}:80 -g -w 1"))?;
        }
    }
    director.sh("ip addr add 192.168.10.40/32 dev eth0")?;
    director.sh("ip addr add fd00:10::40/128 dev eth0 nodad preferred_lft 0")?;

    let seen = capture(director, "eth0", |bytes| {
        frame::tcp(bytes).is_some_and(|(from, to)| involves_vip(from, to))
    })?;
    let mut greeted = Vec::new();
    for (client, vip, from) in [
        ("client", "192.168.10.40", ["192.168.10.101", "192.168.10.102", "192.168.10.103", "192.168.10.104"]),
        ("client", "fd00:10::40", ["fd00:10::101", "fd00:10::102", "fd00:10::103", "fd00:10::104"]),
        ("far-client", "192.168.10.40", ["10.20.0.2", "10.20.0.3", "10.20.0.4", "10.20.0.5"]),
        ("far-client", "fd00:10::40", ["fd00:20::2", "fd00:20::3", "fd00:20::4", "fd00:20::5"]),
    ] {
        let vip = SocketAddr::new(vip.parse()?, 80);
        for from in from {
            let from: IpAddr = from.parse()?;
            let name = traffic::ask(lab.host(client)?, from, vip, Duration::from_secs(30))?;
            greeted.push((from, name));
        }
        let of_four = &greeted[greeted.len() - 4..];
        let on = |server: &str| of_four.iter().filter(|(_, name)| name == server).count();
        ensure!(
            (on("rs-1"), on("rs-2")) == (2, 2),
            "round robin gives each server two of four clients: {of_four:?}"
        );
        bench.case(format!("{client} through {vip}"));
    }
    std::thread::sleep(SETTLE);
    let seen = seen.stop()?;
    let from_vip = |bytes: &[u8]| frame::tcp(bytes).is_some_and(|(from, _)| is_vip(from));
    let replies_through_director = seen.iter().filter(|frame| from_vip(&frame.bytes)).count();
    let requests_through_director =
        seen.iter().filter(|frame| !frame.outgoing).count() - replies_through_director;
    ensure!(requests_through_director > 0, "no request went through the director");
    ensure!(replies_through_director == 0, "{replies_through_director} replies went through the director");
    let counted = out_packets(&director.sh("ipvsadm -Ln --stats --exact")?);
    ensure!(counted == [0; 6], "two services and four destinations sent nothing back, yet: {counted:?}");
    bench.case("replies bypass the director");
    let table = director.sh("ipvsadm -Ln")?;
    typed(ByHand { table, greeted, requests_through_director, replies_through_director })
}

fn involves_vip(from: IpAddr, to: IpAddr) -> bool {
    is_vip(from) || is_vip(to)
}

fn is_vip(address: IpAddr) -> bool {
    ["192.168.10.40", "fd00:10::40"].iter().any(|vip| vip.parse() == Ok(address))
}

/// The `OutPkts` column of `ipvsadm -Ln --stats --exact`, of services and destinations: the third from the right.
fn out_packets(text: &str) -> Vec<u64> {
    text.lines().filter_map(|line| line.split_whitespace().rev().nth(2)?.parse().ok()).collect()
}
