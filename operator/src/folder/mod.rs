//! A folder in an API server's place: where its parts lie, and how they are written and locked.
//!
//! ```text
//! DIR/**/*.yaml              manifests, written by people
//! DIR/plans/NODE.yaml        NodePlan and NodePlanSlices, written by the operator
//! DIR/reports/NODE.yaml      the same kinds with their status, written by that node's agent
//! DIR/status/….yaml          VirtualServices and DirectorGroups with their status, written by the operator
//! DIR/.lvs-operator.lock     held by the operator that runs on the folder
//! ```

pub(crate) mod scan;
pub(crate) mod watch;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lvs_core::names::{GroupName, NodeName, ServiceName};
use nix::fcntl::{Flock, FlockArg};

/// The folder of plans.
pub(crate) const PLANS: &str = "plans";
/// The folder of reports.
pub(crate) const REPORTS: &str = "reports";
/// The folder of statuses.
pub(crate) const STATUS: &str = "status";
/// The file that the running operator holds a lock on.
const LOCK: &str = ".lvs-operator.lock";

/// A folder that this process alone writes to.
#[derive(Debug)]
pub(crate) struct Folder {
    /// The folder.
    pub(crate) path: PathBuf,
    lock: Flock<File>,
}

impl Folder {
    /// Takes the folder's lock and makes the folders in it that are missing.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if !path.is_dir() {
            anyhow::bail!(
                "{shown} is no folder: make it first (mkdir -p {shown}) and put the manifests into it"
            );
        }
        for name in [PLANS, REPORTS, STATUS] {
            fs::create_dir_all(path.join(name)).with_context(|| format!("cannot make {shown}/{name}"))?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(path.join(LOCK));
        let file = file.with_context(|| format!("cannot open {shown}/{LOCK}"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
            nix::errno::Errno::EWOULDBLOCK => {
                anyhow::anyhow!("another operator runs on {shown}: stop it first, a folder has one writer")
            }
            error => anyhow::anyhow!("cannot lock {shown}/{LOCK}: {error}"),
        })?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Whether this is still the folder that was opened: one that was mounted over or made anew is another, and its
    /// emptiness says nothing.
    pub(crate) fn is_same(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let ours = self.lock.metadata().map(identity);
        let there = fs::metadata(self.path.join(LOCK)).map(identity);
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
    }
}

impl Folder {
    /// Where a node's plan stands.
    pub(crate) fn plan_file(&self, node: &NodeName) -> PathBuf {
        self.path.join(PLANS).join(format!("{node}.yaml"))
    }

    /// Where a VirtualService's status stands.
    pub(crate) fn service_status_file(&self, name: &ServiceName) -> PathBuf {
        self.path.join(STATUS).join(format!("{}.{}.yaml", name.namespace, name.name))
    }

    /// Where a DirectorGroup's status stands.
    pub(crate) fn group_status_file(&self, name: &GroupName) -> PathBuf {
        self.path.join(STATUS).join(format!("{name}.yaml"))
    }
}

/// Writes a file so that a reader sees the old content or the new one, also after a power cut.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let temporary = folder.join(format!(".{}.new", name.to_string_lossy()));
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

/// Removes a file, and is content where there is none.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_operator() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::open(folder.path()).unwrap();
        let refused = Folder::open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("another operator"), "{refused}");
        drop(first);
        Folder::open(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_made_anew_is_not_the_same() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("lvs");
        fs::create_dir(&path).unwrap();
        let folder = Folder::open(&path).unwrap();
        assert!(folder.is_same());
        fs::rename(&path, parent.path().join("old")).unwrap();
        assert!(!folder.is_same());
        fs::create_dir(&path).unwrap();
        assert!(!folder.is_same());
    }

    #[test]
    fn a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        for content in ["one", "two"] {
            write_atomically(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
