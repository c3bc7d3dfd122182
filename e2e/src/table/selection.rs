//! Which tests are run, and what has to be built for them.

use serde::Deserialize;

/// A part of all tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every test of the programs whose name, `PACKAGE/TARGET`, starts so. With an empty text that is all there are,
    /// the examples in the documentation included.
    Programs(String),
    /// Some tests of one program.
    Proof(Proof),
}

/// Some tests of one program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The program: `PACKAGE/TARGET`.
    pub program: String,
    /// What their paths contain.
    pub tests: String,
}

impl Selection {
    /// Whether the examples in the documentation are run.
    pub(super) fn has_examples(&self) -> bool {
        matches!(self, Self::Programs(start) if start.is_empty())
    }

    /// Whether a program is run.
    pub(super) fn takes(&self, program: &str) -> bool {
        match self {
            Self::Programs(start) => program.starts_with(start),
            Self::Proof(proof) => proof.program == program,
        }
    }

    /// Whether the tests run programs that cargo does not build for them: only those of `lvs-e2e` do.
    pub(super) fn needs_programs(&self) -> bool {
        match self {
            Self::Programs(_) => true,
            Self::Proof(proof) => proof.package() == "lvs-e2e",
        }
    }

    /// What cargo is told of the targets to build. Never of the packages: with some of them alone it would build all
    /// that they depend on once more, with other features.
    pub(super) fn targets(&self) -> Vec<&str> {
        let Self::Proof(proof) = self else { return Vec::new() };
        let (package, target) = (proof.package(), proof.target());
        if target == package {
            vec!["--bin", target]
        } else if target == package.replace('-', "_") {
            vec!["--lib"]
        } else {
            vec!["--test", target]
        }
    }

    /// What a program is told of its tests.
    pub(super) fn filter(&self) -> Option<&str> {
        match self {
            Self::Programs(_) => None,
            Self::Proof(proof) => Some(&proof.tests),
        }
    }
}

impl Proof {
    fn package(&self) -> &str {
        self.program.split_once('/').map_or(self.program.as_str(), |(package, _)| package)
    }

    fn target(&self) -> &str {
        self.program.split_once('/').map_or("", |(_, target)| target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(program: &str) -> Selection {
        Selection::Proof(Proof { program: program.to_owned(), tests: "a_test".to_owned() })
    }

    #[test]
    fn programs_are_taken_by_the_start_of_their_names_and_of_a_proof_by_the_whole() {
        let some = Selection::Programs("lvs-core".to_owned());
        assert!(some.takes("lvs-core/laws") && !some.takes("lvs-crds/rules") && !some.has_examples());
        assert!(Selection::Programs(String::new()).has_examples());
        assert!(
            proof("lvs-core/laws").takes("lvs-core/laws") && !proof("lvs-core/laws").takes("lvs-core/laws2")
        );
    }

    #[test]
    fn a_proof_builds_its_own_target_and_only_what_runs_them_the_programs() {
        assert_eq!(proof("lvs-core/laws").targets(), ["--test", "laws"]);
        assert_eq!(proof("lvs-core/lvs_core").targets(), ["--lib"]);
        assert_eq!(proof("lvs-operator/lvs-operator").targets(), ["--bin", "lvs-operator"]);
        assert!(proof("lvs-e2e/deployment").needs_programs() && !proof("lvs-core/laws").needs_programs());
    }
}
