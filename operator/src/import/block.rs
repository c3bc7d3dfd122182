//! The shape of keepalived.conf: lines of words, some with a block in braces.

/// A line, and the block that follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// The line, from 1.
    pub(super) line: usize,
    /// Its words.
    pub(super) words: Vec<String>,
    /// What stands in its braces.
    pub(super) children: Vec<Block>,
}

impl Block {
    /// A word; empty where there is none.
    pub(super) fn word(&self, place: usize) -> &str {
        self.words.get(place).map_or("", String::as_str)
    }

    /// The line without its block.
    pub(super) fn text(&self) -> String {
        self.words.join(" ")
    }
}

/// The blocks of a text, and the lines of braces that match nothing. A comment goes from `#` or `!` to the end of its
/// line.
pub(super) fn blocks(text: &str) -> (Vec<Block>, Vec<usize>) {
    let mut open: Vec<Block> = Vec::new();
    let (mut done, mut broken) = (Vec::new(), Vec::new());
    for (place, line) in text.lines().enumerate() {
        let line_number = place + 1;
        let code = line.split(['#', '!']).next().unwrap_or_default();
        let spaced = code.replace('{', " { ").replace('}', " } ");
        let mut words: Vec<String> = Vec::new();
        for word in spaced.split_whitespace() {
            match word {
                "{" => open.push(Block {
                    line: line_number,
                    words: std::mem::take(&mut words),
                    children: Vec::new(),
                }),
                "}" => {
                    close_line(&mut open, &mut done, &mut words, line_number);
                    match open.pop() {
                        Some(block) => put(&mut open, &mut done, block),
                        None => broken.push(line_number),
                    }
                }
                word => words.push(word.trim_matches('"').to_owned()),
            }
        }
        close_line(&mut open, &mut done, &mut words, line_number);
    }
    while let Some(block) = open.pop() {
        broken.push(block.line);
        put(&mut open, &mut done, block);
    }
    (done, broken)
}

/// Words without a block are a line of their own.
fn close_line(open: &mut [Block], done: &mut Vec<Block>, words: &mut Vec<String>, line: usize) {
    if !words.is_empty() {
        put(open, done, Block { line, words: std::mem::take(words), children: Vec::new() });
    }
}

fn put(open: &mut [Block], done: &mut Vec<Block>, block: Block) {
    match open.last_mut() {
        Some(parent) => parent.children.push(block),
        None => done.push(block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_lines_and_blocks() {
        let (found, broken) = blocks("a 1 {\n  b 2 # no\n  c { d \"x\" }\n}\ne\n");
        let shape = |block: &Block| (block.line, block.text(), block.children.len());
        assert_eq!(
            found.iter().map(shape).collect::<Vec<_>>(),
            [(1, "a 1".to_owned(), 2), (5, "e".to_owned(), 0)]
        );
        assert_eq!(found[0].children[1].children[0].text(), "d x");
        assert!(broken.is_empty(), "{broken:?}");
    }

    #[test]
    fn a_brace_too_many_or_too_few_is_found() {
        assert_eq!(blocks("a {\nb\n").1, [1]);
        assert_eq!(blocks("a\n}\n").1, [2]);
    }
}
