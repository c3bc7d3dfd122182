//! A file of YAML or JSON as the documents in it, each with its place in the file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// One document of a file.
#[derive(Clone, Debug)]
pub(crate) struct Document<'text> {
    /// The file that it is from; `-` for stdin.
    pub(crate) file: &'text Path,
    /// The line of the file that it begins on, from 0.
    first_line: usize,
    text: &'text str,
}

/// What tells what a document is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Head {
    /// The version of the kind, with its group.
    pub(crate) api_version: String,
    /// The kind.
    pub(crate) kind: String,
    /// Whether it has a specification.
    pub(crate) spec: Option<IgnoredAny>,
    /// Whether it has a status.
    pub(crate) status: Option<IgnoredAny>,
}

/// Why something of a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The file.
    pub(crate) file: PathBuf,
    /// Line and column, from 1, where they are known.
    pub(crate) place: Option<(usize, usize)>,
    /// What is wrong.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(formatter, "{line}:{column}:")?;
        }
        write!(formatter, " {}", self.message)
    }
}

impl Problem {
    /// A problem with a file as a whole.
    pub(crate) fn of_file(file: &Path, message: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), place: None, message: message.to_string() }
    }
}

/// Splits a file at its `---` lines. Documents with nothing but comments are left out.
pub(crate) fn documents<'text>(file: &'text Path, text: &'text str) -> Vec<Document<'text>> {
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 0, 0);
    for (line_number, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---").map(str::trim_end);
        // `--- # comment` separates as well; `--- text` and `---text` are content.
        if rest.is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with('#')) {
            documents.push(Document { file, first_line, text: &text[start..at] });
            start = at + line.len();
            first_line = line_number + 1;
        }
        at += line.len();
    }
    documents.push(Document { file, first_line, text: &text[start..] });
    documents.retain(|document| !document.is_empty());
    documents
}

impl Document<'_> {
    /// Reads the document as a type.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_saphyr::from_str_with_options(self.text, options()).map_err(|error| self.problem(&error))
    }

    /// A problem at the document's beginning.
    pub(crate) fn refuse(&self, message: impl fmt::Display) -> Problem {
        let blank = |line: &&str| line.trim().is_empty() || line.starts_with('#');
        let line = self.first_line + self.text.lines().take_while(blank).count();
        Problem { file: self.file.to_owned(), place: Some((line + 1, 1)), message: message.to_string() }
    }

    fn is_empty(&self) -> bool {
        self.text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    }

    fn problem(&self, error: &serde_saphyr::Error) -> Problem {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let place = error.location().map(|at| (self.first_line + number(at.line()), number(at.column())));
        let message = error.to_string();
        // The place is said once, and for the file rather than for the document.
        let message = message.split(" at line ").next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message).trim().to_owned();
        Problem { file: self.file.to_owned(), place, message }
    }
}

/// Large plans are as good as small ones, so the limits are on depth and aliases alone, where a small text could grow.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(text: &str) -> Vec<String> {
        let file = Path::new("file.yaml");
        documents(file, text).iter().map(|document| document.read::<Head>().unwrap().kind).collect()
    }

    #[test]
    fn documents_are_parted_by_lines_of_three_dashes() {
        assert_eq!(heads("kind: A\n---\nkind: B\n"), ["A", "B"]);
        assert_eq!(heads("# only a comment\n---\nkind: A\n--- # and one here\nkind: B"), ["A", "B"]);
        assert_eq!(heads("---\n---\nkind: A\n---\n"), ["A"]);
        assert_eq!(heads("{\"kind\": \"A\"}"), ["A"]);
        assert!(heads("").is_empty());
    }

    #[test]
    fn dashes_inside_a_text_part_nothing() {
        assert_eq!(heads("kind: A\nnote: |\n  ---\n  kind: B\n"), ["A"]);
    }

    #[test]
    fn a_problem_names_its_line_in_the_file() {
        let file = Path::new("file.yaml");
        let text = "kind: A\n---\nkind: B\nmetadata: [\n";
        let problem = documents(file, text)[1].read::<Head>().unwrap_err();
        assert!(problem.to_string().starts_with("file.yaml:"), "{problem}");
        assert!(problem.place.is_some_and(|(line, _)| line >= 4), "{problem}");
        let text = "kind: A\n---\n# a comment\nkind: [1]\n";
        let problem = documents(file, text)[1].read::<Head>().unwrap_err();
        assert_eq!(problem.place.map(|(line, _)| line), Some(4), "{problem}");
    }

    #[test]
    fn bytes_of_any_kind_are_a_problem_and_no_panic() {
        for text in ["\u{0}", "&a [*a]", "a: &x [*x, *x]", "? ? ? [", "%YAML 9", "\t- x", "'", "{{{{{{"] {
            for document in documents(Path::new("x"), text) {
                let _ = document.read::<Head>();
            }
        }
    }
}
