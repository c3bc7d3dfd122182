//! What differs from cluster to cluster.

use std::net::{IpAddr, SocketAddr};

/// The network and the parts of a cluster.
#[derive(Clone, Debug)]
pub struct Site {
    /// The node that is to be the director.
    pub director: String,
    /// The nodes that are to be real servers, in the order of the example's entries.
    pub real_servers: [String; 2],
    /// The link of every node that leads to the clients.
    pub uplink: String,
    /// The VIP, with the port that the real servers listen on.
    pub service: SocketAddr,
    /// Addresses from which clients outside can ask. Each is a client of its own to a persistent service.
    pub clients: Vec<IpAddr>,
    /// Whether the nodes' kernel has IPVS. Without it the scenario ends where a condition says so.
    pub has_ipvs: bool,
    /// The DirectorGroup and the VirtualService, as the user would write them.
    pub manifests: String,
}

impl Site {
    /// Every node with a part.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        [&self.director].into_iter().chain(&self.real_servers).map(String::as_str)
    }
}
