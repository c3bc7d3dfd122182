//! Where a VIP is on a node: on `lo`, on the uplink, and which links keep silent about it.

use std::net::IpAddr;

use super::duty::Duty;
use super::probe::{self, Judgement};
use super::{Draft, Place};
use crate::custody::Item;
use crate::kernel::{AddressAttributes, AddressKey};
use crate::names::LinkName;
use crate::network::Family;
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::time::Monotonic;

impl<'a> Draft<'a> {
    /// A VIP on `lo` and on the uplink.
    pub(super) fn posture(&mut self, vip: IpAddr, place: &Place<'a>) {
        if !place.duty.accept {
            return;
        }
        let Some(loopback) = self.node.loopback else {
            let message = format!("VIP {vip}: node {} shows no loopback link", self.local.node);
            return self.trouble_all(&place.duty, &Trouble::new(Reason::UnknownInterface, message));
        };
        if vip.is_ipv4() {
            if let Some(trouble) = self.unhidable(vip) {
                return self.trouble_all(&place.duty, &trouble);
            }
            if let Some(trouble) = self.silenced.clone() {
                let links = [Some(loopback), place.uplink.as_ref().ok().copied()];
                let items =
                    links.into_iter().flatten().map(|link| Item::Address(AddressKey::host(link, vip)));
                self.wanted.keep.extend(items);
                self.bound |= self.is_bound(vip);
                return self.trouble_all(&place.duty, &trouble);
            }
            self.bound = true;
        }
        let attributes = AddressAttributes::vip(Family::of(vip));
        self.wanted.addresses.insert(AddressKey::host(loopback, vip), attributes);
        if place.duty.attract {
            match &place.uplink {
                Ok(uplink) => self.attract(vip, *uplink, &place.duty),
                Err(trouble) => {
                    // A slip of the pen in a link's name must not take a VIP from where it is held.
                    let held = self.local.ours.iter().filter(|key| key.address == vip);
                    self.wanted.keep.extend(held.map(|key| Item::Address(*key)));
                    self.trouble_all(&place.duty, trouble);
                }
            }
        }
    }

    /// Why an IPv4 VIP cannot be hidden: the setting of `all` would win over the link's.
    fn unhidable(&self, vip: IpAddr) -> Option<Trouble> {
        let ignore = self.local.arp_all.ignore;
        (!matches!(ignore, 0 | 1 | 2 | 8)).then(|| {
            let message = format!(
                "VIP {vip}: net.ipv4.conf.all.arp_ignore is {ignore} on node {}, so that it would be answered for \
                 from lo: set it to 0",
                self.local.node
            );
            Trouble::new(Reason::ArpSettingConflict, message)
        })
    }

    fn attract(&mut self, vip: IpAddr, uplink: LinkName, duty: &Duty<'a>) {
        let key = AddressKey::host(uplink, vip);
        let ignore = self.local.arp_all.ignore;
        if vip.is_ipv4() && matches!(ignore, 2 | 8) {
            let message = format!(
                "VIP {vip}: net.ipv4.conf.all.arp_ignore is {ignore} on node {}, so that it could not answer for the \
                 VIP on {uplink}: set it to 0 or 1",
                self.local.node
            );
            return self.trouble_all(duty, &Trouble::new(Reason::ArpSettingConflict, message));
        }
        if !self.forwarded.contains(&vip) {
            if self.forwarded_as_before.contains(&vip) {
                self.wanted.keep.insert(Item::Address(key));
            }
            return;
        }
        let on_uplink = self.node.has_host_address(uplink, vip);
        match probe::judge(vip, self.local.probes.get(&vip), on_uplink, self.now) {
            Judgement::Attract(next) => {
                self.wanted.addresses.insert(key, AddressAttributes::vip(Family::of(vip)));
                self.wanted.announce.insert(vip, uplink);
                if vip.is_ipv4() {
                    self.wanted.answer.insert(uplink);
                }
                self.ask_again(next);
            }
            Judgement::Probe => {
                self.wanted.keep.insert(Item::Address(key));
                self.wanted.probes.insert(vip, uplink);
            }
            Judgement::Failed(trouble, next) => {
                self.wanted.keep.insert(Item::Address(key));
                self.refused(vip, uplink, duty, &trouble, next);
            }
            Judgement::Refuse(trouble, next) => self.refused(vip, uplink, duty, &trouble, next),
        }
    }

    fn refused(
        &mut self,
        vip: IpAddr,
        uplink: LinkName,
        duty: &Duty<'a>,
        trouble: &Trouble,
        next: Option<Monotonic>,
    ) {
        self.trouble_all(duty, trouble);
        match next {
            Some(_) => self.ask_again(next),
            None => {
                self.wanted.probes.insert(vip, uplink);
            }
        }
    }

    /// Where an IPv4 VIP is bound, every link that speaks ARP hides it; also one of a part that is missing.
    pub(super) fn hide(&mut self) {
        let mut ours = self.local.ours.iter().map(|key| key.address);
        if self.bound || (self.wanted.keep_everything && ours.any(|vip| self.is_bound(vip))) {
            let speaks = self.local.links.iter().filter(|(_, link)| link.arp && !link.loopback);
            self.wanted.hide = speaks.map(|(name, _)| *name).collect();
        }
        // An uplink that speaks no ARP answers nobody anyway.
        let hide = &self.wanted.hide;
        self.wanted.answer.retain(|link| hide.contains(link));
    }
}
