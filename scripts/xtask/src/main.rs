//! Work on the workspace itself: `cargo xtask bundle` makes the agents that swarmup carries, `cargo xtask dist` what is
//! handed out, `cargo xtask tidy` holds the rules of the house against the code.

mod bundle;
mod dist;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

/// What the command understands.
const USAGE: &str = "usage: cargo xtask bundle [--profile release|dev] | cargo xtask dist | cargo xtask tidy";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["bundle"] | ["bundle", "--profile", "release"] => bundle::bundle(workspace(), bundle::Profile::Release),
        ["bundle", "--profile", "dev"] => bundle::bundle(workspace(), bundle::Profile::Dev),
        ["dist"] => dist::dist(workspace()),
        ["tidy"] => tidy::tidy(workspace()),
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace: two levels above this package.
fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[expect(clippy::print_stdout, reason = "a tool for developers, whose answer this is")]
fn say(text: &str) {
    println!("{text}");
}
