//! The words with which ipvsadm and keepalived describe a tunnel.

use lvs_core::forwarding::{Encapsulation, Forwarding, TunnelChecksum, TunnelType};

/// A tunnel as far as it was read: without a word it is IPIP, as for both programs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tunnel {
    kind: TunnelType,
    port: Option<u16>,
    checksum: TunnelChecksum,
}

impl Tunnel {
    /// `ipip`, `gue` or `gre`.
    pub(super) fn set_type(&mut self, name: &str) -> Result<(), String> {
        self.kind = match name {
            "ipip" => TunnelType::Ipip,
            "gue" => TunnelType::Gue,
            "gre" => TunnelType::Gre,
            other => return Err(format!("{other} is no type of tunnel that can be written")),
        };
        Ok(())
    }

    /// The UDP port of GUE.
    pub(super) fn set_port(&mut self, number: &str) -> Result<(), String> {
        let port = number.parse().ok().filter(|port| *port != 0);
        self.port = Some(port.ok_or_else(|| format!("{number} is no port of a tunnel"))?);
        Ok(())
    }

    /// Takes `nocsum`, `csum` or `remcsum`; whether it was one.
    pub(super) fn set_checksum(&mut self, word: &str) -> bool {
        self.checksum = match word {
            "nocsum" => TunnelChecksum::Absent,
            "csum" => TunnelChecksum::Outer,
            "remcsum" => TunnelChecksum::Remote,
            _ => return false,
        };
        true
    }

    /// The method that it makes.
    pub(super) fn forwarding(self) -> Result<Forwarding, String> {
        match (self.kind, self.port) {
            (TunnelType::Gue, None) => Err("a tunnel of type gue has no port".to_owned()),
            (kind, port) => {
                Ok(Forwarding::Tunnel(Encapsulation::of(kind, port.unwrap_or_default(), self.checksum)))
            }
        }
    }
}
