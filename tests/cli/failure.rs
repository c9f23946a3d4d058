//! A create that fails rolls back, or keeps what was made where that is wanted.

use crate::sandbox::{Sandbox, assert_run};

#[test]
fn a_failed_create_rolls_back() {
    let sandbox = Sandbox::new();

    let run = sandbox.run("create lab --provider fake --fault create:1=partial:2").ended(1);

    assert_eq!(sandbox.provider_holds(), 0);
    assert_eq!(sandbox.files(), []);
    assert_run!("a_failed_create", sandbox, run);
}

#[test]
fn a_failed_create_keeps_what_was_made_where_that_is_wanted() {
    let sandbox = Sandbox::new();

    let create = "create lab --provider fake --fault create:1=partial:2 --keep-on-failure";
    assert_run!("a_failed_create_that_keeps", sandbox, sandbox.run(create).ended(3));
    assert!(sandbox.provider_holds() > 0);

    sandbox.run("create lab").ended(0);
    sandbox.run("status lab").ended(0);
}

#[test]
fn a_rollback_that_fails_keeps_the_journal_and_destroy_goes_on() {
    let sandbox = Sandbox::new();

    let create = "create lab --provider fake --fault create:1=partial:2 --fault destroy:1=fail";
    assert_run!("a_failed_rollback", sandbox, sandbox.run(create).ended(3));
    sandbox.run("create lab").ended(1);
    sandbox.run("destroy lab --yes").ended(0);

    assert_eq!(sandbox.provider_holds(), 0);
    assert_eq!(sandbox.files(), []);
}

#[test]
fn a_lost_answer_and_throttling_are_got_over() {
    let sandbox = Sandbox::new();

    let faults = "--fault create:1=lost --fault ensure-network:1=throttled:10 --fault destroy:1=lost";
    sandbox.run(&format!("create lab --provider fake {faults}")).ended(0);
    assert_eq!(sandbox.run("node ls -q").stdout.lines().count(), 5);
    sandbox.run("destroy lab --yes").ended(0);

    assert_eq!(sandbox.provider_holds(), 0);
}

#[test]
fn a_provider_that_refuses_at_once_leaves_no_trace() {
    let sandbox = Sandbox::new();

    let run = sandbox.run("create lab --provider fake --fault preflight:1=quota").ended(1);

    assert_eq!(sandbox.files(), []);
    assert_run!("a_refusal_in_preflight", sandbox, run);
}

#[test]
fn destroy_is_not_done_before_the_provider_shows_nothing() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake --fault remove-network:1=fail").ended(0);

    assert_run!("a_destroy_that_fails", sandbox, sandbox.run("destroy lab --yes").ended(3));
    sandbox.run("create lab").ended(1);
    sandbox.run("destroy lab --yes").ended(0);

    assert_eq!(sandbox.provider_holds(), 0);
}
