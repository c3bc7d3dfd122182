//! The difference in ARP settings.

use super::Draft;
use crate::custody::{Claim, Item};
use crate::kernel::{ArpSettings, Op};
use crate::names::LinkName;
use crate::wanted::PhaseName;

impl Draft<'_> {
    /// Hides ARP where it is to be hidden and is not.
    pub(super) fn hide(&mut self) {
        let wanted = self.wanted;
        for link in &wanted.hide {
            let Some(present) = self.have.arp.get(link).copied() else { continue };
            let new = self.hidden(*link, present);
            if new != present {
                self.claim_arp(*link, present, new);
                self.op(PhaseName::Hide, Op::SetArp(*link, new));
            }
        }
    }

    /// The settings with which a link hides; the present ones where they do.
    fn hidden(&self, link: LinkName, present: ArpSettings) -> ArpSettings {
        let effective = present.effective(self.have.arp_all);
        let answers = effective.ignore == 1 || !self.wanted.answer.contains(&link);
        if effective.hides() && answers {
            return present;
        }
        let ignores = matches!(effective.ignore, 1 | 2 | 8) && answers;
        ArpSettings { ignore: if ignores { present.ignore } else { 1 }, announce: present.announce.max(2) }
    }

    fn claim_arp(&mut self, link: LinkName, present: ArpSettings, new: ArpSettings) {
        let item = Item::Arp(link);
        let claim = match self.owned.claim(&item) {
            Some(Claim::Arp { prior, ours }) => {
                // A value that is left as it is now is somebody else's, unless it was ours before.
                let set = |new: u32, present: u32, ours: u32| if new == present { ours } else { new };
                let ignore = set(new.ignore, present.ignore, ours.ignore);
                let announce = set(new.announce, present.announce, ours.announce);
                Claim::Arp { prior, ours: ArpSettings { ignore, announce } }
            }
            _ => Claim::Arp { prior: present, ours: new },
        };
        if self.owned.claim(&item) != Some(claim) {
            self.retake(PhaseName::Hide, item, claim);
        }
    }

    /// Gives back the settings of links once no IPv4 VIP of ours is on `lo` any more. Until then a link that needs no
    /// hiding keeps it, in case it speaks ARP again.
    pub(super) fn show(&mut self) {
        let owned = self.owned;
        for (link, prior, ours) in owned.arp() {
            let item = Item::Arp(link);
            let Some(present) = self.have.arp.get(&link).copied() else {
                // The link is gone, and its settings with it; another of its name has settings of its own.
                self.release(PhaseName::Show, item);
                continue;
            };
            if self.bound || self.wanted.keep_everything || self.wanted.hide.contains(&link) {
                continue;
            }
            let back = ArpSettings {
                ignore: given_back(present.ignore, prior.ignore, &[ours.ignore]),
                announce: given_back(present.announce, prior.announce, &[ours.announce]),
            };
            if back != present {
                self.op(PhaseName::Show, Op::SetArp(link, back));
            }
            self.release(PhaseName::Show, item);
        }
    }
}

/// The prior value where the present one is ours, else the present one: somebody else has set it since.
pub(super) fn given_back<T: PartialEq>(present: T, prior: T, ours: &[T]) -> T {
    if ours.contains(&present) { prior } else { present }
}
