//! Judges requests by Google's discovery document, with the script in `oracle/`.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// How long putting the document in place may take.
const INSTALLATION: Duration = Duration::from_mins(5);
/// How long judging may take.
const JUDGING: Duration = Duration::from_mins(1);

/// Tells the logs of one process apart.
static LOGS: AtomicU32 = AtomicU32::new(0);

/// Judges requests as [`requests`](crate::FakeGcp::requests) shows them; what is wrong with them, if anything is. The
/// document is put into a folder first, where it is not there.
///
/// # Errors
/// The document cannot be had, or the script cannot be run.
pub async fn judge(requests: &[Value], folder: &Path) -> io::Result<Option<String>> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
    let prepared = run(Command::new(scripts.join("prepare")).arg(folder), INSTALLATION).await?;
    if let Some(problem) = prepared {
        return Err(io::Error::other(format!("oracle/prepare failed: {problem}")));
    }
    let number = LOGS.fetch_add(1, Ordering::Relaxed);
    let log = folder.join(format!("requests-{}-{number}.jsonl", std::process::id()));
    let mut lines = String::new();
    for request in requests {
        lines.push_str(&request.to_string());
        lines.push('\n');
    }
    std::fs::write(&log, lines)?;
    let mut command = Command::new(folder.join("venv/bin/python"));
    let judged = run(command.arg(scripts.join("check-gce-requests")).arg(&log), JUDGING).await;
    std::fs::remove_file(&log)?;
    judged
}

/// What a command had to say, where it failed.
async fn run(command: &mut Command, limit: Duration) -> io::Result<Option<String>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output()).await.map_err(io::Error::other)??;
    if output.status.success() {
        return Ok(None);
    }
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok(Some(said.concat()))
}
