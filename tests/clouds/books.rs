//! What is asked of every emulator and told to it, in its own words.

use std::collections::BTreeSet;
use std::time::Duration;

use fake_azure::How;
use fake_gcp::FaultKind;
use serde_json::{Value, json};
use tests::cloud::{Azure, Ec2, Gcp};

/// A call that the emulator has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Called {
    /// Its name, as [`Refusal::call`] takes it.
    pub(crate) name: String,
    /// Whether it is there to change something.
    pub(crate) is_change: bool,
    /// Whether it was granted.
    pub(crate) is_granted: bool,
}

/// Calls that are refused from now on.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// Their name.
    pub(crate) call: String,
    /// The first of that name that is refused, from 1.
    pub(crate) nth: u32,
    /// How many are.
    pub(crate) times: u32,
    /// Why.
    pub(crate) why: Why,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The credentials are over.
    Expired,
    /// The account may not do that.
    Forbidden,
    /// There were too many calls; the seconds until the next one, where they are told.
    Throttled(Option<u64>),
    /// The zone has no machine of that type.
    NoCapacity,
}

/// An emulator's books.
pub(crate) trait Books {
    /// What there is that somebody made and that is not gone, in the provider's own words.
    fn left(&self) -> Vec<String>;
    /// What is let in: `tcp 22 203.0.113.7/32`, `esp members`.
    fn rules(&self) -> BTreeSet<String>;
    /// The calls so far.
    fn calls(&self) -> Vec<Called>;
    /// Refuses these calls, and no others any more.
    fn refuse(&self, refusals: &[Refusal]);
    /// How many machines there are.
    fn machines(&self) -> usize;
    /// Every machine is gone, as if its host had died for good.
    fn take_machines_away(&self);
    /// Whatever is removed from now on takes a while to go.
    fn vanish_slowly(&self, time: Duration);
    /// Makes something that is nobody's cluster; it is in what is left from then on.
    fn make_stranger(&self);
}

impl Books for Ec2 {
    fn left(&self) -> Vec<String> {
        Self::left(self)
    }

    fn rules(&self) -> BTreeSet<String> {
        let answer = self.call("DescribeSecurityGroups", &[]);
        let mut rules = BTreeSet::new();
        for group in answer.split("<ownerId>").filter(|group| group.contains("<groupName>swarmup-")) {
            let allowed = between(group, "ipPermissions");
            for rule in allowed.split("<ipProtocol>").skip(1) {
                let protocol = match rule.split('<').next() {
                    Some("50") => "esp",
                    other => other.unwrap_or_default(),
                };
                let port = between(rule, "fromPort");
                let sources = rule.split("<cidrIp>").skip(1).map(|source| source.split('<').next().unwrap_or_default());
                let members = rule.contains("<groupId>").then_some("members");
                for source in sources.chain(members) {
                    rules.insert(said(protocol, port, source));
                }
            }
        }
        rules
    }

    fn calls(&self) -> Vec<Called> {
        let log: Value = serde_json::from_str(&self.ask("_log")).unwrap();
        let called = |call: &Value| {
            let name = call["action"].as_str().unwrap().to_owned();
            let only_looks = name.starts_with("Describe") || name.starts_with("Get");
            Called {
                is_change: !only_looks && call["parameters"]["DryRun"] != "true",
                is_granted: call["status"] == 200,
                name,
            }
        };
        log.as_array().unwrap().iter().map(called).collect()
    }

    fn refuse(&self, refusals: &[Refusal]) {
        let rule = |refusal: &Refusal| {
            let (status, code) = match refusal.why {
                Why::Expired => (400, "ExpiredToken"),
                Why::Forbidden => (403, "UnauthorizedOperation"),
                Why::Throttled(_) => (503, "RequestLimitExceeded"),
                Why::NoCapacity => (500, "InsufficientInstanceCapacity"),
            };
            let mut rule = json!({
                "action": refusal.call, "nth": refusal.nth, "times": refusal.times,
                "kind": "error", "status": status, "code": code,
            });
            if let Why::Throttled(Some(seconds)) = refusal.why {
                rule["retry_after"] = json!(seconds);
            }
            rule
        };
        self.control("_faults", &json!(refusals.iter().map(rule).collect::<Vec<_>>()).to_string());
    }

    fn machines(&self) -> usize {
        self.instances().len()
    }

    fn take_machines_away(&self) {
        for instance in self.instances() {
            self.call("TerminateInstances", &[("InstanceId.1", &instance.id)]);
        }
    }

    fn vanish_slowly(&self, time: Duration) {
        self.control("_set", &json!({ "vanish": time.as_secs_f64() }).to_string());
    }

    fn make_stranger(&self) {
        self.call("CreateSecurityGroup", &[("GroupName", "somebody-else"), ("GroupDescription", "not ours")]);
    }
}

impl Books for Azure {
    fn left(&self) -> Vec<String> {
        self.fake().resources()
    }

    fn rules(&self) -> BTreeSet<String> {
        let mut rules = BTreeSet::new();
        for rule in self.fake().security_rules() {
            let properties = &rule["properties"];
            if properties["access"] != "Allow" {
                continue;
            }
            let is_of_members = rule["name"].as_str().unwrap().starts_with("allow-members-");
            let source = if is_of_members { "members" } else { properties["sourceAddressPrefix"].as_str().unwrap() };
            let protocol = properties["protocol"].as_str().unwrap().to_lowercase();
            let one = properties["destinationPortRange"].as_str();
            let several = properties["destinationPortRanges"].as_array().into_iter().flatten();
            for port in one.into_iter().chain(several.map(|port| port.as_str().unwrap())) {
                rules.insert(said(&protocol, if port == "*" { "" } else { port }, source));
            }
        }
        rules
    }

    fn calls(&self) -> Vec<Called> {
        let requests = self.fake().requests().into_iter();
        let called = |request: fake_azure::Logged| Called {
            is_change: request.method != "GET" && request.kind != "token",
            is_granted: (200..300).contains(&request.status),
            name: format!("{} {}", request.method, request.kind),
        };
        requests.map(called).collect()
    }

    fn refuse(&self, refusals: &[Refusal]) {
        self.fake().clear_faults();
        for refusal in refusals {
            // Names of faults live as long as the test.
            let (method, kind) = String::leak(refusal.call.clone()).split_once(' ').unwrap();
            let (status, code, retry_after) = match refusal.why {
                Why::Expired => (401, "ExpiredAuthenticationToken", None),
                Why::Forbidden => (403, "AuthorizationFailed", None),
                Why::Throttled(seconds) => (429, "TooManyRequests", seconds),
                Why::NoCapacity => (409, "SkuNotAvailable", None),
            };
            let how = How::Refuse { status, code, retry_after };
            self.fake().set_fault(fake_azure::Fault::new(method, kind, refusal.nth, how).times(refusal.times));
        }
    }

    fn machines(&self) -> usize {
        self.fake().machines().len()
    }

    fn take_machines_away(&self) {
        for machine in self.fake().machines() {
            self.fake().take_machine_away(&machine.name);
        }
    }

    fn vanish_slowly(&self, time: Duration) {
        self.fake().change_settings(|settings| settings.group_deletion = time);
    }

    fn make_stranger(&self) {
        self.fake().make_group("somebody-else");
    }
}

impl Books for Gcp {
    fn left(&self) -> Vec<String> {
        self.fake().holdings()
    }

    fn rules(&self) -> BTreeSet<String> {
        let mut rules = BTreeSet::new();
        for rule in self.fake().firewalls() {
            let list = |name: &str| rule[name].as_array().cloned().unwrap_or_default();
            let members = (!list("sourceTags").is_empty()).then(|| json!("members"));
            let sources: Vec<_> = list("sourceRanges").into_iter().chain(members).collect();
            for allowed in list("allowed") {
                let protocol = allowed["IPProtocol"].as_str().unwrap();
                let ports = allowed["ports"].as_array().cloned().unwrap_or_else(|| vec![json!("")]);
                for (port, source) in ports.iter().flat_map(|port| sources.iter().map(move |source| (port, source))) {
                    rules.insert(said(protocol, port.as_str().unwrap(), source.as_str().unwrap()));
                }
            }
        }
        rules
    }

    fn calls(&self) -> Vec<Called> {
        let requests = self.fake().requests().into_iter();
        let called = |request: Value| Called {
            is_change: request["method"] != "GET" && request["kind"] != "projects.testIamPermissions",
            is_granted: request["status"] == 200,
            name: request["kind"].as_str().unwrap().to_owned(),
        };
        requests.map(called).collect()
    }

    fn refuse(&self, refusals: &[Refusal]) {
        self.fake().forget_faults();
        for refusal in refusals {
            let what = match refusal.why {
                Why::Expired => FaultKind::Fail { status: 401, reason: "authError", retry_after: None },
                Why::Forbidden => FaultKind::Fail { status: 403, reason: "forbidden", retry_after: None },
                Why::Throttled(seconds) => FaultKind::throttled(seconds),
                Why::NoCapacity => FaultKind::exhausted(),
            };
            // Names of faults live as long as the test.
            let fault = fake_gcp::Fault::first(String::leak(refusal.call.clone()), what);
            let skip = usize::try_from(refusal.nth).unwrap() - 1;
            self.fake().fault(fake_gcp::Fault { skip, ..fault }.times(usize::try_from(refusal.times).unwrap()));
        }
    }

    fn machines(&self) -> usize {
        self.fake().machines().len()
    }

    fn take_machines_away(&self) {
        for machine in self.fake().machines() {
            self.fake().vanish(&machine.name);
        }
    }

    fn vanish_slowly(&self, time: Duration) {
        self.fake().slow_down(time);
    }

    fn make_stranger(&self) {
        let body = json!({
            "name": "somebody-else", "network": "global/networks/default", "allowed": [{ "IPProtocol": "icmp" }],
        });
        self.fake().insert_firewall(&body);
    }
}

fn said(protocol: &str, port: &str, source: &str) -> String {
    [protocol, port, source].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The text of a tag, which may hold others.
fn between<'a>(answer: &'a str, tag: &str) -> &'a str {
    let rest = answer.split_once(&format!("<{tag}>")).map_or("", |(_, rest)| rest);
    rest.split(&format!("</{tag}>")).next().unwrap_or_default()
}
