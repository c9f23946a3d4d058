//! The engine goes and comes back; containers run on, and what ended meanwhile is noted.

use std::fs;
use std::time::Duration;

use engine::{ContainerStatus, RestartPolicy};

use crate::lab::{Lab, script, server};

#[tokio::test]
async fn what_runs_is_adopted_and_can_be_ended() {
    let mut lab = Lab::new().await;
    let id = lab.run("one", server()).await;
    lab.wait_for_line(&id, "ready").await;
    let before = lab.containers().find(&id).unwrap();

    lab.reopen().await;

    let after = lab.containers().find("one").unwrap();
    assert_eq!((after.state.status, after.state.pid), (ContainerStatus::Running, before.state.pid));
    assert_eq!(after.record, before.record);
    lab.containers().stop(&id, &engine::StopRequest::default()).await.unwrap();
    assert_eq!(lab.log(&id).await, "ready\nbye\n");
    lab.containers().remove(&id, false, true).await.unwrap();
    assert_eq!(lab.actions(&id), ["kill", "die", "stop", "destroy"]);
    assert_eq!(lab.left(), (0, Vec::new(), 0));
}

#[tokio::test]
async fn what_ended_while_nobody_looked_is_noted_with_how_it_ended() {
    let mut lab = Lab::new().await;
    let gate = lab.path("gate");
    fs::create_dir(&gate).unwrap();
    let mut request = script("while ! test -e /gate/open; do sleep 0.02; done; exit 9");
    request.host_config.binds = Some(vec![format!("{}:/gate", gate.display())]);
    let id = lab.run("one", request).await;
    let shim = lab.state_folder(&id).join("state.json");

    lab.close().await;
    fs::write(gate.join("open"), "").unwrap();
    while !fs::read_to_string(&shim).unwrap().contains("\"phase\":\"exited\"") {
        tokio::task::yield_now().await;
    }
    lab.open_again().await;

    let state = lab.containers().find(&id).unwrap().state;
    assert_eq!((state.status, state.exit_code, state.ends), (ContainerStatus::Exited, 9, 1));
    assert_eq!(lab.actions(&id), ["die"]);
    assert!(lab.mounts().is_empty());
}

#[tokio::test]
async fn what_a_power_failure_took_is_noted_and_started_again_by_its_policy() {
    let mut lab = Lab::new().await;
    let mut always = server();
    always.host_config.restart_policy = RestartPolicy { name: "always".to_owned(), maximum_retry_count: 0 };
    let plain = lab.run("plain", server()).await;
    let always = lab.run("always", always).await;
    lab.close().await;
    lab.forget_runtime();

    lab.open_again().await;

    let state = lab.containers().find(&plain).unwrap().state;
    assert_eq!((state.status, state.exit_code), (ContainerStatus::Exited, 255));
    let state = lab.wait_until(&always, |state| state.status == ContainerStatus::Running).await;
    assert_eq!(state.restart_count, 1);
}

#[tokio::test]
async fn what_was_written_before_a_power_failure_is_still_read() {
    let mut lab = Lab::new().await;
    let id = lab.run("one", server()).await;
    lab.wait_for_line(&id, "ready").await;
    lab.close().await;
    lab.forget_runtime();

    lab.open_again().await;

    assert_eq!(lab.log(&id).await, "ready\n");
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_finished() {
    let mut lab = Lab::new().await;
    let id = lab.run("one", server()).await;
    let file = lab.path("containers").join(&id).join("state.json");
    lab.close().await;
    let text = fs::read_to_string(&file).unwrap();
    let text =
        text.replace("\"running\"", "\"removing\"").replace("\"removes_volumes\":false", "\"removes_volumes\":true");
    fs::write(&file, text).unwrap();

    lab.open_again().await;

    assert!(lab.containers().list().is_empty() && lab.containers().volumes().list().is_empty());
    assert_eq!(lab.left(), (0, Vec::new(), 0));
    assert_eq!(fs::read_dir(lab.path("containers")).unwrap().count(), 0);
    assert_eq!(lab.containers().images().list().len(), 1);
}

#[tokio::test]
async fn wherever_an_engine_ends_the_next_one_finds_whole_containers_and_can_remove_them() {
    let mut lab = Lab::new().await;
    for moment in 0..12_u64 {
        let work = async {
            let id = lab.run("one", server()).await;
            lab.containers().stop(&id, &engine::StopRequest::default()).await.unwrap();
            lab.containers().start(&id).await.unwrap();
            lab.containers().remove(&id, true, true).await.unwrap();
        };
        let _ = tokio::time::timeout(Duration::from_millis(moment * 12), work).await;

        lab.reopen().await;

        for view in lab.containers().list() {
            let runs = lab.containers().stats(&view.record.id).await.unwrap().is_some();
            assert_eq!(runs, view.state.status == ContainerStatus::Running, "{view:?}");
            lab.containers().remove(&view.record.id, true, true).await.unwrap();
        }
        assert_eq!(lab.left(), (0, Vec::new(), 0), "after {moment}");
        assert!(lab.containers().volumes().list().is_empty());
    }
}

#[tokio::test]
async fn a_container_whose_shim_is_killed_has_ended_and_can_be_started_again() {
    let lab = Lab::new().await;
    let id = lab.run("one", server()).await;

    lab.end_shims();
    let code = lab.wait(&id).await;
    lab.containers().start(&id).await.unwrap();

    assert_ne!(code, 0);
    assert_eq!(lab.containers().find(&id).unwrap().state.status, ContainerStatus::Running);
    lab.containers().remove(&id, true, true).await.unwrap();
    assert_eq!(lab.left(), (0, Vec::new(), 0));
}

#[tokio::test]
async fn what_belongs_to_no_container_is_collected() {
    let mut lab = Lab::new().await;
    let id = lab.run("one", server()).await;
    lab.wait_for_line(&id, "ready").await;
    lab.close().await;
    let folder = lab.path("containers").join(&id);
    rustix::mount::unmount(folder.join("root/merged"), rustix::mount::UnmountFlags::DETACH).unwrap();
    fs::rename(&folder, lab.path("elsewhere")).unwrap();
    fs::create_dir(lab.path("containers").join(".new-x")).unwrap();

    lab.open_again().await;

    assert!(lab.containers().list().is_empty());
    assert_eq!(lab.left(), (0, Vec::new(), 0));
    assert_eq!(fs::read_dir(lab.path("containers")).unwrap().count(), 0);
}
