//! The file under the journal: whole or as it was before, at every moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::crash_point;

/// An append-only file that ends with its last whole write.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    /// Where the last whole write ended.
    length: u64,
    /// A write failed and may have left bytes behind `length`.
    torn: bool,
}

/// The bytes of the file; none where it does not exist.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

impl JournalFile {
    /// Puts a file of this text in the place of any other, at once: a reader finds the old one or the new one.
    pub(super) fn create(path: &Path, text: &[u8]) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(".new");
        let temporary = folder.join(temporary);
        crash_point::pass();
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        crash_point::pass();
        // The folder need not be synced: a power cut, which alone could lose the new name, voids the journal anyway.
        fs::rename(&temporary, path)?;
        crash_point::pass();
        Ok(Self { path: path.to_owned(), file, length: text.len() as u64, torn: false })
    }

    /// Goes on after the first `length` bytes and cuts off what follows them.
    pub(super) fn resume(path: &Path, length: usize) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(path)?;
        let mut journal = Self { path: path.to_owned(), file, length: length as u64, torn: true };
        journal.cut()?;
        Ok(journal)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends by one write, and waits for the disk. Where that fails the file is as before.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.torn {
            self.cut()?;
        }
        crash_point::pass();
        let written = self.file.write_all_at(text, self.length).and_then(|()| self.file.sync_data());
        crash_point::pass();
        if let Err(error) = written {
            self.torn = true;
            // If this fails too, the next append tries again before it writes.
            let _ = self.cut();
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed write left.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_data()?;
        self.torn = false;
        Ok(())
    }
}

#[cfg(test)]
impl JournalFile {
    /// From now on the file is open for reading only, so that every write fails.
    pub(super) fn refuse_writes(&mut self) {
        self.file = File::open(&self.path).unwrap();
    }
}
