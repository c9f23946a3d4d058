//! A client that sends what it is told.

use std::time::Duration;

use fake_gcp::{FakeGcp, Settings};
use serde_json::{Value, json};

/// A client with a token.
pub(crate) struct Caller {
    pub(crate) fake: FakeGcp,
    http: reqwest::Client,
    token: String,
}

/// A status and a body.
pub(crate) type Reply = (u16, Value);

impl Caller {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let fake = FakeGcp::start(settings).await.unwrap();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let mut caller = Self { fake, http, token: String::new() };
        caller.log_in().await;
        caller
    }

    /// Gets a new token.
    pub(crate) async fn log_in(&mut self) {
        let url = format!("{}token", self.fake.endpoint());
        let answer: Value = self.http.post(url).body("{}").send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap().clone_into(&mut self.token);
    }

    /// Calls with another token from now on.
    pub(crate) fn use_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// Sends a request; `path` is what follows the project.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Result<Reply, reqwest::Error> {
        let url = format!("{}compute/v1/projects/fake-project/{path}", self.fake.endpoint());
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, Some(body)).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None).await.unwrap()
    }

    /// Waits for an operation that was accepted; how it ended.
    pub(crate) async fn done(&self, (status, operation): Reply) -> Value {
        assert_eq!(status, 200, "{operation}");
        let link = operation["selfLink"].as_str().unwrap();
        let (_, path) = link.split_once("fake-project/").unwrap();
        let (status, operation) = self.send("POST", &format!("{path}/wait"), None).await.unwrap();
        assert_eq!((status, operation["status"].as_str()), (200, Some("DONE")), "{operation}");
        operation
    }

    /// Makes instances and waits.
    pub(crate) async fn machines(&self, names: &[&str]) -> Value {
        self.done(self.post(BULK, bulk(names)).await).await
    }
}

/// Where instances are made.
pub(crate) const BULK: &str = "zones/us-central1-a/instances/bulkInsert";

/// A request for instances that is right.
pub(crate) fn bulk(names: &[&str]) -> Value {
    let machines: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    json!({
        "count": names.len().to_string(),
        "minCount": names.len().to_string(),
        "perInstanceProperties": machines,
        "instanceProperties": {
            "machineType": "e2-small",
            "labels": { "swarmup-id": "x" },
            "tags": { "items": ["swu-x"] },
            "disks": [{
                "boot": true,
                "autoDelete": true,
                "initializeParams": {
                    "diskSizeGb": "20",
                    "sourceImage": "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64",
                },
            }],
            "networkInterfaces": [{
                "network": "global/networks/default",
                "accessConfigs": [{ "type": "ONE_TO_ONE_NAT" }],
            }],
        },
    })
}

/// A firewall rule that is right.
pub(crate) fn firewall(name: &str) -> Value {
    json!({
        "name": name,
        "network": "global/networks/default",
        "targetTags": ["swu-x"],
        "sourceRanges": ["203.0.113.7/32"],
        "allowed": [{ "IPProtocol": "tcp", "ports": ["22"] }],
    })
}

/// The reason of a refusal.
pub(crate) fn reason(reply: &Reply) -> String {
    reply.1["error"]["errors"][0]["reason"].as_str().unwrap_or_default().to_owned()
}
