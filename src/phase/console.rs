//! Shows what the console of a machine says that does not get through: often the only one who knows why.

use std::time::Duration;

use driver::{DriverError, InstanceId};
use tracing::debug;

use super::{Context, PhaseError};

/// How many lines are shown.
const LINES: usize = 12;
/// How long the provider may take to tell them; the user waits for an error meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);

/// Shows the last lines of a machine's console, where its provider tells them; fails only where the provider has the
/// machine no more.
pub(super) async fn show(context: &Context, number: u32, id: &InstanceId) -> Result<(), PhaseError> {
    let asking = tokio::time::timeout(PATIENCE, context.driver.console(id));
    let output = match context.unless_stopped(asking).await? {
        Ok(Ok(console)) => console.output,
        Ok(Err(DriverError::NoSuchMachine { .. })) => return Err(PhaseError::Vanished),
        Ok(Err(error)) => {
            debug!(%error, "the console is not known");
            return Ok(());
        }
        Err(_) => return Ok(()),
    };
    let lines = last_lines(&output);
    if !lines.is_empty() {
        context.progress.line(&format!("  console of `{}`:", context.journal().spec.machine_name(number)));
    }
    for line in lines {
        context.progress.line(&format!("  | {line}"));
    }
    Ok(())
}

/// The last lines that say anything, without what moves a terminal's cursor or changes its colours.
fn last_lines(output: &str) -> Vec<String> {
    let said: Vec<String> = output.lines().map(plain).filter(|line| !line.trim().is_empty()).collect();
    said[said.len().saturating_sub(LINES)..].to_vec()
}

/// A line without control sequences.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            // ESC [ parameters, and the letter that ends them.
            '\u{1b}' if letters.next() == Some('[') => {
                letters.by_ref().find(|letter| ('@'..='~').contains(letter));
            }
            '\u{1b}' => {}
            '\t' => plain.push(' '),
            letter if letter.is_control() => {}
            letter => plain.push(letter),
        }
    }
    plain.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_that_say_anything_are_shown_without_control_sequences() {
        let output = "old\r\n".repeat(20) + "\u{1b}[1;31mfailed\u{1b}[0m\tto boot\u{7}\r\n\r\n\u{1b}c\r\nlogin: ";

        let lines = last_lines(&output);

        assert_eq!(
            (lines.len(), &lines[LINES - 2..]),
            (LINES, &["failed to boot".to_owned(), "login:".to_owned()][..])
        );
        assert_eq!(last_lines(""), [""; 0]);
    }
}
