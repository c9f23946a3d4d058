//! A host in memory must behave as a real one does where phases can tell.

use std::collections::BTreeMap;

use super::*;
use crate::{AGENT_PATH, ServiceError, service};

fn request(mark: &str) -> InstallRequest {
    InstallRequest {
        mark: mark.into(),
        cluster_name: "lab".into(),
        hostname: "node-1".into(),
        unit: None,
        labels: BTreeMap::new(),
        bootstrap: None,
        lease: None,
    }
}

async fn host_with_agent() -> Arc<MemoryHost> {
    let host = MemoryHosts::default().host("lab-node-1");
    host.upload(&Upload::raw(AGENT_PATH, 0o755, "binary")).await.unwrap();
    host
}

#[tokio::test]
async fn an_agent_is_installed_stopped_started_and_removed() {
    let host = host_with_agent().await;

    let installed = service::install(host.as_ref(), &request("m1")).await.unwrap();
    let stopped = service::stop(host.as_ref()).await.unwrap();
    let started = service::start(host.as_ref()).await.unwrap();
    let removed = service::remove(host.as_ref(), "m1").await.unwrap();

    assert_eq!((installed.is_running, installed.mark.as_deref()), (true, Some("m1")));
    assert_eq!((stopped.is_running, started.is_running, removed.is_running), (false, true, false));
    assert_eq!(removed.mark, None);
}

#[tokio::test]
async fn a_host_of_another_cluster_refuses() {
    let host = host_with_agent().await;
    service::install(host.as_ref(), &request("m1")).await.unwrap();

    let installed = service::install(host.as_ref(), &request("m2")).await;
    let removed = service::remove(host.as_ref(), "m2").await;

    assert!(matches!(installed, Err(ServiceError::Refused { .. })), "{installed:?}");
    assert!(matches!(removed, Err(ServiceError::Refused { .. })), "{removed:?}");
    assert!(host.is_running());
}

#[tokio::test]
async fn nothing_can_be_installed_before_the_agent_is_uploaded() {
    let host = MemoryHosts::default().host("lab-node-1");

    let installed = service::install(host.as_ref(), &request("m1")).await;

    assert!(matches!(installed, Err(ServiceError::NotInstalled { .. })), "{installed:?}");
}

#[tokio::test]
async fn an_answer_is_lost_after_the_work_is_done() {
    let host = host_with_agent().await;
    host.lose_answer(1);

    let lost = service::install(host.as_ref(), &request("m1")).await;
    let again = service::install(host.as_ref(), &request("m1")).await;

    assert!(matches!(lost, Err(ServiceError::Reach(ReachError::Disconnected { .. }))), "{lost:?}");
    assert!(again.unwrap().is_running);
}

#[tokio::test]
async fn a_file_that_is_there_already_is_not_sent_again() {
    let host = host_with_agent().await;

    let again = host.upload(&Upload::raw(AGENT_PATH, 0o755, "binary")).await.unwrap();
    let other = host.upload(&Upload::raw(AGENT_PATH, 0o755, "newer")).await.unwrap();

    assert_eq!((again, other), (Uploaded::AlreadyThere, Uploaded::SentRaw));
}

#[tokio::test]
async fn commands_are_recorded_and_answered_as_scripted() {
    let host = MemoryHosts::default().host("lab-node-1");
    host.answer("uname", output(0, "x86_64\n", ""));

    let answer = host.run(&Command::argv(["uname", "-m"])).await.unwrap();

    assert_eq!(answer.text(), "x86_64");
    assert_eq!(host.commands().len(), 1);
}
