//! What is read: of which tasks, from where, in which order, until when.

use jiff::{SignedDuration, Timestamp};
use model::{LogOrder, LogSelection, LogTarget, TaskState};

use super::bench::{Bench, all, follow, id, line, service_id};

#[tokio::test(start_paused = true)]
async fn lines_of_all_nodes_come_in_the_order_of_their_times_and_end_with_the_last_of_them() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    bench.add(2, 2, TaskState::Running).await;
    // It has ended, and its container is still kept.
    bench.add(3, 2, TaskState::Failed).await;
    bench.add(4, 3, TaskState::Preparing).await;
    let (mut first, mut second) = (bench.listen(1), bench.listen(2));

    let output = bench.read(LogSelection { tail: Some(5), ..all() });
    let (to_first, to_second) = (first.told().await, second.told().await);
    let tasks = |told: &super::bench::Told| {
        let mut tasks: Vec<_> = told.tasks.iter().map(|order| (order.task.clone(), order.tail)).collect();
        tasks.sort();
        tasks
    };
    let mut expected = [(id(2), Some(5)), (id(3), Some(5))];
    expected.sort();
    assert_eq!((tasks(&to_first), tasks(&to_second)), (vec![(id(1), Some(5))], expected.to_vec()));
    second.publish(&to_second, &[(2, line(2, "b")), (3, line(5, "e")), (2, line(4, "d"))], &[2, 3]).await.unwrap();
    first.publish(&to_first, &[(1, line(1, "a")), (1, line(3, "c")), (1, line(6, "f"))], &[1]).await.unwrap();

    let (texts, missed) = output.rest().await;
    assert_eq!(texts.concat(), "abcdef");
    assert_eq!(missed, None);
    assert_eq!(bench.term.readers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_without_tasks_has_written_nothing_and_one_that_is_not_there_is_refused() {
    let bench = Bench::start().await;

    assert_eq!(bench.read(all()).rest().await, (Vec::new(), None));

    let refused = bench.try_read(LogTarget::Task(id(9)), all()).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind, model::ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_appear_later_join_what_is_followed_with_their_first_line() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    let (mut first, mut second) = (bench.listen(1), bench.listen(2));
    let mut output = bench.read(LogSelection { tail: Some(0), ..follow() });
    let to_first = first.told().await;
    first.publish(&to_first, &[(1, line(1, "one"))], &[1]).await.unwrap();
    assert_eq!(output.lines(1).await, ["one"]);

    bench.add(2, 2, TaskState::Accepted).await;
    bench.reach(2, TaskState::Ready).await;

    let to_second = second.told().await;
    assert_eq!((to_second.tasks[0].task.clone(), to_second.tasks[0].tail), (id(2), None));
    second.publish(&to_second, &[(2, line(2, "two"))], &[]).await.unwrap();
    assert_eq!(output.lines(1).await, ["two"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_followed_ends_with_the_service_and_the_last_words_of_its_tasks() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    let mut node = bench.listen(1);
    let mut output = bench.read(follow());
    let told = node.told().await;

    bench
        .store
        .store
        .update(|tx| tx.update_service(&service_id(), None, |it| it.state.is_removed = true))
        .await
        .unwrap();
    node.publish(&told, &[(1, line(1, "bye"))], &[]).await.unwrap();
    assert_eq!(output.lines(1).await, ["bye"]);
    node.publish(&told, &[], &[1]).await.unwrap();

    assert_eq!(output.rest().await, (Vec::new(), None));
}

#[tokio::test(start_paused = true)]
async fn a_followed_task_ends_with_its_container() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    bench.add(2, 1, TaskState::Running).await;
    let mut node = bench.listen(1);

    let output = bench.try_read(LogTarget::Task(id(2)), follow()).unwrap();
    let told = node.told().await;
    assert_eq!(told.tasks.len(), 1);
    node.publish(&told, &[(2, line(1, "x"))], &[2]).await.unwrap();

    assert_eq!(output.rest().await, (vec!["x".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_listens_again_goes_on_behind_what_came() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    bench.add(2, 1, TaskState::Running).await;
    let mut node = bench.listen(1);
    let mut output = bench.read(LogSelection { tail: Some(3), ..follow() });
    let before = node.told().await;
    node.publish(&before, &[(1, line(7, "seven"))], &[]).await.unwrap();
    assert_eq!(output.lines(1).await, ["seven"]);

    let mut again = bench.listen(1);
    assert_eq!(node.order().await, None);
    let now = again.told().await;

    let behind = Timestamp::from_second(7).unwrap() + SignedDuration::from_nanos(1);
    let of = |number: u64| now.tasks.iter().find(|order| order.task == id(number)).unwrap();
    assert_eq!((of(1).tail, of(1).since), (None, Some(behind)));
    assert_eq!((of(2).tail, of(2).since), (Some(3), None));
    // What was under way in the former listening would come twice.
    let stale = node.publish(&before, &[(1, line(8, "eight"))], &[]).await;
    assert_eq!(stale.unwrap_err().kind, model::ErrorKind::NotFound);
    again.publish(&now, &[(1, line(8, "eight"))], &[]).await.unwrap();
    assert_eq!(output.lines(1).await, ["eight"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_publishes_only_what_it_was_told_to_read() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    bench.add(2, 2, TaskState::Running).await;
    let (mut first, mut second) = (bench.listen(1), bench.listen(2));
    let mut output = bench.read(follow());
    let (to_first, to_second) = (first.told().await, second.told().await);

    let foreign = first.publish(&to_first, &[(1, line(1, "mine")), (2, line(1, "not mine"))], &[]).await;
    let borrowed = first.publish(&to_second, &[(1, line(1, "mine"))], &[]).await;
    first.publish(&to_first, &[(1, line(1, "right"))], &[]).await.unwrap();

    assert_eq!(foreign.unwrap_err().kind, model::ErrorKind::PermissionDenied);
    assert_eq!(borrowed.unwrap_err().kind, model::ErrorKind::NotFound);
    assert_eq!(output.lines(1).await, ["right"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_gone_is_closed_on_all_nodes() {
    let bench = Bench::start().await;
    bench.add(1, 1, TaskState::Running).await;
    bench.add(2, 2, TaskState::Running).await;
    let (mut first, mut second) = (bench.listen(1), bench.listen(2));
    let output = bench.read(follow());
    let told = first.told().await;
    second.told().await;

    drop(output);

    let close = Some(LogOrder::Close { subscription: told.subscription });
    assert_eq!((first.order().await, second.order().await), (close.clone(), close));
    let late = first.publish(&told, &[(1, line(1, "late"))], &[]).await;
    assert_eq!(late.unwrap_err().kind, model::ErrorKind::NotFound);
    assert_eq!(bench.term.readers(), 0);
}
