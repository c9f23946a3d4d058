//! Somebody who calls the fake without any driver.

use std::time::{Duration, Instant};

use fake_azure::{FakeAzure, Settings};
use reqwest::Method;
use serde_json::{Value, json};

/// The versions of the API that exist.
pub(crate) const COMPUTE: &str = "2025-04-01";
pub(crate) const NETWORK: &str = "2025-05-01";
pub(crate) const RESOURCES: &str = "2024-11-01";

/// A valid public key that nobody has the private one of.
pub(crate) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvtcPBCrBMq1kYjVGg1DZVTDR5pnrqLWmSZ8jMtVDMZ nobody";

/// A fake, and a client that is signed in.
pub(crate) struct Caller {
    pub(crate) fake: FakeAzure,
    pub(crate) http: reqwest::Client,
    pub(crate) token: String,
}

/// An answer, as far as tests look at it.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) operation: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) retry_after: Option<String>,
}

impl Got {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status, self.code())
    }

    pub(crate) fn state(&self) -> &str {
        self.body["properties"]["provisioningState"].as_str().unwrap_or_default()
    }
}

impl Caller {
    pub(crate) async fn start(settings: Settings) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fake = FakeAzure::start(settings).unwrap();
        let certificate = reqwest::Certificate::from_pem(&std::fs::read(fake.certificate_file()).unwrap()).unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap();
        let mut caller = Self { fake, http, token: String::new() };
        let (status, body) = caller.sign_in(&[]).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().clone_into(&mut caller.token);
        caller
    }

    /// Asks for a token, with some of the fields changed.
    pub(crate) async fn sign_in(&self, changes: &[(&str, &str)]) -> (u16, Value) {
        let settings = self.fake.settings();
        let scope = format!("{}/.default", self.fake.endpoint());
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &settings.client),
            ("client_secret", &settings.secret),
            ("scope", &scope),
        ];
        let field = |name: &str, value: &str| {
            let change = changes.iter().find(|(own, _)| *own == name);
            format!("{name}={}", change.map_or(value, |(_, value)| value))
        };
        let body = fields.map(|(name, value)| field(name, value)).join("&");
        let url = format!("{}/{}/oauth2/v2.0/token", self.fake.authority(), settings.tenant);
        let answer = self.http.post(url).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Sends a request to a path below the subscription.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Got {
        self.try_send(method, path, body).await.unwrap()
    }

    pub(crate) async fn try_send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Got> {
        let base = format!("{}/subscriptions/{}", self.fake.endpoint(), self.fake.settings().subscription);
        let url = if path.starts_with("https://") { path.to_owned() } else { format!("{base}{path}") };
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (operation, location, retry_after) =
            (header("azure-asyncoperation"), header("location"), header("retry-after"));
        let status = answer.status().as_u16();
        let body = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
        Ok(Got { status, body, operation, location, retry_after })
    }

    pub(crate) async fn put(&self, path: &str, version: &str, body: Value) -> Got {
        self.send(Method::PUT, &format!("{path}?api-version={version}"), Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str, version: &str) -> Got {
        self.send(Method::GET, &format!("{path}?api-version={version}"), None).await
    }

    pub(crate) async fn delete(&self, path: &str, version: &str) -> Got {
        self.send(Method::DELETE, &format!("{path}?api-version={version}"), None).await
    }

    /// Makes the group, its security group and its network, and waits for them.
    pub(crate) async fn network(&self) {
        assert_eq!(self.put("/resourceGroups/lab", RESOURCES, json!({ "location": "eastus2" })).await.status, 201);
        for (path, body) in [(GUARD, guard()), (VNET, network())] {
            assert_eq!(self.put(path, NETWORK, body).await.status, 201);
            self.until(path, NETWORK, |got| got.state() == "Succeeded").await;
        }
    }

    /// Makes a machine in that network.
    pub(crate) async fn machine(&self, name: &str) -> Got {
        self.put(&machine_path(name), COMPUTE, machine(self, name)).await
    }

    /// Looks until it is as wanted.
    pub(crate) async fn until(&self, path: &str, version: &str, is_wanted: impl Fn(&Got) -> bool) -> Got {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let got = self.get(path, version).await;
            if is_wanted(&got) {
                return got;
            }
            assert!(Instant::now() < deadline, "it never came: {got:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) const GUARD: &str = "/resourceGroups/lab/providers/Microsoft.Network/networkSecurityGroups/guard";
pub(crate) const VNET: &str = "/resourceGroups/lab/providers/Microsoft.Network/virtualNetworks/net";

pub(crate) fn machine_path(name: &str) -> String {
    format!("/resourceGroups/lab/providers/Microsoft.Compute/virtualMachines/{name}")
}

pub(crate) fn guard() -> Value {
    json!({ "location": "eastus2", "properties": { "securityRules": [] } })
}

pub(crate) fn network() -> Value {
    json!({
        "location": "eastus2",
        "properties": {
            "addressSpace": { "addressPrefixes": ["10.77.0.0/16"] },
            "subnets": [{ "name": "machines", "properties": { "addressPrefix": "10.77.1.0/24" } }],
        },
    })
}

/// A machine that nothing is wrong with.
pub(crate) fn machine(caller: &Caller, name: &str) -> Value {
    let base = format!("/subscriptions/{}", caller.fake.settings().subscription);
    json!({
        "location": "eastus2",
        "tags": { "swarmup-id": "x" },
        "properties": {
            "hardwareProfile": { "vmSize": "Standard_B2als_v2" },
            "storageProfile": {
                "imageReference": {
                    "publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest",
                },
                "osDisk": { "name": format!("{name}-disk"), "createOption": "FromImage", "deleteOption": "Delete" },
            },
            "osProfile": {
                "computerName": name,
                "adminUsername": "azureuser",
                "customData": "I2Nsb3VkLWNvbmZpZwo=",
                "linuxConfiguration": {
                    "disablePasswordAuthentication": true,
                    "ssh": { "publicKeys": [{ "path": "/home/azureuser/.ssh/authorized_keys", "keyData": KEY }] },
                },
            },
            "networkProfile": {
                "networkApiVersion": "2022-11-01",
                "networkInterfaceConfigurations": [{
                    "name": format!("{name}-nic"),
                    "tags": { "swarmup-id": "x" },
                    "properties": {
                        "primary": true,
                        "deleteOption": "Delete",
                        "networkSecurityGroup": { "id": format!("{base}{GUARD}") },
                        "ipConfigurations": [{
                            "name": "ip",
                            "properties": {
                                "subnet": { "id": format!("{base}{VNET}/subnets/machines") },
                                "publicIPAddressConfiguration": {
                                    "name": format!("{name}-address"),
                                    "sku": { "name": "Standard" },
                                    "properties": { "deleteOption": "Delete", "publicIPAllocationMethod": "Static" },
                                },
                            },
                        }],
                    },
                }],
            },
        },
    })
}

/// The interface in a machine's body.
pub(crate) fn interface(machine: &mut Value) -> &mut Value {
    &mut machine["properties"]["networkProfile"]["networkInterfaceConfigurations"][0]["properties"]
}

/// The public address in a machine's body.
pub(crate) fn address(machine: &mut Value) -> &mut Value {
    &mut interface(machine)["ipConfigurations"][0]["properties"]["publicIPAddressConfiguration"]
}
