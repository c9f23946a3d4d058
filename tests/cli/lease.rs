//! Clusters that go with a process, as far as the command line and the journal are concerned.

use crate::sandbox::Sandbox;

/// No process has a number as high (`/proc/sys/kernel/pid_max` is 2^22 at most).
const NOBODY: u32 = 4_194_305;

#[test]
fn a_process_that_does_not_run_is_refused_and_nothing_is_made() {
    let sandbox = Sandbox::new();

    let run = sandbox.run(&format!("create lab --provider fake --reap-with {NOBODY}")).ended(2);

    assert!(run.stderr.contains(&format!("there is no process {NOBODY} for the cluster to go with")), "{run}");
    assert!(run.stderr.contains("hint: name one that runs"), "{run}");
    assert_eq!(sandbox.files(), []);
}

#[test]
fn a_lease_that_is_too_short_is_refused_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    let own = std::process::id();

    let run = sandbox.run(&format!("create lab --provider fake --reap-with {own} --reap-after 5s")).ended(2);

    assert!(run.stderr.contains("--reap-after 5s is too short"), "{run}");
    assert!(sandbox.run("create lab --provider fake --reap-after 1m").ended(2).stderr.contains("--reap-with"));
    assert_eq!(sandbox.files(), []);
}

#[test]
fn a_cluster_that_was_made_for_nobody_does_not_go_with_a_process_later() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    let before = sandbox.journal("lab");

    let run = sandbox.run(&format!("create lab --provider fake --reap-with {}", std::process::id())).ended(1);
    let held = sandbox.run("hold lab").ended(1);

    assert!(run.stderr.contains("cluster `lab` was begun without --reap-with"), "{run}");
    assert!(held.stderr.contains("cluster `lab` has no lease"), "{held}");
    assert_eq!(sandbox.journal("lab"), before);
}

#[test]
fn a_cluster_is_destroyed_once_its_process_has_ended() {
    let sandbox = Sandbox::new();
    let mut owner = std::process::Command::new("sleep").arg("600").spawn().unwrap();

    sandbox.run(&format!("create lab --provider fake --reap-with {}", owner.id())).ended(0);
    assert_eq!(sandbox.journal("lab").unwrap()["lease"]["terms"]["seconds"], 120);
    owner.kill().unwrap();
    owner.wait().unwrap();

    sandbox.wait_until("the cluster is gone", |sandbox| !sandbox.home().join("clusters/lab").exists());
    assert_eq!(sandbox.provider_holds(), 0);
}
