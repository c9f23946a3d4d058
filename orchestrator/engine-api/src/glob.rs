//! Patterns of names, as Go's `path.Match` reads them: `*` and `?` stop at slashes, `[a-z]` and `[^a-z]`, `\` for itself.

/// A pattern that has been understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Any number of letters, none of them a slash.
    Star,
    /// One letter that is no slash.
    Any,
    Letter(char),
    /// One letter of these ranges, or of none of them.
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A pattern without an end, or with a range that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub(crate) struct BadPattern;

impl Glob {
    /// Reads a pattern.
    pub(crate) fn parse(pattern: &str) -> Result<Self, BadPattern> {
        let mut letters = pattern.chars();
        let mut tokens = Vec::new();
        while let Some(letter) = letters.next() {
            tokens.push(match letter {
                '*' => Token::Star,
                '?' => Token::Any,
                '[' => class(&mut letters)?,
                '\\' => Token::Letter(letters.next().ok_or(BadPattern)?),
                other => Token::Letter(other),
            });
        }
        Ok(Self(tokens))
    }

    /// Whether the whole text fits. Takes a time that grows with the product of both lengths.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let letters: Vec<char> = text.chars().collect();
        // After how many letters the tokens so far can have ended.
        let mut ends = vec![false; letters.len() + 1];
        ends[0] = true;
        for token in &self.0 {
            let mut next = vec![false; ends.len()];
            if *token == Token::Star {
                let mut is_open = false;
                for (at, end) in ends.iter().enumerate() {
                    let is_cut = at > 0 && letters[at - 1] == '/';
                    is_open = *end || (is_open && !is_cut);
                    next[at] = is_open;
                }
            } else {
                for (at, letter) in letters.iter().enumerate() {
                    next[at + 1] = ends[at] && token.fits(*letter);
                }
            }
            ends = next;
        }
        ends[letters.len()]
    }
}

impl Token {
    fn fits(&self, letter: char) -> bool {
        match self {
            Self::Star | Self::Any => letter != '/',
            Self::Letter(own) => *own == letter,
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *is_negated
            }
        }
    }
}

/// What stands behind a bracket, up to the one that closes it.
fn class(letters: &mut std::str::Chars<'_>) -> Result<Token, BadPattern> {
    let mut ranges = Vec::new();
    let is_negated = letters.as_str().starts_with('^');
    if is_negated {
        letters.next();
    }
    loop {
        if letters.as_str().starts_with(']') && !ranges.is_empty() {
            letters.next();
            return Ok(Token::Class { is_negated, ranges });
        }
        let low = class_letter(letters)?;
        let mut high = low;
        if letters.as_str().starts_with('-') {
            letters.next();
            high = class_letter(letters)?;
        }
        ranges.push((low, high));
    }
}

fn class_letter(letters: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    match letters.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => letters.next().ok_or(BadPattern),
        Some(letter) => Ok(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: Result<bool, BadPattern>) {
        assert_eq!(Glob::parse(pattern).map(|glob| glob.fits(text)), expected, "{pattern} on {text}");
    }

    #[test]
    fn patterns_fit_as_in_go() {
        check("abc", "abc", Ok(true));
        check("*", "abc", Ok(true));
        check("*c", "abc", Ok(true));
        check("a*/b", "a/c/b", Ok(false));
        check("a*b?c*x", "abxbbxdbxebxczzx", Ok(true));
        check("a*b?c*x", "abxbbxdbxebxczzy", Ok(false));
        check("ab[e-g]", "abc", Ok(false));
        check("ab[^e-g]", "abc", Ok(true));
        check("a???b", "aαβγb", Ok(true));
        check("a[^a][^a][^a]b", "aαb", Ok(false));
        check("a?b", "a/b", Ok(false));
        check("[\\]a]", "]", Ok(true));
        check("\\*", "*", Ok(true));
        check("*x", "xxx", Ok(true));
        check("", "", Ok(true));
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "[", "[^", "[^bc", "a[", "\\"] {
            check(pattern, "a", Err(BadPattern));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern in "[a*?\\[\\]^\\-\\\\/]{0,12}|\\PC{0,12}", text in "[ab/]{0,8}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                let _ = glob.fits(&text);
            }
        }
    }
}
