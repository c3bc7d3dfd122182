//! The last good plan on disk: what a node goes on with while nobody tells it anything else.
//!
//! The file is one line of header, `{"length":…,"hash":"…"}`, and the content. A file that was cut short or damaged
//! does not fit its header and is never followed: half a plan would remove the other half's services.

use std::io;
use std::path::{Path, PathBuf};

use lvs_core::epoch::SeenEpochs;
use lvs_core::names::NodeName;
use lvs_core::node_plan::NodePlan;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::durable;

/// What lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanCopy {
    /// The node that the plan is for. A copy for another node is not followed.
    pub node: NodeName,
    /// The last complete plan that was followed.
    pub plan: NodePlan,
    /// The highest epochs seen.
    pub seen: SeenEpochs,
}

/// Why a copy on disk is not followed.
#[derive(Debug, thiserror::Error)]
pub enum PlanCopyError {
    /// The file cannot be read.
    #[error("the last good plan at {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The content does not fit the header, or there is no header.
    #[error(
        "the last good plan at {path} is damaged ({what}) and is not followed; nothing is changed until a plan arrives"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The copy is another node's.
    #[error("the last good plan at {path} is that of node {found}, not of {wanted}, and is not followed")]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// The node that it is for.
        found: NodeName,
        /// The node that this agent serves.
        wanted: NodeName,
    },
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    length: usize,
    hash: String,
}

/// Reads the copy at `path`; `None` where there is none.
///
/// # Errors
/// [`PlanCopyError`] where there is one that must not be followed.
pub fn read(path: &Path, node: &NodeName) -> Result<Option<PlanCopy>, PlanCopyError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PlanCopyError::Read { path: path.to_owned(), source }),
    };
    let copy = parse(&bytes).map_err(|what| PlanCopyError::Damaged { path: path.to_owned(), what })?;
    if copy.node == *node {
        Ok(Some(copy))
    } else {
        Err(PlanCopyError::OtherNode { path: path.to_owned(), found: copy.node, wanted: node.clone() })
    }
}

/// Writes the copy to `path`, atomically.
///
/// # Errors
/// What the file system says.
pub fn write(path: &Path, copy: &PlanCopy) -> io::Result<()> {
    let content = serde_json::to_vec(copy)?;
    let header = Header { length: content.len(), hash: hash(&content) };
    let mut bytes = serde_json::to_vec(&header)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&content);
    durable::replace(path, &bytes)
}

fn parse(bytes: &[u8]) -> Result<PlanCopy, String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no header")?;
    let header: Header = serde_json::from_slice(&bytes[..end])
        .map_err(|error| format!("its header does not parse: {error}"))?;
    let content = &bytes[end + 1..];
    if content.len() != header.length {
        return Err(format!("{} of {} bytes are there", content.len(), header.length));
    }
    if hash(content) != header.hash {
        return Err("its content was changed".to_owned());
    }
    serde_json::from_slice(content).map_err(|error| format!("it does not parse: {error}"))
}

/// Finds damage, not forgery: whoever can write this file is root already.
fn hash(content: &[u8]) -> String {
    format!("{:016x}", SipHasher13::new().hash(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy() -> PlanCopy {
        let mut seen = SeenEpochs::default();
        let plan = NodePlan::empty(3, "lineage");
        seen.admit(&plan).unwrap();
        PlanCopy { node: "director-1".into(), plan, seen }
    }

    #[test]
    fn a_copy_reads_back_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        assert_eq!(read(&path, &"director-1".into()).unwrap(), None);
        write(&path, &copy()).unwrap();
        assert_eq!(read(&path, &"director-1".into()).unwrap(), Some(copy()));
    }

    #[test]
    fn a_copy_cut_short_at_any_byte_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write(&path, &copy()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = read(&path, &"director-1".into()).unwrap_err();
            assert!(matches!(error, PlanCopyError::Damaged { .. }), "{length} bytes: {error}");
        }
    }

    #[test]
    fn a_copy_with_any_bit_turned_is_not_followed_as_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write(&path, &copy()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(&path, &damaged).unwrap();
            assert!(read(&path, &"director-1".into()).is_err(), "byte {at} bit {bit}");
        }
    }

    #[test]
    fn the_copy_of_another_node_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write(&path, &copy()).unwrap();
        let error = read(&path, &"rs-1".into()).unwrap_err();
        assert!(error.to_string().contains("that of node director-1, not of rs-1"), "{error}");
    }
}
