//! Which of the VIPs that are held here are announced, and when.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lvs_core::kernel::AddressKey;
use lvs_core::names::LinkName;
use lvs_core::time::Monotonic;

use super::host::Host;
use super::look::View;

/// What has been announced so far. An agent that starts has announced nothing yet, and so begins anew.
#[derive(Debug, Default)]
pub struct Announcer {
    held: BTreeMap<(IpAddr, LinkName), Announced>,
}

/// One VIP on one uplink.
#[derive(Clone, Copy, Debug)]
struct Announced {
    since: Monotonic,
    /// Milliseconds after `since`.
    last: Option<u64>,
}

impl Announcer {
    /// Announces what is due of the VIPs that are wanted and really are on their uplinks. Yields when the next is due.
    pub fn announce(&mut self, view: &View, host: &mut impl Host) -> Option<Monotonic> {
        let now = host.now();
        let held = |(vip, uplink): (&IpAddr, &LinkName)| {
            let key = AddressKey::host(*uplink, *vip);
            view.kernel.addresses.contains_key(&key).then_some((*vip, *uplink))
        };
        let held: Vec<(IpAddr, LinkName)> = view.wanted.announce.iter().filter_map(held).collect();
        self.held.retain(|key, _| held.contains(key));
        let mut due = BTreeMap::new();
        let mut next: Option<Monotonic> = None;
        for (vip, uplink) in held {
            let entry = self.held.entry((vip, uplink)).or_insert(Announced { since: now, last: None });
            let (is_due, wait) = lvs_core::announce::due(now - entry.since, entry.last);
            if is_due {
                entry.last = Some(now - entry.since);
                due.insert(vip, uplink);
            }
            let at = now + wait;
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        if !due.is_empty() {
            host.announce(&due);
        }
        next
    }
}
