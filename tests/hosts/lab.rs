//! A whole swarm on five given hosts, as root and as a user of sudo: made, operated, broken, and gone without a trace.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tests::{HostSnapshot, Hosts};

/// How long anything may take that a test waits for, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(4);
/// How long to wait before something is looked at again.
const PAUSE: Duration = Duration::from_millis(50);

/// A workstation on the hosts' network.
struct Lab {
    hosts: Hosts,
    user: &'static str,
}

/// What came of a command.
struct Run {
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// What `docker node ls` shows of a node: its status, and its standing among the managers.
type NodeLine = (String, String, String);

impl Run {
    #[track_caller]
    fn ended(self, code: i32) -> Self {
        let Self { line, code: found, stdout, stderr } = &self;
        assert_eq!(*found, Some(code), "{line}\nstdout: {stdout}\nstderr: {stderr}");
        self
    }
}

impl Lab {
    fn new(count: u32, user: &'static str) -> Self {
        Self { hosts: Hosts::start(count).unwrap(), user }
    }

    fn home(&self) -> PathBuf {
        self.hosts.scratch().join("home")
    }

    /// The options that name the hosts of these numbers.
    fn given(&self, numbers: std::ops::RangeInclusive<u32>) -> String {
        let given: Vec<_> =
            numbers.map(|number| format!("--host {}@{}", self.user, self.hosts.host(number).address())).collect();
        format!("--ssh-key {} {}", self.hosts.key_file().display(), given.join(" "))
    }

    fn run(&self, program: PathBuf, arguments: &str, environment: &[(String, String)]) -> Run {
        let mut command: Command = self.hosts.operator("timeout");
        command.args(["--signal", "KILL", "--foreground", &PATIENCE.as_secs().to_string()]).arg(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.hosts.scratch());
        command.env("SWARMUP_HOME", self.home()).env("SWARMUP_AGENT", tests::agent().unwrap());
        command.envs(environment.iter().cloned()).args(arguments.split_whitespace()).stdin(Stdio::null());
        let output = command.output().unwrap();
        Run {
            line: format!("{command:?}"),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn swarmup(&self, arguments: &str) -> Run {
        self.run(tests::programs::swarmup().unwrap(), arguments, &[])
    }

    /// `create lab` on the hosts of these numbers.
    fn create(&self, numbers: std::ops::RangeInclusive<u32>, counts: &str) -> Run {
        self.swarmup(&format!("create lab --provider generic {counts} {}", self.given(numbers)))
    }

    /// The stock `docker`, as `eval "$(swarmup env)"` prepares it.
    fn docker(&self, arguments: &str) -> Run {
        let environment: Value = serde_json::from_str(&self.swarmup("env lab --shell json").ended(0).stdout).unwrap();
        let environment = environment.as_object().unwrap().iter();
        let environment: Vec<_> =
            environment.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        self.run(tests::programs::docker(), arguments, &environment)
    }

    /// What `docker node ls` shows, by host name.
    fn nodes(&self) -> Vec<NodeLine> {
        let run = self.docker("node ls --format {{.Hostname}}|{{.Status}}|{{.ManagerStatus}}");
        let line = |line: &str| {
            let mut words = line.split('|').map(ToOwned::to_owned);
            let mut next = || words.next().unwrap();
            (next(), next(), next())
        };
        let mut nodes: Vec<_> = run.stdout.lines().map(line).collect();
        nodes.sort();
        nodes
    }

    /// Waits until all are ready, and returns who leads.
    #[track_caller]
    fn wait_until_well(&self) -> String {
        self.wait_for("five nodes are ready, one leads, two are reachable", |nodes| {
            let stand = |standing: &str| nodes.iter().filter(|node| node.2 == standing).count();
            let is_well = nodes.iter().all(|node| node.1 == "Ready");
            let leader = nodes.iter().find(|node| node.2 == "Leader")?;
            (is_well && (stand("Leader"), stand("Reachable"), stand("")) == (1, 2, 2)).then(|| leader.0.clone())
        })
    }

    #[track_caller]
    fn wait_for<T>(&self, what: &str, look: impl Fn(&[NodeLine]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let nodes = self.nodes();
            if let Some(found) = look(&nodes) {
                return found;
            }
            assert!(Instant::now() < deadline, "it never came to be: {what}\n{nodes:?}");
            std::thread::park_timeout(PAUSE);
        }
    }

    fn snapshots(&self) -> Vec<HostSnapshot> {
        self.hosts.all().iter().map(|host| host.snapshot().unwrap().without(is_of_the_boot)).collect()
    }

    /// Fails the test where a host is not what it was.
    #[track_caller]
    fn assert_same(&self, before: &[HostSnapshot]) {
        for (before, after) in before.iter().zip(self.snapshots()) {
            assert_eq!(before.changes(&after), Vec::<String>::new());
        }
    }
}

/// What a boot gives a host anew, with or without us: its own init's processes, the address made of the link's own.
fn is_of_the_boot(item: &str) -> bool {
    item.starts_with("address eth0 fe80::")
        || (item.starts_with("process ") && (item.ends_with(" init") || item.ends_with(" cat")))
}

/// The number in `node-N`, which is the host's too.
fn number(hostname: &str) -> u32 {
    hostname.strip_prefix("node-").unwrap().parse().unwrap()
}

/// A sixth host belongs to nobody, and nobody touches it.
fn a_swarm_on_given_hosts_is_operated_and_leaves_nothing(user: &'static str) {
    let mut lab = Lab::new(6, user);
    let before = lab.snapshots();

    let created = lab.create(1..=5, "").ended(0);
    assert_eq!(created.stdout, "Swarm `lab` is ready: 3 managers, 2 workers\n");
    assert!(created.stderr.contains("Install agent       5/5"), "{}", created.stderr);
    let leader = lab.wait_until_well();

    lab.swarmup(&format!("node stop {leader}")).ended(0);
    let stopped: Vec<_> = lab.nodes().into_iter().filter(|node| node.0 == leader).collect();
    assert_eq!(stopped, [(leader.clone(), "Down".to_owned(), "Unreachable".to_owned())]);
    let why = lab.docker(&format!("node inspect {leader} --format {{{{.Status.Message}}}}")).ended(0).stdout;
    assert_eq!(why, "node was stopped\n", "its agent said so, rather than that it comes back");
    let next = lab.wait_for("another manager leads", |nodes| {
        nodes.iter().find(|node| node.2 == "Leader" && node.0 != leader).map(|node| node.0.clone())
    });
    lab.swarmup(&format!("node start {leader}")).ended(0);
    assert_eq!(lab.wait_until_well(), next);

    let host = lab.hosts.host(number(&next));
    // The supervisor is older than the agent that it runs.
    let agent = || host.processes("swarmd").unwrap().into_iter().skip(1).next_back();
    let killed = agent().unwrap();
    kill_process(Pid::from_raw(i32::try_from(killed).unwrap()).unwrap(), rustix::process::Signal::KILL).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while agent().is_none_or(|agent| agent == killed) {
        assert!(Instant::now() < deadline, "the agent of {next} does not come back");
        std::thread::park_timeout(PAUSE);
    }
    lab.wait_until_well();

    lab.hosts.host_mut(4).reboot().unwrap();
    lab.wait_until_well();

    lab.swarmup("destroy lab --yes").ended(0);
    lab.assert_same(&before);
    assert!(!lab.home().join("clusters/lab").exists());
}

#[test]
fn as_root() {
    a_swarm_on_given_hosts_is_operated_and_leaves_nothing("root");
}

#[test]
fn as_a_user_of_sudo() {
    a_swarm_on_given_hosts_is_operated_and_leaves_nothing("ops");
}

#[test]
fn a_host_that_is_lost_is_named_and_may_be_left() {
    let mut lab = Lab::new(2, "root");
    let before = lab.snapshots();
    lab.create(1..=2, "--managers 1 --workers 1").ended(0);
    lab.hosts.host_mut(2).power_off();

    let refused = lab.swarmup("destroy lab --yes").ended(3);
    assert!(
        refused.stderr.contains("`lab-node-2`") && refused.stderr.contains("--leave-unreachable"),
        "{}",
        refused.stderr
    );
    assert!(lab.home().join("clusters/lab/journal.json").exists());
    let left = lab.swarmup("destroy lab --yes --leave-unreachable").ended(0);

    assert!(left.stderr.contains("left as it is"), "{}", left.stderr);
    assert!(!lab.home().join("clusters/lab").exists());
    let after = lab.hosts.host(1).snapshot().unwrap().without(is_of_the_boot);
    assert_eq!(before[0].changes(&after), Vec::<String>::new());
}

#[test]
fn a_node_that_lost_its_data_joins_again_under_a_new_id() {
    let lab = Lab::new(3, "root");
    let before = lab.snapshots();
    lab.create(1..=3, "--managers 3 --workers 0").ended(0);
    let id = || lab.docker("node inspect node-3 --format {{.ID}}").ended(0).stdout;
    let former = id();
    lab.swarmup("node stop node-3").ended(0);
    lab.hosts.host(3).shell("rm -rf /var/lib/swarmd").unwrap();

    lab.swarmup("node start node-3").ended(0);

    lab.wait_for("three managers are well and no other node is left", |nodes| {
        let is_well = |node: &NodeLine| node.1 == "Ready" && ["Leader", "Reachable"].contains(&node.2.as_str());
        (nodes.len() == 3 && nodes.iter().all(is_well)).then_some(())
    });
    assert_ne!(id(), former);
    lab.swarmup("destroy lab --yes").ended(0);
    lab.assert_same(&before);
}

#[test]
fn agents_of_given_hosts_are_upgraded_and_leave_nothing() {
    let lab = Lab::new(2, "ops");
    let before = lab.snapshots();
    lab.create(1..=2, "--managers 1 --workers 1").ended(0);
    let agent = lab.hosts.scratch().join("next");
    std::fs::copy(tests::agent().unwrap(), &agent).unwrap();
    std::fs::OpenOptions::new().append(true).open(&agent).unwrap().write_all(b"another build").unwrap();

    let upgraded = lab.swarmup(&format!("upgrade lab --agent {}", agent.display())).ended(0);
    let again = lab.swarmup(&format!("upgrade lab --agent {}", agent.display())).ended(0);

    assert_eq!(upgraded.stdout.matches("upgraded in").count(), 2, "{}", upgraded.stdout);
    assert_eq!(again.stdout.matches("had it already").count(), 2, "{}", again.stdout);
    let installed = |number| std::fs::read(lab.hosts.host(number).path("/usr/local/bin/swarmd").unwrap()).unwrap();
    assert!((1..=2).all(|number| installed(number).ends_with(b"another build")));
    lab.swarmup("destroy lab --yes").ended(0);
    lab.assert_same(&before);
}

#[test]
fn a_cluster_whose_journal_is_lost_is_known_by_its_hosts_marks() {
    let lab = Lab::new(3, "root");
    let before = lab.snapshots();
    lab.create(1..=2, "--managers 1 --workers 1").ended(0);
    std::fs::remove_dir_all(lab.home().join("clusters/lab")).unwrap();

    lab.swarmup("destroy lab --yes").ended(1);
    lab.swarmup("destroy lab --provider generic --yes").ended(0);

    lab.assert_same(&before);
}

#[test]
fn a_cluster_of_which_the_workstation_knows_nothing_is_destroyed_on_the_hosts_that_are_named() {
    let lab = Lab::new(3, "root");
    let before = lab.snapshots();
    lab.create(1..=2, "--managers 1 --workers 1").ended(0);
    std::fs::remove_dir_all(lab.home()).unwrap();

    let nothing = lab.swarmup("destroy lab --provider generic --yes").ended(1);
    assert!(nothing.stderr.contains("shows nothing that carries the name `lab`"), "{}", nothing.stderr);
    lab.swarmup(&format!("destroy lab --provider generic --yes {}", lab.given(1..=3))).ended(0);

    lab.assert_same(&before);
}
