//! The difference in the receiving ends of tunnels.
//!
//! Where a device that is not ours takes in what is sent to the address, it is left to do so: a second one would take
//! away the packets of whoever has made it. Then there is none of ours.

use super::Draft;
use crate::custody::{Claim, Item};
use crate::kernel::Op;
use crate::names::LinkName;
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::tunnel::{GuePort, TunnelDevice};
use crate::wanted::PhaseName;

impl Draft<'_> {
    pub(super) fn tunnels(&mut self) {
        let (wanted, owned) = (self.wanted, self.owned);
        for (link, device) in &wanted.tunnels {
            self.tunnel(*link, device);
        }
        for port in &wanted.gue_ports {
            self.gue_port(*port);
        }
        for item in owned.but_destinations() {
            match item {
                Item::Tunnel(link) if !wanted.tunnels.contains_key(link) => self.leave_tunnel(*link),
                Item::GuePort(port) if !wanted.gue_ports.contains(port) => self.leave_gue_port(*port),
                _ => {}
            }
        }
    }

    fn tunnel(&mut self, link: LinkName, device: &TunnelDevice) {
        let item = Item::Tunnel(link);
        if self.is_kept(&item) {
            return;
        }
        if let Some((other, there)) = self.foreign_catcher(device) {
            if let Some(trouble) = unfit(other, there, device, self.have.rp_filter_all) {
                self.hold(item, trouble);
            }
            return self.leave_tunnel(link);
        }
        match self.have.tunnels.get(&link) {
            None => {
                self.take(PhaseName::OpenTunnels, item, Claim::Created);
                self.op(PhaseName::OpenTunnels, Op::AddTunnel(link, *device));
            }
            Some(there) if there == device => {}
            Some(_) if self.owned.holds(&item) => {
                self.op(PhaseName::OpenTunnels, Op::SetTunnel(link, *device));
            }
            Some(_) => {
                let message =
                    format!("link {link} is there already in another form and is not ours: remove it");
                self.hold(item, Trouble::new(Reason::ForeignEntry, message));
            }
        }
    }

    /// Somebody else's device that takes in what ours would.
    fn foreign_catcher(&self, device: &TunnelDevice) -> Option<(LinkName, TunnelDevice)> {
        let address = device.local?;
        let foreign = || {
            let links = self.have.tunnels.iter();
            links
                .filter(|(link, there)| there.kind == device.kind && !self.owned.holds(&Item::Tunnel(**link)))
        };
        // One for just this address comes first in the kernel too, and even while it is down there can be no second.
        let exact = foreign().find(|(_, there)| (there.local, there.remote) == (Some(address), None));
        let found = exact.or_else(|| foreign().find(|(_, there)| there.catches(device.kind, address)));
        found.map(|(link, there)| (*link, *there))
    }

    fn gue_port(&mut self, port: GuePort) {
        let item = Item::GuePort(port);
        if !self.is_kept(&item) && !self.have.gue_ports.contains(&port) {
            self.take(PhaseName::OpenTunnels, item, Claim::Created);
            self.op(PhaseName::OpenTunnels, Op::OpenGuePort(port));
        }
    }

    fn leave_tunnel(&mut self, link: LinkName) {
        let item = Item::Tunnel(link);
        if !self.owned.holds(&item) || self.is_kept(&item) || self.stays(&item) {
            return;
        }
        if self.have.tunnels.contains_key(&link) {
            self.op(PhaseName::CloseTunnels, Op::RemoveTunnel(link));
        }
        self.release(PhaseName::CloseTunnels, item);
    }

    fn leave_gue_port(&mut self, port: GuePort) {
        let item = Item::GuePort(port);
        if self.is_kept(&item) || self.stays(&item) {
            return;
        }
        if self.have.gue_ports.contains(&port) {
            self.op(PhaseName::CloseTunnels, Op::CloseGuePort(port));
        }
        self.release(PhaseName::CloseTunnels, item);
    }
}

/// Why somebody else's device, which takes the packets, is no good for them.
fn unfit(link: LinkName, there: TunnelDevice, wanted: &TunnelDevice, all: u32) -> Option<Trouble> {
    let why = if !there.up {
        "is down: set it up".to_owned()
    } else if there.checksum != wanted.checksum {
        format!("takes GRE {} a checksum only", if there.checksum { "with" } else { "without" })
    } else if !there.keeps_ipv4(all) {
        "drops what comes out of them: set its rp_filter to 2 and give it an IPv4 address".to_owned()
    } else {
        return None;
    };
    let message = format!("the link {link}, which is not ours, takes in {} packets and {why}", there.kind);
    Some(Trouble::new(Reason::ForeignEntry, message))
}
