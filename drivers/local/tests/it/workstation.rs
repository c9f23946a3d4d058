//! A workstation to make machines on, for every test of this driver.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver::conformance::{Bench, cluster_request, machine_request};
use driver::{Access, ClusterRequest, Driver, Instance, MachineRequest, Options};
use links::Process;
use links::cgroup::ControlGroup;

/// A workstation with an agent for its machines.
pub(crate) struct Workstation {
    agent: PathBuf,
    folder: tempfile::TempDir,
}

impl Workstation {
    /// One whose agent is a script.
    pub(crate) fn with_script(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        fs::write(&agent, script).unwrap();
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
        Self { agent, folder }
    }

    /// One with an agent that is there.
    pub(crate) fn with_agent(agent: PathBuf) -> Self {
        Self { agent, folder: tempfile::tempdir().unwrap() }
    }

    /// The agent of its machines.
    pub(crate) fn agent(&self) -> &Path {
        &self.agent
    }

    /// What the marks of its clusters begin with: no test that runs beside this one has it.
    fn unique(&self) -> String {
        self.folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned()
    }

    /// Requests for machines from number 1.
    pub(crate) fn machines(&self, request: &ClusterRequest, count: u32) -> Vec<MachineRequest> {
        (1..=count).map(|number| self.machine(request, number)).collect()
    }
}

/// Control groups are the machine's own, and stay when a test fails.
impl Drop for Workstation {
    fn drop(&mut self) {
        let all = ControlGroup::new("swarmup").unwrap();
        for name in all.children().into_iter().filter(|name| name.starts_with(&self.unique())) {
            let group = ControlGroup::new(format!("swarmup/{name}")).unwrap();
            group.kill().and_then(|()| group.remove()).unwrap();
        }
        all.remove_if_empty();
    }
}

impl Bench for Workstation {
    fn driver(&self) -> Arc<dyn Driver> {
        local::open(&Options::default(), Path::new("/nowhere")).unwrap()
    }

    fn cluster(&self, name: &str) -> ClusterRequest {
        cluster_request(format!("{}-{name}", self.unique()), name)
    }

    fn machine(&self, cluster: &ClusterRequest, number: u32) -> MachineRequest {
        MachineRequest { agent: Some(self.agent.clone()), ..machine_request(cluster, number) }
    }
}

/// Runs a future to its end.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The first process of a machine that runs.
pub(crate) fn process(instance: &Instance) -> Process {
    let Some(Access::Namespace { pid, started }) = instance.access else { panic!("it runs: {instance:?}") };
    Process { pid, started }
}

/// Removes all of a cluster.
pub(crate) async fn tear_down(driver: &dyn Driver, request: &ClusterRequest) {
    let found = driver.find(Some(&request.id)).await.unwrap();
    let ids: Vec<_> = found.into_iter().filter_map(|resource| resource.instance).collect();
    driver.destroy(&ids).await.unwrap();
    driver.remove_network(&request.id).await.unwrap();
}
