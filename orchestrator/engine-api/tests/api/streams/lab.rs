//! A served engine with an image whose containers run.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::Body;
use engine::{ContainerConfig, CreateRequest, Event, EventReceiver, HostConfig, WaitCondition};

use super::wire::Wire;
use crate::busybox::{BUSYBOX, archive};
use crate::memory::MemoryNode;
use crate::served::{Answer, PATIENCE, Served, request};

/// A served engine; its containers go with it.
#[derive(Debug)]
pub(crate) struct Lab(Served);

impl Deref for Lab {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.0
    }
}

impl Lab {
    /// An engine with the image.
    pub(crate) async fn start() -> Self {
        let served = Served::start(MemoryNode::inactive()).await;
        let loaded = served.request(request("POST", "/images/load?quiet=1", Body::from(archive()))).await;
        assert_eq!(loaded.status.as_u16(), 200, "{}", loaded.body);
        Self(served)
    }

    /// Makes a container; its id.
    pub(crate) async fn create(&self, name: &str, request: CreateRequest) -> String {
        self.engine.containers().create(Some(name), request).await.unwrap().id
    }

    /// Makes and starts a container; its id.
    pub(crate) async fn run(&self, name: &str, request: CreateRequest) -> String {
        let id = self.create(name, request).await;
        self.engine.containers().start(&id).await.unwrap();
        id
    }

    /// Waits until a container has ended; how.
    pub(crate) async fn wait(&self, name: &str) -> i32 {
        let mut wait = self.engine.containers().wait(name, WaitCondition::NotRunning).unwrap();
        tokio::time::timeout(PATIENCE, wait.outcome()).await.expect("it ends").exit_code
    }

    /// Takes a connection over.
    pub(crate) async fn hijack(&self, path: &str, body: &str) -> Wire {
        Wire::open(&self.socket(), path, "Connection: Upgrade\r\nUpgrade: tcp\r\n", body).await
    }

    /// Sends a request that must be answered with this status.
    pub(crate) async fn expect(&self, method: &str, path: &str, status: u16) -> Answer {
        let answer = self.send(method, path).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.body);
        answer
    }

    /// Ends the server, and waits until it has ended.
    pub(crate) async fn stop(&mut self) {
        self.0.cancel.cancel();
        let ended = async { while self.0.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, ended).await.expect("the server ends");
    }

    /// Events from now on.
    pub(crate) fn events(&self) -> EventReceiver {
        self.engine.events().subscribe().1
    }
}

/// The next event whose action begins so; what comes before is passed over.
pub(crate) async fn next_event(events: &mut EventReceiver, action: &str) -> Arc<Event> {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await;
        let event = event.unwrap_or_else(|_| panic!("no {action}")).unwrap().unwrap();
        if event.action.starts_with(action) {
            return event;
        }
    }
}

/// A container that runs a script, without a network.
pub(crate) fn script(script: &str) -> CreateRequest {
    let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
    CreateRequest {
        config: ContainerConfig { cmd: Some(cmd), image: BUSYBOX.to_owned(), ..ContainerConfig::default() },
        host_config: HostConfig { network_mode: "none".to_owned(), ..HostConfig::default() },
        networking_config: None,
    }
}

/// One whose input is open, and ends with the client.
pub(crate) fn interactive(text: &str) -> CreateRequest {
    let mut request = script(text);
    (request.config.open_stdin, request.config.stdin_once) = (true, true);
    request
}

/// One on a terminal.
pub(crate) fn terminal(text: &str) -> CreateRequest {
    let mut request = interactive(text);
    request.config.tty = true;
    request
}

/// One that runs until it is removed.
pub(crate) fn sleeper() -> CreateRequest {
    script("sleep 1000")
}
