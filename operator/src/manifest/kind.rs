//! What a document claims to be, and whether that is something to read, to pass over, or to refuse.
//!
//! A document that is passed over is not there. Where a slip of the pen made it so, a service that is served would count
//! as deleted; so what looks like one of our kinds is refused unless it is one.

use lvs_crds::names::{API_VERSION, GROUP};
use strsim::damerau_levenshtein;

/// A kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A VirtualService.
    VirtualService,
    /// A DirectorGroup.
    DirectorGroup,
    /// A NodePlan.
    NodePlan,
    /// A NodePlanSlice.
    NodePlanSlice,
    /// A Node of Kubernetes.
    Node,
    /// Several objects, as kubectl prints them.
    List,
    /// Something of others.
    Other,
}

const OURS: [(&str, Kind); 4] = [
    ("VirtualService", Kind::VirtualService),
    ("DirectorGroup", Kind::DirectorGroup),
    ("NodePlan", Kind::NodePlan),
    ("NodePlanSlice", Kind::NodePlanSlice),
];
const CORE: [(&str, Kind); 2] = [("Node", Kind::Node), ("List", Kind::List)];

/// So many letters may be wrong in a name that is still taken for ours. The next names of others are further away:
/// `NodePool` is three letters from `NodePlan`, `VirtualServer` from `VirtualService`.
const SLIPS: usize = 2;

/// What kind of document it is, or what to write instead.
pub(super) fn kind(version: &str, kind: &str) -> Result<Kind, String> {
    if kind.is_empty() {
        return Err("there is no kind: write apiVersion and kind".to_owned());
    }
    let exact = |kinds: &[(&str, Kind)]| kinds.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind);
    let group = version.split_once('/').map_or("", |(group, _)| group);
    match version {
        API_VERSION => exact(&OURS).ok_or_else(|| unknown(kind)),
        "v1" => exact(&CORE).map_or_else(|| of_others(version, kind), Ok),
        _ if damerau_levenshtein(group, GROUP) <= SLIPS => match exact(&OURS) {
            Some(_) => Err(format!("{kind} of apiVersion {version:?}: write {API_VERSION}")),
            None => Err(format!("apiVersion {version:?}: write {API_VERSION}; {}", unknown(kind))),
        },
        _ => of_others(version, kind),
    }
}

fn unknown(kind: &str) -> String {
    let names: Vec<&str> = OURS.iter().map(|(name, _)| *name).collect();
    let meant = meant(kind).map(|name| format!(", perhaps {name}")).unwrap_or_default();
    format!("there is no kind {kind:?} in {GROUP}: write one of {}{meant}", names.join(", "))
}

/// A kind of others, unless its name is one of those that are read.
fn of_others(version: &str, kind: &str) -> Result<Kind, String> {
    let version =
        if version.is_empty() { "no apiVersion".to_owned() } else { format!("apiVersion {version:?}") };
    if let Some(name) = meant(kind) {
        return Err(format!("kind {kind:?} of {version}: write apiVersion {API_VERSION} and kind {name}"));
    }
    let core = CORE.iter().map(|(name, _)| *name).find(|name| same_word(name, kind));
    match core {
        Some(name) => Err(format!("kind {kind:?} of {version}: write apiVersion v1 and kind {name}")),
        None => Ok(Kind::Other),
    }
}

/// The kind of ours that a name is meant to be.
fn meant(kind: &str) -> Option<&'static str> {
    let slips = |name: &str| {
        let letters = |text: &str| damerau_levenshtein(&word(text), &word(name));
        letters(kind).min(letters(kind.strip_suffix("List").unwrap_or(kind)))
    };
    let nearest = OURS.iter().map(|(name, _)| *name).min_by_key(|name| slips(name));
    nearest.filter(|name| slips(name) <= SLIPS)
}

/// Whether two names differ in no more than capitals and a plural.
fn same_word(one: &str, other: &str) -> bool {
    word(one) == word(other)
}

fn word(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    text.strip_suffix('s').unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_or_of_others_is_told_apart() {
        for (version, name, expected) in [
            (API_VERSION, "VirtualService", Kind::VirtualService),
            (API_VERSION, "DirectorGroup", Kind::DirectorGroup),
            ("v1", "Node", Kind::Node),
            ("v1", "List", Kind::List),
            ("v1", "ConfigMap", Kind::Other),
            ("apps/v1", "Deployment", Kind::Other),
            ("kustomize.config.k8s.io/v1beta1", "Kustomization", Kind::Other),
            ("", "Kustomization", Kind::Other),
            ("karpenter.sh/v1", "NodePool", Kind::Other),
            ("k8s.nginx.org/v1", "VirtualServer", Kind::Other),
        ] {
            assert_eq!(kind(version, name), Ok(expected), "{version} {name}");
        }
    }

    #[test]
    fn a_slip_in_a_kind_of_ours_is_refused_with_what_to_write() {
        for (version, name, says) in [
            (API_VERSION, "VirtualServices", "VirtualService, DirectorGroup, NodePlan, NodePlanSlice"),
            (API_VERSION, "virtualservice", "perhaps VirtualService"),
            (API_VERSION, "ConfigMap", "there is no kind \"ConfigMap\" in lvs-operator.io"),
            (API_VERSION, "VirtualServiceList", "there is no kind"),
            ("lvs-operator.oi/v1alpha1", "VirtualService", "write lvs-operator.io/v1alpha1"),
            ("lvs-operator.oi/v1alpha1", "VirtualServer", "write lvs-operator.io/v1alpha1"),
            ("lvs-operator.io/v1", "VirtualService", "write lvs-operator.io/v1alpha1"),
            ("networking.istio.io/v1", "VirtualService", "write apiVersion lvs-operator.io/v1alpha1"),
            ("networking.istio.io/v1", "virtualservices", "and kind VirtualService"),
            ("v1", "DirectorGroups", "and kind DirectorGroup"),
            ("v1", "VirtaulService", "and kind VirtualService"),
            ("", "VirtualService", "of no apiVersion: write apiVersion lvs-operator.io/v1alpha1"),
            ("v1", "node", "write apiVersion v1 and kind Node"),
            ("", "Node", "write apiVersion v1 and kind Node"),
            ("v1", "Lists", "kind List"),
            (API_VERSION, "", "there is no kind"),
        ] {
            let refused = kind(version, name).unwrap_err();
            assert!(refused.contains(says), "{version} {name}: {refused}");
        }
    }
}
