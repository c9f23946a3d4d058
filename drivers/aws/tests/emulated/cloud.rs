//! An emulated EC2 of the test's own: started with it, gone with it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws::Patience;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Instance, InstanceStateName};
use driver::{Backoff, Driver, OptionValue, Options, Wait};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The region of all tests.
pub(crate) const REGION: &str = "us-east-1";

/// How long the emulator may take for an answer to its control.
const CONTROL: Duration = Duration::from_secs(40);

/// An emulated EC2; it ends with this.
#[derive(Debug)]
pub(crate) struct Cloud {
    process: Child,
    port: u16,
    direct: u16,
    folder: TempDir,
    opened: AtomicU32,
}

impl Cloud {
    pub(crate) fn start() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let python = install(&tests);
        let mut process = Command::new(python)
            .arg(tests.join("ec2"))
            // The emulator ends with its standard input, and so with this process however that ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Value = serde_json::from_str(&line).expect("the emulator tells its ports");
        let port = |name: &str| u16::try_from(ports[name].as_u64().unwrap()).unwrap();
        let (port, direct) = (port("port"), port("direct"));
        Self { process, port, direct, folder: tempfile::tempdir().unwrap(), opened: AtomicU32::new(0) }
    }

    /// The driver as a new process would open it, and with nobody else's pace to keep.
    pub(crate) fn driver(&self) -> Arc<dyn Driver> {
        self.driver_with(&[])
    }

    pub(crate) fn driver_with(&self, options: &[(&str, &str)]) -> Arc<dyn Driver> {
        self.driver_of(options, PATIENCE)
    }

    pub(crate) fn driver_of(&self, options: &[(&str, &str)], patience: Patience) -> Arc<dyn Driver> {
        let folder = self.folder.path().join(self.opened.fetch_add(1, Ordering::Relaxed).to_string());
        aws::open_on(&options_of(options), &folder, configuration(self.port), patience).unwrap()
    }

    /// The driver as another process of the same workstation would open it: all of them keep one pace.
    pub(crate) fn driver_beside(&self) -> Arc<dyn Driver> {
        let folder = self.folder.path().join("shared");
        aws::open_on(&Options::default(), &folder, configuration(self.port), PATIENCE).unwrap()
    }

    /// Where the API is, with faults.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// EC2 without faults and unlogged, for what the driver does not do itself.
    pub(crate) fn client(&self) -> Client {
        Client::new(&configuration(self.direct))
    }

    pub(crate) async fn faults(&self, rules: Value) {
        self.control("POST", "/_faults", &rules).await;
    }

    pub(crate) async fn set(&self, settings: Value) {
        self.control("POST", "/_set", &settings).await;
    }

    pub(crate) async fn reset(&self) {
        self.control("POST", "/_reset", &Value::Null).await;
    }

    pub(crate) async fn release(&self) {
        self.control("POST", "/_release", &Value::Null).await;
    }

    /// Waits until a call is held.
    pub(crate) async fn held(&self) -> Value {
        self.control("GET", "/_held", &Value::Null).await
    }

    /// The calls since the last look.
    pub(crate) async fn calls(&self) -> Vec<Value> {
        let log = self.control("GET", "/_log", &Value::Null).await;
        self.control("DELETE", "/_log", &Value::Null).await;
        log.as_array().unwrap().clone()
    }

    /// The actions of the calls since the last look.
    pub(crate) async fn actions(&self) -> Vec<String> {
        self.calls().await.iter().map(|call| call["action"].as_str().unwrap().to_owned()).collect()
    }

    async fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: emulator\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout(CONTROL, exchange).await.expect("the emulator answers").unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {head}");
        serde_json::from_str(body).unwrap()
    }

    /// The machines that exist and are there to stay, whoever made them.
    pub(crate) async fn machines(&self) -> Vec<Instance> {
        let answer = self.client().describe_instances().send().await.unwrap();
        let instances = answer.reservations.unwrap_or_default().into_iter().flat_map(|one| one.instances.unwrap());
        let ends = [InstanceStateName::Terminated, InstanceStateName::ShuttingDown];
        instances.filter(|one| !ends.contains(one.state().unwrap().name().unwrap())).collect()
    }

    /// Everything that a new account does not have, by kind and id.
    pub(crate) async fn remains(&self) -> Vec<String> {
        let client = self.client();
        let mut remains: Vec<_> =
            self.machines().await.iter().map(|one| format!("machine {}", one.instance_id().unwrap())).collect();
        let groups = client.describe_security_groups().send().await.unwrap().security_groups.unwrap_or_default();
        let of_ours = groups.iter().filter(|group| group.group_name() != Some("default"));
        remains.extend(of_ours.map(|group| format!("group {}", group.group_id().unwrap())));
        let volumes = client.describe_volumes().send().await.unwrap().volumes.unwrap_or_default();
        remains.extend(volumes.iter().map(|volume| format!("disk {}", volume.volume_id().unwrap())));
        let interfaces =
            client.describe_network_interfaces().send().await.unwrap().network_interfaces.unwrap_or_default();
        remains.extend(interfaces.iter().map(|one| format!("interface {}", one.network_interface_id().unwrap())));
        let vpcs = client.describe_vpcs().send().await.unwrap().vpcs.unwrap_or_default();
        let own = vpcs.iter().filter(|vpc| vpc.is_default() != Some(true));
        remains.extend(own.map(|vpc| format!("vpc {}", vpc.vpc_id().unwrap())));
        let gateways = client.describe_internet_gateways().send().await.unwrap().internet_gateways.unwrap_or_default();
        remains.extend(gateways.iter().map(|one| format!("gateway {}", one.internet_gateway_id().unwrap())));
        remains
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A patience that fits an emulator.
pub(crate) const PATIENCE: Patience = Patience {
    backoff: Backoff { attempts: 6, first: Duration::from_millis(5), ceiling: Duration::from_secs(2) },
    consistency: Duration::from_millis(400),
    machines: Wait { limit: Duration::from_secs(10), interval: Duration::from_millis(20) },
    vanishing: Wait { limit: Duration::from_secs(10), interval: Duration::from_millis(20) },
};

/// Options by name; several values of one option stand one after the other.
pub(crate) fn options_of(options: &[(&str, &str)]) -> Options {
    let mut all = Options::default();
    for (name, value) in options {
        let entry = all.0.entry((*name).to_owned()).or_insert_with(|| OptionValue::Many(Vec::new()));
        let OptionValue::Many(values) = entry else { unreachable!("only lists are put in") };
        values.push((*value).to_owned());
    }
    all
}

fn configuration(port: u16) -> SdkConfig {
    let http_client = aws_smithy_http_client::Builder::new().build_http();
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .http_client(http_client)
        .build()
}

/// The python that has moto; it is installed where it is missing.
fn install(tests: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let status = Command::new(tests.join("emulator")).arg(&folder).status().unwrap();
    assert!(status.success(), "moto is installed in {}", folder.display());
    folder.join("venv/bin/python")
}
