//! What services have taken, so that no two have the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::draft::Form;
use super::marks;
use crate::ipvs::PortKey;
use crate::marking::Marking;
use crate::names::{RealServerKey, ServiceName};
use crate::node_report::Trouble;
use crate::reason::Reason;

/// Who has what, among the forms that are served and those that were accepted so far.
#[derive(Debug, Default)]
pub(super) struct Claims<'a> {
    ports: BTreeMap<(IpAddr, PortKey), &'a ServiceName>,
    /// Users' own marks, which several VIPs of a family share.
    marks: BTreeMap<u32, &'a ServiceName>,
    vips: BTreeMap<IpAddr, BTreeSet<&'a ServiceName>>,
    /// The services whose ports are scheduled together.
    together: BTreeSet<&'a ServiceName>,
    /// Foreign real servers. Services may share one.
    real_servers: BTreeMap<IpAddr, BTreeSet<&'a ServiceName>>,
}

impl<'a> Claims<'a> {
    /// Takes what a form needs.
    pub(super) fn add(&mut self, name: &'a ServiceName, form: &Form) {
        self.ports.extend(occupied(form).map(|claim| (claim, name)));
        for vip in form.vips.keys() {
            self.vips.entry(*vip).or_default().insert(name);
        }
        if let Marking::Own(mark) = form.marking {
            self.marks.insert(mark, name);
        }
        if marks::is_together(form) {
            self.together.insert(name);
        }
        for address in foreign(form) {
            self.real_servers.entry(address).or_default().insert(name);
        }
    }

    /// What of a form belongs to another service. Who was first keeps it, so that nobody's new manifest changes what
    /// another service may have.
    pub(super) fn conflict(&self, name: &ServiceName, form: &Form) -> Option<Trouble> {
        self.port_conflict(name, form)
            .or_else(|| self.mark_conflict(name, form))
            .or_else(|| self.real_server_conflict(name, form))
            .or_else(|| self.vip_conflict(name, form))
    }

    fn port_conflict(&self, name: &ServiceName, form: &Form) -> Option<Trouble> {
        occupied(form).find_map(|(vip, port)| {
            let other = self.ports.get(&(vip, port)).filter(|other| **other != name)?;
            let message = format!(
                "{vip} {port} belongs to VirtualService {other}; give this one another VIP or port, or delete the other."
            );
            Some(Trouble::new(Reason::PortConflict, message))
        })
    }

    /// Marks know no VIP, so that one stands for one service.
    fn mark_conflict(&self, name: &ServiceName, form: &Form) -> Option<Trouble> {
        if let Marking::Own(mark) = form.marking
            && let Some(other) = self.marks.get(&mark).filter(|other| **other != name)
        {
            let message = format!(
                "Firewall mark {mark} belongs to VirtualService {other}; mark the packets of this one with another."
            );
            return Some(Trouble::new(Reason::MarkConflict, message));
        }
        let full = self.together.len() >= marks::most() && !self.together.contains(name);
        (marks::is_together(form) && full).then(|| {
            let message = format!(
                "{} VirtualServices have portScheduling Together already, and there are no more marks; write Separate.",
                marks::most()
            );
            Trouble::new(Reason::MarksExhausted, message)
        })
    }

    fn real_server_conflict(&self, name: &ServiceName, form: &Form) -> Option<Trouble> {
        foreign(form).find_map(|address| {
            let other = self.vips.get(&address)?.iter().find(|other| **other != name)?;
            let message = format!(
                "{address} is a VIP of VirtualService {other}, so it is no real server; write the host's own address."
            );
            Some(Trouble::new(Reason::RealServerIsVip, message))
        })
    }

    fn vip_conflict(&self, name: &ServiceName, form: &Form) -> Option<Trouble> {
        form.vips.keys().find_map(|vip| {
            let other = self.real_servers.get(vip)?.iter().find(|other| **other != name)?;
            let message = format!(
                "{vip} is a real server of VirtualService {other}; a VIP must be an address that no host has."
            );
            Some(Trouble::new(Reason::RealServerIsVip, message))
        })
    }
}

/// The (VIP, port) pairs that a form occupies.
fn occupied(form: &Form) -> impl Iterator<Item = (IpAddr, PortKey)> + '_ {
    form.vips.keys().flat_map(|vip| form.ports.iter().map(move |port| (*vip, *port)))
}

/// The addresses of its real servers without an agent.
fn foreign(form: &Form) -> impl Iterator<Item = IpAddr> + '_ {
    let servers = form.real_servers.iter();
    let servers = servers.filter(|(key, _)| matches!(key, RealServerKey::Foreign(_)));
    servers.flat_map(|(_, server)| server.addresses.iter().copied())
}
