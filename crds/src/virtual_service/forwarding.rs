//! How directors send to real servers, as a user writes it and in the brain's terms.

use kube::KubeSchema;
use lvs_core::forwarding::{Encapsulation, Forwarding, Method, TunnelChecksum, TunnelType};
use serde::{Deserialize, Serialize};

use super::parse::in_range;
use crate::field::Findings;

/// How directors send to real servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.method == 'Tunnel' || !has(self.tunnel)").message("a tunnel is for method Tunnel: write that method, or leave tunnel out"))]
pub struct ForwardingSpec {
    /// `DirectRouting`: the packet gets another destination MAC address and nothing else, so the real server must be on
    /// the director's network. `Tunnel`: the packet travels within another one to the real server's own address,
    /// wherever that is and of whichever family; its node takes it in by a tunnel device that the agent makes. With both
    /// the real server has the VIP and replies straight to the client. `Masquerade`: the packet gets the real server's
    /// address and port as its destination. The real server has no VIP, may listen on another port, and must reply by the
    /// director that holds the VIP: a route of its Node to the clients leads there, and no client is on its own network.
    /// `FullNAT`: besides, the packet gets the director's address as its source, so that the reply comes back whatever the
    /// real server's routes are; it does not see the client's address.
    pub method: Method,
    /// The tunnel, of method Tunnel only. Default IPIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<TunnelSpec>,
}

/// What a packet travels in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.port) == (self.type == 'GUE')").message("port is of type GUE, which needs one: write it there and nowhere else"),
    validation = Rule::new("!has(self.checksum) || self.checksum == 'Absent' || self.type != 'IPIP'").message("IPIP has no checksum: leave it out"),
    validation = Rule::new("!has(self.checksum) || self.checksum != 'Remote' || self.type == 'GUE'").message("checksum Remote is of type GUE: write Absent or Outer")
)]
pub struct TunnelSpec {
    /// IPIP, an IP header alone; GUE, generic UDP encapsulation; GRE, generic routing encapsulation. Where there is no
    /// agent, the host takes it in by itself. The node's kernel must have the module: `ipip`, `sit`, `ip6_tunnel`,
    /// `ip_gre` or `ip6_gre`, which the kernel loads by itself, and for GUE also `fou`, which the host has to load.
    #[serde(rename = "type")]
    pub kind: TunnelType,
    /// The UDP port at which the real server takes GUE in, 1 to 65535. It is free on each of its nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// `Absent`; `Outer`, one of the outer packet (GUE and GRE); `Remote`, that of the packet within, moved outwards so that
    /// network cards can help (GUE). All GRE to one address of a node has a checksum or none has. Default `Absent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TunnelChecksum")]
    pub checksum: Option<TunnelChecksum>,
}

/// A method in the brain's terms; nothing where it is none. What is wrong is found.
pub(super) fn read(spec: &ForwardingSpec, path: &str, findings: &mut Findings) -> Option<Forwarding> {
    findings.require(
        spec.method == Method::Tunnel || spec.tunnel.is_none(),
        format!("{path}.tunnel"),
        "a tunnel is for method Tunnel: write that method, or leave tunnel out",
    );
    match (spec.method, &spec.tunnel) {
        (Method::DirectRouting, _) => Some(Forwarding::DirectRouting),
        (Method::Masquerade, _) => Some(Forwarding::Masquerade),
        (Method::FullNat, _) => Some(Forwarding::FullNat),
        (Method::Tunnel, None) => Some(Forwarding::Tunnel(Encapsulation::Ipip)),
        (Method::Tunnel, Some(spec)) => {
            tunnel(spec, &format!("{path}.tunnel"), findings).map(Forwarding::Tunnel)
        }
    }
}

fn tunnel(spec: &TunnelSpec, path: &str, findings: &mut Findings) -> Option<Encapsulation> {
    let is_gue = spec.kind == TunnelType::Gue;
    findings.require(
        spec.port.is_some() == is_gue,
        format!("{path}.port"),
        "port is of type GUE, which needs one: write it there and nowhere else",
    );
    let number = spec.port.unwrap_or(1);
    let port = in_range(number, 1, i32::from(u16::MAX)).and_then(|port| u16::try_from(port).ok());
    findings.require(port.is_some(), format!("{path}.port"), format!("{number}: write 1 to 65535"));
    let checksum = spec.checksum.unwrap_or_default();
    findings.require(
        checksum == TunnelChecksum::Absent || spec.kind != TunnelType::Ipip,
        format!("{path}.checksum"),
        "IPIP has no checksum: leave it out",
    );
    findings.require(
        checksum != TunnelChecksum::Remote || is_gue,
        format!("{path}.checksum"),
        "checksum Remote is of type GUE: write Absent or Outer",
    );
    Some(Encapsulation::of(spec.kind, port?, checksum))
}
