//! Nodes that cannot be read: each costs a warning at the end, never what the others have.

use std::time::Duration;

use model::{TaskLogEnd, TaskState};
use tokio::time::Instant;

use super::bench::{Bench, all, follow, id, line};
use crate::testing::node_id;

const WORDS: &str = "warning: incomplete log stream. some logs could not be retrieved for the following reasons: ";

fn not_available(node: u64) -> String {
    format!("{WORDS}node {} is not available", node_id(node))
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_down_costs_one_warning_and_no_time() {
    let bench = Bench::start().await;
    for (number, node) in [(1, 1), (2, 2), (3, 2)] {
        bench.add(number, node, TaskState::Running).await;
    }
    bench.lose(2).await;
    let (mut node, began) = (bench.listen(1), Instant::now());

    let output = bench.read(all());
    let told = node.told().await;
    node.publish(&told, &[(1, line(1, "one"))], &[1]).await.unwrap();

    assert_eq!(output.rest().await, (vec!["one".to_owned()], Some(not_available(2))));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_node_that_has_left_cost_the_same() {
    let bench = Bench::start().await;
    bench.add(1, 2, TaskState::Running).await;
    bench.store.store.update(|tx| tx.remove_node(&node_id(2))).await.unwrap();

    assert_eq!(bench.read(all()).rest().await, (Vec::new(), Some(not_available(2))));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_listen_is_waited_for_a_while() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    let began = Instant::now();

    assert_eq!(bench.read(all()).rest().await, (Vec::new(), Some(not_available(1))));

    assert!((5..6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let output = bench.read(all());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut node = bench.listen(1);
    let told = node.told().await;
    node.publish(&told, &[(1, line(1, "late"))], &[1]).await.unwrap();
    assert_eq!(output.rest().await, (vec!["late".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_given_up_and_one_that_is_held_up_is_not() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    let mut node = bench.listen(1);
    let began = Instant::now();

    let output = bench.read(all());
    let told = node.told().await;
    node.publish(&told, &[(1, line(1, "so far"))], &[]).await.unwrap();

    assert_eq!(output.rest().await, (vec!["so far".to_owned()], Some(not_available(1))));
    assert!((15..16).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    // A reader that takes nothing for a long time misses nothing.
    let mut output = bench.read(all());
    assert_eq!(node.order().await, Some(model::LogOrder::Close { subscription: told.subscription }));
    let told = node.told().await;
    let kilobytes = "x".repeat(64 << 10);
    let publishing = async {
        for second in 0..8 {
            node.publish(&told, &[(1, line(second, &kilobytes))], &[]).await.unwrap();
        }
        node.publish(&told, &[], &[1]).await.unwrap();
    };
    let reading = async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        let lines = output.lines(8).await;
        (lines.len(), output.rest().await)
    };
    let ((), read) = tokio::join!(publishing, reading);
    assert_eq!(read, (8, (Vec::new(), None)));
}

#[tokio::test(start_paused = true)]
async fn what_is_followed_goes_on_without_a_node_and_with_it_again() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    bench.add(2, 2, TaskState::Running).await;
    let (mut first, mut second) = (bench.listen(1), bench.listen(2));
    let mut output = bench.read(follow());
    let (to_first, _) = (first.told().await, second.told().await);

    drop(second);
    bench.lose(2).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    first.publish(&to_first, &[(1, line(1, "alone"))], &[]).await.unwrap();
    assert_eq!(output.lines(1).await, ["alone"]);
    let mut second = bench.listen(2);
    let told = second.told().await;
    second.publish(&told, &[(2, line(2, "back"))], &[]).await.unwrap();

    assert_eq!(output.lines(1).await, ["back"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_a_reason_too() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    let mut node = bench.listen(1);

    let output = bench.read(all());
    let told = node.told().await;
    let reason = "configured logging driver does not support reading";
    let ended = vec![TaskLogEnd { task: id(1), error: Some(reason.to_owned()) }];
    let (subscription, listening) = (told.subscription, told.listening);
    let batch = model::LogBatch { subscription, listening, entries: Vec::new(), ended };
    bench.term.publish(&node_id(1), batch).await.unwrap();

    assert_eq!(output.rest().await, (Vec::new(), Some(format!("{WORDS}task {}: {reason}", id(1)))));
}
