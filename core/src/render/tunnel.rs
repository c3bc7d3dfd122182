//! The tunnels that a real server takes in.

use super::{Draft, duty};
use crate::custody::Item;
use crate::forwarding::Reception;
use crate::names::ServiceName;
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::tunnel;

impl Draft<'_> {
    /// What the services that the agent can serve have sent here by tunnel.
    pub(super) fn receive(&mut self) {
        let (plan, local) = (self.plan, self.local);
        for (name, part) in plan.services.iter().filter(|(_, part)| duty::is_supported(part, local)) {
            for reception in &part.receive {
                self.take_in(name, reception);
            }
        }
    }

    fn take_in(&mut self, service: &ServiceName, reception: &Reception) {
        let device = tunnel::device(reception);
        let link = tunnel::link_name(device.kind, reception.address);
        let wanted = *self.wanted.tunnels.entry(link).or_insert(device);
        if wanted != device {
            let message = format!(
                "node {} takes in GRE at {} either with a checksum or without, and another service wants it otherwise: \
                 let both say the same",
                self.local.node, reception.address
            );
            return self.trouble(service, Trouble::new(Reason::TunnelConflict, message));
        }
        self.wanted.gue_ports.extend(tunnel::gue_port(reception));
        for item in items(reception) {
            // That a service beyond the agent needs it too keeps nobody from having it.
            self.wanted.keep.remove(&item);
            self.wanted.users.entry(item).or_default().insert(service.clone());
        }
    }
}

/// What of a kernel a reception needs.
pub(super) fn items(reception: &Reception) -> Vec<Item> {
    let link = tunnel::link_name(tunnel::device(reception).kind, reception.address);
    let port = tunnel::gue_port(reception).map(Item::GuePort);
    [Item::Tunnel(link)].into_iter().chain(port).collect()
}
