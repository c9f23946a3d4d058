//! Splits a line into words as Docker's builder does: quotes, escapes, and variables by their value.

use super::InvalidChange;

/// The words of a line. Quotes are taken away, and `$NAME` and `${NAME}` stand for their value in `env`.
pub(super) fn split(text: &str, env: &[String]) -> Result<Vec<String>, InvalidChange> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_whitespace() {
            words.extend(word.take());
        } else {
            part(letter, &mut letters, word.get_or_insert_default(), env)?;
        }
    }
    words.extend(word);
    Ok(words)
}

/// The same for a line that is one word, blanks and all.
pub(super) fn rest_of_line(text: &str, env: &[String]) -> Result<String, InvalidChange> {
    let mut word = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        part(letter, &mut letters, &mut word, env)?;
    }
    Ok(word)
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn part(letter: char, letters: &mut Letters<'_>, word: &mut String, env: &[String]) -> Result<(), InvalidChange> {
    match letter {
        '\'' => loop {
            match letters.next() {
                None => return Err(unended("single-quote")),
                Some('\'') => return Ok(()),
                Some(letter) => word.push(letter),
            }
        },
        '"' => loop {
            match letters.next() {
                None => return Err(unended("double-quote")),
                Some('"') => return Ok(()),
                Some('\\') => match letters.next() {
                    None => return Err(unended("double-quote")),
                    Some(letter @ ('"' | '\\' | '$')) => word.push(letter),
                    Some(letter) => word.extend(['\\', letter]),
                },
                Some('$') => variable(letters, word, env)?,
                Some(letter) => word.push(letter),
            }
        },
        '\\' => word.extend(letters.next()),
        '$' => variable(letters, word, env)?,
        letter => word.push(letter),
    }
    Ok(())
}

/// What stands behind a `$`. A variable that is not set is empty.
fn variable(letters: &mut Letters<'_>, word: &mut String, env: &[String]) -> Result<(), InvalidChange> {
    let is_braced = letters.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(letter) = letters.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_') {
        name.push(letter);
    }
    if is_braced && (letters.next_if_eq(&'}').is_none() || name.is_empty()) {
        return Err(InvalidChange::new(format!("unsupported substitution of the variable {name:?}")));
    }
    if name.is_empty() {
        word.push('$');
    }
    let value = env.iter().find_map(|variable| variable.strip_prefix(&name)?.strip_prefix('='));
    word.push_str(value.unwrap_or_default());
    Ok(())
}

fn unended(quote: &str) -> InvalidChange {
    InvalidChange::new(format!("unexpected end of statement while looking for matching {quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_dockers_builder() {
        let env = ["A=1".to_owned(), "LONG=x y".to_owned()];
        let check = |text: &str, expected: &[&str]| assert_eq!(split(text, &env).unwrap(), expected, "{text}");

        check("  a  b ", &["a", "b"]);
        check("a\\ b \"c d\"e ''", &["a b", "c de", ""]);
        check("$A${A}b $LONG \"$A\" '$A' \\$A", &["11b", "x y", "1", "$A", "$A"]);
        check("$NONE x$ \"\\n\\\"\"", &["", "x$", "\\n\""]);
        for text in ["'a", "\"a", "\"\\", "${", "${A:-b}"] {
            assert!(split(text, &env).is_err(), "{text}");
        }
    }
}
