//! A copy of the tree in which bugs are seeded, so that the tree itself never has one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The copy. What stands in the tree is read once, so that edits made meanwhile do not mix in.
#[derive(Debug)]
pub(super) struct TreeCopy {
    folder: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl TreeCopy {
    /// A copy of the files of `tree` that git tracks or would track, in `folder`.
    ///
    /// Fails where git cannot tell them, or they cannot be read or written.
    pub(super) fn of(tree: &Path, folder: &Path) -> Result<Self> {
        let words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let output = Command::new("git").current_dir(tree).args(words).output().context("run git")?;
        ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
        let names = String::from_utf8(output.stdout).context("a file's name is no text")?;
        let mut files = BTreeMap::new();
        // A file that is deleted and not yet taken out of the index is not there.
        for name in names.split_terminator('\0').filter(|name| tree.join(name).exists()) {
            let text = fs::read(tree.join(name)).with_context(|| format!("read {name}"))?;
            files.insert(PathBuf::from(name), text);
        }
        let copy = Self { folder: folder.to_owned(), files };
        copy.restore()?;
        for name in copy.files.keys() {
            let permissions = fs::metadata(tree.join(name))?.permissions();
            fs::set_permissions(copy.folder.join(name), permissions)?;
        }
        Ok(copy)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of a file as it stands in the tree. Fails where there is none.
    pub(super) fn text(&self, file: &str) -> Result<&str> {
        let text = self.files.get(Path::new(file)).with_context(|| format!("there is no file {file}"))?;
        std::str::from_utf8(text).with_context(|| format!("{file} is no text"))
    }

    /// Makes the copy what the tree was. Only what differs is written, so that cargo builds no more than that.
    pub(super) fn restore(&self) -> Result<()> {
        remove_others(&self.folder, Path::new(""), &self.files)?;
        self.files.iter().try_for_each(|(name, text)| self.write(name, text))
    }

    /// Puts a text in the place of a file's.
    pub(super) fn write(&self, file: &Path, text: &[u8]) -> Result<()> {
        let path = self.folder.join(file);
        if fs::read(&path).is_ok_and(|present| present == text) {
            return Ok(());
        }
        let folder = path.parent().context("a file lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// Removes files that the tree has not: of an earlier copy, or written by a test that failed.
fn remove_others(folder: &Path, under: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder.join(under)) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = under.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            remove_others(folder, &name, files)?;
        } else if !files.contains_key(&name) {
            fs::remove_file(entry.path()).with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn git(tree: &Path, words: &[&str]) {
        assert!(Command::new("git").current_dir(tree).args(words).status().unwrap().success());
    }

    #[test]
    fn a_copy_has_what_git_would_have_and_is_written_only_where_it_differs() {
        let (tree, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (tree, folder) = (tree.path(), folder.path().join("copy"));
        git(tree, &["init", "--quiet"]);
        fs::create_dir(tree.join("src")).unwrap();
        for (name, text) in
            [("src/a.rs", "a"), ("src/b.rs", "b"), (".gitignore", "/ignored\n"), ("ignored", "x")]
        {
            fs::write(tree.join(name), text).unwrap();
        }
        git(tree, &["add", "src/a.rs"]);
        let copy = TreeCopy::of(tree, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("src/b.rs")).unwrap(), "b");
        assert!(!folder.join("ignored").exists() && !folder.join(".git").exists());

        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        fs::File::options()
            .write(true)
            .open(folder.join("src/b.rs"))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        copy.write(Path::new("src/a.rs"), b"bug").unwrap();
        fs::write(folder.join("src/left.txt"), "by a test").unwrap();
        fs::write(tree.join("src/a.rs"), "edited meanwhile").unwrap();
        copy.restore().unwrap();
        assert_eq!(fs::read_to_string(folder.join("src/a.rs")).unwrap(), "a");
        assert!(!folder.join("src/left.txt").exists());
        assert_eq!(fs::metadata(folder.join("src/b.rs")).unwrap().modified().unwrap(), long_ago);
    }
}
