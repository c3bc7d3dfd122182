//! The test programs that cargo builds, as its messages tell of them.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A built test program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TestProgram {
    pub(super) package: String,
    pub(super) target: String,
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
}

impl TestProgram {
    /// `PACKAGE/TARGET`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.package, self.target)
    }
}

/// The test program that one of cargo's messages speaks of.
pub(super) fn test_program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    // path+file:///folder#name@version, or without the name where the folder has it.
    let (folder_part, fragment) = message["package_id"].as_str()?.rsplit_once('#')?;
    let package =
        fragment.split_once('@').map_or_else(|| folder_part.rsplit('/').next(), |(name, _)| Some(name))?;
    Some(TestProgram {
        package: package.to_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        path: message["executable"].as_str()?.into(),
        folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_a_package_in_two_ways() {
        let message = |id: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","manifest_path":"/w/core/Cargo.toml",
                "target":{{"name":"lvs_core"}},"profile":{{"test":true}},"executable":"/w/target/x"}}"#
            )
        };
        let named = test_program(&message("path+file:///w/core#lvs-core@0.1.0")).unwrap();
        assert_eq!((named.package.as_str(), named.folder.as_path()), ("lvs-core", Path::new("/w/core")));
        assert_eq!(test_program(&message("path+file:///w/core#0.1.0")).unwrap().package, "core");
        assert_eq!(test_program("not a message"), None);
    }
}
