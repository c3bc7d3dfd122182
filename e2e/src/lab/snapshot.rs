//! What a host's kernel holds, as the field's own tools say it, to be compared before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::Host;

/// A host's network at one moment. Each part is a set of lines: their order says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `ipvsadm -Sn`: services and destinations.
    pub ipvs: BTreeSet<String>,
    /// `ipvsadm -L --timeout`.
    pub timeouts: String,
    /// `ip -o addr`: each address with its link, scope, flags and lifetimes.
    pub addresses: BTreeSet<String>,
    /// `ip route` and `ip -6 route` of all tables, and the rules.
    pub routes: BTreeSet<String>,
    /// Each setting of every link, of `all` and of `default`, IPv4 and IPv6, and those of IPVS: path below
    /// `/proc/sys/net` and value.
    pub settings: BTreeMap<String, String>,
}

impl Snapshot {
    /// Reads a host's kernel. Fails where `ip` or `ipvsadm` does.
    pub fn of(host: &Host) -> Result<Self> {
        let lines = |command: &str| -> Result<BTreeSet<String>> {
            Ok(host
                .sh(command)?
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect())
        };
        let mut routes = lines("ip route show table all")?;
        for command in ["ip -6 route show table all", "ip rule", "ip -6 rule"] {
            routes.extend(lines(command)?);
        }
        Ok(Self {
            ipvs: lines("ipvsadm -Sn")?,
            timeouts: host.sh("ipvsadm -L --timeout")?.trim().to_owned(),
            addresses: lines("ip -o addr")?,
            routes,
            settings: host.inside(settings)??,
        })
    }

    /// The effective value of a per-link ARP setting: the greater of `all` and the link's own.
    ///
    /// Fails where there is no such setting.
    pub fn effective(&self, link: &str, setting: &str) -> Result<u32> {
        let value = |link: &str| -> Result<u32> {
            let path = format!("ipv4/conf/{link}/{setting}");
            let text = self.settings.get(&path).with_context(|| format!("there is no setting {path}"))?;
            text.parse().with_context(|| format!("{path} is {text}"))
        };
        Ok(value("all")?.max(value(link)?))
    }

    /// What is there only now (`+`) or was there only before (`-`), one line each; empty where nothing differs.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let before: BTreeSet<String> = self.lines().collect();
        let after: BTreeSet<String> = now.lines().collect();
        let gone = before.difference(&after).map(|line| format!("- {line}"));
        gone.chain(after.difference(&before).map(|line| format!("+ {line}"))).collect()
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let part = |name: &'static str, lines: &BTreeSet<String>| {
            lines.iter().map(move |line| format!("{name}: {line}")).collect::<Vec<_>>()
        };
        let settings = self.settings.iter().map(|(path, value)| format!("setting: {path} = {value}"));
        part("ipvs", &self.ipvs)
            .into_iter()
            .chain([format!("timeouts: {}", self.timeouts)])
            .chain(part("address", &self.addresses))
            .chain(part("route", &self.routes))
            .chain(settings)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// What has gone through a link since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
}

impl Counters {
    /// Reads those of a link. Fails where the host has no such link.
    pub fn of(host: &Host, link: &str) -> Result<Self> {
        let read = |name: &str| -> Result<u64> {
            let text = host.read_file(&format!("/sys/class/net/{link}/statistics/{name}"))?;
            text.trim().parse().with_context(|| format!("{name} of {link} is {text}"))
        };
        Ok(Self { received: read("rx_packets")?, sent: read("tx_packets")?, sent_bytes: read("tx_bytes")? })
    }
}

fn settings() -> Result<BTreeMap<String, String>> {
    let root = Path::new("/proc/sys/net");
    let mut found = BTreeMap::new();
    for family in ["ipv4/conf", "ipv6/conf"] {
        for link in fs::read_dir(root.join(family)).with_context(|| format!("list {family}"))? {
            add_values(root, &link?.path(), &mut found)?;
        }
    }
    if root.join("ipv4/vs").exists() {
        add_values(root, &root.join("ipv4/vs"), &mut found)?;
    }
    Ok(found)
}

fn add_values(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        // Some have no value until one is written (stable_secret), or are only for writing.
        if let (Ok(value), Ok(name)) = (fs::read_to_string(&path), path.strip_prefix(root)) {
            found.insert(name.display().to_string(), value.trim().to_owned());
        }
    }
    Ok(())
}
