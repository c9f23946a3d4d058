//! A fake Azure with a driver on it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure::{Environment, Patience};
use driver::conformance::{Bench, cluster_request, machine_request};
use driver::{
    Backoff, ClusterRequest, Driver, DriverError, FirewallRule, Instance, MachineRequest, Network, OptionValue,
    Options, Protocol, RuleSource, Silent, Wait, wait_until,
};
use fake_azure::{FakeAzure, Logged, Settings, Verdict};

/// A public key that nobody has the private one of.
pub(crate) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvtcPBCrBMq1kYjVGg1DZVTDR5pnrqLWmSZ8jMtVDMZ nobody";

/// Waits of milliseconds: the fake is fast.
pub(crate) const PATIENCE: Patience = Patience {
    backoff: Backoff { attempts: 8, first: Duration::from_millis(5), ceiling: Duration::from_secs(2) },
    pause: Duration::from_millis(5),
    operation: Duration::from_secs(10),
    addresses: Duration::from_secs(10),
    reservation: Duration::from_secs(10),
    group: Duration::from_secs(10),
};

/// A fake Azure, and the folder of the drivers on it.
pub(crate) struct Lab {
    pub(crate) fake: FakeAzure,
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn start() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self { fake: FakeAzure::start(settings).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    /// The environment in which the driver finds the fake, with some variables changed.
    pub(crate) fn environment(&self, changes: &[(&str, &str)]) -> Environment {
        let variables = self.fake.environment();
        Environment::read(|name| match changes.iter().find(|(own, _)| *own == name) {
            Some((_, value)) => Some((*value).to_owned()),
            None => variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone()),
        })
    }

    /// A driver as a new process would open it.
    pub(crate) fn open(&self) -> Arc<dyn Driver> {
        self.open_with(&[], PATIENCE)
    }

    pub(crate) fn open_with(&self, changes: &[(&str, &str)], patience: Patience) -> Arc<dyn Driver> {
        let environment = self.environment(changes);
        azure::open_in(environment, patience, &Options::default(), self.folder.path()).unwrap()
    }

    /// The folder of the drivers.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// There is one identity with one right.
    pub(crate) fn assert_entitled(&self) {
        let resources = self.fake.resources();
        let count = |kind: &str| resources.iter().filter(|id| id.contains(kind)).count();
        assert_eq!((count("/userAssignedIdentities/"), count("/roleAssignments/")), (1, 1), "{resources:#?}");
    }

    /// The names of the machines that exist.
    pub(crate) fn machine_names(&self) -> Vec<String> {
        self.fake.machines().into_iter().map(|machine| machine.name).collect()
    }

    /// How many requests of a method and kind there were.
    pub(crate) fn count(&self, method: &str, kind: &str) -> usize {
        self.fake.requests().iter().filter(|entry| entry.method == method && entry.kind == kind).count()
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, mut holds: impl FnMut() -> bool) {
        let wait = Wait { limit: Duration::from_secs(10), interval: Duration::from_millis(2) };
        wait_until(&wait, "see what the test waits for", || std::future::ready(Ok(holds().then_some(()))))
            .await
            .unwrap();
    }

    /// Judges every request that was made, by the published schemas.
    pub(crate) async fn judge(&self) {
        judge(self.fake.requests()).await;
    }
}

/// Judges requests; those that differ only in where the fake was count once.
pub(crate) async fn judge(requests: Vec<Logged>) {
    let mut seen = BTreeSet::new();
    let different: Vec<_> = requests
        .into_iter()
        .filter(|entry| {
            let path = entry.url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
            seen.insert((entry.method.clone(), path, entry.body.as_ref().map(ToString::to_string)))
        })
        .collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("arm-oracle");
    match fake_azure::judge(&different, &folder).await.unwrap() {
        Verdict::Valid(_) | Verdict::Skipped => {}
        Verdict::Invalid(what) => panic!("the published schemas refuse what was sent:\n{what}"),
    }
}

impl Bench for Lab {
    fn driver(&self) -> Arc<dyn Driver> {
        self.open()
    }

    fn cluster(&self, name: &str) -> ClusterRequest {
        cluster(name)
    }

    fn machine(&self, cluster: &ClusterRequest, number: u32) -> MachineRequest {
        machine(cluster, number)
    }
}

/// A cluster of three managers and two workers.
pub(crate) fn cluster(name: &str) -> ClusterRequest {
    let rule = |protocol, port, source| FirewallRule { protocol, port, source };
    ClusterRequest {
        managers: 3,
        workers: 2,
        firewall: vec![
            rule(Protocol::Tcp, Some(2377), RuleSource::Members),
            rule(Protocol::Tcp, Some(7946), RuleSource::Members),
            rule(Protocol::Udp, Some(7946), RuleSource::Members),
            rule(Protocol::Udp, Some(4789), RuleSource::Members),
            rule(Protocol::Esp, None, RuleSource::Members),
            rule(Protocol::Tcp, Some(22), RuleSource::Prefix("203.0.113.7/32".to_owned())),
            rule(Protocol::Tcp, Some(2376), RuleSource::Prefix("203.0.113.7/32".to_owned())),
        ],
        ..cluster_request(format!("{name}-0123456789"), name)
    }
}

/// A machine of a cluster, the first three of which are managers.
pub(crate) fn machine(cluster: &ClusterRequest, number: u32) -> MachineRequest {
    MachineRequest {
        is_manager: number <= 3,
        group: if number <= 3 { "managers" } else { "workers" }.to_owned(),
        user_data: Some("#cloud-config\n".to_owned()),
        host_key: Some("ssh-ed25519 AAAAhost".to_owned()),
        authorized_key: Some(KEY.to_owned()),
        ..machine_request(cluster, number)
    }
}

pub(crate) fn machines(cluster: &ClusterRequest) -> Vec<MachineRequest> {
    (1..=cluster.managers + cluster.workers).map(|number| machine(cluster, number)).collect()
}

/// The cluster with an option.
pub(crate) fn with_option(mut cluster: ClusterRequest, name: &str, values: &[&str]) -> ClusterRequest {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    cluster.options.0.insert(name.to_owned(), OptionValue::Many(values));
    cluster
}

/// Network and machines, as the core makes them.
pub(crate) async fn create(driver: &dyn Driver, cluster: &ClusterRequest) -> Result<Vec<Instance>, DriverError> {
    let network: Network = driver.ensure_network(cluster).await?;
    driver.create(&network, &machines(cluster), &Silent).await
}

/// Everything away, as the core does it; until nothing is found.
pub(crate) async fn destroy(driver: &dyn Driver, cluster: &ClusterRequest) -> Result<(), DriverError> {
    let found = driver.find(Some(&cluster.id)).await?;
    let standing = found.into_iter().filter(|resource| !resource.is_vanishing);
    let ids: Vec<_> = standing.filter_map(|resource| resource.instance).collect();
    driver.destroy(&ids).await?;
    driver.remove_network(&cluster.id).await?;
    gone(driver, cluster).await
}

/// Waits until nothing is found of a cluster.
pub(crate) async fn gone(driver: &dyn Driver, cluster: &ClusterRequest) -> Result<(), DriverError> {
    let wait = Wait { limit: Duration::from_secs(10), interval: Duration::from_millis(5) };
    wait_until(&wait, "see the cluster gone", || async {
        Ok(driver.find(Some(&cluster.id)).await?.is_empty().then_some(()))
    })
    .await
}

/// An error with its causes.
pub(crate) fn told(error: &DriverError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        text = format!("{text}: {current}");
        cause = current.source();
    }
    text
}

/// Hears what is going on.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) said: Mutex<Vec<String>>,
    pub(crate) appeared: Mutex<Vec<String>>,
}

impl driver::Progress for Heard {
    fn machine(&self, name: &str, what: &str) {
        self.said.lock().unwrap().push(format!("{name}: {what}"));
    }

    fn appeared(&self, instance: &Instance, at: Option<std::net::IpAddr>) {
        let at = at.map(|address| address.to_string()).unwrap_or_default();
        self.appeared.lock().unwrap().push(format!("{} {at}", instance.name));
    }
}
