//! What the tests of this crate execute: shims and first processes of containers, and an agent that can be killed.

use std::path::Path;
use std::process::ExitCode;

use runtime::{Runtime, Streams};

fn main() -> ExitCode {
    if let Some(code) = runtime::reenter() {
        return code;
    }
    let words: Vec<String> = std::env::args().collect();
    match words.as_slice() {
        [_, command, folder, cgroups, bundle] if command == "agent" => {
            match agent(folder, cgroups, Path::new(bundle)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        _ => ExitCode::FAILURE,
    }
}

/// Makes and starts one container, stays attached to it, and waits to be killed.
fn agent(folder: &str, cgroups: &str, bundle: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let bundle = serde_json::from_slice(&std::fs::read(bundle)?)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let container = Runtime::new(folder, cgroups)?.create(&bundle).await?;
        let _attachment = container.attach(Streams::ALL).await?;
        container.start().await?;
        std::future::pending::<()>().await;
        Ok(())
    })
}
