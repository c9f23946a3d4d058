//! A file of the tree, and the code in it: what is neither comment nor text.

/// A file of the tree.
#[derive(Debug)]
pub(super) struct Source {
    /// From the root of the workspace, with `/`.
    pub(super) path: String,
    /// All of it.
    pub(super) text: String,
    /// The same, with comments and the contents of literals blanked; lines stay where they are.
    code: String,
}

impl Source {
    /// Takes a file in.
    pub(super) fn new(path: &str, text: String) -> Self {
        let code = if is_rust(path) { blank(&text) } else { String::new() };
        Self { path: path.to_owned(), text, code }
    }

    /// Whether it is Rust.
    pub(super) fn is_rust(&self) -> bool {
        is_rust(&self.path)
    }

    /// The lines of code with their numbers, from 1.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether it lies in one of these folders, or is one of these files.
    pub(super) fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path
                .strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || place.ends_with('/'))
        })
    }
}

fn is_rust(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// Where a reader of Rust stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text,
    RawText { hashes: usize },
}

/// Blanks comments and the contents of literals; quotes and line ends stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut inside = Inside::Code;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (next, kept, length) = match inside {
            Inside::Code => step_in_code(rest),
            Inside::LineComment if rest[0] == b'\n' => (Inside::Code, true, 1),
            Inside::BlockComment { depth: 1 } if rest.starts_with(b"*/") => (Inside::Code, false, 2),
            Inside::BlockComment { depth } if rest.starts_with(b"*/") => {
                (Inside::BlockComment { depth: depth - 1 }, false, 2)
            }
            Inside::BlockComment { depth } if rest.starts_with(b"/*") => {
                (Inside::BlockComment { depth: depth + 1 }, false, 2)
            }
            Inside::Text if rest[0] == b'\\' => (inside, false, 2.min(rest.len())),
            Inside::Text if rest[0] == b'"' => (Inside::Code, true, 1),
            Inside::RawText { hashes } if ends_raw_text(rest, hashes) => (Inside::Code, true, 1 + hashes),
            Inside::LineComment | Inside::BlockComment { .. } | Inside::Text | Inside::RawText { .. } => {
                (inside, false, 1)
            }
        };
        for byte in &rest[..length] {
            code.push(if kept || *byte == b'\n' { *byte } else { b' ' });
        }
        inside = next;
        at += length;
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// One step outside of comments and literals: where it leads, whether it is kept, how long it is.
fn step_in_code(rest: &[u8]) -> (Inside, bool, usize) {
    if rest.starts_with(b"//") {
        return (Inside::LineComment, false, 2);
    }
    if rest.starts_with(b"/*") {
        return (Inside::BlockComment { depth: 1 }, false, 2);
    }
    if rest[0] == b'"' {
        return (Inside::Text, true, 1);
    }
    if rest[0] == b'r' {
        let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            return (Inside::RawText { hashes }, true, 2 + hashes);
        }
    }
    if rest[0] == b'\'' {
        // A character literal; anything else behind a quote is a lifetime.
        if rest.get(1) == Some(&b'\\') {
            let length = rest.iter().skip(3).position(|byte| *byte == b'\'').map_or(1, |end| end + 4);
            return (Inside::Code, false, length);
        }
        if rest.get(2) == Some(&b'\'') {
            return (Inside::Code, false, 3);
        }
    }
    (Inside::Code, true, 1)
}

fn ends_raw_text(rest: &[u8], hashes: usize) -> bool {
    rest[0] == b'"' && rest.len() > hashes && rest[1..=hashes].iter().all(|byte| *byte == b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(blank(text), expected);
    }

    #[test]
    fn comments_are_blanked_to_the_end_of_the_line() {
        check("a // unsafe\nb", "a          \nb");
    }

    #[test]
    fn nested_comments_end_where_the_outer_one_ends() {
        check("/* /* x */ y */ z", "                z");
    }

    #[test]
    fn a_quote_inside_a_text_does_not_end_it() {
        check(r#"f("a\"b") + g"#, r#"f("    ") + g"#);
    }

    #[test]
    fn raw_texts_end_with_as_many_hashes_as_they_began_with() {
        check("r#\"a\"b\"# c", "r#\"   \"# c");
    }

    #[test]
    fn a_quoted_quote_does_not_begin_a_text() {
        check(r"x == b'\'' && y == '0'", "x == b     && y ==    ");
        check("x == '\"' + y", "x ==     + y");
    }

    #[test]
    fn a_lifetime_is_no_literal() {
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
    }
}
