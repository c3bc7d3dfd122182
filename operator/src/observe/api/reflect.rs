//! One watch as a task of its own, with its own backoff: one that fails does not slow the others down.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::mirror::Mirror;

/// Small pages keep the memory of both sides small.
const PAGE_SIZE: u32 = 500;
/// How long one watch lasts. Short, so that a connection that died without a sign is noticed soon.
const WATCH_SECONDS: u32 = 90;
/// After so many failures in a row the watcher is made anew: one that only ever re-opens its watch at a version that a
/// proxy or the server no longer knows would never list again.
const FAILURES_UNTIL_REBUILT: u32 = 4;
/// Between two watchers.
const REBUILD_PAUSE: Duration = Duration::from_secs(2);

/// A mirror that its task writes and the loop reads.
#[derive(Debug)]
pub(crate) struct Shared<K>(Arc<Mutex<Mirror<K>>>);

impl<K> Clone for Shared<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Shared<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K> Shared<K> {
    /// Works on the mirror. A panic elsewhere cannot have left it half changed for longer than its own next listing.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Mirror<K>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps a mirror up to date for ever. `slim` takes out of an object what no plan needs.
pub(crate) async fn reflect<K>(
    api: Api<K>,
    scope: watcher::Config,
    mirror: Shared<K>,
    changed: Arc<Notify>,
    slim: fn(&mut K),
) where
    K: Resource<DynamicType: Default> + PartialEq + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let plural = K::plural(&K::DynamicType::default()).into_owned();
    let config = scope.page_size(PAGE_SIZE).timeout(WATCH_SECONDS);
    let mut told = String::new();
    loop {
        let mut events = watcher(api.clone(), config.clone()).default_backoff().boxed();
        let mut failures = 0;
        while failures < FAILURES_UNTIL_REBUILT {
            match events.next().await {
                Some(Ok(event)) => {
                    failures = 0;
                    if mirror.with(|mirror| mirror.show(event.modify(slim))) {
                        changed.notify_one();
                    }
                    if !told.is_empty() && mirror.with(|mirror| mirror.ready()) {
                        tracing::info!("watches {plural} again");
                        told.clear();
                    }
                }
                Some(Err(error)) => {
                    failures += 1;
                    tell(&plural, &error, &mut told);
                }
                None => break,
            }
        }
        tokio::time::sleep(REBUILD_PAUSE).await;
    }
}

/// Says once what is wrong and what to do, until it is something else.
fn tell(plural: &str, error: &watcher::Error, told: &mut String) {
    let cause = crate::log::chain(error);
    if status_code(error) == Some(410) {
        tracing::debug!(cause, "the version of {plural} is too old: lists again");
        return;
    }
    let advice = match status_code(error) {
        Some(404) => "the custom resource definition is not installed: kubectl apply --server-side -f crds/",
        Some(401) => "the credentials are not valid",
        Some(403) => "the operator's role does not allow it: apply the roles of the release again",
        _ => "tries again",
    };
    let text = format!("cannot watch {plural}: {advice}");
    if *told == text {
        tracing::debug!(cause, "{text}");
    } else {
        tracing::warn!(cause, "{text}");
        *told = text;
    }
}

fn status_code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}
