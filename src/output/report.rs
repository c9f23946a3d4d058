//! An error as a user reads it: what failed, why, and what can be done.
//!
//! ```text
//! error: failed to create machine `demo-node-5`
//!   caused by: quota `vCPU` in eu-west-1 is exhausted
//!
//! hint: request an increase of `vCPU`, or pick another region
//! ```

use std::io::Write;

use anstream::stderr;
use anstyle::{AnsiColor, Style};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// Writes an error with its causes and a hint.
pub fn error(error: &anyhow::Error, hint: Option<&str>) {
    let mut out = stderr().lock();
    let _ = writeln!(out, "{ERROR}error:{ERROR:#} {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if text != last {
            let _ = writeln!(out, "  caused by: {text}");
        }
        last = text;
    }
    if let Some(hint) = hint {
        let _ = writeln!(out, "\n{HINT}hint:{HINT:#} {hint}");
    }
}
