//! Containers are made, run, end and go.

use std::time::Duration;

use engine::{
    ContainerError, ContainerStatus, ContainerUpdate, Grace, RestartPolicy, StopRequest, TASK_ID_LABEL, WaitCondition,
};
use runtime::{Output, Streams};

use crate::lab::{LIMIT, Lab, next_event, script, server};

#[tokio::test]
async fn a_container_runs_to_its_end_and_tells_of_it() {
    let lab = Lab::new().await;
    let id = lab.create("one", script("echo hello; exit 7")).await;

    let started = lab.containers().start("one").await.unwrap();
    let code = lab.wait(&id[..12]).await;

    assert!(started);
    assert_eq!(code, 7);
    assert_eq!(lab.log("one").await, "hello\n");
    let view = lab.containers().find("/one").unwrap();
    assert_eq!((view.state.status, view.state.exit_code, view.state.pid), (ContainerStatus::Exited, 7, 0));
    assert!(view.state.finished_at > view.state.started_at);
    assert_eq!(view.record.config.labels["origin"], "test");
    lab.containers().remove("one", false, true).await.unwrap();
    assert_eq!(lab.actions(&id), ["create", "start", "die", "destroy"]);
    assert_eq!(lab.left(), (0, Vec::new(), 0));
    assert!(matches!(lab.containers().find(&id), Err(ContainerError::NoSuchContainer(_))));
}

#[tokio::test]
async fn a_container_is_asked_to_end_and_then_made_to() {
    let lab = Lab::new().await;
    let polite = lab.run("polite", server()).await;
    let stubborn = lab.run("stubborn", script("trap '' TERM; echo ready; while :; do sleep 1; done")).await;
    lab.wait_for_line(&polite, "ready").await;
    lab.wait_for_line(&stubborn, "ready").await;
    let soon = StopRequest { grace: Grace::Within(Duration::from_millis(200)), ..StopRequest::default() };

    let patient = StopRequest::default();
    let (first, second) =
        tokio::join!(lab.containers().stop(&polite, &patient), lab.containers().stop(&stubborn, &soon));
    let again = lab.containers().stop(&polite, &StopRequest::default()).await.unwrap();

    assert!(first.unwrap() && second.unwrap() && !again);
    assert_eq!(lab.wait(&polite).await, 0);
    assert_eq!(lab.wait(&stubborn).await, 137);
    assert_eq!(lab.log(&polite).await, "ready\nbye\n");
    assert_eq!(lab.actions(&polite), ["create", "start", "kill", "die", "stop"]);
    assert_eq!(lab.actions(&stubborn), ["create", "start", "kill", "kill", "die", "stop"]);
}

#[tokio::test]
async fn a_stop_that_nobody_waits_for_is_done_all_the_same() {
    let lab = Lab::new().await;
    let id = lab.run("one", server()).await;
    lab.wait_for_line(&id, "ready").await;

    let patient = StopRequest::default();
    {
        let stopping = lab.containers().stop(&id, &patient);
        // Polled until the actor was asked, then dropped.
        let asked = tokio::time::timeout(Duration::from_millis(1), stopping).await;
        drop(asked);
    }
    let again = tokio::time::timeout(LIMIT, lab.containers().stop(&id, &StopRequest::default())).await.unwrap();

    assert!(again.is_ok());
    assert_eq!(lab.wait(&id).await, 0);
}

#[tokio::test]
async fn a_container_stands_still_and_runs_on() {
    let lab = Lab::new().await;
    let id = lab.run("one", server()).await;

    lab.containers().pause(&id).await.unwrap();
    let paused = lab.containers().find(&id).unwrap().state.status;
    let refused = lab.containers().start(&id).await.unwrap_err().to_string();
    lab.containers().unpause(&id).await.unwrap();
    let running = lab.containers().find(&id).unwrap().state.status;
    lab.containers().pause(&id).await.unwrap();
    lab.containers().kill(&id, None).await.unwrap();

    assert_eq!((paused, running), (ContainerStatus::Paused, ContainerStatus::Running));
    assert_eq!(refused, "cannot start a paused container, try unpause instead");
    assert_eq!(lab.wait(&id).await, 137);
    assert!(matches!(lab.containers().kill(&id, None).await, Err(ContainerError::Conflict(_))));
}

#[tokio::test]
async fn a_restart_is_an_end_and_a_start() {
    let lab = Lab::new().await;
    let id = lab.run("one", script("trap 'exit 0' TERM; echo ready; sleep 60 & wait")).await;
    lab.wait_for_line(&id, "ready").await;
    let first = lab.containers().find(&id).unwrap().state.started_at;

    lab.containers().restart(&id, &StopRequest::default()).await.unwrap();

    let state = lab.containers().find(&id).unwrap().state;
    assert_eq!((state.status, state.restart_count), (ContainerStatus::Running, 0));
    assert!(state.started_at > first);
    lab.containers().remove(&id, true, true).await.unwrap();
    assert_eq!(lab.actions(&id).last().unwrap(), "destroy");
    assert_eq!(lab.left(), (0, Vec::new(), 0));
}

#[tokio::test]
async fn the_restart_policy_starts_what_failed_as_often_as_it_may() {
    let lab = Lab::new().await;
    let mut request = script("exit 3");
    request.host_config.restart_policy = RestartPolicy { name: "on-failure".to_owned(), maximum_retry_count: 2 };

    let id = lab.run("one", request).await;
    let state = lab.wait_until(&id, |state| state.status == ContainerStatus::Exited).await;

    assert_eq!((state.restart_count, state.exit_code, state.ends), (2, 3, 3));
    assert_eq!(lab.actions(&id), ["create", "start", "die", "start", "die", "start", "die"]);
}

#[tokio::test]
async fn what_is_always_restarted_rests_once_it_was_stopped_by_hand() {
    let lab = Lab::new().await;
    let mut request = script("exit 0");
    request.host_config.restart_policy = RestartPolicy { name: "always".to_owned(), maximum_retry_count: 0 };
    let id = lab.run("one", request).await;
    lab.wait_until(&id, |state| state.restart_count >= 1).await;

    lab.containers().stop(&id, &StopRequest::default()).await.unwrap();

    let state = lab.containers().find(&id).unwrap().state;
    assert_eq!(state.status, ContainerStatus::Exited);
    assert!(state.is_stopped);
}

#[tokio::test]
async fn a_container_that_is_to_go_at_its_end_goes_and_its_last_word_is_heard() {
    let lab = Lab::new().await;
    let mut request = script("exit 5");
    request.host_config.auto_remove = true;
    let id = lab.create("one", request).await;
    let mut next = lab.containers().wait(&id, WaitCondition::NextExit).unwrap();
    let mut removed = lab.containers().wait(&id, WaitCondition::Removed).unwrap();

    lab.containers().start(&id).await.unwrap();
    let next = tokio::time::timeout(LIMIT, next.outcome()).await.unwrap();
    let removed = tokio::time::timeout(LIMIT, removed.outcome()).await.unwrap();

    assert_eq!((next.exit_code, removed.exit_code), (5, 5));
    assert!(lab.containers().list().is_empty());
    assert!(lab.containers().volumes().list().is_empty());
    assert_eq!(lab.left(), (0, Vec::new(), 0));
}

#[tokio::test]
async fn whoever_waits_for_what_is_removed_by_force_learns_that_it_was_killed() {
    let lab = Lab::new().await;
    let id = lab.run("one", server()).await;
    let mut states = lab.containers().watch(&id).unwrap();
    let mut end = lab.containers().wait(&id, WaitCondition::NotRunning).unwrap();

    let remove = lab.containers().remove(&id, true, true);
    // Read at once: whoever holds a state holds up the next one.
    let first = async { states.wait_for(|state| !state.status.is_running()).await.unwrap().exit_code };
    let (removed, first, end) = tokio::join!(remove, first, end.outcome());

    removed.unwrap();
    assert_eq!((first, end.exit_code), (137, 137));
}

#[tokio::test]
async fn whoever_attaches_before_the_start_misses_nothing() {
    let lab = Lab::new().await;
    let mut request = script("read word; echo got $word");
    request.config.open_stdin = true;
    request.config.stdin_once = true;
    let id = lab.create("one", request).await;

    let mut attachment = lab.containers().attach(&id, Streams::ALL).await.unwrap();
    lab.containers().start(&id).await.unwrap();
    attachment.input().send(b"this\n").await.unwrap();
    let mut text = Vec::new();
    while let Some(Output::Bytes(_, bytes)) = tokio::time::timeout(LIMIT, attachment.next()).await.unwrap().unwrap() {
        text.extend(bytes);
    }

    assert_eq!(String::from_utf8_lossy(&text), "got this\n");
    assert_eq!(lab.wait(&id).await, 0);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_told_as_a_shell_would() {
    let lab = Lab::new().await;
    let mut request = script("");
    request.config.cmd = Some(vec!["/no/such/program".to_owned()]);
    let id = lab.create("one", request).await;

    let error = lab.containers().start(&id).await.unwrap_err();

    let state = lab.containers().find(&id).unwrap().state;
    assert!(matches!(error, ContainerError::Runtime(_)), "{error}");
    assert_eq!((state.status, state.exit_code), (ContainerStatus::Created, 127));
    assert!(!state.error.is_empty());
    assert_eq!(lab.left(), (0, Vec::new(), 0));
}

#[tokio::test]
async fn a_name_is_one_containers_and_can_be_changed() {
    let lab = Lab::new().await;
    let first = lab.create("one", script("true")).await;
    let generated = lab.containers().create(None, script("true")).await.unwrap().id;

    let taken = lab.containers().create(Some("one"), script("true")).await.unwrap_err().to_string();
    lab.containers().rename("one", "two").await.unwrap();
    let second = lab.create("one", script("true")).await;
    let in_use = lab.containers().rename("two", "one").await.unwrap_err();
    let invalid = lab.containers().create(Some("-x"), script("true")).await.unwrap_err().to_string();

    assert!(taken.starts_with("Conflict. The container name \"/one\" is already in use by container \""), "{taken}");
    assert_eq!(lab.containers().find("two").unwrap().record.id, first);
    assert!(matches!(in_use, ContainerError::NameTaken { holder, .. } if holder == second));
    assert_eq!(invalid, "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
    assert!(lab.containers().find(&generated).unwrap().record.name.contains('_'));
    assert_eq!(lab.containers().list().len(), 3);
}

#[tokio::test]
async fn the_container_of_a_task_is_made_once_however_often_it_is_asked_for() {
    let lab = Lab::new().await;
    let of_task = |task: &str| {
        let mut request = script("true");
        request.config.labels.insert(TASK_ID_LABEL.to_owned(), task.to_owned());
        request
    };

    let (one, other) = tokio::join!(
        lab.containers().ensure("web.1.t1", of_task("t1")),
        lab.containers().ensure("web.1.t1", of_task("t1"))
    );
    let again = lab.containers().ensure("web.1.t1", of_task("t1")).await.unwrap();
    let forged = lab.containers().ensure("web.1.t1", of_task("t2")).await.unwrap_err();

    assert_eq!(one.as_ref().unwrap().id, other.unwrap().id);
    assert_eq!(one.unwrap().id, again.id);
    assert!(matches!(forged, ContainerError::NameTaken { .. }));
    assert_eq!(lab.containers().list().len(), 1);
}

#[tokio::test]
async fn what_is_to_run_once_runs_once() {
    let lab = Lab::new().await;
    let id = lab.create("one", script("true")).await;

    let first = lab.containers().start_once(&id).await.unwrap();
    lab.wait(&id).await;
    let second = lab.containers().start_once(&id).await.unwrap();

    assert!(first && !second);
    assert_eq!(lab.actions(&id), ["create", "start", "die"]);
}

#[tokio::test]
async fn many_containers_are_made_and_ended_side_by_side() {
    let lab = Lab::new().await;
    let one = async |number: u32| {
        let mut request = server();
        request.host_config.binds = Some(vec!["shared:/data".to_owned()]);
        let id = lab.run(&format!("c{number}"), request).await;
        lab.wait_for_line(&id, "ready").await;
        lab.containers().stop(&id, &StopRequest::default()).await.unwrap();
        lab.containers().remove(&id, false, true).await.unwrap();
    };

    futures_util::future::join_all((0..12).map(one)).await;

    assert_eq!(lab.left(), (0, Vec::new(), 0));
    let volume = lab.containers().volumes().find("shared").unwrap();
    assert_eq!(std::fs::read_to_string(volume.path.join("seed")).unwrap(), "from the image\n");
}

#[tokio::test]
async fn what_runs_is_removed_by_force_only_and_what_rests_is_pruned() {
    let lab = Lab::new().await;
    let running = lab.run("running", server()).await;
    let resting = lab.create("resting", script("true")).await;

    let refused = lab.containers().remove(&running, false, false).await.unwrap_err().to_string();
    let pruned = lab.containers().prune(engine::ContainerFilter::default()).await.unwrap();
    lab.containers().remove(&running, true, true).await.unwrap();

    let words = "container is running: stop the container before removing or force remove";
    assert_eq!(refused, format!("cannot remove container \"/running\": {words}"));
    assert_eq!(pruned.ids, [resting]);
    assert_eq!(lab.actions(&running), ["create", "start", "kill", "die", "destroy"]);
    assert_eq!(lab.left(), (0, Vec::new(), 0));
}

#[tokio::test]
async fn a_healthcheck_makes_a_container_well_and_unwell() {
    let lab = Lab::new().await;
    let mut request = script("while :; do sleep 1; done");
    request.config.healthcheck = Some(model::HealthConfig {
        test: vec!["CMD-SHELL".to_owned(), "test -e /tmp/bad && exit 1; echo fine".to_owned()],
        interval: 50_000_000,
        retries: 2,
        ..model::HealthConfig::default()
    });
    request.config.cmd.as_mut().unwrap()[2] = "sleep 1; touch /tmp/bad; while :; do sleep 1; done".to_owned();
    let (_, mut events) = lab.events.subscribe();

    let id = lab.run("one", request).await;
    let well = lab.wait_until(&id, |state| is_health(state, engine::HealthStatus::Healthy)).await;
    next_event(&mut events, "health_status: healthy").await;
    let unwell = lab.wait_until(&id, |state| is_health(state, engine::HealthStatus::Unhealthy)).await;
    next_event(&mut events, "health_status: unhealthy").await;

    assert_eq!(well.health.unwrap().log[0].output, "fine\n");
    assert_eq!(unwell.health.unwrap().failing_streak, 2);
}

fn is_health(state: &engine::ContainerState, status: engine::HealthStatus) -> bool {
    state.health.as_ref().is_some_and(|health| health.status == status)
}

#[tokio::test]
async fn a_container_whose_memory_runs_out_is_ended_and_says_so() {
    let lab = Lab::new().await;
    let mut request = script("exec busybox tail -c 200000000 /dev/zero");
    request.host_config.resources.memory = 16 << 20;
    request.host_config.resources.memory_swap = 16 << 20;

    let id = lab.run("one", request).await;
    let code = lab.wait(&id).await;

    let state = lab.containers().find(&id).unwrap().state;
    assert_eq!((code, state.oom_killed), (137, true));
    assert_eq!(lab.actions(&id), ["create", "start", "oom", "die"]);
}

#[tokio::test]
async fn limits_are_changed_while_a_container_runs() {
    let lab = Lab::new().await;
    let id = lab.run("one", server()).await;
    let resources = engine::ContainerResources { memory: 64 << 20, ..engine::ContainerResources::default() };
    let policy = Some(RestartPolicy { name: "always".to_owned(), maximum_retry_count: 0 });

    lab.containers().update(&id, ContainerUpdate { resources, restart_policy: policy }).await.unwrap();

    let stats = lab.containers().stats(&id).await.unwrap().unwrap();
    let record = lab.containers().find(&id).unwrap().record;
    assert_eq!(stats.memory.limit, Some(64 << 20));
    assert_eq!(record.host_config.resources.memory, 64 << 20);
    assert_eq!(record.host_config.restart_policy.name, "always");
    assert_eq!(lab.actions(&id).last().unwrap(), "update");
}
