//! Streams and files of containers by the Python SDK.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::lab::Lab;
use crate::busybox::BUSYBOX;
use crate::clients::{finish, sdk_python};

#[tokio::test]
async fn the_python_sdk_handles_streams_and_files() {
    let Some(python) = sdk_python().await else { return };
    let lab = Lab::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/streams_sdk.py");

    let mut command = Command::new(python);
    command.arg(script).arg(lab.socket()).arg(BUSYBOX).stdin(Stdio::null()).kill_on_drop(true);
    let outcome = finish(command, Duration::from_mins(1)).await;

    assert!(outcome.success && outcome.stdout == "done\n", "{}{}", outcome.stdout, outcome.stderr);
}
