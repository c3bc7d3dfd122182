//! Translation of addresses and ports: what a director needs besides the IPVS table where it masquerades, and what a real
//! server redirects.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Draft, duty, table};
use crate::custody::Item;
use crate::forwarding::Forwarding;
use crate::local::Local;
use crate::names::{LinkName, ServiceName};
use crate::network::Protocol;
use crate::node_plan::{PlannedService, ServiceForm};
use crate::node_report::Trouble;
use crate::packet_rule::{PacketRuleKey, PacketRuleKind, PacketRuleSettings};
use crate::reason::Reason;
use crate::redirection::Redirection;
use crate::sysctl::{IpvsSysctl, Sysctl};

/// What IPVS needs so that source NAT sees its packets.
const TRACKING: Sysctl = Sysctl::Ipvs(IpvsSysctl::Conntrack);

impl Draft<'_> {
    /// What the masqueraded real servers of a service need for a VIP.
    pub(super) fn masquerade(&mut self, name: &ServiceName, form: &ServiceForm, vip: IpAddr) {
        let needs = needs(form, vip, self.local);
        for link in needs.links {
            self.wanted.forward.insert(link);
            self.uses(name, Item::Forwarding(link));
        }
        if needs.rules.is_empty() {
            return;
        }
        if self.wanted.sysctls.insert(TRACKING, 1).is_some_and(|value| value != 1) {
            let message = format!(
                "full NAT needs {TRACKING} 1 on node {}, and the DirectorGroup's ipvsSysctls say otherwise: leave it \
                 out there",
                self.local.node
            );
            self.trouble(name, Trouble::new(Reason::NodeSettingConflict, message));
        }
        self.uses(name, Item::Sysctl(TRACKING));
        for key in needs.rules {
            self.wanted.packet_rules.insert(key, PacketRuleSettings::of(0));
            self.uses(name, Item::PacketRule(key));
        }
    }

    /// What the services that the agent can serve have redirected here.
    pub(super) fn redirect(&mut self) {
        let (plan, local) = (self.plan, self.local);
        for (name, part) in plan.services.iter().filter(|(_, part)| duty::is_supported(part, local)) {
            for redirection in &part.redirect {
                self.redirect_one(name, part, redirection);
            }
        }
    }

    fn redirect_one(&mut self, name: &ServiceName, part: &PlannedService, redirection: &Redirection) {
        let forwards = part.vips.get(&redirection.vip).is_some_and(|planned| planned.forward);
        if forwards {
            let message = format!(
                "node {} directs {}, so it cannot redirect {redirection}: write method Masquerade or FullNAT for it, or \
                 take another real server",
                self.local.node, redirection.vip
            );
            return self.trouble(name, Trouble::new(Reason::RedirectionOnDirector, message));
        }
        let (key, settings) = redirection.rule();
        self.wanted.packet_rules.insert(key, settings);
        self.uses(name, Item::PacketRule(key));
    }

    fn uses(&mut self, name: &ServiceName, item: Item) {
        self.wanted.users.entry(item).or_default().insert(name.clone());
    }
}

/// What masqueraded real servers need of the director besides their entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The links by which they reply, and on which IPv4 packets for others must be forwarded.
    links: BTreeSet<LinkName>,
    /// The rules of source NAT of those that are sent to by full NAT, which needs connection tracking too.
    rules: BTreeSet<PacketRuleKey>,
}

/// What the masqueraded real servers of a VIP need.
pub(super) fn needs(form: &ServiceForm, vip: IpAddr, local: &Local) -> Needs {
    let mut needs = Needs::default();
    for (rip, server, _) in table::admitted(form, vip).filter(|(_, server, _)| server.forwarding.rewrites()) {
        let link = local.paths.get(&rip).map(|path| path.link);
        let known = link.and_then(|link| local.links.get(&link));
        // What is sent to this node itself leaves by no link, and the reply comes in by none.
        if known.is_some_and(|link| link.loopback) {
            continue;
        }
        needs.links.extend(link.filter(|_| known.is_some() && rip.is_ipv4()));
        if server.forwarding == Forwarding::FullNat {
            let rule = |protocol, port| {
                let kind = PacketRuleKind::SourceNat;
                PacketRuleKey { kind, protocol, address: rip, port }
            };
            needs.rules.extend(form.ports.iter().map(|port| rule(port.protocol, server.port(*port))));
            // What users mark comes for whatever port.
            let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|protocol| rule(protocol, 0));
            needs.rules.extend(all.into_iter().filter(|_| form.ports.is_empty()));
        }
    }
    needs
}
