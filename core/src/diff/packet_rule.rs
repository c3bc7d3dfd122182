//! The difference in packet rules.
//!
//! Redirects and source NAT come before anything is sent that needs them, and go last. Marks come once their virtual
//! servers have their real servers, and go before these virtual servers do.

use std::net::IpAddr;

use super::{Draft, standing};
use crate::custody::{Claim, Item};
use crate::ipvs::VirtualServerKey;
use crate::kernel::Op;
use crate::node_report::Trouble;
use crate::packet_rule::{Described, PacketRuleKey, PacketRuleKind, PacketRuleSettings};
use crate::reason::Reason;
use crate::wanted::{PhaseName, Scope};

impl Draft<'_> {
    pub(super) fn packet_rules(&mut self, scope: &Scope) {
        if matches!(scope, Scope::Part(part) if part.vips.is_empty()) {
            return;
        }
        let (wanted, owned) = (self.wanted, self.owned);
        let in_scope = |key: &PacketRuleKey| match scope {
            Scope::Everything => true,
            Scope::Part(part) => key.vip().is_some_and(|vip| part.vips.contains(&vip)),
        };
        for (key, settings) in wanted.packet_rules.iter().filter(|(key, _)| in_scope(key)) {
            self.packet_rule(*key, *settings);
        }
        for key in owned.packet_rules().filter(in_scope) {
            if !wanted.packet_rules.contains_key(&key) {
                self.leave_packet_rule(key);
            }
        }
    }

    fn packet_rule(&mut self, key: PacketRuleKey, wanted: PacketRuleSettings) {
        let (item, coming) = (Item::PacketRule(key), phases(key.kind).0);
        if self.is_kept(&item) {
            return;
        }
        match self.have.packet_rules.get(&key) {
            None if standing::server_of(&key, wanted).is_some_and(|server| !self.is_usable(server)) => {
                let message = format!(
                    "the rule {} is not made, because its virtual server is not ours: see what is said about that one",
                    Described(key, wanted)
                );
                self.hold(item, Trouble::new(Reason::ForeignEntry, message));
            }
            None => {
                self.take(coming, item, Claim::Created);
                self.op(coming, Op::AddPacketRule(key, wanted));
            }
            Some(there) if *there == wanted => {}
            Some(_) if self.owned.holds(&item) => self.op(coming, Op::SetPacketRule(key, wanted)),
            Some(there) => {
                let message = format!(
                    "the rule {} is there already, is not ours, and {}: remove it",
                    Described(key, *there),
                    if there.reached { "does something else" } else { "no packet gets to it" }
                );
                self.hold(item, Trouble::new(Reason::ForeignEntry, message));
            }
        }
    }

    /// Whether a VIP is served by a virtual server of a mark, once everything is done.
    pub(super) fn is_marked(&self, vip: IpAddr) -> bool {
        let mut servers = self.wanted.marked_by.get(&vip).into_iter().flatten();
        servers.any(|server| self.is_usable(*server) && self.gets_mark(vip, *server))
    }

    /// Whether packets for a VIP get to the virtual server of a mark: by rules that are not ours to make, or by one of ours
    /// that is there or comes.
    fn gets_mark(&self, vip: IpAddr, server: VirtualServerKey) -> bool {
        let mut rules = standing::rules(self.wanted, vip, server).peekable();
        rules.peek().is_none()
            || rules.any(|(rule, wanted)| {
                let item = Item::PacketRule(*rule);
                match self.have.packet_rules.get(rule) {
                    None => !self.is_kept(&item),
                    Some(there) => there == wanted || (self.owned.holds(&item) && !self.is_kept(&item)),
                }
            })
    }

    /// Whether a virtual server that is wanted will serve as ours.
    fn is_usable(&self, key: VirtualServerKey) -> bool {
        let item = Item::VirtualServer(key);
        match (self.have.virtual_servers.get(&key), self.wanted.virtual_servers.get(&key)) {
            (None, _) => !self.is_kept(&item),
            (Some(there), wanted) => {
                self.is_kept(&item)
                    || self.owned.holds(&item)
                    || self.wanted.adopt.contains(&key)
                    || wanted.is_some_and(|wanted| wanted.settings == there.settings)
            }
        }
    }

    fn leave_packet_rule(&mut self, key: PacketRuleKey) {
        let (item, going) = (Item::PacketRule(key), phases(key.kind).1);
        if self.is_kept(&item) || self.stays(&item) {
            return;
        }
        if self.have.packet_rules.contains_key(&key) {
            self.op(going, Op::RemovePacketRule(key));
        }
        self.release(going, item);
    }
}

/// When rules of a kind come and when they go.
fn phases(kind: PacketRuleKind) -> (PhaseName, PhaseName) {
    match kind {
        PacketRuleKind::Mark => (PhaseName::MarkPackets, PhaseName::UnmarkPackets),
        PacketRuleKind::Redirect | PacketRuleKind::SourceNat => {
            (PhaseName::OpenTranslations, PhaseName::CloseTranslations)
        }
    }
}
