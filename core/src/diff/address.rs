//! The difference in addresses.

use std::collections::BTreeSet;

use super::Draft;
use crate::custody::{Claim, Item};
use crate::kernel::{AddressKey, Op};
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::wanted::{PhaseName, Scope};

/// The addresses that are wanted or ours.
pub(super) fn in_scope(draft: &Draft, scope: &Scope) -> BTreeSet<AddressKey> {
    let Scope::Part(part) = scope else {
        return draft.wanted.addresses.keys().copied().chain(draft.owned.addresses()).collect();
    };
    let links = draft.have.arp.keys();
    let keys = links.flat_map(|link| part.vips.iter().map(|vip| AddressKey::host(*link, *vip)));
    keys.filter(|key| draft.wanted.addresses.contains_key(key) || draft.owned.holds(&Item::Address(*key)))
        .collect()
}

impl Draft<'_> {
    /// Looks at one address; the virtual servers have been looked at before.
    pub(super) fn address(&mut self, key: AddressKey) {
        let item = Item::Address(key);
        let (coming, going) = if self.wanted.binds(&key) {
            (PhaseName::Accept, PhaseName::Unbind)
        } else {
            (PhaseName::Attract, PhaseName::Withdraw)
        };
        let idle = self.is_idle(&key);
        let wanted = self.wanted.addresses.get(&key).filter(|_| !idle).copied();
        let present = self.have.addresses.get(&key).copied();
        if self.is_kept(&item) && !idle {
            self.bound |= self.hides(&key) && present.is_some();
            return;
        }
        match (wanted, present) {
            (Some(_), None) if !self.have.arp.contains_key(&key.link) => {
                let message = format!("VIP {}: the link {} is gone", key.address, key.link);
                self.hold(item, Trouble::new(Reason::UnknownInterface, message));
            }
            (Some(attributes), None) => {
                self.take(coming, item, Claim::Created);
                self.op(coming, Op::AddAddress(key, attributes));
            }
            (Some(attributes), Some(present)) if attributes != present => {
                if self.owned.holds(&item) {
                    self.op(coming, Op::SetAddress(key, attributes));
                } else {
                    let message =
                        format!("address {key} is there already in another form and is not ours: remove it");
                    self.hold(item, Trouble::new(Reason::ForeignEntry, message));
                }
            }
            (Some(_), Some(_)) => {}
            (None, Some(_)) if self.stays(&item) || !self.owned.holds(&item) => {}
            (None, Some(_)) => {
                self.op(going, Op::RemoveAddress(key));
                self.release(going, item);
                return;
            }
            (None, None) => {
                if self.owned.holds(&item) && !self.stays(&item) {
                    self.release(going, item);
                }
                return;
            }
        }
        self.bound |= self.hides(&key);
    }

    /// Whether a VIP would stand on an uplink without any virtual server of ours behind it. It is not attracted then,
    /// and one that is there leaves.
    fn is_idle(&mut self, key: &AddressKey) -> bool {
        let vip = key.address;
        let wanted = self.wanted.addresses.contains_key(key);
        let stays = !wanted && self.wanted.keep_vips.contains(&vip);
        let served = self.serving.contains(&vip) || self.is_marked(vip);
        let idle = !self.wanted.binds(key) && !served && !stays;
        if idle && wanted {
            let message = format!(
                "VIP {vip} is not held, because none of its virtual servers is ours: see what is said about them"
            );
            self.hold(Item::Address(*key), Trouble::new(Reason::ForeignEntry, message));
        }
        idle
    }

    /// Whether an address needs ARP hidden.
    fn hides(&self, key: &AddressKey) -> bool {
        key.address.is_ipv4() && self.wanted.binds(key)
    }
}
