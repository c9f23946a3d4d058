//! Sessions with real hosts: OpenSSH's sshd, sudo, a shell, and files.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driver::{Access, SshAccess};
use reach::{
    Command, CommandLine, CopyOptions, Dialer, ForwardTarget, Interaction, ReachError, Session, Upload, Uploaded,
    sha256_hex,
};
use tests::{Host, Hosts, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

mod commands;
mod files;
mod login;

fn access(hosts: &Hosts, host: &Host, user: &str) -> SshAccess {
    SshAccess {
        host: host.address().to_string(),
        port: 22,
        user: user.to_owned(),
        key_file: Some(hosts.key_file()),
        host_key: Some(host.host_key().unwrap()),
    }
}

async fn dial(access: SshAccess) -> Result<Arc<dyn Session>, ReachError> {
    Dialer::default().dial("machine", &Access::Ssh(access)).await
}

/// One host, this thread on its network, and a session with it.
async fn session(user: &str) -> (Hosts, Arc<dyn Session>) {
    let hosts = Hosts::start(1).unwrap();
    hosts.enter_operator().unwrap();
    let session = dial(access(&hosts, hosts.host(1), user)).await.unwrap();
    (hosts, session)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that do not compress to nothing, some of them not text.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

/// Waits until something holds, within a bound that only a bug exceeds.
async fn eventually(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it came true in time");
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;

    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
