//! The difference in IPv4 forwarding.

use super::Draft;
use crate::custody::{Claim, Item};
use crate::kernel::Op;
use crate::names::LinkName;
use crate::wanted::PhaseName;

impl Draft<'_> {
    pub(super) fn forwarding(&mut self) {
        let (wanted, owned) = (self.wanted, self.owned);
        for link in &wanted.forward {
            self.forward(*link);
        }
        for item in owned.but_destinations() {
            if let Item::Forwarding(link) = item
                && !wanted.forward.contains(link)
            {
                self.forward_no_more(*link);
            }
        }
    }

    fn forward(&mut self, link: LinkName) {
        let item = Item::Forwarding(link);
        let there = self.have.arp.contains_key(&link);
        if !there || self.have.forwarding.contains(&link) || self.is_kept(&item) {
            return;
        }
        self.take(PhaseName::VirtualServers, item, Claim::Forwarding { of_all: self.have.forwarding_all });
        self.op(PhaseName::VirtualServers, Op::SetForwarding(link, true));
    }

    fn forward_no_more(&mut self, link: LinkName) {
        let item = Item::Forwarding(link);
        if !self.have.arp.contains_key(&link) {
            // The link is gone, and its settings with it.
            return self.release(PhaseName::Show, item);
        }
        if self.is_kept(&item) || self.stays(&item) {
            return;
        }
        let was_off_for_all = matches!(self.owned.claim(&item), Some(Claim::Forwarding { of_all: false }));
        let somebody_else_wants_it = self.have.forwarding_all && was_off_for_all;
        if self.have.forwarding.contains(&link) && !somebody_else_wants_it {
            self.op(PhaseName::Show, Op::SetForwarding(link, false));
        }
        self.release(PhaseName::Show, item);
    }
}
