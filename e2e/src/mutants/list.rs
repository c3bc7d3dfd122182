//! Which bugs are seeded, and what must notice each: `e2e/mutants.yaml`.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::table::rows::Rows;
use crate::table::selection::Proof;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutants {
    /// The bugs, in the order in which they are seeded.
    pub mutants: Vec<Mutant>,
}

/// One bug.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// What is broken, as a sentence.
    pub name: String,
    /// The row of the table of `make test` that has to turn red.
    pub row: String,
    /// The file that is broken, by its path in the tree.
    pub file: String,
    /// What stands in that file, exactly once.
    pub find: String,
    /// What stands there instead.
    pub replace: String,
    /// The tests of that row that are run.
    pub proof: Proof,
}

impl Mutants {
    /// Reads the file. Fails where it cannot be read, is no such file, or has two bugs of one name.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let list: Self =
            serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        for (place, mutant) in list.mutants.iter().enumerate() {
            let twice = list.mutants[..place].iter().any(|earlier| earlier.name == mutant.name);
            ensure!(!twice, "{} names {:?} twice", path.display(), mutant.name);
        }
        Ok(list)
    }

    /// Fails where a bug cannot be seeded in a tree, or is to turn a row red that there is not.
    pub fn check(&self, tree: &Path, rows: &Rows) -> Result<()> {
        for mutant in &self.mutants {
            let of_it = || format!("mutant {:?}", mutant.name);
            let known = rows.rows.iter().any(|row| row.row == mutant.row);
            ensure!(known, "{}: there is no row {:?}", of_it(), mutant.row);
            let text = std::fs::read_to_string(tree.join(&mutant.file)).with_context(of_it)?;
            mutant.seeded(&text).with_context(of_it)?;
        }
        Ok(())
    }
}

impl Mutant {
    /// The text of its file with the bug. Fails where what is to be replaced does not stand there exactly once.
    pub fn seeded(&self, text: &str) -> Result<String> {
        let found = text.matches(&self.find).count();
        ensure!(found == 1, "{} has this {found} times, not once:\n{}", self.file, self.find);
        ensure!(self.find != self.replace, "nothing is replaced in {}", self.file);
        Ok(text.replacen(&self.find, &self.replace, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = env!("CARGO_MANIFEST_DIR");

    fn mutant() -> Mutant {
        Mutant {
            name: "Two is three".to_owned(),
            row: "part 2".to_owned(),
            file: "core/src/lib.rs".to_owned(),
            find: "two".to_owned(),
            replace: "three".to_owned(),
            proof: Proof { program: "lvs-core/laws".to_owned(), tests: "a_node".to_owned() },
        }
    }

    #[test]
    fn the_committed_mutants_fit_the_tree() {
        let folder = Path::new(MANIFEST);
        let list = Mutants::read(&folder.join("mutants.yaml")).unwrap();
        let rows = Rows::read(&folder.join("rows.yaml")).unwrap();
        list.check(&folder.join(".."), &rows).unwrap();
        assert!(list.mutants.len() >= 10);
    }

    #[test]
    fn what_is_replaced_stands_there_once() {
        assert_eq!(mutant().seeded("one two").unwrap(), "one three");
        let error = mutant().seeded("one").unwrap_err().to_string();
        assert!(error.contains("core/src/lib.rs has this 0 times"), "{error}");
        mutant().seeded("two two").unwrap_err();
        Mutant { replace: "two".to_owned(), ..mutant() }.seeded("two").unwrap_err();
    }

    #[test]
    fn a_row_that_there_is_not_is_an_error() {
        let rows = Rows::read(&Path::new(MANIFEST).join("rows.yaml")).unwrap();
        let list = Mutants { mutants: vec![Mutant { row: "part 99".to_owned(), ..mutant() }] };
        let error = list.check(Path::new(MANIFEST), &rows).unwrap_err().to_string();
        assert!(error.contains("there is no row"), "{error}");
    }
}
