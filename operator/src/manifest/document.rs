//! A file of YAML or JSON as the documents in it, each with its place in the file.

use std::cell::OnceCell;
use std::fmt;
use std::path::PathBuf;

use lvs_crds::strict::Path;
use serde_json::Value;
use serde_saphyr::{Error, UserMessageFormatter};

use super::place::{Tree, at_line};

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document<'text> {
    /// The file that it is from; `-` for stdin.
    pub(crate) file: &'text std::path::Path,
    /// The line of the file that it begins on, from 0.
    first_line: usize,
    text: &'text str,
    /// The document with the place of everything in it, made when it is asked for.
    tree: OnceCell<Option<Tree>>,
}

impl<'text> Document<'text> {
    fn new(file: &'text std::path::Path, first_line: usize, text: &'text str) -> Self {
        Self { file, first_line, text, tree: OnceCell::new() }
    }
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
    pub(crate) fn of_file(file: &std::path::Path, message: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), place: None, message: message.to_string() }
    }

    /// The problem as it stands in the object's own status, where no file is known.
    pub(crate) fn without_file(&self) -> String {
        match self.place {
            Some((line, column)) => format!("line {line}, column {column}: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// The problem with the name of the object that it is of.
    pub(crate) fn of(self, name: &str) -> Self {
        Self { message: format!("{name}: {}", self.message), ..self }
    }
}

/// Splits a file at its `---` lines. Documents with nothing but comments are left out.
pub(crate) fn documents<'text>(file: &'text std::path::Path, text: &'text str) -> Vec<Document<'text>> {
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 0, 0);
    for (line_number, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---").map(str::trim_end);
        // `--- # comment` separates as well; `--- text` and `---text` are content.
        if rest.is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with('#')) {
            documents.push(Document::new(file, first_line, &text[start..at]));
            start = at + line.len();
            first_line = line_number + 1;
        }
        at += line.len();
    }
    documents.push(Document::new(file, first_line, &text[start..]));
    documents.retain(|document| !document.is_empty());
    documents
}

impl Document<'_> {
    /// The document as a value.
    pub(crate) fn value(&self) -> Result<Value, Problem> {
        serde_saphyr::from_str_with_options(self.text, options()).map_err(|error| self.problem(&error))
    }

    /// Line and column of what stands at a path, or of the nearest that stands above it; of its name where that is
    /// asked for.
    pub(crate) fn place(&self, path: &Path, of_name: bool) -> Option<(usize, usize)> {
        if path.0.is_empty() {
            return Some(self.start());
        }
        let tree = self.tree.get_or_init(|| serde_saphyr::from_str_with_options(self.text, options()).ok());
        let (line, column) = tree.as_ref()?.place(&path.0, of_name)?;
        Some((self.first_line + line, column))
    }

    /// Where the document begins, after blank lines and comments.
    fn start(&self) -> (usize, usize) {
        let blank = |line: &&str| line.trim().is_empty() || line.starts_with('#');
        (self.first_line + self.text.lines().take_while(blank).count() + 1, 1)
    }

    fn is_empty(&self) -> bool {
        self.text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    }

    /// What is wrong with the text as YAML, in words for people: the library's own are for programmers.
    fn problem(&self, error: &serde_saphyr::Error) -> Problem {
        let place = error.location().map(|at| {
            let (line, column) = at_line(at);
            (self.first_line + line, column)
        });
        let message = match error {
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("{key:?} stands here twice: write it once")
            }
            Error::MultipleDocuments { .. } => {
                "another document begins here: write a line of three dashes (---) before it".to_owned()
            }
            error => {
                let message = error.render_with_formatter(&UserMessageFormatter);
                // The place is said once, and for the file rather than for the document.
                let message = message.split(" at line ").next().unwrap_or_default();
                message.strip_prefix("error: ").unwrap_or(message).trim().to_owned()
            }
        };
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

    const FILE: &str = "file.yaml";

    fn kinds(text: &str) -> Vec<String> {
        let file = std::path::Path::new(FILE);
        let kind = |document: &Document<'_>| document.value().unwrap()["kind"].as_str().unwrap().to_owned();
        documents(file, text).iter().map(kind).collect()
    }

    fn last_problem(text: &str) -> Problem {
        documents(std::path::Path::new(FILE), text).last().unwrap().value().unwrap_err()
    }

    #[test]
    fn documents_are_parted_by_lines_of_three_dashes() {
        assert_eq!(kinds("kind: A\n---\nkind: B\n"), ["A", "B"]);
        assert_eq!(kinds("# only a comment\n---\nkind: A\n--- # and one here\nkind: B"), ["A", "B"]);
        assert_eq!(kinds("---\n---\nkind: A\n---\n"), ["A"]);
        assert_eq!(kinds("{\"kind\": \"A\"}"), ["A"]);
        assert!(kinds("").is_empty());
    }

    #[test]
    fn dashes_inside_a_text_part_nothing() {
        assert_eq!(kinds("kind: A\nnote: |\n  ---\n  kind: B\n"), ["A"]);
    }

    #[test]
    fn a_problem_names_its_line_in_the_file() {
        let problem = last_problem("kind: A\n---\nkind: B\nmetadata: [\n");
        assert!(problem.to_string().starts_with("file.yaml:"), "{problem}");
        assert!(problem.place.is_some_and(|(line, _)| line >= 4), "{problem}");
    }

    #[test]
    fn a_problem_speaks_to_people_and_not_to_programmers() {
        for (text, says) in [
            ("kind: A\nkind: B\n", "file.yaml:2:1: \"kind\" stands here twice: write it once"),
            ("kind: A\n--- x\n", "another document begins here"),
        ] {
            let said = last_problem(text).to_string();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn everything_has_a_place() {
        let text = "# a comment\nkind: A\nspec:\n  ports:\n  - {port: 80, name: http}\n  - port:\n      81\n";
        let text = format!("kind: first\n---\n{text}");
        let documents = documents(std::path::Path::new(FILE), &text);
        let (port, name) = (Path::from("spec").field("ports"), "port");
        for (path, of_name, expected) in [
            (Path::default(), false, (4, 1)),
            (Path::from("kind"), false, (4, 7)),
            (Path::from("spec"), true, (5, 1)),
            (port.item(0).field(name), false, (7, 12)),
            (port.item(1).field(name), false, (9, 7)),
            (port.item(1).field(name), true, (8, 5)),
            (port.item(0).field("not-there"), true, (7, 5)),
        ] {
            assert_eq!(documents[1].place(&path, of_name), Some(expected), "{path} {of_name}");
        }
    }

    #[test]
    fn bytes_of_any_kind_are_a_problem_and_no_panic() {
        for text in
            ["\u{0}", "&a [*a]", "a: &x [*x, *x]", "? ? ? [", "%YAML 9", "\t- x", "'", "{{{{{{", "? [1]\n: 2"]
        {
            for document in documents(std::path::Path::new("x"), text) {
                let _ = document.value();
                let _ = document.place(&Path::from("a"), true);
            }
        }
    }
}
