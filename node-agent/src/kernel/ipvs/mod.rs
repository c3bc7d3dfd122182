//! The IPVS table of the network namespace: read, and changed in batches.

mod batch;
mod family;
mod refusal;
mod sentry;
mod translate;

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::ipvs::{Timeouts, VirtualServerKey, VirtualServerSettings};
use lvs_core::kernel::{Op, Refusal, VirtualServer};
use netlink_packet_core::DecodeError;
use netlink_packet_ipvs::{
    DestinationEntry, Reply, ReplyBody, Request, RequestHeader, ServiceEntry, ServiceIdentity,
};

use super::error::{Cause, Error};
use super::socket::Socket;
pub use family::IpvsModule;
pub(super) use family::listed as family_number;
pub use sentry::Sentry;
pub(super) use sentry::read_some;

/// How often the table is read anew because services came or went meanwhile: the kernel does not say so itself.
const ATTEMPTS: usize = 3;

/// Virtual servers with their destinations, by identity.
pub type VirtualServers = BTreeMap<VirtualServerKey, VirtualServer>;

/// The IPVS table as core knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) virtual_servers: VirtualServers,
    pub(super) timeouts: Option<Timeouts>,
    /// Entries that core has no form for, each in a sentence. They are never ours.
    pub(super) left_out: BTreeSet<String>,
}

impl Table {
    /// Reads the whole table; an empty one without timeouts where the kernel has no IPVS, which `module` may change.
    pub(super) fn read(socket: &mut Socket, module: IpvsModule) -> Result<Self, Error> {
        let Some(family) = family::resolve(socket, module)? else { return Ok(Self::default()) };
        let mut services = list_services(socket, family)?;
        let mut table = Self::default();
        for _ in 0..ATTEMPTS {
            table = Self::default();
            for entry in &services {
                // What comes twice in a dump is the same service seen twice.
                match translate::virtual_server(entry) {
                    Ok((key, settings)) => {
                        let server = read_server(socket, family, entry.service.identity, settings)?;
                        table.virtual_servers.insert(key, server);
                    }
                    Err(sentence) => _ = table.left_out.insert(sentence),
                }
            }
            let again = list_services(socket, family)?;
            if identities(&again) == identities(&services) {
                break;
            }
            services = again;
        }
        table.timeouts = Some(timeouts(socket, family)?);
        Ok(table)
    }
}

fn identities(services: &[ServiceEntry]) -> BTreeSet<ServiceIdentity> {
    services.iter().map(|entry| entry.service.identity).collect()
}

fn list_services(socket: &mut Socket, family: u16) -> Result<Vec<ServiceEntry>, Error> {
    socket.dump(
        "reading the IPVS table",
        &|sequence, buffer| encode(&Request::GetServices, family, sequence, false, buffer),
        &mut |_, payload| match Reply::parse(payload, None)?.body {
            ReplyBody::Service(entry) => Ok(Some(entry)),
            _ => Ok(None),
        },
    )
}

fn list_destinations(
    socket: &mut Socket,
    family: u16,
    service: ServiceIdentity,
) -> Result<Vec<DestinationEntry>, Error> {
    socket.dump(
        "reading the destinations of an IPVS service",
        &|sequence, buffer| encode(&Request::GetDests(service), family, sequence, false, buffer),
        &mut |_, payload| match Reply::parse(payload, Some(service.family()))?.body {
            ReplyBody::Destination(entry) => Ok(Some(entry)),
            _ => Ok(None),
        },
    )
}

/// A virtual server of these settings with its destinations.
fn read_server(
    socket: &mut Socket,
    family: u16,
    service: ServiceIdentity,
    settings: VirtualServerSettings,
) -> Result<VirtualServer, Error> {
    let entries = list_destinations(socket, family, service)?;
    let destinations = entries.iter().map(|entry| translate::destination(&entry.destination));
    Ok(VirtualServer { settings, destinations: destinations.collect() })
}

fn timeouts(socket: &mut Socket, family: u16) -> Result<Timeouts, Error> {
    const DOING: &str = "reading the IPVS timeouts";
    let mut found = None;
    socket.ask(
        DOING,
        &|sequence, buffer| encode(&Request::GetConfig, family, sequence, true, buffer),
        &mut |_, payload| {
            if let ReplyBody::Config(timeouts) = Reply::parse(payload, None)?.body {
                found = Some(translate::timeouts(timeouts));
            }
            Ok(())
        },
    )?;
    found.ok_or_else(|| Error {
        doing: DOING,
        cause: Cause::Malformed(DecodeError::from("the reply holds no timeouts")),
    })
}

fn encode(request: &Request, family: u16, sequence: u32, acknowledge: bool, buffer: &mut Vec<u8>) {
    request.encode(RequestHeader { family_id: family, sequence, acknowledge }, buffer);
}

/// Carries out operations on the table in their order, at most `longest` in one send, and tells which were refused,
/// by their place in `ops`. IPVS is loaded where it is not.
///
/// A request whose answer was lost counts as refused with ETIMEDOUT or ENOBUFS: what became of it only the next
/// reading tells.
pub(super) fn apply(socket: &mut Socket, ops: &[Op], longest: usize) -> Vec<(usize, Refusal)> {
    batch::carry_out(&mut batch::Kernel { socket, longest }, ops)
}
