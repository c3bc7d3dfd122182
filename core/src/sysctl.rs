//! Settings of a network namespace under `/proc/sys/net` that netlink does not set.
//!
//! What each of IPVS's means, and its range: Documentation/networking/ipvs-sysctl.rst and `net/netfilter/ipvs/ip_vs_ctl.c`.

use std::fmt;
use std::str::FromStr;

use crate::names::{InvalidKey, LinkName, as_text};

/// A setting, written as sysctl(8) writes it: `net.ipv4.vs.conntrack`. Each holds one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sysctl {
    /// One of IPVS's; there is none before the module is loaded.
    Ipvs(IpvsSysctl),
    /// `net.ipv6.conf.all.forwarding`. Setting it sets that of every link, and those can be set apart afterwards.
    Ipv6ForwardingAll,
    /// `net.ipv6.conf.LINK.forwarding`; a dot in the link's name is written as a slash.
    Ipv6Forwarding(LinkName),
}

macro_rules! ipvs_sysctls {
    ($($(#[$doc:meta])* $name:ident = $file:literal,)*) => {
        /// A setting `net.ipv4.vs.*`.
        ///
        /// Without `debug_level`, which is no network namespace's own, and without the two that are no number:
        /// `est_cpulist`, `sync_threshold`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum IpvsSysctl { $($(#[$doc])* $name,)* }

        impl IpvsSysctl {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The kernel's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $file,)* }
            }
        }
    };
}

ipvs_sysctls! {
    /// One packet in so many is dropped where `drop_packet` is 3.
    AmDroprate = "am_droprate",
    /// Memory is short below this many available pages.
    Amemthresh = "amemthresh",
    /// 1: nothing is forwarded while a backup sync daemon runs.
    BackupOnly = "backup_only",
    /// 1: what finds no real server goes on to its original destination.
    CacheBypass = "cache_bypass",
    /// What a new connection from a port that was used just now does; 0 stays with the real server, 1 and 2 are bits.
    ConnReuseMode = "conn_reuse_mode",
    /// 1: connections are tracked by netfilter too. Only with `CONFIG_IP_VS_NFCT`.
    Conntrack = "conntrack",
    /// Half-open connections are dropped at random: 0 never, 1 where memory is short, 3 always.
    DropEntry = "drop_entry",
    /// Packets are dropped: 0 never, 1 where memory is short, 3 always.
    DropPacket = "drop_packet",
    /// Niceness of the threads that estimate rates, −20 to 19; from Linux 6.2.
    EstNice = "est_nice",
    /// 1: a connection whose real server is gone ends at once.
    ExpireNodestConn = "expire_nodest_conn",
    /// 1: a persistent client leaves a real server of weight 0.
    ExpireQuiescentTemplate = "expire_quiescent_template",
    /// 1: what comes in a tunnel is let pass.
    IgnoreTunneled = "ignore_tunneled",
    /// 1: a packet of a real server without a connection is answered by an ICMP error.
    NatIcmpSend = "nat_icmp_send",
    /// 1: a packet too long for the way is refused by an ICMP error; 0: a tunnel's outer packet is fragmented.
    PmtuDisc = "pmtu_disc",
    /// 1: rates are estimated.
    RunEstimation = "run_estimation",
    /// 1: ICMP errors about nothing that is known may be scheduled as connections.
    ScheduleIcmp = "schedule_icmp",
    /// A longer table of TCP states is used: 0 never, 1 where memory is short, 3 always.
    SecureTcp = "secure_tcp",
    /// 1: an SCTP packet that begins nothing may begin a connection.
    SloppySctp = "sloppy_sctp",
    /// 1: a TCP packet that is no SYN may begin a connection.
    SloppyTcp = "sloppy_tcp",
    /// 1: what is masqueraded is routed as the director's own.
    SnatReroute = "snat_reroute",
    /// 1: of persistent services templates alone are synchronised.
    SyncPersistMode = "sync_persist_mode",
    /// Threads, each with a port, of a sync daemon: 1 to 64, a power of 2.
    SyncPorts = "sync_ports",
    /// Sync messages that may wait to be sent.
    SyncQlenMax = "sync_qlen_max",
    /// A connection that has not changed is synchronised no more often than this, in seconds; 0: it counts packets.
    SyncRefreshPeriod = "sync_refresh_period",
    /// Synchronised again so many times in a period, 0 to 3.
    SyncRetries = "sync_retries",
    /// The buffer of a sync daemon's socket, in bytes; 0: the system's.
    SyncSockSize = "sync_sock_size",
    /// The version of the sync protocol: 0 or 1.
    SyncVersion = "sync_version",
}

/// Where IPVS's settings are.
const IPVS: &str = "net.ipv4.vs.";

impl Sysctl {
    /// The file, below `/proc/sys/net`.
    #[must_use]
    pub fn path(self) -> String {
        match self {
            Self::Ipvs(ipvs) => format!("ipv4/vs/{}", ipvs.name()),
            Self::Ipv6ForwardingAll => "ipv6/conf/all/forwarding".to_owned(),
            Self::Ipv6Forwarding(link) => format!("ipv6/conf/{link}/forwarding"),
        }
    }

    /// What a value that was read stands for. Where a defence is automatic, the kernel itself goes between 1 and 2, as
    /// memory is short or is not.
    #[must_use]
    pub fn standing_for(self, value: i32) -> i32 {
        match (self, value) {
            (Self::Ipvs(IpvsSysctl::DropEntry | IpvsSysctl::DropPacket | IpvsSysctl::SecureTcp), 2) => 1,
            _ => value,
        }
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipvs(ipvs) => write!(formatter, "{IPVS}{}", ipvs.name()),
            Self::Ipv6ForwardingAll => formatter.write_str("net.ipv6.conf.all.forwarding"),
            Self::Ipv6Forwarding(link) => {
                write!(formatter, "net.ipv6.conf.{}.forwarding", link.as_str().replace('.', "/"))
            }
        }
    }
}

impl FromStr for Sysctl {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let ipvs = |name: &str| {
            IpvsSysctl::ALL.iter().find(|known| known.name() == name).map(|ipvs| Self::Ipvs(*ipvs))
        };
        let forwarding = |rest: &str| match rest.strip_suffix(".forwarding")? {
            "all" => Some(Self::Ipv6ForwardingAll),
            link => link.replace('/', ".").parse().ok().map(Self::Ipv6Forwarding),
        };
        let found = match text.strip_prefix(IPVS) {
            Some(name) => ipvs(name),
            None => text.strip_prefix("net.ipv6.conf.").and_then(forwarding),
        };
        found.ok_or_else(|| InvalidKey {
            text: text.to_owned(),
            wanted: "a setting such as net.ipv4.vs.conntrack",
        })
    }
}

as_text!(Sysctl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_reads_back_what_it_writes() {
        let ipvs = IpvsSysctl::ALL.iter().map(|ipvs| Sysctl::Ipvs(*ipvs));
        let links = ["eth0", "bond0.100"].map(|link| Sysctl::Ipv6Forwarding(link.parse().unwrap()));
        for sysctl in ipvs.chain(links).chain([Sysctl::Ipv6ForwardingAll]) {
            assert_eq!(sysctl.to_string().parse(), Ok(sysctl), "{sysctl}");
        }
        assert_eq!(links[1].to_string(), "net.ipv6.conf.bond0/100.forwarding");
        assert_eq!(links[1].path(), "ipv6/conf/bond0.100/forwarding");
    }

    #[test]
    fn what_nothing_here_sets_is_no_setting() {
        for text in [
            "",
            "net.ipv4.vs.",
            "net.ipv4.vs.debug_level",
            "net.ipv4.ip_forward",
            "net.ipv6.conf..forwarding",
        ] {
            assert!(text.parse::<Sysctl>().is_err(), "{text}");
        }
    }
}
