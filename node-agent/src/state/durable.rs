//! Files that are either wholly the old or wholly the new, whenever the power goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::crash_point;

/// Replaces the content of a file: a temporary dot-file in the same folder, fsync, rename, fsync of the folder.
///
/// # Errors
/// What the file system says; then the file is as it was, or (where only the last fsync failed) already replaced.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let no_file = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()));
    let folder = path.parent().ok_or_else(no_file)?;
    let name = path.file_name().ok_or_else(no_file)?;
    fs::create_dir_all(folder)?;
    let temporary = folder.join(format!(".{}.new", name.to_string_lossy()));
    crash_point::pass();
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    crash_point::pass();
    fs::rename(&temporary, path)?;
    crash_point::pass();
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_content_replaces_the_old_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/plan.json");
        replace(&path, b"a long first content").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_an_earlier_crash_left_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".plan.json.new"), "half of a much longer conte").unwrap();
        replace(&folder.path().join("plan.json"), b"whole").unwrap();
        assert_eq!(fs::read(folder.path().join("plan.json")).unwrap(), b"whole");
    }
}
