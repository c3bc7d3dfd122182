//! A folder that stands in for the API server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The folder, on a tmpfs that every host of the lab sees under the same path.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// Writes a manifest file as an editor does, whole: other readers never see half of it.
    pub(super) fn apply(&self, file: &str, manifest: &str) -> Result<()> {
        let draft = self.0.join(format!(".{file}.draft"));
        fs::write(&draft, manifest).with_context(|| format!("write {}", draft.display()))?;
        fs::rename(&draft, self.0.join(file)).with_context(|| format!("rename to {file}"))
    }

    pub(super) fn delete(&self, file: &str) -> Result<()> {
        fs::remove_file(self.0.join(file)).with_context(|| format!("remove {file}"))
    }

    /// The documents of a file below the folder.
    pub(super) fn documents(&self, path: &str) -> Result<Vec<Value>> {
        let path = self.0.join(path);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        serde_saphyr::from_multiple(&text).with_context(|| format!("parse {}", path.display()))
    }

    /// What follows a program's verb, so that it works on the folder.
    pub(super) fn options(&self) -> Vec<String> {
        vec!["--folder".to_owned(), path(&self.0)]
    }
}

/// A path as a word of a command line.
pub(super) fn path(path: &Path) -> String {
    path.display().to_string()
}
