//! What a watch has shown of one kind, by name.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};

/// What is kept of the objects of one kind. Objects that vanished while the watch was broken vanish with the next whole
/// list.
#[derive(Debug)]
pub struct Mirror<T> {
    objects: BTreeMap<String, T>,
    /// A list that is under way.
    listing: BTreeMap<String, T>,
    /// Whether a list has ever been whole.
    whole: bool,
}

impl<T> Default for Mirror<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listing: BTreeMap::new(), whole: false }
    }
}

impl<T> Mirror<T> {
    /// Follows one event; `read` makes what is kept of an object, given what was kept of it before. Whether there is
    /// anything new to see.
    pub fn follow<K: Resource>(&mut self, event: Event<K>, read: impl Fn(K, Option<&T>) -> T) -> bool {
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(object) => {
                let name = object.name_any();
                let kept = read(object, self.objects.get(&name));
                self.listing.insert(name, kept);
                false
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.listing);
                self.whole = true;
                true
            }
            Event::Apply(object) => {
                let name = object.name_any();
                let kept = read(object, self.objects.get(&name));
                self.objects.insert(name, kept);
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
    pub fn objects(&self) -> Option<&BTreeMap<String, T>> {
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

    fn follow(mirror: &mut Mirror<Node>, event: Event<Node>) -> bool {
        mirror.follow(event, |node, _| node)
    }

    fn names(mirror: &Mirror<Node>) -> Option<Vec<&str>> {
        mirror.objects().map(|objects| objects.keys().map(String::as_str).collect())
    }

    #[test]
    fn nothing_is_seen_before_the_first_list_is_whole() {
        let mut mirror = Mirror::default();
        assert!(!follow(&mut mirror, Event::Init));
        assert!(!follow(&mut mirror, Event::InitApply(node("a"))));
        assert_eq!(names(&mirror), None);
        assert!(follow(&mut mirror, Event::InitDone));
        assert_eq!(names(&mirror), Some(vec!["a"]));
    }

    #[test]
    fn what_vanished_in_a_gap_is_gone_once_the_next_list_is_whole_and_not_before() {
        let mut mirror = Mirror::default();
        for event in [Event::Init, Event::InitDone, Event::Apply(node("a")), Event::Apply(node("b"))] {
            follow(&mut mirror, event);
        }
        follow(&mut mirror, Event::Init);
        follow(&mut mirror, Event::InitApply(node("b")));
        assert_eq!(names(&mirror), Some(vec!["a", "b"]));
        follow(&mut mirror, Event::InitDone);
        assert_eq!(names(&mirror), Some(vec!["b"]));
        follow(&mut mirror, Event::Delete(node("b")));
        assert_eq!(names(&mirror), Some(vec![]));
    }

    #[test]
    fn a_list_that_was_cut_off_leaves_no_ghosts() {
        let mut mirror = Mirror::default();
        for event in [Event::Init, Event::InitApply(node("ghost")), Event::Init, Event::InitDone] {
            follow(&mut mirror, event);
        }
        assert_eq!(names(&mirror), Some(vec![]));
    }
}
