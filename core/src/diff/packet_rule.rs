//! The difference in packet rules.
//!
//! Redirects and source NAT come before anything is sent that needs them, and go last. Marks come once their virtual
//! servers have their real servers, and go before these virtual servers do.

use super::Draft;
use crate::custody::{Claim, Item};
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
