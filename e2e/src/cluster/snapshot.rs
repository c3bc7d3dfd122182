//! What a node's kernel holds that ours could have changed, by the node's own tools.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::Cluster;

/// The timeouts of a kernel that has just loaded `ip_vs` (`tcp_timeouts` and `udp_timeouts` in
/// `net/netfilter/ipvs/ip_vs_proto_tcp.c` and `ip_vs_proto_udp.c`), as ipvsadm prints them.
const KERNEL_TIMEOUTS: &str = "Timeout (tcp tcpfin udp): 900 120 300";

/// A node's network at one moment. Links of pods come and go, so addresses and routes are those of `lo` and of the uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Addresses and routes, one line each.
    lines: BTreeSet<String>,
    /// Setting and link (`arp_ignore eth0`), and its value.
    arp: BTreeMap<(String, String), String>,
    /// The IPVS table; empty where the module is not loaded.
    ipvs: Vec<String>,
    /// IPVS's timeouts as ipvsadm prints them; nothing where the node has no ipvsadm.
    timeouts: Option<String>,
}

impl Snapshot {
    /// Reads a node. Fails where it does not answer.
    pub fn of<C: Cluster>(cluster: &C, node: &str) -> Result<Self> {
        let mut lines = BTreeSet::new();
        for link in ["lo", cluster.site().uplink.as_str()] {
            let addresses = cluster.on_node(node, &["ip", "-o", "address", "show", "dev", link])?;
            let routes =
                cluster.on_node(node, &["ip", "-o", "route", "show", "table", "all", "dev", link])?;
            lines.extend(
                addresses.lines().map(|line| format!("address on {link}: {}", words(unnumbered(line)))),
            );
            lines.extend(routes.lines().map(|line| format!("route on {link}: {}", words(line))));
        }
        Ok(Self {
            lines,
            arp: arp(cluster, node)?,
            ipvs: ipvs(cluster, node)?,
            timeouts: timeouts(cluster, node)?,
        })
    }

    /// Whether the node has this address on `lo` or its uplink.
    #[must_use]
    pub fn has_address(&self, address: &str) -> bool {
        let prefix = format!(" {address}/");
        self.lines.iter().any(|line| line.starts_with("address") && line.contains(&prefix))
    }

    /// Lines of the IPVS table, services and destinations.
    #[must_use]
    pub fn ipvs(&self) -> &[String] {
        &self.ipvs
    }

    /// What is there only now (`+`) or was there only before (`-`), one line each; empty where nothing differs.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let gone = self.lines.difference(&now.lines).map(|line| format!("- {line}"));
        let come = now.lines.difference(&self.lines).map(|line| format!("+ {line}"));
        let mut found: Vec<String> = gone.chain(come).collect();
        for ((setting, link), value) in &now.arp {
            // A link of a pod that was not there before must have what the kernel gives to a new link.
            let default = || self.arp.get(&(setting.clone(), "default".to_owned()));
            let before = self.arp.get(&(setting.clone(), link.clone())).or_else(default);
            if before != Some(value) {
                found.push(format!(
                    "{setting} of {link} is {value}, was {}",
                    before.map_or("unset", String::as_str)
                ));
            }
        }
        if self.ipvs != now.ipvs {
            found.push(format!("IPVS was {:?}, is {:?}", self.ipvs, now.ipvs));
        }
        if self.timeouts != now.timeouts {
            found.push(format!("timeouts were {:?}, are {:?}", self.timeouts, now.timeouts));
        }
        found
    }
}

/// What `ip -o address` says without the link's index: a node of kind that was restarted has another link of that name.
fn unnumbered(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, rest)| rest)
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn arp<C: Cluster>(cluster: &C, node: &str) -> Result<BTreeMap<(String, String), String>> {
    let read = "cd /proc/sys/net/ipv4/conf && grep . */arp_ignore */arp_announce";
    let told = cluster.on_node(node, &["sh", "-c", read])?;
    told.lines()
        .map(|line| {
            let (path, value) = line.split_once(':').with_context(|| format!("a setting is {line}"))?;
            let (link, setting) = path.split_once('/').with_context(|| format!("a setting is {line}"))?;
            Ok(((setting.to_owned(), link.to_owned()), value.to_owned()))
        })
        .collect()
}

fn ipvs<C: Cluster>(cluster: &C, node: &str) -> Result<Vec<String>> {
    let read = "[ ! -e /proc/net/ip_vs ] || tail -n +4 /proc/net/ip_vs";
    Ok(cluster.on_node(node, &["sh", "-c", read])?.lines().map(|line| line.trim().to_owned()).collect())
}

fn timeouts<C: Cluster>(cluster: &C, node: &str) -> Result<Option<String>> {
    // ipvsadm would load the module, and whether ours gets it loaded is a part of the test.
    let read = "if ! command -v ipvsadm >/dev/null; then :; elif [ -e /proc/net/ip_vs ]; then ipvsadm -L --timeout; \
                else echo kernel; fi";
    Ok(match cluster.on_node(node, &["sh", "-c", read])?.trim() {
        "" => None,
        "kernel" => Some(KERNEL_TIMEOUTS.to_owned()),
        told => Some(told.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(arp: &[(&str, &str, &str)]) -> Snapshot {
        let arp = arp
            .iter()
            .map(|(setting, link, value)| (((*setting).to_owned(), (*link).to_owned()), (*value).to_owned()));
        let lines = ["address on lo: lo inet 127.0.0.1/8 scope host lo".to_owned()];
        Snapshot { lines: lines.into(), arp: arp.collect(), ipvs: Vec::new(), timeouts: None }
    }

    #[test]
    fn a_link_of_a_pod_is_compared_with_what_new_links_get() {
        let before = snapshot(&[("arp_ignore", "default", "0"), ("arp_ignore", "eth0", "1")]);
        let clean = snapshot(&[("arp_ignore", "cni0", "0"), ("arp_ignore", "eth0", "1")]);
        assert_eq!(before.differences(&clean), Vec::<String>::new());
        let left = snapshot(&[("arp_ignore", "cni0", "1"), ("arp_ignore", "eth0", "0")]);
        let expected = ["arp_ignore of cni0 is 1, was 0", "arp_ignore of eth0 is 0, was 1"];
        assert_eq!(before.differences(&left), expected);
    }

    #[test]
    fn a_link_may_come_back_under_another_index() {
        assert_eq!(words(unnumbered("51: eth0    inet 10.0.0.2/16")), "eth0 inet 10.0.0.2/16");
        assert_eq!(words(unnumbered("6: eth0 inet6 fe80::42/64")), "eth0 inet6 fe80::42/64");
    }

    #[test]
    fn an_address_is_found_whole() {
        let snapshot = snapshot(&[]);
        assert!(snapshot.has_address("127.0.0.1") && !snapshot.has_address("27.0.0.1"));
    }
}
