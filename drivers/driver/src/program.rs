//! Programs that machines run of a driver's, as commands for `sh`.
//!
//! In Python, which cloud-init is written in and so every image has that takes user-data; curl is not in all of them.

/// How long such a program may take at most, whatever hangs (seconds).
const LIMIT: u32 = 900;
/// Ends the text of a program, which has no such line.
const END: &str = "END_OF_PROGRAM";
/// What each begins with: the calls to the provider, and trying again.
const BEGINNING: &str = include_str!("program.py");

/// The commands that run a Python program, after the beginning that all share, with these arguments, whatever is in
/// them; for a quarter of an hour at most.
pub fn python(program: &str, arguments: &[&str]) -> String {
    let arguments: Vec<_> = arguments.iter().map(|argument| quoted(argument)).collect();
    let program = program.trim_end();
    format!("timeout {LIMIT} python3 - {} <<'{END}'\n{BEGINNING}\n\n{program}\n{END}", arguments.join(" "))
}

/// A word as `sh` reads it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_is_run_with_its_arguments_as_they_are() {
        let commands = python("print(sys.argv[1:], '$HOME')\n", &["it's", "$(id); \"x\"", ""]);

        let output = Command::new("sh").args(["-c", &format!("{commands}\necho then")]).output().unwrap();

        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed, "[\"it's\", '$(id); \"x\"', ''] $HOME\nthen\n");
    }
}
