//! A VirtualService in the brain's terms.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::ObjectMeta;
use lvs_core::cluster::{PortSpec, RealServerSpec, RealServerTarget, Service, ServiceSpec};
use lvs_core::counters::ZeroToken;
use lvs_core::forwarding::Forwarding;
use lvs_core::ipvs::PortKey;
use lvs_core::marking::{Marking, PortScheduling, RESERVED};
use lvs_core::names::{NodeName, ServiceName};
use lvs_core::node_report::Trouble;

use super::{Port, RealServer, VirtualServiceSpec};
use super::{forwarding, scheduling};
use crate::address;
use crate::field::{Findings, invalid};
use crate::metadata;
use crate::names::{ADOPT, ZERO_COUNTERS, is_dns_label, is_object_name};

/// The name of a VirtualService; one without a namespace is in `default`.
#[must_use]
pub fn name(metadata: &ObjectMeta) -> ServiceName {
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    ServiceName::new(namespace, metadata.name.as_deref().unwrap_or_default())
}

/// A VirtualService in the brain's terms. `spec` is what was read of it, or why it could not be: then that, too, is a
/// service, whose verdict says so.
#[must_use]
pub fn service(metadata: &ObjectMeta, spec: Result<&VirtualServiceSpec, &str>) -> Service {
    let mut findings = Findings::default();
    let adopt = adopt(metadata, &mut findings);
    let zero_counters = zero_counters(metadata, &mut findings);
    let name = metadata.name.as_deref().unwrap_or_default();
    findings.require(name.len() <= 63, "metadata.name", "write at most 63 characters");
    let spec = spec.map_err(invalid).and_then(|spec| read(spec, findings));
    Service {
        uid: metadata.uid.clone().unwrap_or_default(),
        created: metadata::created(metadata),
        generation: metadata.generation.unwrap_or_default(),
        adopt,
        zero_counters,
        spec,
    }
}

fn adopt(metadata: &ObjectMeta, findings: &mut Findings) -> bool {
    match metadata.annotations.as_ref().and_then(|annotations| annotations.get(ADOPT)).map(String::as_str) {
        Some("true") => true,
        Some("false") | None => false,
        Some(other) => {
            findings.add(
                format!("metadata.annotations[{ADOPT}]"),
                format!("{other:?}: write \"true\" or \"false\""),
            );
            false
        }
    }
}

fn zero_counters(metadata: &ObjectMeta, findings: &mut Findings) -> Option<ZeroToken> {
    let token = metadata.annotations.as_ref()?.get(ZERO_COUNTERS)?;
    let fits = (1..=63).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    findings.require(
        fits,
        format!("metadata.annotations[{ZERO_COUNTERS}]"),
        "write a word of 1 to 63 printable ASCII characters, another one each time that counters are to be zeroed",
    );
    fits.then(|| ZeroToken(token.clone()))
}

fn read(spec: &VirtualServiceSpec, mut findings: Findings) -> Result<ServiceSpec, Trouble> {
    let vips = vips(spec, &mut findings);
    let marking = marking(spec, &mut findings);
    let ports = ports(&spec.ports, &mut findings);
    let scheduling = scheduling::read(spec, &ports, &mut findings);
    let thresholds = scheduling::thresholds(spec, &mut findings);
    let given = spec.forwarding.as_ref();
    let forwarding = given.and_then(|given| forwarding::read(given, "spec.forwarding", &mut findings));
    let forwarding = forwarding.unwrap_or_default();
    let real_servers = real_servers(&spec.real_servers, &mut findings);
    other_ports(&ports, forwarding, &real_servers, &mut findings);
    kept_ports(marking, &ports, &real_servers, &mut findings);
    let spec = scheduling.map(|scheduling| ServiceSpec {
        vips,
        ports,
        marking,
        scheduling,
        thresholds,
        forwarding,
        real_servers,
    });
    findings.into_result(spec)
}

fn vips(spec: &VirtualServiceSpec, findings: &mut Findings) -> BTreeSet<std::net::IpAddr> {
    findings.require((1..=16).contains(&spec.vips.len()), "spec.vips", "write 1 to 16 VIPs");
    let mut vips = BTreeSet::new();
    for (index, vip) in spec.vips.iter().enumerate() {
        let path = format!("spec.vips[{index}].address");
        let Some(address) = findings.take(&path, address::host(&vip.address)) else { continue };
        findings.require(vips.insert(address), path, format!("{address} stands here twice: write it once"));
    }
    vips
}

/// How packets come to virtual servers; a mark that is none is found.
fn marking(spec: &VirtualServiceSpec, findings: &mut Findings) -> Marking {
    findings.require(
        spec.ports.is_empty() != spec.firewall_mark.is_none(),
        "spec",
        "write exactly one of ports and firewallMark",
    );
    let together = spec.port_scheduling == Some(PortScheduling::Together);
    let Some(given) = spec.firewall_mark else {
        return if together { Marking::Together } else { Marking::Absent };
    };
    findings.require(
        !together,
        "spec.portScheduling",
        "Together is for ports: packets with a firewall mark are scheduled together anyway",
    );
    let mark = u32::try_from(given).unwrap_or_default();
    findings.require(mark != 0, "spec.firewallMark", format!("{given}: write 1 to 4294967295"));
    let reserved = RESERVED.contains(&mark);
    findings.require(
        !reserved,
        "spec.firewallMark",
        format!("{} to {} are reserved: write another mark", RESERVED.start(), RESERVED.end()),
    );
    Marking::Own(mark)
}

fn ports(ports: &[Port], findings: &mut Findings) -> BTreeMap<PortKey, PortSpec> {
    findings.require(ports.len() <= 64, "spec.ports", "write at most 64 ports");
    let mut read = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        if let Some(name) = &port.name {
            findings.require(is_dns_label(name), format!("{path}.name"), dns_label(name, "http"));
            let new = names.insert(name);
            findings.require(
                new,
                format!("{path}.name"),
                format!("{name:?} stands here twice: give each port its own"),
            );
        }
        let number =
            in_range(port.port, 0, i32::from(u16::MAX)).and_then(|number| u16::try_from(number).ok());
        let Some(number) = number else {
            findings.add(format!("{path}.port"), format!("{}: write 1 to 65535, or 0 for all", port.port));
            continue;
        };
        let key = PortKey { protocol: port.protocol, port: number };
        let target =
            port.target_port.and_then(|target| listening(target, &format!("{path}.targetPort"), findings));
        findings.require(
            number != 0 || target.is_none(),
            format!("{path}.targetPort"),
            "port 0 stands for all ports, each of which stays as it is: leave targetPort out",
        );
        let new = read.insert(key, PortSpec { name: port.name.clone(), target }).is_none();
        findings.require(new, path, format!("{key} stands here twice: write it once"));
    }
    read
}

fn real_servers(entries: &[RealServer], findings: &mut Findings) -> BTreeMap<String, RealServerSpec> {
    findings.require(
        entries.len() <= 256,
        "spec.realServers",
        "write at most 256 entries; a selector matches any number of Nodes",
    );
    let mut read = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("spec.realServers[{index}]");
        findings.require(is_dns_label(&entry.name), format!("{path}.name"), dns_label(&entry.name, "web-1"));
        let weight = in_range(entry.weight.unwrap_or(1), 0, i32::MAX);
        if weight.is_none() {
            let weight = entry.weight.unwrap_or_default();
            findings.add(format!("{path}.weight"), format!("{weight}: write 0 to 2147483647"));
        }
        let thresholds = scheduling::of_entry(entry, &path, findings);
        let given = entry.forwarding.as_ref();
        let forwarding =
            given.and_then(|given| forwarding::read(given, &format!("{path}.forwarding"), findings));
        let (Some(target), Some(weight)) = (target(entry, &path, findings), weight) else { continue };
        let port = entry.port.and_then(|port| listening(port, &format!("{path}.port"), findings));
        let spec = RealServerSpec { target, weight, thresholds, forwarding, port };
        let new = read.insert(entry.name.clone(), spec).is_none();
        findings.require(
            new,
            format!("{path}.name"),
            format!("{:?} stands here twice: give each its own", entry.name),
        );
    }
    read
}

/// A port on which a real server listens.
fn listening(number: i32, path: &str, findings: &mut Findings) -> Option<u16> {
    let port = in_range(number, 1, i32::from(u16::MAX)).and_then(|port| u16::try_from(port).ok());
    findings.require(port.is_some(), path, format!("{number}: write 1 to 65535"));
    port
}

/// Ports of real servers where packets are known by a mark, and so keep theirs.
fn kept_ports(
    marking: Marking,
    ports: &BTreeMap<PortKey, PortSpec>,
    real_servers: &BTreeMap<String, RealServerSpec>,
    findings: &mut Findings,
) {
    let others = ports.iter().any(|(key, port)| port.target.is_some_and(|target| target != key.port))
        || real_servers.values().any(|entry| entry.port.is_some());
    findings.require(
        marking != Marking::Together || !others,
        "spec.portScheduling",
        "with portScheduling Together a packet keeps its port: leave targetPort and port of real servers out, or write \
         Separate",
    );
}

/// Ports of real servers that nobody could send to.
fn other_ports(
    ports: &BTreeMap<PortKey, PortSpec>,
    forwarding: Forwarding,
    real_servers: &BTreeMap<String, RealServerSpec>,
    findings: &mut Findings,
) {
    let one = ports.len() == 1 && ports.keys().all(|key| key.port != 0);
    findings.require(
        one || real_servers.values().all(|entry| entry.port.is_none()),
        "spec.realServers",
        "port of a real server is for a service with one port, which is not 0: write targetPort at each port instead",
    );
    for (name, entry) in real_servers {
        let foreign = matches!(entry.target, RealServerTarget::Foreign(_));
        let rewritten = entry.forwarding.unwrap_or(forwarding).rewrites();
        let mut elsewhere =
            ports.iter().filter(|(key, port)| entry.port.or(port.target).is_some_and(|to| to != key.port));
        findings.require(
            !foreign || rewritten || elsewhere.next().is_none(),
            format!("spec.realServers[{name}]"),
            "another port on a host without an agent: write method Masquerade or FullNAT for it, or make it a Node with an \
             agent and write nodeName",
        );
    }
}

fn target(entry: &RealServer, path: &str, findings: &mut Findings) -> Option<RealServerTarget> {
    match (&entry.node_name, &entry.node_selector, &entry.addresses) {
        (Some(name), None, None) => {
            let message =
                format!("{name:?} is not the name of a Node: write it as kubectl get nodes shows it");
            findings.require(is_object_name(name), format!("{path}.nodeName"), message);
            Some(RealServerTarget::Node(NodeName(name.clone())))
        }
        (None, Some(selector), None) => {
            let path = format!("{path}.nodeSelector");
            findings.require(
                !selector.is_empty(),
                &path,
                "matches every Node: write at least one requirement",
            );
            Some(RealServerTarget::Nodes(selector.read(&path, findings)))
        }
        (None, None, Some(addresses)) => foreign(addresses, &format!("{path}.addresses"), findings),
        _ => {
            findings.add(path, "write exactly one of nodeName, nodeSelector and addresses");
            None
        }
    }
}

fn foreign(addresses: &[String], path: &str, findings: &mut Findings) -> Option<RealServerTarget> {
    let read: BTreeSet<_> = addresses
        .iter()
        .enumerate()
        .filter_map(|(index, text)| findings.take(format!("{path}[{index}]"), address::host(text)))
        .collect();
    let fits =
        (1..=2).contains(&addresses.len()) && read.len() == addresses.len() && address::one_per_family(&read);
    findings.require(fits, path, "write one address, or one of each family");
    fits.then_some(RealServerTarget::Foreign(read.into_iter().collect()))
}

pub(super) fn in_range(number: i32, least: i32, most: i32) -> Option<u32> {
    (least..=most).contains(&number).then_some(number).and_then(|number| u32::try_from(number).ok())
}

fn dns_label(text: &str, example: &str) -> String {
    format!(
        "{text:?} is not a DNS label: write at most 63 lower-case letters, digits and '-', such as {example}"
    )
}
