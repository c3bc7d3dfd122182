//! What a test program of Rust's harness prints: one line per test as it ends, and a summary.

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It held.
    Passed,
    /// It did not, or it was left out: what was left out proves nothing.
    Failed,
}

/// One line of a test program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A test ended.
    Test(&'a str, Ending),
    /// The summary: the program came to its end.
    Summary,
    /// Anything else.
    Other,
}

/// Reads one line.
#[must_use]
pub fn read(line: &str) -> Line<'_> {
    if line.starts_with("test result: ") {
        return Line::Summary;
    }
    let Some((name, ending)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else {
        return Line::Other;
    };
    // A test that must panic is listed with that remark behind its name.
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    match ending {
        "ok" => Line::Test(name, Ending::Passed),
        "FAILED" => Line::Test(name, Ending::Failed),
        left_out if left_out.starts_with("ignored") => Line::Test(name, Ending::Failed),
        _ => Line::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_told_apart() {
        assert_eq!(read("test laws::converges ... ok"), Line::Test("laws::converges", Ending::Passed));
        assert_eq!(read("test laws::converges ... FAILED"), Line::Test("laws::converges", Ending::Failed));
        assert_eq!(read("test x - should panic ... ok"), Line::Test("x", Ending::Passed));
        assert_eq!(
            read("test src/lib.rs - a (line 3) ... ok"),
            Line::Test("src/lib.rs - a (line 3)", Ending::Passed)
        );
    }

    #[test]
    fn a_test_that_is_left_out_has_not_passed() {
        assert_eq!(read("test slow ... ignored, needs a cluster"), Line::Test("slow", Ending::Failed));
    }

    #[test]
    fn what_tests_print_is_no_result() {
        assert_eq!(read("test the cable ... pulled"), Line::Other);
        assert_eq!(read("running 3 tests"), Line::Other);
        assert_eq!(
            read(
                "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s"
            ),
            Line::Summary
        );
    }
}
