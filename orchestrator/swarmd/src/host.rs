//! Whether the host goes down. Who ends a service does not say why; systemd says what it is about to do.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// What `systemctl is-system-running` prints from when a shutdown or a restart of the host was asked for.
const STOPPING: &[u8] = b"stopping\n";
/// How long systemd may take to say so.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether systemd shuts the host down. Not where systemd does not run: others end the agent by `swarmd service stop`, or by
/// the end of the machine.
pub(crate) async fn goes_down() -> bool {
    if !std::path::Path::new("/run/systemd/system").is_dir() {
        return false;
    }
    let mut asking = Command::new("systemctl");
    asking.arg("is-system-running").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, asking.output()).await {
        // Its exit code says that the host is not well, which it is not.
        Ok(Ok(output)) => output.stdout == STOPPING,
        Ok(Err(_)) | Err(_) => false,
    }
}
