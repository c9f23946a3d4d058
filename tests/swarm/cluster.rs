//! A cluster on a workstation, as its user sees it, and the processes that make it up.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use driver::{Access, Instance};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::workstation::Workstation;
use tests::run::{PATIENCE, Run, eventually, limited};

/// The columns of [`NodeLine`].
pub(crate) const NODE_FORMAT: &str = "{{.ID}}|{{.Hostname}}|{{.Status}}|{{.Availability}}|{{.ManagerStatus}}";

/// A cluster made by the provider `local`.
pub(crate) struct Cluster<'a> {
    workstation: &'a Workstation,
    name: String,
    environment: BTreeMap<String, String>,
}

/// A line of `docker node ls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeLine {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) status: String,
    pub(crate) availability: String,
    pub(crate) manager_status: String,
}

impl<'a> Cluster<'a> {
    /// The cluster of this name, which stands.
    pub(crate) fn new(workstation: &'a Workstation, name: &str) -> Self {
        workstation.note(name);
        let environment = workstation.swarmup(&format!("env {name} --shell json")).answer();
        let environment = serde_json::from_str(&environment).unwrap();
        Self { workstation, name: name.to_owned(), environment }
    }

    /// The stock `docker`, as `eval "$(swarmup env)"` prepares it.
    pub(crate) fn docker(&self, arguments: &str) -> Run {
        self.docker_at(&self.environment["DOCKER_HOST"], PATIENCE, arguments)
    }

    /// `docker` over one manager's own API, with a limit.
    pub(crate) fn docker_on(&self, hostname: &str, limit: Duration, arguments: &str) -> Run {
        self.docker_at(&format!("tcp://{}:2376", self.address(hostname)), limit, arguments)
    }

    /// The stock `docker` over a node's own socket.
    pub(crate) fn docker_inside(&self, hostname: &str, arguments: &str) -> Run {
        Run::of(&mut self.command_inside(hostname, arguments))
    }

    /// The same, to be started by the caller.
    pub(crate) fn command_inside(&self, hostname: &str, arguments: &str) -> Command {
        let socket = self.file(hostname, "/run/swarmd/swarmd.sock");
        let mut command = limited(PATIENCE, tests::programs::docker());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
        command.arg("-H").arg(format!("unix://{}", socket.display())).args(arguments.split_whitespace());
        command
    }

    fn docker_at(&self, host: &str, limit: Duration, arguments: &str) -> Run {
        let mut command = limited(limit, tests::programs::docker());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.workstation.scratch());
        command.envs(&self.environment).env("DOCKER_HOST", host);
        Run::of(command.args(arguments.split_whitespace()))
    }

    /// What `docker node ls` shows.
    pub(crate) fn nodes(&self) -> Vec<NodeLine> {
        nodes_of(&self.docker(&format!("node ls --format {NODE_FORMAT}")).answer())
    }

    /// What `docker node ls` shows over one manager, if that answers in time.
    pub(crate) fn nodes_on(&self, hostname: &str) -> Option<Vec<NodeLine>> {
        let run = self.docker_on(hostname, Duration::from_secs(5), &format!("node ls --format {NODE_FORMAT}"));
        run.is_done().then(|| nodes_of(&run.stdout))
    }

    /// Waits until every node is ready and every manager reachable, and returns the hostname of the leader.
    #[track_caller]
    pub(crate) fn wait_until_well(&self, asked: &str, managers: usize, workers: usize) -> String {
        eventually(&format!("{managers} managers and {workers} workers are well"), || {
            let nodes = self.nodes_on(asked)?;
            let is = |status: &str| nodes.iter().filter(|node| node.manager_status == status).count();
            let is_well = nodes.iter().all(|node| node.status == "Ready")
                && (is("Leader"), is("Reachable"), is("")) == (1, managers - 1, workers);
            let leader = nodes.into_iter().find(|node| node.manager_status == "Leader")?;
            is_well.then_some(leader.hostname)
        })
    }

    /// The address of a node.
    pub(crate) fn address(&self, hostname: &str) -> String {
        self.instance(hostname).private_address.unwrap().to_string()
    }

    /// The agent of a node, as this workstation numbers processes; `None` while there is none.
    pub(crate) fn agent(&self, hostname: &str) -> Option<Pid> {
        let machine = fs::read_link(format!("/proc/{}/ns/pid", self.first_process(hostname))).unwrap();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_agent = |pid: &i32| {
            fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|namespace| namespace == machine)
                && fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.split(|byte| *byte == 0).nth(1) == Some(b"run"))
        };
        pids.into_iter().find(is_agent).and_then(Pid::from_raw)
    }

    /// Sends a signal to the agent of a node, and returns which process that was.
    #[track_caller]
    pub(crate) fn signal(&self, hostname: &str, signal: Signal) -> Pid {
        let agent = self.agent(hostname).expect("the agent runs");
        kill_process(agent, signal).unwrap();
        agent
    }

    /// A file of a node, as this workstation can open it.
    pub(crate) fn file(&self, hostname: &str, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first_process(hostname)))
    }

    /// A file of the client.
    pub(crate) fn client_file(&self, name: &str) -> PathBuf {
        self.workstation.cluster_folder(&self.name).join(name)
    }

    /// Removes the cluster.
    #[track_caller]
    pub(crate) fn destroy(self) {
        self.workstation.swarmup(&format!("destroy {} --yes", self.name)).answer();
    }

    fn first_process(&self, hostname: &str) -> u32 {
        match self.instance(hostname).access {
            Some(Access::Namespace { pid, .. }) => pid,
            other => panic!("`{hostname}` runs on this workstation: {other:?}"),
        }
    }

    fn instance(&self, hostname: &str) -> Instance {
        let number = hostname.strip_prefix("node-").unwrap();
        let mut journal = self.workstation.journal(&self.name).unwrap();
        let instance: Value = journal["machines"][number]["instance"].take();
        serde_json::from_value(instance).unwrap()
    }
}

/// Reads what `docker node ls` printed.
pub(crate) fn nodes_of(lines: &str) -> Vec<NodeLine> {
    let node = |line: &str| {
        let mut columns = line.split('|').map(ToOwned::to_owned);
        let mut next = || columns.next().expect("the format has five columns");
        NodeLine { id: next(), hostname: next(), status: next(), availability: next(), manager_status: next() }
    };
    lines.lines().map(node).collect()
}

/// Waits until a process is gone and another one has its place.
pub(crate) fn wait_for_a_new_agent(cluster: &Cluster<'_>, hostname: &str, former: Pid) {
    eventually(&format!("{hostname} has a new agent"), || cluster.agent(hostname).filter(|agent| *agent != former));
}
