//! The custody journal: what of this node's kernel is ours, on disk before it is done.
//!
//! A file of JSON lines. The first is a header with the boot that the rest belongs to: a reboot voids the kernel's
//! state and so voids the journal. Each other line holds one [`Record`] or many of one kind. A write that was cut short leaves a last line
//! without its end; what such a line announces had not been begun, so it is dropped.

mod file;
mod line;

use std::io;
use std::path::{Path, PathBuf};

use lvs_core::custody::{Custody, Record};
use lvs_core::names::BootId;
use serde::{Deserialize, Serialize};

use crate::local::network_namespace;
use file::JournalFile;

/// The version of the format, in the header. The second has lines of many destinations.
const VERSION: u32 = 2;
/// The oldest version that is read.
const FIRST_VERSION: u32 = 1;

/// A journal of fewer records than this is never rewritten.
const SMALLEST_COMPACTION: usize = 1024;

/// The open journal of this boot.
#[derive(Debug)]
pub struct Journal {
    file: JournalFile,
    subject: Subject,
    /// Records in the file.
    records: usize,
    compact_at: usize,
    /// Kept from one append to the next.
    text: Vec<u8>,
}

/// Whose state a journal speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The boot.
    pub boot_id: BootId,
    /// The cookie of the network namespace, where the kernel tells it.
    pub network: Option<u64>,
}

impl Subject {
    /// This boot and the network namespace of the calling thread.
    ///
    /// # Errors
    /// Where the kernel does not let a socket be made.
    pub fn here(boot_id: &BootId) -> io::Result<Self> {
        Ok(Self { boot_id: boot_id.clone(), network: network_namespace::cookie()? })
    }
}

/// Why a journal cannot be opened or written. Nothing may be done to the kernel then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error(
        "the custody journal {path} cannot be read or written{hint}",
        path = path.display(),
        hint = if source.kind() == io::ErrorKind::PermissionDenied { " (this needs root)" } else { "" }
    )]
    Io {
        /// The journal.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A whole line is no record: what is ours cannot be known.
    #[error(
        "custody journal {path}, line {line}: {cause}; if nothing of ours is on this node any more, delete the file",
        path = path.display()
    )]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why it cannot be read.
        cause: String,
    },
    /// It speaks of another network namespace: here nothing of it would be found, and all of it be forgotten.
    #[error(
        "custody journal {path} is about another network namespace than this one: run this there (for the host's own: \
         nsenter -t 1 -n), or name another folder with --run-dir",
        path = path.display()
    )]
    OtherNetwork {
        /// The journal.
        path: PathBuf,
    },
}

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    boot_id: BootId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<u64>,
    version: u32,
}

/// What the journal at `path` says is ours, without touching it; nothing where there is none, or one of another boot.
///
/// # Errors
/// As [`Journal::open`].
pub fn read(path: &Path, subject: &Subject) -> Result<Custody, Error> {
    match Replay::of(path, &bytes_of(path)?, subject)? {
        Replay::Void => Ok(Custody::default()),
        Replay::Resumed { custody, .. } => Ok(custody),
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Error> {
    file::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}

impl Journal {
    /// Opens the journal at `path`, with what it says is ours. Where there is none, or one of another boot, it begins
    /// anew with nothing. Missing folders are made.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::OtherNetwork`], and [`Error::Corrupt`] for a whole line that is no record or a header of
    /// another version.
    pub fn open(path: &Path, subject: &Subject) -> Result<(Self, Custody), Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let bytes = bytes_of(path)?;
        let (file, custody, records) = match Replay::of(path, &bytes, subject)? {
            Replay::Resumed { custody, records, length } => {
                if length < bytes.len() {
                    tracing::warn!(
                        path = %path.display(),
                        bytes = bytes.len() - length,
                        "the custody journal's last line was cut short; what it announced had not been begun"
                    );
                }
                (JournalFile::resume(path, length).map_err(io)?, custody, records)
            }
            Replay::Void => {
                let text = render(subject, &Custody::default()).map_err(io)?;
                (JournalFile::create(path, &text).map_err(io)?, Custody::default(), 0)
            }
        };
        let compact_at = compaction_threshold(&custody);
        Ok((Self { file, subject: subject.clone(), records, compact_at, text: Vec::new() }, custody))
    }

    /// Writes records behind the others and waits until the disk has them; with none it does nothing.
    ///
    /// # Errors
    /// [`Error::Io`]: then none of the records counts, and none is in the file.
    pub fn append(&mut self, records: &[Record]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        self.text.clear();
        line::write(&mut self.text, records.iter().copied()).map_err(|source| self.io(source))?;
        self.file.append(&self.text).map_err(|source| self.io(source))?;
        self.records += records.len();
        Ok(())
    }

    /// Rewrites the file with what is ours alone, where it has become much longer than that; `custody` is what all its
    /// records add up to. That it failed costs room and nothing else.
    pub fn compact(&mut self, custody: &Custody) {
        if self.records < self.compact_at {
            return;
        }
        let rewritten =
            render(&self.subject, custody).and_then(|text| JournalFile::create(self.file.path(), &text));
        match rewritten {
            Ok(file) => {
                self.file = file;
                self.records = custody.count();
                self.compact_at = compaction_threshold(custody);
            }
            Err(error) => {
                self.compact_at = self.records.saturating_mul(2);
                tracing::warn!(path = %self.file.path().display(), %error, "the custody journal could not be compacted");
            }
        }
    }

    fn io(&self, source: io::Error) -> Error {
        Error::Io { path: self.file.path().to_owned(), source }
    }
}

/// Rewriting costs as much as what is ours; at four times as many records it is a small part of what was appended.
fn compaction_threshold(custody: &Custody) -> usize {
    custody.count().saturating_mul(4).max(SMALLEST_COMPACTION)
}

/// A whole journal.
fn render(subject: &Subject, custody: &Custody) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let Subject { boot_id, network } = subject.clone();
    serde_json::to_writer(&mut text, &Header { boot_id, network, version: VERSION })?;
    text.push(b'\n');
    line::write(&mut text, custody.items().map(|(item, claim)| Record::Take(item, claim)))?;
    Ok(text)
}

/// What the bytes of a journal say.
#[derive(Debug, PartialEq, Eq)]
enum Replay {
    /// Nothing: there is no whole header, or it is of another boot.
    Void,
    /// It goes on from here.
    Resumed {
        custody: Custody,
        /// Records read.
        records: usize,
        /// Bytes up to the end of the last whole line.
        length: usize,
    },
}

impl Replay {
    fn of(path: &Path, bytes: &[u8], subject: &Subject) -> Result<Self, Error> {
        let corrupt = |line, cause| Error::Corrupt { path: path.to_owned(), line, cause };
        let mut whole = bytes.split_inclusive(|byte| *byte == b'\n').take_while(|line| line.ends_with(b"\n"));
        let Some(first) = whole.next() else { return Ok(Self::Void) };
        let header: Header = serde_json::from_slice(first).map_err(|error| corrupt(1, error.to_string()))?;
        if header.boot_id != subject.boot_id {
            return Ok(Self::Void);
        }
        if !(FIRST_VERSION..=VERSION).contains(&header.version) {
            let cause = format!(
                "version {} is none of {FIRST_VERSION} to {VERSION}, which are known here",
                header.version
            );
            return Err(corrupt(1, cause));
        }
        if let (Some(its), Some(this)) = (header.network, subject.network)
            && its != this
        {
            return Err(Error::OtherNetwork { path: path.to_owned() });
        }
        let (mut custody, mut records, mut length) = (Custody::default(), 0, first.len());
        for (number, line) in (2..).zip(whole) {
            line::read(line, |record| {
                custody.record(&record);
                records += 1;
            })
            .map_err(|error| corrupt(number, error.to_string()))?;
            length += line.len();
        }
        Ok(Self::Resumed { custody, records, length })
    }
}

#[cfg(test)]
impl Journal {
    /// From now on every write fails.
    pub(crate) fn refuse_writes(&mut self) {
        self.file.refuse_writes();
    }
}

#[cfg(test)]
mod tests;
