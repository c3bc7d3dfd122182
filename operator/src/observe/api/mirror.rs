//! A copy of one kind of object, as new as the newest of what the watch has shown and what we wrote ourselves.
//!
//! A plan made from a copy that lags behind our own writes would see a previous plan that is no longer the previous
//! one. So every object that the API server hands back on a write goes into the copy at once, and what the watch
//! shows afterwards counts only where it is newer. Versions of one kind compare as numbers: they are revisions of the
//! server's store (sig-api-machinery KEP-5504).

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

/// The name of an object; the namespace is empty for what lives in the cluster as a whole.
pub(crate) type Key = (String, String);

/// The copy.
#[derive(Debug)]
pub(crate) struct Mirror<K> {
    objects: BTreeMap<Key, Held<K>>,
    /// Objects that we deleted and that the watch has not yet shown to be gone, by their uid.
    deleted: BTreeMap<String, Stamp>,
    /// What the listing under way has shown so far, and when it began.
    listing: Option<(BTreeMap<Key, Held<K>>, Stamp)>,
    /// Whether a listing has ever been completed.
    ready: bool,
    stamp: Stamp,
}

/// Counts what happens to the copy, so that a listing knows which of our writes it must contain.
type Stamp = u64;

#[derive(Debug)]
struct Held<K> {
    object: Arc<K>,
    version: u64,
    /// When we wrote it ourselves; `None` where the watch has shown it.
    written: Option<Stamp>,
}

impl<K: Resource> Held<K> {
    /// Takes the version out of the object, so that two objects are equal where their content is.
    fn new(mut object: K, written: Option<Stamp>) -> (Key, Self) {
        let (key, version) = (key(&object), version(&object));
        object.meta_mut().resource_version = None;
        object.meta_mut().managed_fields = None;
        (key, Self { object: Arc::new(object), version, written })
    }
}

impl<K> Clone for Held<K> {
    fn clone(&self) -> Self {
        Self { object: Arc::clone(&self.object), version: self.version, written: self.written }
    }
}

impl<K> Default for Mirror<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), deleted: BTreeMap::new(), listing: None, ready: false, stamp: 0 }
    }
}

impl<K: Resource + PartialEq> Mirror<K> {
    /// Whether the server's objects have been listed completely at least once.
    pub(crate) fn ready(&self) -> bool {
        self.ready
    }

    /// The objects, by namespace and name.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<K>> {
        self.objects.values().map(|held| &held.object)
    }

    /// Takes in what the watch shows. Returns whether the copy is another one now.
    pub(crate) fn show(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Init => {
                self.stamp += 1;
                self.listing = Some((BTreeMap::new(), self.stamp));
                false
            }
            Event::InitApply(object) => {
                let (key, held) = Held::new(object, None);
                if let Some((listed, _)) = &mut self.listing {
                    listed.insert(key, held);
                }
                false
            }
            Event::InitDone => self.listed(),
            Event::Apply(object) => self.insert(object, None),
            Event::Delete(object) => self.remove(&object),
        }
    }

    /// Takes in an object as the server handed it back when we wrote it.
    pub(crate) fn written(&mut self, object: K) {
        self.stamp += 1;
        let stamp = self.stamp;
        self.insert(object, Some(stamp));
    }

    /// Takes note that we deleted an object.
    pub(crate) fn deleted(&mut self, namespace: &str, name: &str) {
        self.stamp += 1;
        let gone = self.objects.remove(&(namespace.to_owned(), name.to_owned()));
        if let Some(uid) = gone.and_then(|held| held.object.uid()) {
            self.deleted.insert(uid, self.stamp);
        }
    }

    fn insert(&mut self, object: K, written: Option<Stamp>) -> bool {
        if self.is_ghost(&object) {
            return false;
        }
        let (key, held) = Held::new(object, written);
        if self.objects.get(&key).is_some_and(|there| there.version > held.version) {
            return false;
        }
        let before = self.objects.insert(key, held.clone());
        before.is_none_or(|before| before.object != held.object)
    }

    fn remove(&mut self, object: &K) -> bool {
        if let Some(uid) = object.uid() {
            self.deleted.remove(&uid);
        }
        let key = key(object);
        if self.objects.get(&key).is_some_and(|held| held.version > version(object)) {
            // Made again since.
            return false;
        }
        self.objects.remove(&key).is_some()
    }

    /// A listing is complete: it replaces all but what we wrote or deleted after it began.
    fn listed(&mut self) -> bool {
        let Some((mut listed, began)) = self.listing.take() else { return false };
        self.deleted.retain(|_, stamp| *stamp > began);
        listed.retain(|_, held| !self.is_ghost(&held.object));
        for (key, held) in &self.objects {
            let later = held.written.is_some_and(|stamp| stamp > began);
            if later && listed.get(key).is_none_or(|listed| listed.version < held.version) {
                listed.insert(key.clone(), held.clone());
            }
        }
        let changed = !self.ready || !same_objects(&self.objects, &listed);
        self.objects = listed;
        self.ready = true;
        changed
    }

    /// Whether we deleted this very object. One that a finalizer keeps is no ghost: it is really still there.
    fn is_ghost(&self, object: &K) -> bool {
        object.meta().deletion_timestamp.is_none()
            && object.meta().uid.as_ref().is_some_and(|uid| self.deleted.contains_key(uid))
    }
}

fn same_objects<K: PartialEq>(left: &BTreeMap<Key, Held<K>>, right: &BTreeMap<Key, Held<K>>) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|((left_key, left), (right_key, right))| {
            left_key == right_key && left.object == right.object
        })
}

fn key<K: Resource>(object: &K) -> Key {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// The object's version; 0 where it has none that reads as a number, so that the watch always wins.
fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn object(name: &str, uid: &str, version: u64) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                uid: Some(uid.to_owned()),
                resource_version: Some(version.to_string()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn versions(mirror: &Mirror<ConfigMap>) -> Vec<(String, u64)> {
        mirror.objects.values().map(|held| (held.object.name_any(), held.version)).collect()
    }

    fn listed(objects: &[ConfigMap]) -> Mirror<ConfigMap> {
        let mut mirror = Mirror::default();
        mirror.show(Event::Init);
        for object in objects {
            mirror.show(Event::InitApply(object.clone()));
        }
        mirror.show(Event::InitDone);
        mirror
    }

    #[test]
    fn nothing_is_ready_before_a_listing_is_complete() {
        let mut mirror = Mirror::default();
        mirror.show(Event::Init);
        mirror.show(Event::InitApply(object("a", "1", 1)));
        assert!(!mirror.ready());
        assert_eq!(versions(&mirror), []);
        assert!(mirror.show(Event::InitDone));
        assert!(mirror.ready());
    }

    #[test]
    fn a_watch_that_lags_does_not_undo_our_write() {
        let mut mirror = listed(&[object("a", "1", 1)]);
        mirror.written(object("a", "1", 5));
        assert!(!mirror.show(Event::Apply(object("a", "1", 3))));
        assert_eq!(versions(&mirror), [("a".to_owned(), 5)]);
        mirror.show(Event::Apply(object("a", "1", 6)));
        assert_eq!(versions(&mirror), [("a".to_owned(), 6)]);
    }

    #[test]
    fn an_object_that_we_deleted_does_not_come_back_from_the_past() {
        let mut mirror = listed(&[object("a", "1", 1)]);
        mirror.deleted("", "a");
        assert!(!mirror.show(Event::Apply(object("a", "1", 2))));
        assert_eq!(versions(&mirror), []);
        // Somebody made it again: another uid, and a version later than the deletion that is shown next.
        assert!(mirror.show(Event::Apply(object("a", "2", 9))));
        assert!(!mirror.show(Event::Delete(object("a", "1", 7))));
        assert_eq!(versions(&mirror), [("a".to_owned(), 9)]);
    }

    #[test]
    fn an_object_that_a_finalizer_keeps_is_still_there() {
        let mut mirror = listed(&[object("a", "1", 1)]);
        mirror.deleted("", "a");
        let mut kept = object("a", "1", 2);
        kept.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
        ));
        mirror.show(Event::Apply(kept));
        assert_eq!(versions(&mirror), [("a".to_owned(), 2)]);
    }

    #[test]
    fn a_new_listing_drops_what_is_gone_and_keeps_what_we_wrote_meanwhile() {
        let mut mirror = listed(&[object("a", "1", 1), object("b", "2", 2)]);
        mirror.written(object("old", "3", 3));
        mirror.show(Event::Init);
        mirror.written(object("new", "4", 9));
        mirror.show(Event::InitApply(object("b", "2", 2)));
        assert!(mirror.show(Event::InitDone));
        assert_eq!(versions(&mirror), [("b".to_owned(), 2), ("new".to_owned(), 9)]);
    }

    #[test]
    fn a_listing_begun_before_our_deletion_brings_nothing_back() {
        let mut mirror = listed(&[object("a", "1", 1)]);
        mirror.show(Event::Init);
        mirror.deleted("", "a");
        mirror.show(Event::InitApply(object("a", "1", 1)));
        mirror.show(Event::InitDone);
        assert_eq!(versions(&mirror), []);
    }

    #[test]
    fn the_same_content_again_is_no_change() {
        let mut mirror = listed(&[object("a", "1", 1)]);
        assert!(!mirror.show(Event::Apply(object("a", "1", 1))));
        mirror.show(Event::Init);
        mirror.show(Event::InitApply(object("a", "1", 1)));
        assert!(!mirror.show(Event::InitDone));
        // Nor is another version of the same content.
        assert!(!mirror.show(Event::Apply(object("a", "1", 2))));
    }
}
