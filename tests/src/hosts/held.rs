//! The processes that the hosts hang on: they say when they are ready, and end with their standard input.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a host may take to come up on a machine that is busy with other tests.
const BOOT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the kernel may take to end what was killed.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for the line `ready` from a process of ours.
pub(super) fn wait_until_ready(child: &mut Child) -> Result<()> {
    let stdout = child.stdout.take().context("it was waited for already")?;
    let (sender, answer) = mpsc::channel();
    // The thread ends with the line, or with the process.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // Where nobody waits any more the answer is of no use.
        let _ = sender.send(read.map(|_| line));
    });
    match answer.recv_timeout(BOOT_TIMEOUT) {
        Ok(Ok(line)) if line == "ready\n" => Ok(()),
        Ok(Ok(line)) => bail!("it ended, or said `{}`", line.trim_end()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => bail!("it was not ready within {} s", BOOT_TIMEOUT.as_secs()),
    }
}

/// Ends a process of ours and waits for it.
pub(super) fn end(child: &mut Child) {
    drop(child.stdin.take());
    // It may have ended already; then there is nothing to kill, and waiting returns at once.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for what the kernel does after a kill; gives up after a while, for a drop must end.
pub(super) fn wait_until(mut is_done: impl FnMut() -> bool) {
    let deadline = Instant::now() + END_TIMEOUT;
    while !is_done() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
