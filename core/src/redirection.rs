//! Another port on a real server that gets packets as the client sent them: its own kernel redirects them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::forwarding::Forwarding;
use crate::ipvs::PortKey;
use crate::network::Protocol;
use crate::packet_rule::{PacketRuleKey, PacketRuleKind, PacketRuleSettings};

/// The ports on which a real server listens instead of the service's, by the service's.
pub type LocalPorts = BTreeMap<PortKey, u16>;

/// Connections to a VIP and port that a real server takes in at another port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redirection {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The VIP.
    #[schemars(schema_with = "crate::names::address_schema")]
    pub vip: IpAddr,
    /// The service's port, 1 to 65535.
    pub port: u16,
    /// The port on which the real server listens, 1 to 65535.
    pub to: u16,
}

impl Redirection {
    /// What is redirected: of one protocol, VIP and port there is one redirection at most.
    #[must_use]
    pub fn from(&self) -> (Protocol, IpAddr, u16) {
        (self.protocol, self.vip, self.port)
    }

    /// The rule that does it.
    #[must_use]
    pub fn rule(&self) -> (PacketRuleKey, PacketRuleSettings) {
        let Self { protocol, vip, port, to } = *self;
        let key = PacketRuleKey { kind: PacketRuleKind::Redirect, protocol, address: vip, port };
        (key, PacketRuleSettings::of(u32::from(to)))
    }

    /// What a real server has to redirect for a VIP: nothing where the director writes the port into the packet.
    pub fn needed(
        forwarding: Forwarding,
        ports: &LocalPorts,
        vip: IpAddr,
    ) -> impl Iterator<Item = Self> + use<'_> {
        let ports = ports.iter().filter(move |_| !forwarding.rewrites());
        ports.map(move |(key, to)| Self { protocol: key.protocol, vip, port: key.port, to: *to })
    }
}

/// Whether each of `needed` is among `there`, be it to another port: that changes on the real server alone.
#[must_use]
pub fn redirects_all(there: &BTreeSet<Redirection>, needed: impl IntoIterator<Item = Redirection>) -> bool {
    needed.into_iter().all(|needed| there.iter().any(|there| there.from() == needed.from()))
}

/// As it stands in a message to a person.
impl fmt::Display for Redirection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, vip, port, to } = self;
        write!(formatter, "{protocol} {} to port {to}", std::net::SocketAddr::new(*vip, *port))
    }
}
