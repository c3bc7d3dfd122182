//! How a node stands at one moment, read without starting a program: it can be read while everything is under way.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use nix::ifaddrs::getifaddrs;

use super::vips;
use crate::lab::Host;

/// IPVS, addresses and ARP settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Services and destinations as `/proc/net/ip_vs` has them, without counts of connections; a destination's line
    /// starts with its service.
    pub ipvs: BTreeSet<String>,
    /// Link, address and mask.
    pub addresses: BTreeSet<(String, IpAddr, String)>,
    /// `arp_ignore` and `arp_announce` of `all` and of `eth0`.
    pub arp: [u8; 4],
}

impl Stand {
    /// Reads a node. Fails where the kernel cannot be read.
    pub fn of(host: &Host) -> Result<Self> {
        host.inside(read)?.with_context(|| format!("read {}", host.name()))
    }

    /// VIPs on the uplink.
    pub fn held(&self) -> Result<Vec<IpAddr>> {
        self.vips_on("eth0")
    }

    /// VIPs on `lo`.
    pub fn accepted(&self) -> Result<Vec<IpAddr>> {
        self.vips_on("lo")
    }

    /// Fails where an IPv4 VIP is on `lo` and the node would answer ARP for it on its uplink.
    pub fn ensure_hidden(&self) -> Result<()> {
        let [all, _, own, _] = self.arp;
        let shown = self.accepted()?.into_iter().find(IpAddr::is_ipv4);
        let hidden = matches!(all.max(own), 1 | 2 | 8);
        ensure!(
            shown.is_none() || hidden,
            "{shown:?} is on lo and arp_ignore is {all} (all) and {own} (eth0)"
        );
        Ok(())
    }

    fn vips_on(&self, link: &str) -> Result<Vec<IpAddr>> {
        let vips = vips()?;
        let here = self.addresses.iter().filter(|(on, address, _)| on == link && vips.contains(address));
        Ok(here.map(|(_, address, _)| *address).collect())
    }
}

fn read() -> Result<Stand> {
    // `/proc/net` is that of the process's first thread; this thread is in another namespace.
    let table = fs::read_to_string("/proc/thread-self/net/ip_vs").context("read the IPVS table")?;
    let setting = |link: &str, name: &str| -> Result<u8> {
        let path = format!("/proc/sys/net/ipv4/conf/{link}/{name}");
        fs::read_to_string(&path)?.trim().parse().with_context(|| path)
    };
    Ok(Stand {
        ipvs: entries(&table),
        addresses: addresses()?,
        arp: [
            setting("all", "arp_ignore")?,
            setting("all", "arp_announce")?,
            setting("eth0", "arp_ignore")?,
            setting("eth0", "arp_announce")?,
        ],
    })
}

fn entries(table: &str) -> BTreeSet<String> {
    let mut service = String::new();
    // Version, and two lines of titles.
    let lines = table.lines().skip(3).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .map(|words| match words.as_slice() {
            ["->", address, method, weight, ..] => format!("{service} -> {address} {method} {weight}"),
            words => {
                service = words.get(..2).unwrap_or(words).join(" ");
                words.join(" ")
            }
        })
        .collect()
}

fn addresses() -> Result<BTreeSet<(String, IpAddr, String)>> {
    let address = |storage: Option<nix::sys::socket::SockaddrStorage>| -> Option<IpAddr> {
        let storage = storage?;
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    let all = getifaddrs().context("list the addresses")?;
    Ok(all
        .filter_map(|entry| {
            let mask = address(entry.netmask).map(|mask| mask.to_string()).unwrap_or_default();
            Some((entry.interface_name, address(entry.address)?, mask))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_told_with_its_service_and_without_counts() {
        let table = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
                     -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
                     TCP  C0A80A28:0050 rr persistent 20 FFFFFFFF\n  -> C0A80A0A:0050      Route   1      3          4\n";
        let wanted =
            ["TCP C0A80A28:0050 -> C0A80A0A:0050 Route 1", "TCP C0A80A28:0050 rr persistent 20 FFFFFFFF"];
        assert_eq!(entries(table), wanted.map(str::to_owned).into());
    }

    #[test]
    fn a_vip_on_lo_must_be_hidden() {
        let stand = |arp| Stand {
            ipvs: BTreeSet::new(),
            addresses: [("lo".to_owned(), "192.168.10.40".parse().unwrap(), String::new())].into(),
            arp,
        };
        stand([0, 0, 1, 2]).ensure_hidden().unwrap();
        stand([2, 0, 0, 0]).ensure_hidden().unwrap();
        stand([0, 2, 0, 2]).ensure_hidden().unwrap_err();
        stand([3, 0, 1, 2]).ensure_hidden().unwrap_err();
    }
}
