//! The folder of one control plane: on memory, readable by its owner alone, deleted with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

const PREFIX: &str = "lvs-control-plane-";
const LOCK: &str = "lock";

/// Holds the folder, and a lock in it that says that somebody does.
#[derive(Debug)]
pub(super) struct Folder {
    folder: TempDir,
    /// Freed by the kernel, however its holder ends.
    _lock: File,
}

impl Folder {
    /// Makes one, after deleting those whose holders were killed: each would keep about 100 MB of memory.
    pub(super) fn create() -> Result<Self> {
        let parent = parent();
        sweep(&parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent).context("make a folder")?;
        let lock = File::create(folder.path().join(LOCK)).context("the folder's lock")?;
        lock.lock().context("lock the folder")?;
        fs::create_dir(folder.path().join("home"))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Memory where there is some: etcd's data needs no disk, and a Unix socket's path must stay below 108 bytes.
fn parent() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn sweep(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        // One that is a minute old has its lock, if it is ever to have one.
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        let held = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err());
        if age.is_some_and(|age| age > Duration::from_mins(1)) && !held {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::{LOCK, PREFIX, sweep};

    #[test]
    fn a_sweep_takes_the_folders_of_dead_holders_only() {
        let parent = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_hours(1);
        let make = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            let lock = File::create(path.join(LOCK)).unwrap();
            (path, lock)
        };
        let (dead, _) = make(&format!("{PREFIX}dead"));
        let (living, lock) = make(&format!("{PREFIX}living"));
        lock.lock().unwrap();
        let (fresh, _) = make(&format!("{PREFIX}fresh"));
        let (foreign, _) = make("foreign");
        for path in [&dead, &living, &foreign] {
            File::open(path).unwrap().set_modified(old).unwrap();
        }
        sweep(parent.path());
        assert_eq!([&dead, &living, &fresh, &foreign].map(|path| path.exists()), [false, true, true, true]);
    }
}
