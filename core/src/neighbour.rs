//! Others who write to a node's IPVS table.
//!
//! What they have made is left alone; what they undo of ours is done again. Here is who they are likely to be.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::custody::{Custody, Item};
use crate::ipvs::VirtualServerKey;
use crate::kernel::Kernel;
use crate::local::Local;
use crate::names::LinkName;
use crate::time::Monotonic;

/// Software that is known to write to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TableWriter {
    /// kube-proxy in its ipvs mode.
    KubeProxyIpvs,
    /// kube-proxy in its nftables mode, which empties the table when it starts and leaves it alone otherwise.
    KubeProxyNftables,
    /// kube-router's service proxy.
    KubeRouter,
    /// keepalived with virtual servers.
    Keepalived,
    /// kube-vip with its load balancer.
    KubeVip,
}

impl TableWriter {
    /// Who makes a dummy link of this name.
    #[must_use]
    pub fn of_link(name: &LinkName) -> Option<Self> {
        match name.as_str() {
            "kube-ipvs0" => Some(Self::KubeProxyIpvs),
            "kube-dummy-if" => Some(Self::KubeRouter),
            _ => None,
        }
    }

    /// Who runs as a process of this name (`/proc/PID/comm`).
    #[must_use]
    pub fn of_process(name: &str) -> Option<Self> {
        match name {
            "keepalived" => Some(Self::Keepalived),
            "kube-vip" => Some(Self::KubeVip),
            "kube-router" => Some(Self::KubeRouter),
            _ => None,
        }
    }

    /// Those whose marks are on a node, the ones that write all the time first.
    #[must_use]
    pub fn on(local: &Local) -> BTreeSet<Self> {
        let links = local.links.keys().filter_map(Self::of_link);
        links.chain(local.table_writers.iter().copied()).collect()
    }

    /// Whether it writes again and again, not only at its start.
    #[must_use]
    pub fn is_steady(self) -> bool {
        self != Self::KubeProxyNftables
    }

    /// What it does to entries of others, and how to keep it from that.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::KubeProxyIpvs => {
                "it removes virtual servers that it does not know: name the VIPs in its ipvs.excludeCIDRs, or run it in \
                 another mode there"
            }
            Self::KubeProxyNftables => "it empties the table when it starts, and leaves it alone then",
            Self::KubeRouter => {
                "it removes virtual servers that it does not know: name the VIPs in its --excluded-cidrs, or run it \
                 without --run-service-proxy there"
            }
            Self::Keepalived => "it leaves entries of others alone, unless its lvs_flush is set",
            Self::KubeVip => "it leaves entries of others alone",
        }
    }
}

impl fmt::Display for TableWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::KubeProxyIpvs => "kube-proxy in its ipvs mode",
            Self::KubeProxyNftables => "kube-proxy in its nftables mode",
            Self::KubeRouter => "kube-router",
            Self::Keepalived => "keepalived",
            Self::KubeVip => "kube-vip",
        })
    }
}

/// The table was emptied by somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flush {
    /// When that was seen last.
    #[serde(skip)]
    pub at: Monotonic,
    /// How many virtual servers of ours were gone then.
    pub virtual_servers: usize,
    /// How often it was seen, each time within [`Flush::TOLD`] of the one before.
    pub times: u32,
}

impl Flush {
    /// A flush is told for so long after it was seen last, in milliseconds.
    pub const TOLD: u64 = 600_000;

    /// Whether somebody has emptied the table: of the virtual servers that are other than they were, those that are ours
    /// have gone, and none that is ours is left. `before` is how many there were in all.
    ///
    /// One that is gone alone is somebody's removal, unless there was no other.
    #[must_use]
    pub fn seen(
        changed: &BTreeSet<VirtualServerKey>,
        before: usize,
        now: &Kernel,
        owned: &Custody,
        at: Monotonic,
        earlier: Option<Self>,
    ) -> Option<Self> {
        let is_ours = |key: &&VirtualServerKey| owned.holds(&Item::VirtualServer(**key));
        let gone = changed.iter().filter(|key| !now.virtual_servers.contains_key(key));
        let (all, ours) = (gone.clone().count(), gone.filter(is_ours).count());
        let none_is_left = || !now.virtual_servers.keys().any(|key| is_ours(&key));
        let emptied = ours > 1 || (ours == 1 && all == before);
        (emptied && none_is_left()).then(|| {
            let times =
                earlier.filter(|earlier| at - earlier.at < Self::TOLD).map_or(0, |earlier| earlier.times);
            Self { at, virtual_servers: ours, times: times.saturating_add(1) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custody::{Claim, Record};
    use crate::kernel::VirtualServer;

    /// Whether a flush is seen where these servers are left of a table of three, of which the first two are ours.
    fn seen(left: &[u16]) -> bool {
        let key = |port: u16| format!("TCP 192.168.10.40:{port}").parse::<VirtualServerKey>().unwrap();
        let mut owned = Custody::default();
        for port in [1, 2] {
            owned.record(&Record::Take(Item::VirtualServer(key(port)), Claim::Created));
        }
        let settings = crate::scheduling::Scheduling::by("rr".parse().unwrap())
            .settings("TCP 1".parse().unwrap(), crate::network::Family::IPv4);
        let server = VirtualServer { settings, destinations: [].into() };
        let virtual_servers = left.iter().map(|port| (key(*port), server.clone())).collect();
        let now = Kernel { virtual_servers, ..Kernel::default() };
        let changed = [1, 2, 3].into_iter().filter(|port| !left.contains(port)).map(key).collect();
        Flush::seen(&changed, 3, &now, &owned, Monotonic(7), None).is_some()
    }

    #[test]
    fn a_flush_leaves_none_of_ours() {
        assert!(seen(&[]));
        // He has set up his own again, or only new ones.
        assert!(seen(&[3]));
        assert!(seen(&[4]));
        for removed in [&[1, 3][..], &[2, 3], &[1, 2], &[1, 2, 3], &[1]] {
            assert!(!seen(removed), "{removed:?}");
        }
    }

    #[test]
    fn a_flush_soon_after_another_is_counted() {
        let key: VirtualServerKey = "TCP 192.168.10.40:80".parse().unwrap();
        let mut owned = Custody::default();
        owned.record(&Record::Take(Item::VirtualServer(key), Claim::Created));
        let seen = |at, earlier| {
            let flush = Flush::seen(&[key].into(), 1, &Kernel::default(), &owned, Monotonic(at), earlier);
            flush.unwrap()
        };
        let first = seen(0, None);
        let second = seen(Flush::TOLD - 1, Some(first));
        assert_eq!((first.times, second.times), (1, 2));
        assert_eq!(seen(2 * Flush::TOLD, Some(second)).times, 1);
    }
}
