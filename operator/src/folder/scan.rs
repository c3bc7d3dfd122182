//! Reads the files of a folder, each again only where it may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file that was changed so shortly before it was read may be changed again without another time stamp.
const TIME_STAMP_GRAIN: Duration = Duration::from_secs(1);

/// What tells that a file is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Files with what was made of each.
#[derive(Debug)]
pub(crate) struct Files<T> {
    known: BTreeMap<PathBuf, Known<T>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Known<T> {
    /// `None` where the next scan has to read the file whatever its time stamp says.
    fingerprint: Option<Fingerprint>,
    /// A hash of the text; `None` where it could not be read.
    hash: Option<u64>,
    content: T,
}

impl<T> Default for Files<T> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), hasher: RandomState::new() }
    }
}

impl<T> Files<T> {
    /// Reads what is new among `paths` and forgets what is not among them. `make` gets the path, the text, and what
    /// was made of the file before. Returns whether anything has changed.
    pub(crate) fn scan(
        &mut self,
        paths: BTreeSet<PathBuf>,
        mut make: impl FnMut(&Path, io::Result<String>, Option<T>) -> T,
    ) -> bool {
        let mut before = std::mem::take(&mut self.known);
        let mut changed = false;
        for path in paths {
            let fingerprint = fs::metadata(&path).ok().map(|metadata| Fingerprint::of(&metadata));
            let known = match before.remove(&path) {
                Some(known) if known.fingerprint.is_some() && known.fingerprint == fingerprint => known,
                old => {
                    let text = fs::read_to_string(&path);
                    let hash = text.as_ref().ok().map(|text| self.hasher.hash_one(text));
                    let fingerprint = fingerprint.filter(Fingerprint::settled);
                    match old {
                        Some(old) if old.hash.is_some() && old.hash == hash => Known { fingerprint, ..old },
                        old => {
                            changed = true;
                            let content = make(&path, text, old.map(|old| old.content));
                            Known { fingerprint, hash, content }
                        }
                    }
                }
            };
            self.known.insert(path, known);
        }
        changed || !before.is_empty()
    }

    /// What was made of each file, by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PathBuf, &T)> {
        self.known.iter().map(|(path, known)| (path, &known.content))
    }
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn settled(&self) -> bool {
        let age = |(seconds, _): (i64, i64)| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            at.elapsed().unwrap_or_default()
        };
        age(self.changed) > 2 * TIME_STAMP_GRAIN
    }
}

/// The manifests below a folder: `*.yaml`, `*.yml` and `*.json`, without dot-files, without the folders that programs
/// write, and without `*.local.yaml`, which are facts of a node for the agent's offline verbs.
pub(crate) fn manifests(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let own = [super::PLANS, super::REPORTS, super::STATUS].map(|name| folder.join(name));
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in entries(&folder)? {
            if entry.is_dir() {
                // A link to a folder is followed at the top only, so that no circle of links is.
                let link = entry.is_symlink();
                if !own.contains(&entry) && !link {
                    open.push(entry);
                }
            } else if is_manifest(&entry) {
                found.insert(entry);
            }
        }
    }
    Ok(found)
}

/// The files that a program wrote into one of its folders; none where there is no such folder.
pub(crate) fn written(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    match entries(folder) {
        Ok(entries) => Ok(entries.into_iter().filter(|entry| is_manifest(entry)).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    Ok(entries)
}

fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let manifest = [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
    manifest && !name.ends_with(".local.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_found_in_sub_folders_but_not_what_programs_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "a.yaml",
            "b.yml",
            "c.json",
            "d.txt",
            ".e.yaml",
            "director-1.local.yaml",
            "plans/f.yaml",
            "reports/g.yaml",
            "status/h.yaml",
            "team/i.yaml",
            "team/plans/j.yaml",
            ".git/k.yaml",
        ];
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = manifests(folder.path()).unwrap();
        let expected = ["a.yaml", "b.yml", "c.json", "team/i.yaml", "team/plans/j.yaml"];
        assert_eq!(found, expected.iter().map(|name| folder.path().join(name)).collect());
        assert_eq!(written(&folder.path().join("plans")).unwrap().len(), 1);
        assert!(written(&folder.path().join("nowhere")).unwrap().is_empty());
        assert!(manifests(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn a_file_is_read_again_where_it_may_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let paths = || BTreeSet::from([path.clone()]);
        let mut files: Files<String> = Files::default();
        for text in ["one", "two"] {
            // Same size, perhaps the same time stamp: young files are read each time.
            fs::write(&path, text).unwrap();
            assert!(files.scan(paths(), |_, text, _| text.unwrap()));
            assert_eq!(files.iter().next().unwrap().1, text);
            assert!(!files.scan(paths(), |_, _, _| unreachable!("the same text is not parsed again")));
        }
        assert!(files.scan(BTreeSet::new(), |_, _, _| unreachable!()));
        assert_eq!(files.iter().count(), 0);
        assert!(!files.scan(BTreeSet::new(), |_, _, _| unreachable!()));
    }

    #[test]
    fn what_was_made_before_is_at_hand_when_a_file_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let mut files: Files<String> = Files::default();
        for (text, made) in [("a", "a"), ("b", "ab"), ("c", "abc")] {
            fs::write(&path, text).unwrap();
            let paths = BTreeSet::from([path.clone()]);
            files.scan(paths, |_, text, before| before.unwrap_or_default() + &text.unwrap());
            assert_eq!(files.iter().next().unwrap().1, made);
        }
    }
}
