//! Names that the programs and their users share: group, annotations, labels, field managers.

use std::hash::Hasher;

use lvs_core::names::NodeName;
use siphasher::sip::SipHasher13;

/// The API group.
pub const GROUP: &str = "lvs-operator.io";

/// The version of the API.
pub const VERSION: &str = "v1alpha1";

/// `apiVersion` of every kind of ours.
pub const API_VERSION: &str = "lvs-operator.io/v1alpha1";

/// Field manager of the operator.
pub const OPERATOR: &str = "lvs-operator";

/// Field manager of the agents.
pub const NODE_AGENT: &str = "lvs-node-agent";

/// Label of a NodePlanSlice: the node that it belongs to, as [`node_label`] writes it.
pub const NODE_LABEL: &str = "lvs-operator.io/node";

/// Annotation of a DirectorGroup, `NODE=BOOT[,NODE=BOOT…]`: each vouches that this boot of this node is over, so that
/// what it held may move.
pub const FORCE_MOVE: &str = "lvs-operator.io/force-move";

/// Annotation of a DirectorGroup, `ADDRESS[,ADDRESS…]`: addresses that may be silenced when ARP is hidden.
pub const ALLOW_ARP_SILENCE: &str = "lvs-operator.io/allow-arp-silence";

/// Annotation of a VirtualService, `"true"`: IPVS entries that differ and are not ours are taken over.
pub const ADOPT: &str = "lvs-operator.io/adopt";

/// Annotation of a VirtualService, a token: the counters of its virtual servers are zeroed once for each token.
pub const ZERO_COUNTERS: &str = "lvs-operator.io/zero-counters";

/// Annotation of a Node, `ADDRESS[,ADDRESS]`: its RIPs, one per family, before any other.
pub const REAL_SERVER_ADDRESSES: &str = "lvs-operator.io/real-server-addresses";

/// Annotation of a Node: the link that holds VIPs, before that of any pool.
pub const UPLINK: &str = "lvs-operator.io/uplink";

/// The longest value of a label.
const LONGEST_LABEL: usize = 63;

/// The longest node name that a slice's name can hold with its number behind it.
const LONGEST_IN_SLICE: usize = 240;

/// The value of [`NODE_LABEL`] for a node: its name, or, where that is too long for a label, its beginning and a hash.
#[must_use]
pub fn node_label(node: &NodeName) -> String {
    shortened(&node.0, LONGEST_LABEL)
}

/// The name of a node's slice: `NODE.NUMBER`.
#[must_use]
pub fn slice_name(node: &NodeName, number: usize) -> String {
    format!("{}.{number}", shortened(&node.0, LONGEST_IN_SLICE))
}

fn shortened(name: &str, longest: usize) -> String {
    if name.len() <= longest {
        return name.to_owned();
    }
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    let kept: String = name.chars().take(longest - 17).collect();
    format!("{kept}-{:016x}", hasher.finish())
}

/// Whether a text can be the name of an object: a DNS subdomain (RFC 1123) of at most 253 characters.
#[must_use]
pub fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label_characters)
}

/// Whether a text can be the name of a namespace, of a port or of an entry: a DNS label (RFC 1123), 1 to 63 characters.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= LONGEST_LABEL && is_dns_label_characters(text)
}

fn is_dns_label_characters(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_node_name_still_makes_a_label_of_its_own() {
        let short = NodeName::from("director-1.example");
        assert_eq!(node_label(&short), "director-1.example");
        assert_eq!(slice_name(&short, 3), "director-1.example.3");
        let long = |last: &str| NodeName(format!("{}{last}", "n".repeat(249)));
        let (one, other) = (long(".one"), long(".two"));
        assert_eq!(node_label(&one).len(), 63);
        assert_ne!(node_label(&one), node_label(&other));
        assert_ne!(slice_name(&one, 0), slice_name(&other, 0));
        assert!(is_object_name(&slice_name(&one, 1023)));
    }

    #[test]
    fn names_are_what_the_api_server_takes() {
        for name in ["web", "web-1", "1", "rs-1.example.com"] {
            assert!(is_object_name(name), "{name}");
        }
        for name in ["", "-web", "web-", "Web", "a..b", ".a", "a/b", "..", "ü", &"a".repeat(254)] {
            assert!(!is_object_name(name), "{name}");
        }
        assert!(is_dns_label("web") && !is_dns_label("a.b") && !is_dns_label(&"a".repeat(64)));
    }
}
