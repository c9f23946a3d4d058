//! A driver that is stopped right before and right after every call, and another one that goes on.

use std::time::Duration;

use driver::{ClusterRequest, Driver};
use fake_azure::{Fault, How, Logged};

use crate::lab::{Lab, cluster, create, destroy, judge, with_option};

/// How long a command may take until it is held or done.
const PATIENCE: Duration = Duration::from_secs(20);
/// More calls than a command makes.
const MOST_CALLS: u32 = 200;

/// What is cut short.
#[derive(Debug, Clone, Copy)]
enum Command {
    Create,
    Destroy,
}

/// What is done after that.
#[derive(Debug, Clone, Copy)]
enum Then {
    Create,
    Destroy,
}

async fn perform(command: Command, driver: &dyn Driver, cluster: &ClusterRequest) {
    match command {
        Command::Create => create(driver, cluster).await.map(|_| ()),
        Command::Destroy => destroy(driver, cluster).await,
    }
    .unwrap();
}

/// Stops the command at its `nth` call; whether it made so many.
async fn stop_at(lab: &Lab, command: Command, cluster: &ClusterRequest, nth: u32, how: How) -> bool {
    lab.fake.set_fault(Fault::of_any(nth, how));
    let driver = lab.open();
    let is_held = tokio::select! {
        () = perform(command, &*driver, cluster) => false,
        held = lab.fake.held(PATIENCE) => {
            assert!(held, "the command hangs at call {nth}");
            true
        }
    };
    lab.fake.clear_faults();
    is_held
}

/// Stops the command at every one of its calls in turn; what was asked all the while.
async fn stop_everywhere(command: Command, how: How, then: Then) -> Vec<Logged> {
    let mut requests = Vec::new();
    for nth in 1..MOST_CALLS {
        let lab = Lab::start();
        // With an identity, which takes the most calls.
        let cluster = with_option(cluster("lab"), "self-delete", &["true"]);
        if matches!(command, Command::Destroy) {
            create(&*lab.open(), &cluster).await.unwrap();
        }

        let was_stopped = stop_at(&lab, command, &cluster, nth, how.clone()).await;

        let next = lab.open();
        match then {
            Then::Create => {
                let made = create(&*next, &cluster).await.unwrap();
                let names: Vec<_> = made.iter().map(|instance| instance.name.clone()).collect();
                assert_eq!(lab.machine_names(), names, "stopped at call {nth}, {how:?}");
                lab.assert_entitled();
            }
            Then::Destroy => {
                destroy(&*next, &cluster).await.unwrap();
                assert_eq!(lab.fake.resources(), Vec::<String>::new(), "stopped at call {nth}, {how:?}");
            }
        }
        requests.extend(lab.fake.requests());
        if !was_stopped {
            assert!(nth > 5, "the command made {nth} calls only");
            return requests;
        }
    }
    panic!("the command makes more than {MOST_CALLS} calls");
}

#[tokio::test]
async fn a_create_stopped_before_any_call_is_completed_by_the_next() {
    judge(stop_everywhere(Command::Create, How::HoldBefore, Then::Create).await).await;
}

#[tokio::test]
async fn a_create_stopped_after_any_call_is_completed_by_the_next() {
    judge(stop_everywhere(Command::Create, How::HoldAfter, Then::Create).await).await;
}

#[tokio::test]
async fn a_create_stopped_before_any_call_leaves_nothing_that_destroy_does_not_find() {
    judge(stop_everywhere(Command::Create, How::HoldBefore, Then::Destroy).await).await;
}

#[tokio::test]
async fn a_create_stopped_after_any_call_leaves_nothing_that_destroy_does_not_find() {
    judge(stop_everywhere(Command::Create, How::HoldAfter, Then::Destroy).await).await;
}

#[tokio::test]
async fn a_destroy_stopped_before_any_call_is_completed_by_the_next() {
    judge(stop_everywhere(Command::Destroy, How::HoldBefore, Then::Destroy).await).await;
}

#[tokio::test]
async fn a_destroy_stopped_after_any_call_is_completed_by_the_next() {
    judge(stop_everywhere(Command::Destroy, How::HoldAfter, Then::Destroy).await).await;
}

#[tokio::test]
async fn a_cluster_whose_destroy_was_stopped_before_any_call_can_be_created_again() {
    judge(stop_everywhere(Command::Destroy, How::HoldBefore, Then::Create).await).await;
}

#[tokio::test]
async fn a_cluster_whose_destroy_was_stopped_after_any_call_can_be_created_again() {
    judge(stop_everywhere(Command::Destroy, How::HoldAfter, Then::Create).await).await;
}
