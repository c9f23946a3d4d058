//! Readers that take nothing: they hold up what they read, and nothing else.

use std::time::Duration;

use model::{LogTarget, TaskState};
use tokio::time::timeout;

use super::bench::{Bench, all, follow, id, line};

/// Longer than anything that is not held up takes, in paused time.
const A_WHILE: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_holds_up_its_own_subscription_only() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    let mut node = bench.listen(1);
    let mut slow = bench.read(follow());
    let to_slow = node.told().await;
    let mut quick = bench.read(follow());
    let to_quick = node.told().await;
    let kilobytes = line(1, &"x".repeat(64 << 10));

    let mut taken = 0;
    while timeout(A_WHILE, node.publish(&to_slow, &[(1, kilobytes.clone())], &[])).await.is_ok() {
        taken += 1;
        assert!(taken < 10, "there is no bound");
    }
    for number in 0..20 {
        node.publish(&to_quick, &[(1, line(number, "quick"))], &[]).await.unwrap();
        assert_eq!(quick.lines(1).await, ["quick"]);
    }

    let entries = [(1, kilobytes.clone())];
    let waiting = node.publish(&to_slow, &entries, &[]);
    let (outcome, lines) = tokio::join!(waiting, slow.lines(taken));
    assert!(outcome.is_ok() && lines.len() >= taken, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_reader_ends_with_the_reader_and_with_the_term() {
    for ends_term in [false, true] {
        let bench = Bench::start().await;
        bench.add(1, 1, TaskState::Running).await;
        let mut node = bench.listen(1);
        let output = bench.read(follow());
        let told = node.told().await;
        let kilobytes = line(1, &"x".repeat(256 << 10));
        node.publish(&told, &[(1, kilobytes.clone())], &[]).await.unwrap();

        let entries = [(1, kilobytes)];
        let waiting = node.publish(&told, &entries, &[]);
        let ending = async {
            tokio::time::sleep(A_WHILE).await;
            if ends_term {
                bench.cancel.cancel();
                tokio::time::sleep(A_WHILE).await;
            }
            drop(output);
        };
        let (outcome, ()) = tokio::join!(waiting, ending);

        let expected = if ends_term { model::ErrorKind::Unavailable } else { model::ErrorKind::NotFound };
        assert_eq!(outcome.unwrap_err().kind, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_term_ends_what_is_read_with_an_error() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    let (mut output, mut node) = (bench.read(follow()), bench.listen(1));
    node.told().await;

    bench.cancel.cancel();

    let words = output.next().await.unwrap().unwrap_err();
    assert!(words.contains("the leader of the swarm has changed"), "{words}");
    assert_eq!((output.next().await, node.order().await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn more_readers_than_can_be_served_are_refused() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    let readers: Vec<_> = (0..100).map(|_| bench.read(all())).collect();

    let refused = bench.try_read(LogTarget::Task(id(1)), all()).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind, model::ErrorKind::Unavailable);
    drop(readers);

    assert!(bench.try_read(LogTarget::Task(id(1)), all()).is_ok());
}
