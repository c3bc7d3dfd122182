//! The difference in sysctls.

use super::Draft;
use super::arp::given_back;
use crate::custody::{Claim, Item};
use crate::kernel::Op;
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::sysctl::Sysctl;
use crate::wanted::PhaseName;

impl Draft<'_> {
    pub(super) fn sysctls(&mut self) {
        let (wanted, owned) = (self.wanted, self.owned);
        for (sysctl, value) in &wanted.sysctls {
            self.set_sysctl(*sysctl, *value);
        }
        for item in owned.but_destinations() {
            match item {
                Item::Sysctl(sysctl) if !wanted.sysctls.contains_key(sysctl) => {
                    self.give_sysctl_back(*sysctl);
                }
                _ => {}
            }
        }
    }

    fn set_sysctl(&mut self, sysctl: Sysctl, wanted: i32) {
        let item = Item::Sysctl(sysctl);
        let Some(present) = self.have.sysctls.get(&sysctl).copied() else {
            // Without the module there is none at all, and the services that need it say so.
            if !matches!(sysctl, Sysctl::Ipvs(_)) || self.have.timeouts.is_some() {
                let message =
                    format!("the kernel has no {sysctl}: leave it out, or use another kernel there");
                self.hold(item, Trouble::new(Reason::SysctlMissing, message));
            }
            return;
        };
        if wanted == present {
            return;
        }
        let claim = match self.owned.claim(&item) {
            Some(Claim::Sysctl { ours, .. }) if ours == wanted => None,
            Some(Claim::Sysctl { prior, ours, earlier }) => {
                // A change that was written down may never have been made: what is there of ours is what counts.
                let standing = earlier.filter(|earlier| *earlier == present).unwrap_or(ours);
                Some(Claim::Sysctl { prior, ours: wanted, earlier: Some(standing) })
            }
            _ => Some(Claim::Sysctl { prior: present, ours: wanted, earlier: None }),
        };
        if let Some(claim) = claim {
            self.retake(PhaseName::VirtualServers, item, claim);
        }
        self.op(PhaseName::VirtualServers, Op::SetSysctl(sysctl, wanted));
    }

    fn give_sysctl_back(&mut self, sysctl: Sysctl) {
        let item = Item::Sysctl(sysctl);
        let Some(Claim::Sysctl { prior, ours, earlier }) = self.owned.claim(&item) else { return };
        if self.stays(&item) {
            return;
        }
        // What is gone with its link or module has no value to give back.
        if let Some(present) = self.have.sysctls.get(&sysctl).copied() {
            let back = given_back(present, prior, &[ours, earlier.unwrap_or(ours)]);
            if back != present {
                self.op(PhaseName::RemoveVirtualServers, Op::SetSysctl(sysctl, back));
            }
        }
        self.release(PhaseName::RemoveVirtualServers, item);
    }
}
