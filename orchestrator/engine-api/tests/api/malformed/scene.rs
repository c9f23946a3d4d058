//! A manager that has something of each kind, and what there is of it.

use std::ops::Deref;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::busybox::{BUSYBOX, archive};
use crate::containers::lab;
use crate::memory::MemoryNode;
use crate::served::{Answer, PATIENCE, Served, open, request};

/// What is looked at to see whether anything has changed.
const LISTS: [&str; 7] = ["/images/json", "/volumes", "/networks", "/services", "/tasks", "/nodes", "/swarm"];

/// A served manager with an image, a container `web` that was made, one `run` that runs, a volume and a service.
#[derive(Debug)]
pub(super) struct Scene(Served);

impl Deref for Scene {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.0
    }
}

impl Scene {
    pub(super) async fn start() -> Self {
        let scene = Self(Served::start(MemoryNode::manager()).await);
        scene.make("/images/load?quiet=1", archive(), 200).await;
        scene.make("/containers/create?name=web", lab::script("true").to_string(), 201).await;
        scene.make("/containers/create?name=run", lab::script("sleep 1000").to_string(), 201).await;
        scene.make("/containers/run/start", "", 204).await;
        scene.make("/volumes/create", json!({"Name": "data"}).to_string(), 201).await;
        let task = json!({"ContainerSpec": {"Image": BUSYBOX}});
        scene.make("/services/create", json!({"Name": "web", "TaskTemplate": task}).to_string(), 201).await;
        scene
    }

    async fn make(&self, path: &str, body: impl Into<Body>, status: u16) {
        let answer = self.request(request("POST", path, body.into())).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
    }

    /// Sends a request. Of an answer that is no refusal only the head is read: it may be a stream without an end.
    pub(super) async fn ask(&self, request: Request<Body>) -> Answer {
        let (answer, _connection) = open(&self.socket(), request).await;
        let (parts, body) = answer.into_parts();
        let body = if parts.status.is_client_error() || parts.status.is_server_error() {
            let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the refusal hangs");
            String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
        } else {
            String::new()
        };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// All there is, without what goes by the clock.
    pub(super) async fn state(&self) -> Vec<Value> {
        let mut state = Vec::new();
        for path in LISTS {
            state.push(self.send("GET", path).await.json());
        }
        let containers = self.send("GET", "/containers/json?all=1").await.json();
        for container in containers.as_array().unwrap() {
            let id = container["Id"].as_str().unwrap();
            state.push(self.send("GET", &format!("/containers/{id}/json")).await.json());
        }
        state
    }
}
