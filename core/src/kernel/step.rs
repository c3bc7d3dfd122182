//! What a kernel does with an operation, its refusals included.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Kernel, Op, VirtualServer};
use crate::flat_map::FlatMap;
use crate::ipvs::{DestinationKey, DestinationSettings, ForwardingMethod, Timeouts, VirtualServerKey};
use crate::network::Family;
use crate::sysctl::Sysctl;

/// Why a kernel refuses an operation; each stands for one errno in one place (facts measured on 6.1 and 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// EEXIST: it is there already.
    Exists,
    /// ESRCH: no such virtual service.
    NoVirtualServer,
    /// ENOENT on a destination: no such destination.
    NoDestination,
    /// ENOENT on a virtual service: the kernel has no such scheduler and cannot load one.
    NoScheduler,
    /// EADDRNOTAVAIL: no such address.
    NoAddress,
    /// ENODEV: no such link.
    NoLink,
    /// EOPNOTSUPP: the kernel has no such kind of link, and cannot load it.
    NoTunnel,
    /// EADDRINUSE: the UDP port is taken.
    PortTaken,
    /// ENOENT for the family: the kernel has no GUE.
    NoGue,
    /// ENOENT: no such packet rule.
    NoPacketRule,
    /// The kernel has no nftables for IPv4 and IPv6, or lacks what a kind of rule is made of.
    NoPacketRules,
    /// EINVAL: not an address that a destination can have (multicast, broadcast, unspecified, IPv6 link-local), or a GUE
    /// tunnel to port 0.
    InvalidAddress,
    /// ERANGE: a weight above 2^31 − 1, or a lower threshold above the upper one.
    OutOfRange,
    /// ENOENT: the kernel has no such sysctl.
    NoSysctl,
    /// EROFS or EACCES: `/proc/sys/net` can only be read where the agent runs.
    NotWritable,
    /// ENOENT for the family: the kernel has no IPVS.
    NoIpvs,
    /// EPERM: `CAP_NET_ADMIN` is missing.
    NotPermitted,
    /// Anything else; the errno.
    Other(i32),
}

/// The error in the words of errno(3).
impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exists => "it is there already (EEXIST)",
            Self::NoVirtualServer => "there is no such virtual server (ESRCH)",
            Self::NoDestination => "there is no such real server in it (ENOENT)",
            Self::NoScheduler => "there is no such scheduler (ENOENT)",
            Self::NoAddress => "there is no such address (EADDRNOTAVAIL)",
            Self::NoLink => "there is no such link (ENODEV)",
            Self::NoTunnel => "the kernel has no such kind of link (EOPNOTSUPP)",
            Self::PortTaken => "the UDP port is taken (EADDRINUSE)",
            Self::NoGue => "the kernel has no GUE (ENOENT)",
            Self::NoPacketRule => "there is no such packet rule (ENOENT)",
            Self::NoPacketRules => "the kernel has no such packet rules (EOPNOTSUPP)",
            Self::InvalidAddress => "a real server cannot have such an address (EINVAL)",
            Self::OutOfRange => "a weight or threshold is out of range (ERANGE)",
            Self::NoSysctl => "there is no such sysctl (ENOENT)",
            Self::NotWritable => "it can only be read (EROFS)",
            Self::NoIpvs => "there is no IPVS (ENOENT)",
            Self::NotPermitted => "operation not permitted (EPERM)",
            Self::Other(errno) => return write!(formatter, "error {errno} of errno(3)"),
        })
    }
}

impl Kernel {
    /// Does `op` to this kernel as a real one would.
    ///
    /// # Errors
    /// The [`Refusal`] that a real kernel would answer; then nothing has changed.
    pub fn step(&mut self, op: &Op) -> Result<(), Refusal> {
        match op {
            Op::SetArp(link, settings) => {
                *self.arp.get_mut(link).ok_or(Refusal::NoLink)? = *settings;
                Ok(())
            }
            Op::AddAddress(key, attributes) => {
                if !self.arp.contains_key(&key.link) {
                    return Err(Refusal::NoLink);
                }
                if self.addresses.contains_key(key) {
                    return Err(Refusal::Exists);
                }
                self.addresses.insert(*key, *attributes);
                Ok(())
            }
            Op::SetAddress(key, attributes) => {
                *self.addresses.get_mut(key).ok_or(Refusal::NoAddress)? = *attributes;
                Ok(())
            }
            Op::RemoveAddress(key) => match self.addresses.remove(key) {
                Some(_) => Ok(()),
                None if self.arp.contains_key(&key.link) => Err(Refusal::NoAddress),
                None => Err(Refusal::NoLink),
            },
            Op::SetTimeouts(timeouts) => self.set_timeouts(*timeouts),
            Op::SetSysctl(sysctl, value) => self.set_sysctl(*sysctl, *value),
            Op::SetForwarding(link, on) => {
                if !self.arp.contains_key(link) {
                    return Err(Refusal::NoLink);
                }
                if *on {
                    self.forwarding.insert(*link);
                } else {
                    self.forwarding.remove(link);
                }
                Ok(())
            }
            Op::AddTunnel(..)
            | Op::SetTunnel(..)
            | Op::RemoveTunnel(_)
            | Op::OpenGuePort(_)
            | Op::CloseGuePort(_) => self.step_tunnel(op),
            Op::AddPacketRule(..) | Op::SetPacketRule(..) | Op::RemovePacketRule(_) => {
                self.step_packet_rule(op)
            }
            _ => self.step_ipvs(op),
        }
    }

    fn step_ipvs(&mut self, op: &Op) -> Result<(), Refusal> {
        let table = &mut self.virtual_servers;
        match op {
            Op::AddVirtualServer(key, settings) => {
                if table.contains_key(key) {
                    return Err(Refusal::Exists);
                }
                if !known(self.schedulers.as_ref(), settings.scheduler) {
                    return Err(Refusal::NoScheduler);
                }
                table.insert(*key, VirtualServer { settings: *settings, destinations: FlatMap::new() });
                Ok(())
            }
            Op::SetVirtualServer(key, settings) => {
                let server = table.get_mut(key).ok_or(Refusal::NoVirtualServer)?;
                if !known(self.schedulers.as_ref(), settings.scheduler) {
                    return Err(Refusal::NoScheduler);
                }
                server.settings = *settings;
                Ok(())
            }
            // Counters are no part of this kernel.
            Op::ZeroCounters(key) => table.get(key).map(|_| ()).ok_or(Refusal::NoVirtualServer),
            Op::RemoveVirtualServer(key) => table.remove(key).map(|_| ()).ok_or(Refusal::NoVirtualServer),
            Op::AddDestination(key, destination, settings) => {
                let server = table.get_mut(key).ok_or(Refusal::NoVirtualServer)?;
                check_family(key, *destination, settings)?;
                check_settings(settings)?;
                check_address(*destination)?;
                if server.destinations.contains_key(destination) {
                    return Err(Refusal::Exists);
                }
                server.destinations.insert(*destination, *settings);
                Ok(())
            }
            Op::SetDestination(key, destination, settings) => {
                let server = table.get_mut(key).ok_or(Refusal::NoVirtualServer)?;
                check_family(key, *destination, settings)?;
                check_settings(settings)?;
                *server.destinations.get_mut(destination).ok_or(Refusal::NoDestination)? = *settings;
                Ok(())
            }
            Op::RemoveDestination(key, destination) => {
                let server = table.get_mut(key).ok_or(Refusal::NoVirtualServer)?;
                server.destinations.remove(destination).map(|_| ()).ok_or(Refusal::NoDestination)
            }
            // The other operations are not about the table (see `step`).
            _ => Ok(()),
        }
    }

    fn set_sysctl(&mut self, sysctl: Sysctl, value: i32) -> Result<(), Refusal> {
        *self.sysctls.get_mut(&sysctl).ok_or(Refusal::NoSysctl)? = value;
        if sysctl == Sysctl::Ipv6ForwardingAll {
            let links =
                self.sysctls.iter_mut().filter(|(sysctl, _)| matches!(sysctl, Sysctl::Ipv6Forwarding(_)));
            links.for_each(|(_, there)| *there = value);
        }
        Ok(())
    }

    /// A value of 0 keeps what is there (`SET_CONFIG`).
    fn set_timeouts(&mut self, new: Timeouts) -> Result<(), Refusal> {
        let timeouts = self.timeouts.as_mut().ok_or(Refusal::NoIpvs)?;
        let keep = |new: u32, old: u32| if new == 0 { old } else { new };
        *timeouts = Timeouts {
            tcp_seconds: keep(new.tcp_seconds, timeouts.tcp_seconds),
            tcp_fin_seconds: keep(new.tcp_fin_seconds, timeouts.tcp_fin_seconds),
            udp_seconds: keep(new.udp_seconds, timeouts.udp_seconds),
        };
        Ok(())
    }
}

fn known(
    schedulers: Option<&std::collections::BTreeSet<crate::names::SchedulerName>>,
    scheduler: crate::names::SchedulerName,
) -> bool {
    scheduler.as_str() == "none" || schedulers.is_none_or(|known| known.contains(&scheduler))
}

fn check_settings(settings: &DestinationSettings) -> Result<(), Refusal> {
    let weight_fits = i32::try_from(settings.weight).is_ok();
    if !weight_fits || settings.lower_threshold > settings.upper_threshold {
        return Err(Refusal::OutOfRange);
    }
    let nowhere = settings.tunnel.is_some_and(|tunnel| (tunnel.kind, tunnel.port) == (1, 0));
    if nowhere { Err(Refusal::InvalidAddress) } else { Ok(()) }
}

/// A destination of the other family needs a tunnel. The kernel looks at this before it looks at the settings.
fn check_family(
    key: &VirtualServerKey,
    destination: DestinationKey,
    settings: &DestinationSettings,
) -> Result<(), Refusal> {
    let same = key.family() == Family::of(destination.address);
    if same || settings.method == ForwardingMethod::Tunnel { Ok(()) } else { Err(Refusal::InvalidAddress) }
}

fn check_address(destination: DestinationKey) -> Result<(), Refusal> {
    let unicast = match destination.address {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_multicast() && !v6.is_unspecified(),
    };
    if unicast { Ok(()) } else { Err(Refusal::InvalidAddress) }
}

#[cfg(test)]
mod tests;
