//! Ctrl-C and SIGTERM, and two swarmups at once.

use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Run, Sandbox, assert_run};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn is_announced(sandbox: &Sandbox) -> bool {
    sandbox.journal("lab").is_some()
}

#[test]
fn one_interruption_stops_cleanly_and_says_how_to_go_on() {
    let sandbox = Sandbox::new();
    let child = sandbox.start("create lab --provider fake --fault ensure-network:1=slow:300");
    sandbox.wait_until("the cluster is announced", is_announced);

    signal(&child, Signal::INT);

    let run = Run::of(child.wait_with_output().unwrap()).ended(130);
    assert_run!("interrupted_once", sandbox, run);
    sandbox.run("create lab").ended(0);
    sandbox.run("status lab").ended(0);
}

#[test]
fn two_interruptions_stop_at_once_and_destroy_cleans_up() {
    let sandbox = Sandbox::new();
    let child = sandbox.start("create lab --provider fake --fault ensure-network:1=slow:60000");
    sandbox.wait_until("the cluster is announced", is_announced);

    signal(&child, Signal::INT);
    signal(&child, Signal::TERM);

    Run::of(child.wait_with_output().unwrap()).ended(130);
    sandbox.run("destroy lab --yes").ended(0);
    assert_eq!(sandbox.provider_holds(), 0);
    assert_eq!(sandbox.files(), []);
}

#[test]
fn an_interruption_destroys_where_that_is_wanted() {
    let sandbox = Sandbox::new();
    let create = "create lab --provider fake --fault ensure-network:1=slow:300 --on-interrupt destroy";
    let child = sandbox.start(create);
    sandbox.wait_until("the cluster is announced", is_announced);

    signal(&child, Signal::TERM);

    Run::of(child.wait_with_output().unwrap()).ended(130);
    assert_eq!(sandbox.provider_holds(), 0);
    assert_eq!(sandbox.files(), []);
}

#[test]
fn an_interruption_destroys_in_ci() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("create lab --provider fake --fault ensure-network:1=slow:300");
    let child = command.env("CI", "true").spawn().unwrap();
    sandbox.wait_until("the cluster is announced", is_announced);

    signal(&child, Signal::INT);

    Run::of(child.wait_with_output().unwrap()).ended(130);
    assert_eq!(sandbox.files(), []);
}

#[test]
fn a_second_swarmup_is_told_who_is_at_work() {
    let sandbox = Sandbox::new();
    let first = sandbox.start("create lab --provider fake --fault ensure-network:1=slow:8000");
    sandbox.wait_until("the cluster is announced", is_announced);

    assert_run!("a_second_swarmup", sandbox, sandbox.run("destroy lab --yes").ended(1));
    assert_run!("a_second_create", sandbox, sandbox.run("create lab").ended(1));

    Run::of(first.wait_with_output().unwrap()).ended(0);
    sandbox.run("status lab").ended(0);
}
