//! A program that is nothing but shims and first processes of containers, for the tests of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::reenter().unwrap_or(ExitCode::FAILURE)
}
