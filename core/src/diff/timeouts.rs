//! The difference in IPVS's timeouts.

use super::Draft;
use super::arp::given_back;
use crate::custody::{Claim, Item};
use crate::ipvs::Timeouts;
use crate::kernel::Op;
use crate::wanted::PhaseName;

impl Draft<'_> {
    pub(super) fn timeouts(&mut self) {
        let claim = self.owned.claim(&Item::Timeouts);
        match (self.wanted.timeouts, self.have.timeouts) {
            (Some(wanted), Some(present)) => self.set_timeouts(wanted, present, claim),
            // The module is not there; the services that need it say so.
            (Some(_), None) => {}
            (None, present) => self.give_timeouts_back(present, claim),
        }
    }

    fn set_timeouts(&mut self, wanted: Timeouts, present: Timeouts, claim: Option<Claim>) {
        // A value of 0 leaves what is there, here as in the kernel.
        let or = |wanted: u32, present: u32| if wanted == 0 { present } else { wanted };
        let new = Timeouts {
            tcp_seconds: or(wanted.tcp_seconds, present.tcp_seconds),
            tcp_fin_seconds: or(wanted.tcp_fin_seconds, present.tcp_fin_seconds),
            udp_seconds: or(wanted.udp_seconds, present.udp_seconds),
        };
        if new == present {
            return;
        }
        let claim = match claim {
            Some(Claim::Timeouts { ours, .. }) if ours == new => None,
            Some(Claim::Timeouts { prior, ours, earlier }) => {
                // A change that was written down may never have been made: what is there of ours is what counts.
                let earlier = earlier.unwrap_or(ours);
                let place = |present, ours, earlier| if present == earlier { earlier } else { ours };
                let standing = Timeouts {
                    tcp_seconds: place(present.tcp_seconds, ours.tcp_seconds, earlier.tcp_seconds),
                    tcp_fin_seconds: place(
                        present.tcp_fin_seconds,
                        ours.tcp_fin_seconds,
                        earlier.tcp_fin_seconds,
                    ),
                    udp_seconds: place(present.udp_seconds, ours.udp_seconds, earlier.udp_seconds),
                };
                Some(Claim::Timeouts { prior, ours: new, earlier: Some(standing) })
            }
            _ => Some(Claim::Timeouts { prior: present, ours: new, earlier: None }),
        };
        if let Some(claim) = claim {
            self.retake(PhaseName::VirtualServers, Item::Timeouts, claim);
        }
        self.op(PhaseName::VirtualServers, Op::SetTimeouts(new));
    }

    fn give_timeouts_back(&mut self, present: Option<Timeouts>, claim: Option<Claim>) {
        let Some(Claim::Timeouts { prior, ours, earlier }) = claim else { return };
        if self.wanted.keep_everything {
            return;
        }
        if let Some(present) = present {
            let earlier = earlier.unwrap_or(ours);
            let back = Timeouts {
                tcp_seconds: given_back(
                    present.tcp_seconds,
                    prior.tcp_seconds,
                    &[ours.tcp_seconds, earlier.tcp_seconds],
                ),
                tcp_fin_seconds: given_back(
                    present.tcp_fin_seconds,
                    prior.tcp_fin_seconds,
                    &[ours.tcp_fin_seconds, earlier.tcp_fin_seconds],
                ),
                udp_seconds: given_back(
                    present.udp_seconds,
                    prior.udp_seconds,
                    &[ours.udp_seconds, earlier.udp_seconds],
                ),
            };
            if back != present {
                self.op(PhaseName::RemoveVirtualServers, Op::SetTimeouts(back));
            }
        }
        self.release(PhaseName::RemoveVirtualServers, Item::Timeouts);
    }
}
