//! The plan from a folder that stands in for an API server: `DIR/plans/NODE.yaml`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lvs_core::names::NodeName;
use notify::{RecursiveMode, Watcher as _};
use siphasher::sip128::SipHasher13;
use tokio::sync::{Notify, watch};

use super::seen::Seen;
use super::text;

/// The file is looked at this often even where no change was noticed: notices can be lost, and some file systems send
/// none.
const RESCAN: Duration = Duration::from_secs(2);

/// The file of a node's plan.
#[must_use]
pub fn plan_file(folder: &Path, node: &NodeName) -> PathBuf {
    folder.join("plans").join(format!("{node}.yaml"))
}

/// The file of a node's report.
#[must_use]
pub fn report_file(folder: &Path, node: &NodeName) -> PathBuf {
    folder.join("reports").join(format!("{node}.yaml"))
}

/// Sees to it that the folder is there: a misspelt one would be waited for in vain.
///
/// # Errors
/// Where it is not.
pub fn require(folder: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(folder.is_dir(), "{} is no folder: make it, or mount it, first", folder.display());
    Ok(())
}

/// The objects of a node; none where the file is not there.
///
/// # Errors
/// Where the file cannot be read or does not parse.
pub fn read(folder: &Path, node: &NodeName) -> anyhow::Result<Seen> {
    let file = plan_file(folder, node);
    Ok(read_bytes(&file)?.map(|bytes| parse(&bytes, &file, node)).transpose()?.unwrap_or_default())
}

/// Follows the objects of a node in a folder for ever. While the file does not parse, what was last seen stays.
pub async fn follow(folder: PathBuf, node: NodeName, seen: watch::Sender<Option<Seen>>) {
    follow_file(plan_file(&folder, &node), Some(folder), node, seen).await;
}

/// Follows one file for ever; `watched` is the folder whose changes are noticed at once.
pub(super) async fn follow_file(
    file: PathBuf,
    watched: Option<PathBuf>,
    node: NodeName,
    seen: watch::Sender<Option<Seen>>,
) {
    let changed = Arc::new(Notify::new());
    let mut notices = None;
    let mut last = None;
    loop {
        if let (None, Some(folder)) = (&notices, &watched) {
            notices = notice(folder, changed.clone());
        }
        show(&file, &node, &mut last, &seen);
        // Either way the file is looked at again.
        let _ = tokio::time::timeout(RESCAN, changed.notified()).await;
    }
}

/// Shows what is in the file, where that is other than `last` time.
fn show(
    file: &Path,
    node: &NodeName,
    last: &mut Option<Result<Option<u128>, String>>,
    seen: &watch::Sender<Option<Seen>>,
) {
    let bytes = read_bytes(file).map_err(|error| format!("{error:#}"));
    // Of the content only what tells it apart from another: a plan can be large.
    let content = bytes.as_ref().map(|bytes| bytes.as_deref().map(fingerprint)).map_err(Clone::clone);
    if last.as_ref() == Some(&content) {
        return;
    }
    *last = Some(content);
    let now = bytes.and_then(|bytes| {
        if bytes.is_none() {
            tracing::info!("there is no {}; nothing is changed until there is", file.display());
        }
        let parsed = bytes.map(|bytes| parse(&bytes, file, node)).transpose();
        parsed.map(Option::unwrap_or_default).map_err(|error| format!("{error:#}"))
    });
    match now {
        Ok(now) => drop(seen.send_replace(Some(now))),
        Err(error) => tracing::error!("the plan cannot be read; the last one stays in force: {error}"),
    }
}

/// Notices changes below a folder; `None` where that is not possible (yet), and then only the rescan finds them.
fn notice(folder: &Path, changed: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    // Reading is told as well, and would have the file read for ever. An error is an overflow: whatever was missed, the
    // file is read anew.
    let tell = move |event: notify::Result<notify::Event>| {
        if !event.is_ok_and(|event| event.kind.is_access()) {
            changed.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(tell)
        .inspect_err(|error| tracing::debug!(%error, "changes of files are found by rescan only"))
        .ok()?;
    watcher.watch(folder, RecursiveMode::Recursive).ok()?;
    Some(watcher)
}

fn fingerprint(bytes: &[u8]) -> u128 {
    SipHasher13::new().hash(bytes).as_u128()
}

fn read_bytes(file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}

fn parse(bytes: &[u8], file: &Path, node: &NodeName) -> anyhow::Result<Seen> {
    let text = std::str::from_utf8(bytes).with_context(|| format!("{} is no text", file.display()))?;
    text::parse(text, file)?
        .remove(node)
        .with_context(|| format!("{} holds no NodePlan {node}", file.display()))
}
