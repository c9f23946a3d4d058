//! Agents that go and come while containers run, shims that are killed, and what is left of others.

use std::fs;

use links::cgroup::ControlGroup;
use runtime::{Phase, Streams};

use crate::lab::{LIMIT, Lab, finish, log_of, read_until, wait, wait_for_line};

fn kill(process: runtime::ProcessId) {
    let process = links::Process { pid: process.pid, started: process.started };
    let handle = process.open().unwrap().expect("it runs");
    handle.kill().unwrap();
    assert!(handle.wait(LIMIT).unwrap());
}

#[tokio::test]
async fn the_next_agent_finds_the_same_process_and_the_whole_log() {
    let lab = Lab::new();
    let script = "seq 1 1000; echo half; read -r go; seq 1001 2000; exit 6";
    let mut bundle = lab.script("a", script);
    bundle.stdin_open = true;
    let container = lab.runtime.create(&bundle).await.unwrap();
    let attachment = container.attach(Streams::ALL).await.unwrap();
    let pid = container.start().await.unwrap();
    wait_for_line(&container, "half").await;
    // All that an agent holds of it goes.
    drop((container, attachment));

    let adopted = lab.next_agent().adopt().await.unwrap();
    let [container] = adopted.containers.as_slice() else { panic!("{adopted:?}") };
    let state = container.state().unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    attachment.input().send(b"go\n").await.unwrap();
    let (exit, _) = finish(attachment).await;
    let log = log_of(container).await;
    container.delete(false).await.unwrap();

    assert_eq!((container.id(), state.phase, state.init.pid), ("a", Phase::Running, pid));
    assert!(adopted.lost.is_empty() && adopted.collected.is_empty(), "{adopted:?}");
    assert_eq!(exit.code, 6);
    let numbers: Vec<u32> = log.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(numbers, (1..=2000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_container_survives_the_sigkill_of_its_agent() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "echo up; read -r go; seq 1 500; exit 3");
    bundle.stdin_open = true;
    let file = lab.path("bundle.json");
    fs::write(&file, serde_json::to_vec(&bundle).unwrap()).unwrap();
    let mut agent = std::process::Command::new(env!("CARGO_BIN_EXE_runtime-shim"))
        .arg("agent")
        .args([&lab.path("state"), lab.cgroups(), &file])
        .spawn()
        .unwrap();
    let container = tokio::time::timeout(LIMIT, async {
        loop {
            if let Some(container) = lab.next_agent().find("a").unwrap()
                && container.state().unwrap().phase == Phase::Running
            {
                break container;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    wait_for_line(&container, "up").await;
    let pid = container.state().unwrap().init.pid;

    agent.kill().unwrap();
    agent.wait().unwrap();
    let adopted = lab.next_agent().adopt().await.unwrap();
    let mut attachment = adopted.containers[0].attach(Streams::ALL).await.unwrap();
    attachment.input().send(b"go\n").await.unwrap();
    let (exit, _) = finish(attachment).await;
    let log = log_of(&container).await;
    container.delete(false).await.unwrap();

    assert_eq!(adopted.containers.len(), 1);
    assert!(adopted.lost.is_empty() && adopted.collected.is_empty(), "{adopted:?}");
    assert_eq!((exit.code, container.id()), (3, "a"));
    assert_ne!(pid, 0);
    assert_eq!(
        log.lines().filter_map(|line| line.parse::<u32>().ok()).collect::<Vec<_>>(),
        (1..=500).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn whenever_an_agent_is_killed_the_next_finds_its_container_whole_or_nothing_of_it() {
    let lab = Lab::new();
    let file = lab.path("bundle.json");
    fs::write(&file, serde_json::to_vec(&lab.bundle("a", &["sleep", "600"])).unwrap()).unwrap();
    let mut outcomes = [0_u32; 2];
    for moment in 0..24_u64 {
        let mut agent = std::process::Command::new(env!("CARGO_BIN_EXE_runtime-shim"))
            .arg("agent")
            .args([&lab.path("state"), lab.cgroups(), &file])
            .spawn()
            .unwrap();
        while !lab.state_folder("a").exists() {
            tokio::task::yield_now().await;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(moment));
        agent.kill().unwrap();
        agent.wait().unwrap();

        let adopted = lab.next_agent().adopt().await.unwrap();

        outcomes[adopted.containers.len()] += 1;
        for container in &adopted.containers {
            let init = container.state().unwrap().init;
            assert!(links::Process { pid: init.pid, started: init.started }.is_alive().unwrap(), "after {moment} ms");
            container.delete(true).await.unwrap();
        }
        assert_eq!(lab.left(), (vec![], 0), "after {moment} ms");
    }
    assert!(outcomes[1] > 0, "no container was ever whole: {outcomes:?}");
}

#[tokio::test]
async fn a_container_that_ended_without_an_agent_is_found_ended() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.script("a", "exit 5")).await.unwrap();
    container.start().await.unwrap();
    wait(&container).await;
    drop(container);

    let adopted = lab.next_agent().adopt().await.unwrap();
    let exit = adopted.containers[0].wait().await.unwrap();
    adopted.containers[0].delete(false).await.unwrap();

    assert_eq!(exit.code, 5);
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn a_container_whose_shim_is_killed_is_ended_and_reported() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.bundle("a", &["sleep", "600"])).await.unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();
    let state = container.state().unwrap();
    let waiting = container.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { wait(&waiting).await });

    kill(state.shim);
    let exit = tasks.join_next().await.unwrap().unwrap();
    let end = attachment.next().await.unwrap();
    let later = container.state().unwrap();
    container.delete(false).await.unwrap();

    assert_eq!((exit.code, exit.error.as_deref()), (137, Some("its shim was lost")));
    assert_eq!(end, None);
    assert_eq!(later.exit, Some(exit));
    assert!(!links::Process { pid: state.init.pid, started: state.init.started }.is_alive().unwrap());
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn the_next_agent_ends_what_lost_its_shim_meanwhile() {
    let lab = Lab::new();
    let running = lab.runtime.create(&lab.bundle("a", &["sleep", "600"])).await.unwrap();
    running.start().await.unwrap();
    let prepared = lab.runtime.create(&lab.bundle("b", &["sleep", "600"])).await.unwrap();
    let states = [running.state().unwrap(), prepared.state().unwrap()];
    for state in &states {
        kill(state.shim);
    }

    let adopted = lab.next_agent().adopt().await.unwrap();

    let mut lost = adopted.lost.clone();
    lost.sort_unstable();
    assert_eq!(lost, ["a", "b"]);
    for state in states {
        assert!(!links::Process { pid: state.init.pid, started: state.init.started }.is_alive().unwrap());
    }
    for container in &adopted.containers {
        assert_eq!(container.wait().await.unwrap().code, 137);
        container.delete(false).await.unwrap();
    }
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn what_belongs_to_no_container_is_collected() {
    let lab = Lab::new();
    let kept = lab.runtime.create(&lab.bundle("kept", &["sleep", "600"])).await.unwrap();
    kept.start().await.unwrap();
    fs::create_dir(lab.state_folder("half")).unwrap();
    fs::write(lab.state_folder("half").join("bundle.json"), "{").unwrap();
    let group = ControlGroup::new(lab.cgroups().strip_prefix("/").unwrap().join("orphan")).unwrap();
    let entries = group.create().unwrap();
    let mut process = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    for entry in &entries {
        rustix::io::write(entry, process.id().to_string().as_bytes()).unwrap();
    }

    let adopted = lab.next_agent().adopt().await.unwrap();
    let still = kept.state().unwrap().init;
    let is_alive = links::Process { pid: still.pid, started: still.started }.is_alive().unwrap();

    let mut collected = adopted.collected.clone();
    collected.sort_unstable();
    assert_eq!(collected, ["half", "orphan"]);
    assert_eq!(adopted.containers.len(), 1);
    assert!(is_alive);
    // It was collected by whoever waited for its end, which is this process.
    let _ = process.wait();
    kept.delete(true).await.unwrap();
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn a_shim_survives_the_end_of_the_process_that_started_it() {
    let lab = Lab::new();
    let container = lab
        .runtime
        .create(&lab.script("a", "trap 'exit 0' TERM; echo up; while :; do echo t; sleep 0.02; done"))
        .await
        .unwrap();
    container.start().await.unwrap();
    let state = container.state().unwrap();

    let status = fs::read_to_string(format!("/proc/{}/stat", state.shim.pid)).unwrap();
    let session: u32 = status.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(3).unwrap().parse().unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    read_until(&mut attachment, "t").await;
    for signal in [1, 2, 15] {
        let outcome =
            std::process::Command::new("kill").args([format!("-{signal}"), state.shim.pid.to_string()]).status();
        assert!(outcome.unwrap().success());
    }
    read_until(&mut attachment, "t").await;
    container.delete(true).await.unwrap();

    assert_eq!(session, state.shim.pid, "it leads a session");
}
