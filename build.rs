//! Embeds the bundle of node agents that `cargo xtask bundle` made, or nothing where there is none.
//!
//! The file is named by `SWARMUP_BUNDLE`. Its format is read by `src/bundle.rs` at run time; here it is only copied.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=SWARMUP_BUNDLE");
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bundle.bin");
    let bundle = env::var_os("SWARMUP_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let bytes = match &bundle {
        None => Vec::new(),
        Some(path) => {
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read(path).unwrap_or_else(|error| panic!("SWARMUP_BUNDLE: cannot read `{}`: {error}", path.display()))
        }
    };
    fs::write(&target, bytes).unwrap_or_else(|error| panic!("cannot write `{}`: {error}", target.display()));
}
