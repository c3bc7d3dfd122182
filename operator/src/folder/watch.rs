//! Notices that something in a folder has changed: by inotify, and by looking again every two seconds, because not
//! every file system tells.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};

const RESCAN: Duration = Duration::from_secs(2);

/// A watched folder.
#[derive(Debug)]
pub(crate) struct Watch {
    changed: Arc<Notify>,
    rescan: Interval,
    /// Dropped, it would stop to watch.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Starts to watch a folder and all below it. Where the system refuses (no inotify watches left), the rescan alone
    /// has to do, and a warning says so.
    pub(crate) fn start(folder: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let watcher = watcher(folder, Arc::clone(&changed))
            .inspect_err(|error| {
                tracing::warn!(%error, "cannot watch {}: looks every {} s", folder.display(), RESCAN.as_secs());
            })
            .ok();
        let mut rescan = interval(RESCAN);
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { changed, rescan, _watcher: watcher }
    }

    /// Waits until something may have changed.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            () = self.changed.notified() => {}
            _ = self.rescan.tick() => {}
        }
    }
}

fn watcher(folder: &Path, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading makes events too, and answering them by reading would never end. An error (an overflow) may hide
        // any event.
        let reads = matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_)));
        if !reads {
            changed.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}
