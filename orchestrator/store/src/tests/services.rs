//! Services and their tasks: names, versions of specs, states that never go back.

use std::sync::Arc;

use jiff::Timestamp;
use model::{
    ErrorKind, NodeId, Service, ServiceId, ServiceSpec, Task, TaskId, TaskState, UpdateState, UpdateStatus, Version,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Running, label, node_id};
use crate::{Event, TaskPhase, WorkEvent};

fn service_id(number: u64) -> ServiceId {
    ServiceId::generate(&mut StdRng::seed_from_u64(number))
}

fn task_id(number: u64) -> TaskId {
    TaskId::generate(&mut StdRng::seed_from_u64(number))
}

fn service(number: u64, name: &str) -> Service {
    Service::new(service_id(number), ServiceSpec { name: name.to_owned(), ..ServiceSpec::default() })
}

fn task(number: u64, service: &ServiceId, node: Option<NodeId>) -> Task {
    let of = Service { id: service.clone(), ..self::service(0, "web") };
    let mut task = Task::of(&of, task_id(number), number, Timestamp::UNIX_EPOCH);
    task.state.node_id = node;
    task
}

#[tokio::test]
async fn a_name_is_taken_once_and_free_when_its_service_is_removed() {
    let running = Running::new();
    running.store.update(|tx| tx.create_service(service(1, "web"))).await.unwrap();

    let refused = running.store.update(|tx| tx.create_service(service(2, "web"))).await.unwrap_err();

    assert_eq!(refused.kind, ErrorKind::AlreadyExists);
    let removed =
        running.store.update(|tx| tx.update_service(&service_id(1), None, |service| service.state.is_removed = true));
    removed.await.unwrap();
    running.store.update(|tx| tx.create_service(service(2, "web"))).await.unwrap();
    let view = running.store.view();
    assert_eq!(view.service_by_name("web").unwrap().id, service_id(2));
    assert_eq!(view.services().count(), 2);
    running.store.update(|tx| tx.remove_service(&service_id(1))).await.unwrap();
    assert_eq!(running.store.view().service_by_name("web").unwrap().id, service_id(2));
}

#[tokio::test]
async fn who_saw_the_spec_may_change_it_whatever_else_has_changed_since() {
    let running = Running::new();
    running.store.update(|tx| tx.create_service(service(1, "web"))).await.unwrap();
    let seen = running.store.view().service(&service_id(1)).unwrap().meta.version;
    let status = UpdateStatus {
        state: UpdateState::Updating,
        started_at: Timestamp::UNIX_EPOCH,
        completed_at: None,
        message: String::new(),
    };
    let ours = running.store.update(move |tx| {
        tx.update_service(&service_id(1), None, |service| service.state.update_status = Some(status))
    });
    ours.await.unwrap();
    assert_ne!(running.store.view().service(&service_id(1)).unwrap().meta.version, seen);

    let change = |seen: Version| {
        running.store.update(move |tx| {
            tx.update_service(&service_id(1), Some(seen), |service| {
                service.spec.labels = label("tier", "front");
                service.state.spec_revision += 1;
            })
        })
    };
    change(seen).await.unwrap();
    let refused = change(seen).await.unwrap_err();
    let unseen = change(Version(u64::MAX)).await.unwrap_err();

    assert!(refused.message.ends_with("update out of sequence"), "{refused:?}");
    assert!(unseen.message.ends_with("update out of sequence"), "{unseen:?}");
    let changed = Arc::clone(running.store.view().service(&service_id(1)).unwrap());
    assert_eq!(changed.state.spec_version, changed.meta.version);
}

#[tokio::test]
async fn tasks_are_found_by_service_and_by_node() {
    let running = Running::new();
    let (web, node) = (service_id(1), node_id(1));
    let there = task(1, &web, Some(node.clone()));
    let (unplaced, of_another) = (task(2, &web, None), task(3, &service_id(2), Some(node.clone())));
    let created = running.store.update(|tx| {
        tx.create_task(there)?;
        tx.create_task(unplaced)?;
        tx.create_task(of_another)
    });
    created.await.unwrap();
    let (_, mut watch) = running.store.view_and_watch();

    let placed = running.store.update(|tx| tx.update_task(&task_id(2), |task| task.state.node_id = Some(node_id(1))));
    placed.await.unwrap();

    let phase = TaskPhase { observed: TaskState::New, desired: TaskState::Running };
    let expected = Event::Work(WorkEvent::TaskChanged {
        task: task_id(2),
        service: web.clone(),
        node: Some(node.clone()),
        before: Some(phase),
        now: phase,
    });
    assert_eq!(watch.recv().await, Ok(expected));
    let view = running.store.view();
    assert_eq!(view.tasks_of_service(&web).count(), 2);
    assert_eq!(view.tasks_of_node(&node).count(), 3);
    running.store.update(|tx| tx.remove_task(&task_id(3))).await.unwrap();
    let view = running.store.view();
    assert_eq!((view.tasks().count(), view.tasks_of_node(&node).count()), (2, 2));
    assert_eq!(view.tasks_of_service(&service_id(2)).count(), 0);
}

#[tokio::test]
async fn neither_state_of_a_task_goes_back() {
    let running = Running::new();
    running.store.update(|tx| tx.create_task(task(1, &service_id(1), None))).await.unwrap();
    let change = |state: TaskState, desired: TaskState| {
        running.store.update(move |tx| {
            tx.update_task(&task_id(1), |task| {
                task.state.status.state = state;
                task.state.desired = desired;
            })
        })
    };
    change(TaskState::Running, TaskState::Running).await.unwrap();

    assert!(change(TaskState::Starting, TaskState::Running).await.is_err());
    assert!(change(TaskState::Running, TaskState::Ready).await.is_err());

    let kept = Arc::clone(running.store.view().task(&task_id(1)).unwrap());
    assert_eq!((kept.state.status.state, kept.state.desired), (TaskState::Running, TaskState::Running));
    change(TaskState::Shutdown, TaskState::Remove).await.unwrap();
}
