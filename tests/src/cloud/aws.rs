//! EC2 for whole clusters: moto keeps the books (`drivers/aws/tests/ec2`).

#![expect(clippy::unwrap_used, reason = "for tests: what fails here fails the test")]

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Buckets, Cloud, CloudInstance, USER};
use crate::Hosts;
use crate::programs::target_folder;
use crate::run::Run;

/// EC2 on the operator's loopback, where faults can be had.
#[derive(Debug)]
pub struct Ec2 {
    /// Ends with its standard input.
    process: Child,
    port: u16,
    direct: Direct,
}

/// EC2 as it is, without faults.
#[derive(Debug, Clone)]
struct Direct {
    /// A process in the operator's namespace.
    operator: u32,
    port: u16,
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
        let port = ec2.port;
        // That is what was asked for when they were launched (InstanceInitiatedShutdownBehavior=terminate).
        let power_off = move |id: &str| drop(direct.call("TerminateInstances", &[("InstanceId.1", id)]));
        cloud.follow(Box::new(move || instances(port)), Box::new(power_off));
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
        let port = |name: &str| u16::try_from(ports[name].as_u64().unwrap()).unwrap();
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

    /// What there is, each thing with its kind: machines, disks, groups, networks, whatever can be left.
    ///
    /// # Panics
    /// Where the emulator does not answer.
    pub fn books(&self) -> Vec<(String, String)> {
        let books: BTreeMap<String, Vec<String>> = serde_json::from_str(&self.ask("_books")).unwrap();
        books.into_iter().flat_map(|(kind, ids)| ids.into_iter().map(move |id| (kind.clone(), id))).collect()
    }

    /// Forgets the calls so far; their names, as they came.
    ///
    /// # Panics
    /// Where the emulator does not answer.
    pub fn take_calls(&self) -> Vec<String> {
        let log: Vec<Value> = serde_json::from_str(&self.ask("_log")).unwrap();
        Run::of(self.curl("_log").args(["-X", "DELETE"])).answer();
        log.iter().map(|call| call["action"].as_str().unwrap().to_owned()).collect()
    }

    /// Calls EC2 as somebody else would, and past the faults.
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        self.direct.call(action, parameters)
    }

    /// The instances that run or are stopped.
    ///
    /// # Panics
    /// Where the emulator does not answer.
    pub fn instances(&self) -> Vec<CloudInstance> {
        instances_in(&self.ask("_machines"))
    }

    /// What there is, one line each.
    pub fn left(&self) -> Vec<String> {
        let mut left: Vec<_> = self.books().into_iter().map(|(kind, id)| format!("{kind} {id}")).collect();
        left.sort();
        left
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
        let mut command = Hosts::operator_of(self.operator, "curl");
        command.args(["-s", "--fail-with-body", "--max-time", "20"]).arg(format!("http://127.0.0.1:{}/", self.port));
        command.args(["-H", AUTHORIZATION]);
        let given = [("Action", action), ("Version", "2016-11-15")].into_iter().chain(parameters.iter().copied());
        for (name, value) in given {
            command.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        Run::of(&mut command).answer()
    }
}

/// The instances that run or are stopped, with their user-data; nothing once the emulator has ended.
fn instances(port: u16) -> Option<Vec<CloudInstance>> {
    Some(instances_in(&get_machines(port).ok()?))
}

fn instances_in(machines: &str) -> Vec<CloudInstance> {
    let machines: Vec<Value> = serde_json::from_str(machines).unwrap();
    let text = |machine: &Value, name: &str| machine[name].as_str().unwrap().to_owned();
    let instance = |machine: &Value| CloudInstance {
        id: text(machine, "id"),
        address: text(machine, "address").parse().unwrap(),
        public_address: machine["public_address"].as_str().map(|address| address.parse().unwrap()),
        user_data: String::from_utf8(STANDARD.decode(text(machine, "user_data")).unwrap()).unwrap(),
        is_running: machine["state"] == "running",
    };
    machines.iter().map(instance).collect()
}

/// Asks without a process for it: it is asked many times a second.
fn get_machines(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(b"GET /_machines HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// moto reads the region from it, and nothing else.
const AUTHORIZATION: &str = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ec2/aws4_request, \
                             SignedHeaders=host, Signature=0";

/// The text of a tag.
fn text<'a>(answer: &'a str, tag: &str) -> Option<&'a str> {
    answer.split_once(&format!("<{tag}>"))?.1.split_once(&format!("</{tag}>")).map(|(text, _)| text)
}
