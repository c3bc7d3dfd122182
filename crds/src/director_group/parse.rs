//! A DirectorGroup in the brain's terms.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kube::core::ObjectMeta;
use lvs_core::cluster::{AllowedRealServers, Group, GroupSpec, Pool};
use lvs_core::ipvs::Timeouts;
use lvs_core::names::{BootId, GroupName, NodeName, PoolName};
use lvs_core::node_report::Trouble;

use super::{AllowedRealServersSpec, DirectorGroupSpec, PoolSpec, TimeoutsSpec, sysctls};
use crate::address;
use crate::field::{Findings, invalid};
use crate::metadata;
use crate::names::{ALLOW_ARP_SILENCE, FORCE_MOVE, is_dns_label, is_object_name};

/// The most that ipvsadm takes as a timeout: 31 days.
const LONGEST_TIMEOUT: i32 = 31 * 86_400;

/// The name of a DirectorGroup.
#[must_use]
pub fn name(metadata: &ObjectMeta) -> GroupName {
    GroupName(metadata.name.clone().unwrap_or_default())
}

/// A DirectorGroup in the brain's terms. `spec` is what was read of it, or why it could not be: then that, too, is a
/// group, whose verdict says so.
#[must_use]
pub fn group(metadata: &ObjectMeta, spec: Result<&DirectorGroupSpec, &str>) -> Group {
    let mut findings = Findings::default();
    findings.require(
        is_dns_label(&name(metadata).0),
        "metadata.name",
        "write at most 63 characters and no '.'",
    );
    let force_move = annotation(metadata, FORCE_MOVE, &mut findings, read_force_move);
    let allow_arp_silence: BTreeSet<IpAddr> =
        annotation(metadata, ALLOW_ARP_SILENCE, &mut findings, address::list);
    let spec = spec.map_err(invalid).and_then(|spec| read(spec, findings));
    Group {
        created: metadata::created(metadata),
        generation: metadata.generation.unwrap_or_default(),
        force_move,
        allow_arp_silence,
        spec,
    }
}

fn annotation<T: Default>(
    metadata: &ObjectMeta,
    key: &str,
    findings: &mut Findings,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> T {
    let text = metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    let read = text.and_then(|text| findings.take(format!("metadata.annotations[{key}]"), read(text)));
    read.unwrap_or_default()
}

fn read_force_move(text: &str) -> Result<BTreeMap<NodeName, BootId>, String> {
    let pairs = text.split(',').map(|pair| {
        let (node, boot) = pair.trim().split_once('=').unwrap_or((pair, ""));
        if !is_object_name(node) || boot.is_empty() {
            return Err(format!(
                "{pair:?}: write NODE=BOOT, with the boot id that the NodePlan's status names"
            ));
        }
        Ok((NodeName(node.to_owned()), BootId(boot.to_owned())))
    });
    pairs.collect()
}

fn read(spec: &DirectorGroupSpec, mut findings: Findings) -> Result<GroupSpec, Trouble> {
    let path = "spec.nodeSelector";
    let not_empty = !spec.node_selector.is_empty();
    findings.require(not_empty, path, "would make every Node a director: write at least one requirement");
    let node_selector = spec.node_selector.read(&path, &mut findings);
    let pools = pools(&spec.pools, &mut findings);
    let allowed = spec.allowed_real_servers.as_ref().map(|allowed| read_allowed(allowed, &mut findings));
    let timeouts = spec.timeouts.as_ref().and_then(|timeouts| read_timeouts(timeouts, &mut findings));
    let given = spec.ipvs_sysctls.as_ref();
    let ipvs_sysctls = given.map(|given| sysctls::read(given, &mut findings)).unwrap_or_default();
    findings.into_result(Some(GroupSpec {
        node_selector,
        pools,
        allowed_real_servers: allowed,
        timeouts,
        ipvs_sysctls,
    }))
}

fn pools(pools: &[PoolSpec], findings: &mut Findings) -> BTreeMap<PoolName, Pool> {
    findings.require((1..=32).contains(&pools.len()), "spec.pools", "write 1 to 32 pools");
    let mut read = BTreeMap::new();
    for (index, pool) in pools.iter().enumerate() {
        let path = format!("spec.pools[{index}]");
        let message = format!(
            "{:?} is not a DNS label: write at most 63 lower-case letters, digits and '-'",
            pool.name
        );
        findings.require(is_dns_label(&pool.name), format!("{path}.name"), message);
        let in_bounds = (1..=64).contains(&pool.addresses.len());
        findings.require(
            in_bounds,
            format!("{path}.addresses"),
            "write 1 to 64 addresses, networks or ranges",
        );
        let addresses = pool.addresses.iter().enumerate();
        let addresses = addresses
            .filter_map(|(index, text)| {
                findings.take(format!("{path}.addresses[{index}]"), address::range(text))
            })
            .collect();
        let interface = pool.interface.as_ref();
        let interface = interface.and_then(|name| findings.take(format!("{path}.interface"), name.parse()));
        let new = read.insert(PoolName(pool.name.clone()), Pool { addresses, interface }).is_none();
        findings.require(
            new,
            format!("{path}.name"),
            format!("{:?} stands here twice: give each its own", pool.name),
        );
    }
    read
}

fn read_allowed(allowed: &AllowedRealServersSpec, findings: &mut Findings) -> AllowedRealServers {
    let path = "spec.allowedRealServers";
    let selector = allowed.node_selector.as_ref();
    let node_selector = selector.map(|selector| selector.read(&format!("{path}.nodeSelector"), findings));
    findings.require(allowed.cidrs.len() <= 64, format!("{path}.cidrs"), "write at most 64 networks");
    let cidrs = allowed.cidrs.iter().enumerate();
    let cidrs = cidrs
        .filter_map(|(index, text)| findings.take(format!("{path}.cidrs[{index}]"), address::network(text)))
        .collect();
    AllowedRealServers { node_selector, cidrs }
}

fn read_timeouts(timeouts: &TimeoutsSpec, findings: &mut Findings) -> Option<Timeouts> {
    let mut read = |field: &str, seconds: i32| {
        let fits = (1..=LONGEST_TIMEOUT).contains(&seconds);
        let message = format!("{seconds}: write 1 to {LONGEST_TIMEOUT} seconds");
        findings.require(fits, format!("spec.timeouts.{field}"), message);
        fits.then_some(seconds).and_then(|seconds| u32::try_from(seconds).ok())
    };
    let tcp = read("tcpSeconds", timeouts.tcp_seconds);
    let tcp_fin = read("tcpFinSeconds", timeouts.tcp_fin_seconds);
    let udp = read("udpSeconds", timeouts.udp_seconds);
    Some(Timeouts { tcp_seconds: tcp?, tcp_fin_seconds: tcp_fin?, udp_seconds: udp? })
}
