//! A test in namespaces of its own: what it does to links, mounts, settings and processes, it does to nobody else.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use links::{namespace, root};

/// Tells a process that it is the inner one.
const INSIDE: &str = "SWARMUP_TEST_ISOLATED";
/// What a test that needs root finds empty and may fill: nothing of it is on the disk.
const PRIVATE: [&str; 2] = ["/run", "/var/lib"];

/// Runs a test as the first process of new mount, PID, network, UTS and IPC namespaces.
///
/// `name` is the test's full name in its binary. `/run` and `/var/lib` are empty and in memory; there is no link but
/// `lo`, which is down. Control groups are the machine's: name them so that no other test does. Without root the test
/// says that it is skipped.
///
/// # Panics
/// Where the test fails, inside.
pub fn isolated(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == name) {
        end_with_the_outer_process();
        root::make_mounts_private().expect("this mount namespace is ours");
        root::mount_proc(Path::new("/proc")).expect("this PID namespace is ours");
        for folder in PRIVATE {
            root::mount_memory(Path::new(folder), c"mode=755").expect("this mount namespace is ours");
        }
        return test();
    }
    if !rustix::process::geteuid().is_root() {
        announce(&format!("skipped: `{name}` needs root"));
        return;
    }
    let mut command = Command::new(std::env::current_exe().expect("a test knows its binary"));
    command.args([name, "--exact", "--nocapture"]).env(INSIDE, name).stdin(Stdio::piped());
    let mut inner = namespace::spawn_isolated(command, Vec::new()).expect("root may make namespaces");
    // `wait` would close it first.
    let _held = inner.stdin.take();
    let status = inner.wait().expect("the inner process is a child of this one");
    assert!(status.success(), "`{name}` failed inside its namespaces");
}

/// However the outer process ends, the namespaces end with it.
fn end_with_the_outer_process() {
    let watch = || {
        let mut nothing = Vec::new();
        if std::io::stdin().read_to_end(&mut nothing).is_ok() {
            std::process::abort();
        }
    };
    thread::Builder::new().name("watch".to_owned()).spawn(watch).expect("a thread can be started");
}

/// Tells whoever runs the tests that one is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must not look like one that passed")]
pub fn announce(line: &str) {
    eprintln!("{line}");
}
