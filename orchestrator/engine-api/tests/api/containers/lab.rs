//! A served engine with an image whose containers run.

use std::ops::Deref;

use axum::body::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::busybox::{BUSYBOX, archive};
use crate::memory::MemoryNode;
use crate::served::{PATIENCE, Served, request};

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

    /// Sends a request that must be answered with this status.
    pub(crate) async fn expect(&self, method: &str, path: &str, status: u16) {
        let answer = self.send(method, path).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.body);
    }

    /// Makes a container; its id.
    pub(crate) async fn create(&self, name: &str, body: &Value) -> String {
        let made = self.post(&format!("/containers/create?name={name}"), body).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
        made.json()["Id"].as_str().unwrap().to_owned()
    }

    /// Makes and starts a container; its id.
    pub(crate) async fn run(&self, name: &str, body: &Value) -> String {
        let id = self.create(name, body).await;
        self.expect("POST", &format!("/containers/{name}/start"), 204).await;
        id
    }

    /// The id of a container.
    pub(crate) async fn id(&self, name: &str) -> String {
        let id = &self.send("GET", &format!("/containers/{name}/json")).await.json()["Id"];
        id.as_str().unwrap().to_owned()
    }

    /// Looks at a container whenever its state changes, until it is like this.
    pub(crate) async fn until(&self, name: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        let mut states = self.engine.containers().watch(name).unwrap();
        let met = async {
            loop {
                states.borrow_and_update();
                let container = self.send("GET", &format!("/containers/{name}/json")).await.json();
                if is_met(&container) {
                    return container;
                }
                states.changed().await.unwrap();
            }
        };
        let met = tokio::time::timeout(PATIENCE, met).await;
        met.unwrap_or_else(|_| panic!("{name} is not as it should become"))
    }
}

/// A container that runs a script, without a network.
pub(crate) fn script(script: &str) -> Value {
    json!({"Image": BUSYBOX, "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none"}})
}

/// One that runs until it is asked to end.
pub(crate) fn server() -> Value {
    script("trap 'exit 0' TERM; trap 'echo interrupted' INT; echo ready; while :; do sleep 1 & wait $!; done")
}

/// A value in a query.
pub(crate) fn encode(value: &Value) -> String {
    utf8_percent_encode(&value.to_string(), NON_ALPHANUMERIC).to_string()
}
