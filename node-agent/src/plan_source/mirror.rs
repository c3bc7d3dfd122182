//! What a watch has shown of one kind, by name.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};

/// The objects of one kind. Objects that vanished while the watch was broken vanish with the next whole list.
#[derive(Debug)]
pub struct Mirror<K> {
    objects: BTreeMap<String, K>,
    /// A list that is under way.
    listing: BTreeMap<String, K>,
    /// Whether a list has ever been whole.
    whole: bool,
}

impl<K> Default for Mirror<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listing: BTreeMap::new(), whole: false }
    }
}

impl<K: Resource> Mirror<K> {
    /// Follows one event. Whether there is anything new to see.
    pub fn follow(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(object) => {
                self.listing.insert(object.name_any(), object);
                false
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.listing);
                self.whole = true;
                true
            }
            Event::Apply(object) => {
                self.objects.insert(object.name_any(), object);
                true
            }
            Event::Delete(object) => {
                self.objects.remove(&object.name_any());
                true
            }
        }
    }

    /// The objects; `None` until a list was whole.
    #[must_use]
    pub fn objects(&self) -> Option<&BTreeMap<String, K>> {
        self.whole.then_some(&self.objects)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;

    use super::*;

    fn node(name: &str) -> Node {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        node
    }

    fn names(mirror: &Mirror<Node>) -> Option<Vec<&str>> {
        mirror.objects().map(|objects| objects.keys().map(String::as_str).collect())
    }

    #[test]
    fn nothing_is_seen_before_the_first_list_is_whole() {
        let mut mirror = Mirror::default();
        assert!(!mirror.follow(Event::Init));
        assert!(!mirror.follow(Event::InitApply(node("a"))));
        assert_eq!(names(&mirror), None);
        assert!(mirror.follow(Event::InitDone));
        assert_eq!(names(&mirror), Some(vec!["a"]));
    }

    #[test]
    fn what_vanished_in_a_gap_is_gone_once_the_next_list_is_whole_and_not_before() {
        let mut mirror = Mirror::default();
        for event in [Event::Init, Event::InitDone, Event::Apply(node("a")), Event::Apply(node("b"))] {
            mirror.follow(event);
        }
        mirror.follow(Event::Init);
        mirror.follow(Event::InitApply(node("b")));
        assert_eq!(names(&mirror), Some(vec!["a", "b"]));
        mirror.follow(Event::InitDone);
        assert_eq!(names(&mirror), Some(vec!["b"]));
        mirror.follow(Event::Delete(node("b")));
        assert_eq!(names(&mirror), Some(vec![]));
    }

    #[test]
    fn a_list_that_was_cut_off_leaves_no_ghosts() {
        let mut mirror = Mirror::default();
        for event in [Event::Init, Event::InitApply(node("ghost")), Event::Init, Event::InitDone] {
            mirror.follow(event);
        }
        assert_eq!(names(&mirror), Some(vec![]));
    }
}
