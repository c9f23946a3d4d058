//! SIGKILL at every boundary: `create` then finishes, or `destroy` then removes everything.
//!
//! The kernel kills swarmup at its n-th fsync, for every n: each is where something has just become durable, or is
//! about to. swarmup itself knows nothing of it (strace injects the signal).

use std::process::Command;

use crate::sandbox::Sandbox;

/// More fsyncs than any command here makes.
const MOST_BOUNDARIES: u32 = 200;

/// Runs swarmup and kills it at its n-th fsync; `false` where it ended before that.
fn killed_at(sandbox: &Sandbox, boundary: u32, arguments: &str) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e"]);
    strace.arg(format!("inject=fsync:signal=SIGKILL:when={boundary}"));
    sandbox.prepare(&mut strace);
    let output = strace
        .arg(env!("CARGO_BIN_EXE_swarmup"))
        .args(arguments.split_whitespace())
        .output()
        .expect("strace is installed (package `strace`)");
    match output.status.code() {
        Some(0) => false,
        Some(code) => panic!("boundary {boundary}: exit code {code}\n{}", String::from_utf8_lossy(&output.stderr)),
        None => true,
    }
}

/// Kills a command at each boundary in turn, in a fresh home each, and returns how many there were.
fn at_every_boundary(prepare: &str, command: &str, check: impl Fn(&Sandbox, u32)) -> u32 {
    for boundary in 1..MOST_BOUNDARIES {
        let sandbox = Sandbox::new();
        if !prepare.is_empty() {
            sandbox.run(prepare).ended(0);
        }
        if !killed_at(&sandbox, boundary, command) {
            return boundary - 1;
        }
        check(&sandbox, boundary);
    }
    panic!("`{command}` makes more than {MOST_BOUNDARIES} fsyncs");
}

const CREATE: &str = "create lab --provider fake --managers 3 --workers 1";

#[test]
fn a_create_killed_anywhere_is_finished_by_the_next() {
    let boundaries = at_every_boundary("", CREATE, |sandbox, boundary| {
        sandbox.run(CREATE).ended(0);
        sandbox.run("status lab").ended(0);
        assert_eq!(sandbox.run("node ls -q").stdout.lines().count(), 4, "boundary {boundary}");
        assert!(!sandbox.home().join("clusters/lab/identity.json").exists(), "boundary {boundary}");
        sandbox.run("destroy lab --yes").ended(0);
        assert_eq!(sandbox.provider_holds(), 0, "boundary {boundary}");
    });

    assert!(boundaries >= 8, "only {boundaries} boundaries were tried");
}

#[test]
fn a_create_killed_anywhere_is_removed_by_destroy() {
    let boundaries = at_every_boundary("", CREATE, |sandbox, boundary| {
        if sandbox.journal("lab").is_some() {
            sandbox.run("destroy lab --yes").ended(0);
            assert_eq!(sandbox.files(), [], "boundary {boundary}");
        }
        assert_eq!(sandbox.provider_holds(), 0, "boundary {boundary}");
    });

    assert!(boundaries >= 8, "only {boundaries} boundaries were tried");
}

#[test]
fn a_destroy_killed_anywhere_is_finished_by_the_next() {
    let boundaries = at_every_boundary(CREATE, "destroy lab --yes", |sandbox, boundary| {
        if sandbox.journal("lab").is_some() {
            sandbox.run("destroy lab --yes").ended(0);
        }
        assert_eq!(sandbox.provider_holds(), 0, "boundary {boundary}");
        assert_eq!(sandbox.files(), [], "boundary {boundary}");
    });

    assert!(boundaries >= 2, "only {boundaries} boundaries were tried");
}

#[test]
fn a_scale_killed_anywhere_is_finished_by_the_next() {
    let scale = "scale lab --managers 1 --workers 3";
    let boundaries = at_every_boundary(CREATE, scale, |sandbox, boundary| {
        sandbox.run(scale).ended(0);
        sandbox.run("status lab").ended(0);
        assert_eq!(sandbox.run("node ls -q").stdout, "node-1\nnode-4\nnode-5\nnode-6\n", "boundary {boundary}");
    });

    assert!(boundaries >= 4, "only {boundaries} boundaries were tried");
}
