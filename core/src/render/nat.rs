//! Translation of addresses and ports: what a director needs besides the IPVS table where it masquerades, and what a real
//! server redirects.

use std::net::IpAddr;

use super::{Draft, duty, table};
use crate::custody::Item;
use crate::names::ServiceName;
use crate::node_plan::{PlannedService, ServiceForm};
use crate::node_report::Trouble;
use crate::packet_rule::PacketRuleSettings;
use crate::reason::Reason;
use crate::redirection::Redirection;
use crate::sysctl::{IpvsSysctl, Sysctl};

/// What IPVS needs so that source NAT sees its packets.
const TRACKING: Sysctl = Sysctl::Ipvs(IpvsSysctl::Conntrack);

impl Draft<'_> {
    /// What the masqueraded real servers of a service need for a VIP.
    pub(super) fn masquerade(&mut self, name: &ServiceName, form: &ServiceForm, vip: IpAddr) {
        let needs = table::needs(form, vip, self.local);
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
