//! EC2 for whole clusters: moto keeps the books (`drivers/aws/tests/ec2`).

#![expect(clippy::unwrap_used, reason = "for tests: what fails here fails the test")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Buckets, Cloud, CloudInstance, USER};
use crate::Hosts;
use crate::run::Run;

/// EC2 on the operator's loopback, where faults can be had.
#[derive(Debug)]
pub struct Ec2 {
    /// Ends with its standard input.
    process: Child,
    port: u64,
    direct: Direct,
}

/// EC2 as it is, without faults.
#[derive(Debug, Clone)]
struct Direct {
    /// A process in the operator's namespace.
    operator: u32,
    port: u64,
}

impl Ec2 {
    /// What EC2 publishes of its buckets, by action; `*` is each other one ("Request throttling for the Amazon EC2 API").
    pub const PUBLISHED: [(&str, (f64, f64)); 10] = [
        ("*", (100.0, 20.0)),
        ("AttachInternetGateway", (50.0, 5.0)),
        ("AuthorizeSecurityGroupIngress", (50.0, 5.0)),
        ("CreateInternetGateway", (50.0, 5.0)),
        ("CreateRoute", (50.0, 5.0)),
        ("CreateSecurityGroup", (50.0, 5.0)),
        ("CreateSubnet", (50.0, 5.0)),
        ("CreateTags", (100.0, 10.0)),
        ("CreateVpc", (50.0, 5.0)),
        ("RunInstances", (5.0, 2.0)),
    ];

    /// A cloud whose books EC2 keeps, and the options with which `swarmup` uses it.
    ///
    /// # Panics
    /// Where moto or the hosts cannot be had.
    pub fn start() -> (Cloud, Self, String) {
        let mut cloud = Cloud::new();
        let ec2 = Self::serve(&cloud);
        let direct = ec2.direct.clone();
        let vpc = direct.call("CreateVpc", &[("CidrBlock", "10.77.0.0/16")]);
        let vpc = text(&vpc, "vpcId").unwrap().to_owned();
        let subnet = direct.call("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", "10.77.1.0/24")]);
        let subnet = text(&subnet, "subnetId").unwrap().to_owned();
        cloud.set("AWS_ENDPOINT_URL_EC2", format!("http://127.0.0.1:{}", ec2.port));
        for (name, value) in [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            cloud.set(name, value);
        }
        let books = direct.clone();
        cloud.follow(Box::new(move || books.instances()));
        let options = format!("--provider aws --network {subnet} --private-address --ssh-user {USER}");
        (cloud, ec2, options)
    }

    fn serve(cloud: &Cloud) -> Self {
        let here = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../drivers/aws/tests"));
        let folder = target_folder().join("tmp/moto");
        Run::of(Command::new(here.join("emulator")).arg(&folder)).answer();
        let mut process = cloud
            .operator(folder.join("venv/bin/python"))
            .arg(here.join("ec2"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Value = serde_json::from_str(&line).unwrap();
        let port = |name: &str| ports[name].as_u64().unwrap();
        let operator = cloud.operator_pid();
        Self { process, port: port("port"), direct: Direct { operator, port: port("direct") } }
    }
}

impl Ec2 {
    /// Tells the faults something (`drivers/aws/tests/ec2` says what they understand).
    pub fn control(&self, what: &str, body: &str) -> String {
        let mut command = self.curl(what);
        Run::of(command.args(["-H", "Content-Type: application/json", "--data-binary", body])).answer()
    }

    /// Lets no more calls through than the buckets have.
    pub fn limit(&self, buckets: Buckets) {
        let rates = buckets.enforce(Self::PUBLISHED).into_iter().flatten();
        let rates: serde_json::Map<_, _> =
            rates.map(|(name, (burst, per_second))| (name.to_owned(), json!([burst, per_second]))).collect();
        self.control("_set", &json!({ "buckets": rates, "left": buckets.left() }).to_string());
    }

    /// Where its log is read, in the operator's namespace.
    pub fn log_url(&self) -> String {
        format!("http://127.0.0.1:{}/_log", self.port)
    }

    /// Asks the faults something.
    pub fn ask(&self, what: &str) -> String {
        Run::of(&mut self.curl(what)).answer()
    }

    /// What costs money or stands in the way: machines, disks, groups, networks.
    pub fn left(&self) -> Vec<String> {
        self.direct.left()
    }

    /// Calls EC2 as somebody else would, and past the faults.
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        self.direct.call(action, parameters)
    }

    /// The instances that run or are stopped.
    pub fn instances(&self) -> Vec<CloudInstance> {
        self.direct.instances().unwrap_or_default()
    }

    fn curl(&self, what: &str) -> Command {
        let mut command = Hosts::operator_of(self.direct.operator, "curl");
        command.args(["-s", "--fail-with-body", "--max-time", "40"]);
        command.arg(format!("http://127.0.0.1:{}/{what}", self.port));
        command
    }
}

impl Drop for Ec2 {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Direct {
    fn call(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        self.run(action, parameters).answer()
    }

    fn run(&self, action: &str, parameters: &[(&str, &str)]) -> Run {
        let mut command = Hosts::operator_of(self.operator, "curl");
        command.args(["-s", "--fail-with-body", "--max-time", "20"]).arg(format!("http://127.0.0.1:{}/", self.port));
        command.args(["-H", AUTHORIZATION]);
        let given = [("Action", action), ("Version", "2016-11-15")].into_iter().chain(parameters.iter().copied());
        for (name, value) in given {
            command.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        Run::of(&mut command)
    }

    /// The instances that run or are stopped, with their user-data; nothing once moto has ended.
    fn instances(&self) -> Option<Vec<CloudInstance>> {
        let answer = self.run("DescribeInstances", &[]);
        if !answer.is_done() {
            return None;
        }
        let state = |item: &str| between(item, "instanceState", "name").map(ToOwned::to_owned);
        let items = answer.stdout.split("<instanceId>").skip(1);
        let existing = items.filter(|item| matches!(state(item).as_deref(), Some("running" | "stopping" | "stopped")));
        let instance = |item: &str| {
            let id = item.split('<').next().unwrap().to_owned();
            let address = text(item, "privateIpAddress").unwrap().parse().unwrap();
            let public_address = text(item, "ipAddress").and_then(|address| address.parse().ok());
            let is_running = state(item).as_deref() == Some("running");
            Some(CloudInstance { address, public_address, user_data: self.user_data(&id)?, is_running, id })
        };
        existing.map(instance).collect()
    }

    fn user_data(&self, id: &str) -> Option<String> {
        let answer = self.run("DescribeInstanceAttribute", &[("InstanceId", id), ("Attribute", "userData")]);
        let value = between(answer.is_done().then_some(&answer.stdout)?, "userData", "value").unwrap();
        Some(String::from_utf8(STANDARD.decode(value.split_whitespace().collect::<String>()).unwrap()).unwrap())
    }

    /// What costs money or stands in the way: machines, disks, groups beside the VPCs' own, tags.
    fn left(&self) -> Vec<String> {
        let ids = |action: &str, tag: &str| {
            let answer = self.call(action, &[]);
            answer.split(&format!("<{tag}>")).skip(1).map(|item| item.split('<').next().unwrap().to_owned()).collect()
        };
        let instances = self.call("DescribeInstances", &[]);
        let alive = |item: &&str| between(item, "instanceState", "name") != Some("terminated");
        let machines =
            instances.split("<instanceId>").skip(1).filter(alive).map(|item| item.split('<').next().unwrap());
        let mut left: Vec<String> = machines.map(ToOwned::to_owned).collect();
        let lists: [Vec<String>; 3] = [
            ids("DescribeVolumes", "volumeId"),
            ids("DescribeSecurityGroups", "groupId"),
            ids("DescribeVpcs", "vpcId"),
        ];
        left.extend(lists.into_iter().flatten());
        left.sort();
        left.dedup();
        left
    }
}

/// moto reads the region from it, and nothing else.
const AUTHORIZATION: &str = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ec2/aws4_request, \
                             SignedHeaders=host, Signature=0";

/// The text of a tag.
fn text<'a>(answer: &'a str, tag: &str) -> Option<&'a str> {
    answer.split_once(&format!("<{tag}>"))?.1.split_once(&format!("</{tag}>")).map(|(text, _)| text)
}

/// The text of a tag inside another one.
fn between<'a>(answer: &'a str, outer: &str, inner: &str) -> Option<&'a str> {
    text(text(answer, outer)?, inner)
}

/// The folder of all that is built: two levels above these programs.
fn target_folder() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(3).unwrap().to_owned()
}
