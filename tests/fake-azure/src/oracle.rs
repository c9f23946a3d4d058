//! Judges what was asked by Microsoft's published schemas.
//!
//! The judge is `oracle/check-arm-requests`; what it needs from `PyPI`, `oracle/install` puts into a folder. Where that
//! cannot be, `SWARMUP_SKIP_ORACLES=1` leaves it out.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::Logged;

/// How long an installation from `PyPI` may take.
const INSTALLATION: Duration = Duration::from_mins(5);
/// How long judging may take.
const JUDGMENT: Duration = Duration::from_mins(2);

/// What the judge said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every request is as the schemas want it; how many there were.
    Valid(usize),
    /// Some are not; what the judge printed.
    Invalid(String),
    /// It was left out on purpose.
    Skipped,
}

/// Judges requests; what that needs is kept in a folder.
///
/// # Errors
/// The judge cannot be installed or run.
pub async fn judge(requests: &[Logged], folder: &Path) -> io::Result<Verdict> {
    if std::env::var_os("SWARMUP_SKIP_ORACLES").is_some_and(|value| value == "1") {
        return Ok(Verdict::Skipped);
    }
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
    let (is_installed, output) = run(Command::new(oracle.join("install")).arg(folder), INSTALLATION).await?;
    if !is_installed {
        let hint = "SWARMUP_SKIP_ORACLES=1 leaves the judge out";
        return Err(io::Error::other(format!("oracle/install failed; {hint}: {output}")));
    }
    let judged: Vec<_> = requests.iter().filter(|request| request.is_resource_manager()).collect();
    let log = tempfile::NamedTempFile::new()?;
    let lines = judged.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    std::fs::write(log.path(), lines.join("\n"))?;
    let mut command = Command::new(folder.join("python/bin/python"));
    let (is_valid, output) = run(command.arg(oracle.join("check-arm-requests")).arg(log.path()), JUDGMENT).await?;
    Ok(if is_valid { Verdict::Valid(judged.len()) } else { Verdict::Invalid(output) })
}

/// Whether a command succeeded, and what it printed.
async fn run(command: &mut Command, patience: Duration) -> io::Result<(bool, String)> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(patience, running).await.map_err(|_| io::Error::other("it hangs"))??;
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((output.status.success(), printed))
}
