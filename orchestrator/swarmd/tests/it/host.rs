//! A host without systemd: mount, PID, network and UTS namespaces with folders of its own. Ends with the test.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use links::Process;
use links::namespace::{inside, spawn_isolated};

use crate::wait::PATIENCE;

/// Gives the host folders of its own in memory, then waits for its end.
pub(crate) const BOOT: &str = "
    set -e
    mount --make-rprivate /
    mount -t proc proc /proc
    for folder in /var/lib /var/log /usr/local/bin /etc/cron.d /run; do mount -t tmpfs tmpfs $folder; done
    hostname node-host
    ip link set lo up
    echo up
    exec cat";

/// A host; ends with the test.
pub(crate) struct Host {
    /// The process that holds its namespaces.
    pub(crate) process: Process,
    child: Child,
    folder: tempfile::TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::booted_by(BOOT)
    }

    pub(crate) fn booted_by(script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn_isolated(command, Vec::new()).unwrap();
        let mut word = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut word).unwrap();
        assert_eq!(word, "up\n", "the host does not come up");
        Self { process: Process::of(child.id()).unwrap(), child, folder: tempfile::tempdir().unwrap() }
    }

    /// Runs the binary that was just built, as one that has been uploaded to some place.
    pub(crate) fn uploaded(&self, arguments: &[&str], input: &[u8]) -> Output {
        self.run(env!("CARGO_BIN_EXE_swarmd"), arguments, input)
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Output {
        let file = self.folder.path().join("input");
        fs::write(&file, input).unwrap();
        let stdin = fs::File::open(&file).unwrap();
        inside(&self.process, || {
            Command::new(program).args(arguments).stdin(Stdio::from(stdin)).current_dir("/").output().unwrap()
        })
        .unwrap()
    }

    pub(crate) fn shell(&self, script: &str) -> String {
        String::from_utf8(self.run("sh", &["-c", script], b"").stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        if let Ok(Some(handle)) = self.process.open() {
            let _ = handle.wait(PATIENCE);
        }
        let _ = self.child.wait();
    }
}
