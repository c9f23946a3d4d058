//! The Python SDK: it compares documents and sends filters in the old shape.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::clients::{finish, sdk_python};
use crate::memory::MemoryNode;
use crate::served::Served;

#[tokio::test]
async fn the_python_sdk_works_unchanged() {
    let Some(python) = sdk_python().await else { return };
    let served = Served::start(MemoryNode::inactive()).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/sdk.py");

    let mut command = Command::new(python);
    command.arg(script).arg(served.socket()).stdin(Stdio::null()).kill_on_drop(true);
    let outcome = finish(command, Duration::from_mins(1)).await;

    assert!(outcome.success && outcome.stdout == "done\n", "{}{}", outcome.stdout, outcome.stderr);
}
