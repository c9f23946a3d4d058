//! What a container may use of the machine.

use runtime::{Limits, Streams};

use crate::lab::{Lab, read_until, wait, wait_for_line};

#[tokio::test]
async fn a_container_that_takes_too_much_memory_is_reported_so() {
    let lab = Lab::new();
    let mut bundle = lab.bundle("a", &["tail", "/dev/zero"]);
    bundle.limits = Limits { memory: Some(16 << 20), memory_and_swap: Some(16 << 20), ..Limits::default() };
    let container = lab.runtime.create(&bundle).await.unwrap();
    container.start().await.unwrap();

    let exit = wait(&container).await;
    container.delete(false).await.unwrap();

    assert_eq!((exit.code, exit.oom_killed), (137, true));
}

#[tokio::test]
async fn a_fork_bomb_is_held_by_its_limit() {
    let lab = Lab::new();
    // What it has begun stays until it is ended, so that it can be counted.
    let mut bundle = lab.script("a", "(while :; do sleep 60 & done) 2>/dev/null; echo held; sleep 60");
    bundle.limits = Limits { pids: Some(40), memory: Some(256 << 20), ..Limits::default() };
    let container = lab.runtime.create(&bundle).await.unwrap();
    let mut attachment = container.attach(Streams { stdin: false, ..Streams::ALL }).await.unwrap();
    container.start().await.unwrap();

    let count = loop {
        let pids = container.stats().await.unwrap().pids;
        if pids.current >= 30 {
            break pids;
        }
        tokio::task::yield_now().await;
    };
    container.signal(9).await.unwrap();
    let exit = wait(&container).await;
    while attachment.next().await.unwrap().is_some_and(|output| matches!(output, runtime::Output::Bytes(..))) {}
    container.delete(false).await.unwrap();

    assert_eq!(count.limit, Some(40));
    assert!(count.current <= 40, "{count:?}");
    assert_eq!(exit.code, 137);
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn limits_hold_from_the_beginning_and_can_be_changed() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "echo up; while :; do :; done");
    bundle.limits =
        Limits { nano_cpus: Some(200_000_000), memory: Some(32 << 20), pids: Some(10), ..Limits::default() };
    let container = lab.runtime.create(&bundle).await.unwrap();
    container.start().await.unwrap();
    wait_for_line(&container, "up").await;

    let before = container.stats().await.unwrap();
    let wider = Limits { memory: Some(64 << 20), pids: Some(20), ..Limits::default() };
    container.update(&wider).await.unwrap();
    let after = container.stats().await.unwrap();
    let narrower = Limits { memory: Some(48 << 20), ..Limits::default() };
    container.update(&narrower).await.unwrap();
    let narrow = container.stats().await.unwrap();
    while container.stats().await.unwrap().cpu.throttling.throttled_periods == 0 {
        tokio::task::yield_now().await;
    }
    container.delete(true).await.unwrap();

    assert_eq!((before.memory.limit, before.pids.limit), (Some(32 << 20), Some(10)));
    assert_eq!((after.memory.limit, after.pids.limit), (Some(64 << 20), Some(20)));
    assert_eq!(narrow.memory.limit, Some(48 << 20));
    assert!(before.memory.usage > 0 && before.cpu.system > 0 && before.cpu.online > 0);
}

#[tokio::test]
async fn a_container_with_the_hosts_view_of_control_groups_sees_its_own() {
    let lab = Lab::new();
    let script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; \
                  mkdir /sys/fs/cgroup/memory/x 2>/dev/null || echo refused";
    let mut bundle = lab.script("a", script);
    bundle.namespaces.cgroup = runtime::Namespace::Host;
    bundle.limits = Limits { memory: Some(32 << 20), ..Limits::default() };

    let output = lab.output(&bundle).await;

    // In version 2 it would be the root that is shown, which has no limit.
    if std::path::Path::new("/sys/fs/cgroup/memory").is_dir() {
        assert_eq!(output, "33554432\nrefused\n");
    }
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn processes_are_listed_as_this_host_counts_them() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.script("a", "sleep 600 & echo up; wait")).await.unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    let pid = container.start().await.unwrap();
    read_until(&mut attachment, "up").await;

    let processes = container.processes().await.unwrap();
    container.delete(true).await.unwrap();

    assert_eq!(processes.len(), 2, "{processes:?}");
    assert!(processes.contains(&pid));
}
