//! IPVS's sysctls of a DirectorGroup.

use std::collections::BTreeMap;

use kube::KubeSchema;
use lvs_core::sysctl::IpvsSysctl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::Findings;

/// Settings net.ipv4.vs.* (Documentation/networking/ipvs-sysctl.rst). What is absent is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.syncPorts) || self.syncPorts in [1, 2, 4, 8, 16, 32, 64]").message("syncPorts is no power of 2: write 1, 2, 4, 8, 16, 32 or 64"))]
pub struct IpvsSysctlsSpec {
    /// `am_droprate`: where `dropPacket` is Always, one packet in so many is dropped, 1 to 2147483647. The kernel's own value
    /// is 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub packets_per_drop: Option<i32>,
    /// amemthresh: below so many available pages memory is short, which the automatic defences go by, 0 to 2147483647. The
    /// kernel's own value is 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub available_memory_threshold_pages: Option<i32>,
    /// `backup_only`: whether a node on which a backup sync daemon runs forwards nothing, so that no packet goes in a loop
    /// between directors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub backup_only: Option<Switch>,
    /// `cache_bypass`: whether a packet for which there is no real server goes on to its original destination, in
    /// transparent web caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub cache_bypass: Option<Switch>,
    /// `conn_reuse_mode`: when a new connection from an address and port that the director still knows is scheduled anew:
    /// Never, in `TimeWait` (the kernel's own; with direct routing that state is not seen), or in `FinWait` too (with direct
    /// routing the last state that is seen).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ConnectionReuse")]
    pub conn_reuse_mode: Option<ConnectionReuse>,
    /// conntrack: whether netfilter tracks IPVS's connections too, which stateful firewall rules for them need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub conntrack: Option<Switch>,
    /// `drop_entry`: when half-open connections are dropped at random, against a flood of SYNs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Defence")]
    pub drop_entry: Option<Defence>,
    /// `drop_packet`: when packets are dropped before they reach a real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Defence")]
    pub drop_packet: Option<Defence>,
    /// `est_nice`: the niceness of the threads that estimate rates, -20 to 19. Linux 6.2 and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -20, max = 19))]
    pub estimation_niceness: Option<i32>,
    /// `expire_nodest_conn`: whether a connection whose real server was removed is ended at once (Enabled), or its packets
    /// are dropped until it times out or the real server is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub expire_nodest_conn: Option<Switch>,
    /// `expire_quiescent_template`: whether a persistent client goes to another real server once its own has weight 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub expire_quiescent_template: Option<Switch>,
    /// `ignore_tunneled`: whether what comes in a tunnel is let pass unscheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub ignore_tunneled: Option<Switch>,
    /// `nat_icmp_send`: whether a real server's packet of no known connection is answered by an ICMP error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub nat_icmp_send: Option<Switch>,
    /// `pmtu_disc`: whether a packet that may not be fragmented and is too long is refused (Enabled, the kernel's own), or a
    /// tunnel's outer packet is fragmented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub pmtu_disc: Option<Switch>,
    /// `run_estimation`: whether rates are estimated (Enabled, the kernel's own).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub run_estimation: Option<Switch>,
    /// `schedule_icmp`: whether an ICMP error about an unknown connection may be scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub schedule_icmp: Option<Switch>,
    /// `secure_tcp`: when the longer table of TCP states is used, against floods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Defence")]
    pub secure_tcp: Option<Defence>,
    /// `sloppy_sctp`: whether an SCTP packet that begins nothing may begin a connection, as after a move to this director.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub sloppy_sctp: Option<Switch>,
    /// `sloppy_tcp`: whether a TCP packet that is no SYN may begin a connection, as after a move to this director; with
    /// scheduler mh or sh it reaches the same real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub sloppy_tcp: Option<Switch>,
    /// `snat_reroute`: whether masqueraded packets are routed as the director's own (Enabled, the kernel's own).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switch")]
    pub snat_reroute: Option<Switch>,
    /// `sync_persist_mode`: what of a persistent service a sync daemon tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SyncPersistence")]
    pub sync_persist_mode: Option<SyncPersistence>,
    /// `sync_ports`: the threads of a sync daemon, each with a UDP port of its own: 1, 2, 4, 8, 16, 32 or 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub sync_ports: Option<i32>,
    /// `sync_qlen_max`: how many messages may wait to be sent, 1 to 2147483647.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub sync_queue_messages: Option<i32>,
    /// `sync_refresh_period`: an unchanged connection is told no more often than this, in seconds, 0 to 2678400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_678_400))]
    pub sync_refresh_period_seconds: Option<i32>,
    /// `sync_retries`: how many times more it is told in that period, 0 to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub sync_retries: Option<i32>,
    /// `sync_sock_size`: the buffer of a sync daemon's socket, in bytes, 0 to 2147483647; 0: the system's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub sync_socket_bytes: Option<i32>,
    /// `sync_version`: the version of the sync protocol, 0 or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub sync_version: Option<i32>,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Switch {
    /// It is not done.
    Disabled = 0,
    /// It is done.
    Enabled = 1,
}

/// When a defence is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Defence {
    /// Never.
    Disabled = 0,
    /// While memory is short; the kernel then shows 2 in the place of 1.
    Automatic = 1,
    /// Always.
    Always = 3,
}

/// In which last known states a connection is scheduled anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConnectionReuse {
    /// In none.
    Never = 0,
    /// In `TIME_WAIT`.
    TimeWait = 1,
    /// In `TIME_WAIT` and `FIN_WAIT`.
    FinWait = 2,
}

/// What of a persistent service is synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SyncPersistence {
    /// Its templates and its connections.
    Connections = 0,
    /// Its templates.
    Templates = 1,
}

/// The settings as the kernel takes them; a number out of its range is found.
pub(super) fn read(spec: &IpvsSysctlsSpec, findings: &mut Findings) -> BTreeMap<IpvsSysctl, i32> {
    use IpvsSysctl as S;
    let numbers = [
        (S::AmDroprate, "packetsPerDrop", spec.packets_per_drop, 1..=i32::MAX),
        (S::Amemthresh, "availableMemoryThresholdPages", spec.available_memory_threshold_pages, 0..=i32::MAX),
        (S::EstNice, "estimationNiceness", spec.estimation_niceness, -20..=19),
        (S::SyncPorts, "syncPorts", spec.sync_ports, 1..=64),
        (S::SyncQlenMax, "syncQueueMessages", spec.sync_queue_messages, 1..=i32::MAX),
        (S::SyncRefreshPeriod, "syncRefreshPeriodSeconds", spec.sync_refresh_period_seconds, 0..=2_678_400),
        (S::SyncRetries, "syncRetries", spec.sync_retries, 0..=3),
        (S::SyncSockSize, "syncSocketBytes", spec.sync_socket_bytes, 0..=i32::MAX),
        (S::SyncVersion, "syncVersion", spec.sync_version, 0..=1),
    ];
    let mut read = words(spec);
    for (sysctl, field, value, range) in numbers {
        let Some(value) = value else { continue };
        let message = format!("{value}: write {} to {}", range.start(), range.end());
        findings.require(range.contains(&value), format!("spec.ipvsSysctls.{field}"), message);
        read.insert(sysctl, value);
    }
    let power =
        read.get(&S::SyncPorts).is_none_or(|ports| u32::try_from(*ports).is_ok_and(u32::is_power_of_two));
    findings.require(power, "spec.ipvsSysctls.syncPorts", "is no power of 2: write 1, 2, 4, 8, 16, 32 or 64");
    read
}

/// The settings that are written as words.
fn words(spec: &IpvsSysctlsSpec) -> BTreeMap<IpvsSysctl, i32> {
    use IpvsSysctl as S;
    let switches = [
        (S::BackupOnly, spec.backup_only),
        (S::CacheBypass, spec.cache_bypass),
        (S::Conntrack, spec.conntrack),
        (S::ExpireNodestConn, spec.expire_nodest_conn),
        (S::ExpireQuiescentTemplate, spec.expire_quiescent_template),
        (S::IgnoreTunneled, spec.ignore_tunneled),
        (S::NatIcmpSend, spec.nat_icmp_send),
        (S::PmtuDisc, spec.pmtu_disc),
        (S::RunEstimation, spec.run_estimation),
        (S::ScheduleIcmp, spec.schedule_icmp),
        (S::SloppySctp, spec.sloppy_sctp),
        (S::SloppyTcp, spec.sloppy_tcp),
        (S::SnatReroute, spec.snat_reroute),
    ];
    let defences =
        [(S::DropEntry, spec.drop_entry), (S::DropPacket, spec.drop_packet), (S::SecureTcp, spec.secure_tcp)];
    let switches = switches.into_iter().filter_map(|(sysctl, word)| Some((sysctl, word? as i32)));
    let defences = defences.into_iter().filter_map(|(sysctl, word)| Some((sysctl, word? as i32)));
    let reuse = spec.conn_reuse_mode.map(|word| (S::ConnReuseMode, word as i32));
    let persistence = spec.sync_persist_mode.map(|word| (S::SyncPersistMode, word as i32));
    switches.chain(defences).chain(reuse).chain(persistence).collect()
}
