//! A workstation with a home of its own, for `swarmup` and the provider `local`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use links::cgroup::ControlGroup;
use rustix::process::{WaitOptions, wait};
use serde_json::Value;
use tests::HostSnapshot;

use crate::cluster::Cluster;
use tests::run::{PATIENCE, Run, limited};

/// Where the provider `local` keeps its clusters.
const LOCAL_STATE: &str = "/var/lib/swarmup/local";

/// How many machines the provider keeps, of all clusters.
pub(crate) fn count_machines() -> usize {
    let folders = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    folders(Path::new(LOCAL_STATE)).flat_map(|cluster| folders(&cluster.join("machines"))).count()
}

/// A workstation inside namespaces of its own (`tests::isolated`).
pub(crate) struct Workstation {
    folder: tempfile::TempDir,
}

impl Workstation {
    /// One with nothing on it.
    pub(crate) fn new() -> Self {
        Run::of(Command::new("ip").args(["link", "set", "lo", "up"])).answer();
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Makes a cluster, or goes on making it.
    pub(crate) fn create(&self, arguments: &str) -> Cluster<'_> {
        self.swarmup(&format!("create {arguments}")).answer();
        let name = arguments.split_whitespace().next().unwrap();
        Cluster::new(self, name)
    }

    /// Runs `swarmup` to its end.
    pub(crate) fn swarmup(&self, arguments: &str) -> Run {
        let mut command = limited(PATIENCE, tests::programs::swarmup().unwrap());
        self.prepare(&mut command);
        Run::of(command.args(arguments.split_whitespace()))
    }

    /// Starts `swarmup` and does not wait.
    pub(crate) fn start(&self, arguments: &str) -> Child {
        let mut command = Command::new(tests::programs::swarmup().unwrap());
        self.prepare(&mut command);
        command.args(arguments.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// The folder of a cluster.
    pub(crate) fn cluster_folder(&self, name: &str) -> PathBuf {
        self.home().join("clusters").join(name)
    }

    /// The journal of a cluster, where there is one.
    pub(crate) fn journal(&self, name: &str) -> Option<Value> {
        let text = std::fs::read(self.cluster_folder(name).join("journal.json")).ok()?;
        Some(serde_json::from_slice(&text).expect("a journal is replaced as a whole"))
    }

    /// A folder for the test's own files.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// All that this workstation holds. Control groups are the machine's: only those of our clusters count.
    pub(crate) fn snapshot(&self) -> HostSnapshot {
        collect_orphans();
        let ids = self.cluster_ids();
        HostSnapshot::take()
            .unwrap()
            .without(|item| item.starts_with("cgroup") && !ids.iter().any(|id| item.contains(id)))
    }

    /// Notes a cluster's id, so that what it leaves behind is seen and removed.
    pub(crate) fn note(&self, name: &str) {
        let id = self.journal(name).unwrap()["id"].as_str().unwrap().to_owned();
        std::fs::write(self.ids().join(id), "").unwrap();
    }

    fn cluster_ids(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.ids()).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    fn ids(&self) -> PathBuf {
        let ids = self.folder.path().join("ids");
        std::fs::create_dir_all(&ids).unwrap();
        ids
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn prepare(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("SWARMUP_HOME", self.home());
        command.env("SWARMUP_AGENT", tests::agent().unwrap());
    }
}

/// Control groups are the machine's own, and stay when a test fails; processes end with the namespaces.
impl Drop for Workstation {
    fn drop(&mut self) {
        let all = ControlGroup::new("swarmup").unwrap();
        let ids = self.cluster_ids();
        for name in all.children().into_iter().filter(|name| ids.iter().any(|id| name.contains(id))) {
            let group = ControlGroup::new(format!("swarmup/{name}")).unwrap();
            group.kill().and_then(|()| group.remove()).unwrap();
        }
        all.remove_if_empty();
    }
}

/// Whoever started the machines is gone, so that this process, the first of its PID namespace, collects them.
fn collect_orphans() {
    while wait(WaitOptions::NOHANG).is_ok_and(|collected| collected.is_some()) {}
}
