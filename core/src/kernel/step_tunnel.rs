//! What a kernel does with an operation on tunnels.

use super::{ArpSettings, Kernel, Op, Refusal};
use crate::names::LinkName;
use crate::tunnel::{TunnelDevice, dummy_address};

impl Kernel {
    pub(super) fn step_tunnel(&mut self, op: &Op) -> Result<(), Refusal> {
        match op {
            Op::AddTunnel(link, device) => {
                if self.arp.contains_key(link) || self.takes_the_same(device) {
                    return Err(Refusal::Exists);
                }
                // A new link has the settings of `default`, which are not observed.
                self.arp.insert(*link, ArpSettings::default());
                self.put(*link, *device);
            }
            Op::SetTunnel(link, device) => {
                if !self.tunnels.contains_key(link) {
                    return Err(Refusal::NoLink);
                }
                self.put(*link, *device);
            }
            Op::RemoveTunnel(link) => {
                self.tunnels.remove(link).ok_or(Refusal::NoLink)?;
                self.arp.remove(link);
                self.forwarding.remove(link);
                self.addresses.retain(|key, _| key.link != *link);
            }
            Op::OpenGuePort(port) if self.gue_ports.contains(port) => return Err(Refusal::PortTaken),
            Op::OpenGuePort(port) => {
                self.gue_ports.insert(*port);
            }
            Op::CloseGuePort(port) => {
                self.gue_ports.remove(port);
            }
            // The other operations are not about tunnels (see `step`).
            _ => {}
        }
        Ok(())
    }

    /// Whether there is a device of the kind with the very same ends.
    fn takes_the_same(&self, device: &TunnelDevice) -> bool {
        let ends = |device: &TunnelDevice| (device.kind, device.local, device.remote);
        self.tunnels.values().any(|there| ends(there) == ends(device))
    }

    fn put(&mut self, link: LinkName, device: TunnelDevice) {
        if device.addressed {
            let (key, attributes) = dummy_address(link);
            self.addresses.insert(key, attributes);
        }
        self.tunnels.insert(link, device);
    }
}
