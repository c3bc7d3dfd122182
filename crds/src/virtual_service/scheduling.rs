//! How a VirtualService chooses real servers, in the brain's terms.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::cluster::{ConnectionThresholds, PortSpec};
use lvs_core::ipvs::PortKey;
use lvs_core::names::SchedulerName;
use lvs_core::network::Protocol;
use lvs_core::scheduling::{FormPersistence, SchedulerFlag, Scheduling, Thresholds, UdpScheduling};

use super::parse::in_range;
use super::{PersistenceEngine, PersistenceSpec, RealServer, VirtualServiceSpec};
use crate::field::Findings;

/// The most that ipvsadm takes as a persistence timeout: 31 days.
const LONGEST_PERSISTENCE: i32 = 31 * 86_400;

type Ports = BTreeMap<PortKey, PortSpec>;

/// How a real server is chosen; nothing where the scheduler's name is none. What else is wrong is found.
pub(super) fn read(spec: &VirtualServiceSpec, ports: &Ports, findings: &mut Findings) -> Option<Scheduling> {
    let name = spec.scheduler.as_deref().unwrap_or("wlc");
    let scheduler = findings.take("spec.scheduler", scheduler(name));
    let persistence = spec.persistence.as_ref().and_then(|given| persistence(given, ports, findings));
    let all_ports = ports.keys().any(|port| port.port == 0);
    findings.require(
        !all_ports || spec.persistence.is_some(),
        "spec.ports",
        "port 0 stands for all ports and needs persistence: write spec.persistence too",
    );
    let udp_scheduling = spec.udp_scheduling.unwrap_or_default();
    findings.require(
        udp_scheduling == UdpScheduling::PerConnection || ports.is_empty() || has_udp(ports),
        "spec.udpScheduling",
        "PerPacket is for UDP: write a port with protocol UDP, or leave it out",
    );
    let scheduler_flags = flags(spec, name, findings);
    Some(Scheduling { scheduler: scheduler?, scheduler_flags, udp_scheduling, persistence })
}

fn has_udp(ports: &Ports) -> bool {
    ports.keys().any(|port| port.protocol == Protocol::Udp)
}

fn flags(spec: &VirtualServiceSpec, scheduler: &str, findings: &mut Findings) -> Vec<SchedulerFlag> {
    let flags: BTreeSet<SchedulerFlag> = spec.scheduler_flags.iter().copied().collect();
    for flag in flags.iter().filter(|flag| flag.scheduler() != scheduler) {
        findings.add(
            "spec.schedulerFlags",
            format!("{flag} is a flag of scheduler {}, not of {scheduler}", flag.scheduler()),
        );
    }
    flags.into_iter().collect()
}

fn scheduler(text: &str) -> Result<SchedulerName, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let wrong = || format!("{text:?}: write the kernel's name of a scheduler, such as rr, wlc or sh");
    if !text.bytes().all(inner) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

fn persistence(given: &PersistenceSpec, ports: &Ports, findings: &mut Findings) -> Option<FormPersistence> {
    let seconds = given.timeout_seconds.unwrap_or(300);
    let timeout_seconds = in_range(seconds, 1, LONGEST_PERSISTENCE);
    if timeout_seconds.is_none() {
        let message =
            format!("{seconds}: write 1 to {LONGEST_PERSISTENCE} seconds, or leave spec.persistence out");
        findings.add("spec.persistence.timeoutSeconds", message);
    }
    let mut length = |field: &str, given: Option<i32>, most: u8| {
        let given = given.unwrap_or(i32::from(most));
        let length = in_range(given, 1, i32::from(most)).and_then(|length| u8::try_from(length).ok());
        if length.is_none() {
            findings.add(format!("spec.persistence.{field}"), format!("{given}: write 1 to {most}"));
        }
        length
    };
    let ipv4_prefix_length = length("ipv4PrefixLength", given.ipv4_prefix_length, 32);
    let ipv6_prefix_length = length("ipv6PrefixLength", given.ipv6_prefix_length, 128);
    findings.require(
        given.engine.is_none() || ports.keys().all(|port| port.protocol == Protocol::Udp),
        "spec.persistence.engine",
        "the persistence engine sip reads UDP only: write UDP ports only, or leave the engine out",
    );
    let engine = given.engine.and_then(|PersistenceEngine::Sip| "sip".parse().ok());
    Some(FormPersistence {
        timeout_seconds: timeout_seconds?,
        ipv4_prefix_length: ipv4_prefix_length?,
        ipv6_prefix_length: ipv6_prefix_length?,
        engine,
    })
}

/// The service's limits.
pub(super) fn thresholds(spec: &VirtualServiceSpec, findings: &mut Findings) -> ConnectionThresholds {
    let Some(given) = &spec.connection_thresholds else { return ConnectionThresholds::default() };
    let limits = limits(given.upper, given.lower, "spec.connectionThresholds", findings);
    ConnectionThresholds { limits, split: given.split.unwrap_or_default() }
}

/// An entry's own limits.
pub(super) fn of_entry(entry: &RealServer, path: &str, findings: &mut Findings) -> Option<Thresholds> {
    let given = entry.connection_thresholds.as_ref()?;
    Some(limits(given.upper, given.lower, &format!("{path}.connectionThresholds"), findings))
}

fn limits(upper: i32, lower: Option<i32>, path: &str, findings: &mut Findings) -> Thresholds {
    let upper = in_range(upper, 1, i32::MAX);
    findings.require(upper.is_some(), format!("{path}.upper"), "write 1 to 2147483647, or leave it out");
    let upper = upper.unwrap_or_default();
    let Some(lower) = lower else { return Thresholds { upper, lower: 0 } };
    let lower = in_range(lower, 1, i32::MAX).filter(|lower| *lower <= upper);
    findings.require(lower.is_some(), format!("{path}.lower"), "lower is above upper: write at most upper");
    Thresholds { upper, lower: lower.unwrap_or_default() }
}
