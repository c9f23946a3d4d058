//! A fake Compute Engine, and the driver on it.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver::conformance::{self, cluster_request, machine_request};
use driver::{
    Backoff, ClusterRequest, Driver, DriverError, FirewallRule, Instance, InstanceId, MachineRequest, OptionValue,
    Options, Progress, Protocol, Resource, RuleSource, Silent,
};
use fake_gcp::{FakeGcp, Settings};
use gcp::{Environment, Patience};
use google_cloud_auth::credentials::user_account;
use serde_json::Value;
use tempfile::TempDir;

/// The user-data of the machines.
pub(crate) const USER_DATA: &str = "#cloud-config\nhostname: x\n";
/// The key that logs in to them.
pub(crate) const AUTHORIZED_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me@here";
/// The host key that they are given.
pub(crate) const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB";

/// A fake and what a workstation keeps.
pub(crate) struct Bench {
    pub(crate) fake: FakeGcp,
    folder: TempDir,
    opened: AtomicU32,
    options: Options,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default(), &[]).await
    }

    /// A bench with settings of the fake and options of the driver.
    pub(crate) async fn with(settings: Settings, options: &[(&str, &[&str])]) -> Self {
        // Whichever test comes first installs it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let many = |values: &[&str]| OptionValue::Many(values.iter().map(|value| (*value).to_owned()).collect());
        let options = options.iter().map(|(name, values)| ((*name).to_owned(), many(values))).collect();
        Self {
            fake: FakeGcp::start(settings).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            opened: AtomicU32::new(0),
            options: Options(options),
        }
    }

    /// The driver as a new process opens it, with a pace of its own: hundreds of processes a second would be slowed down
    /// below Google's rates.
    pub(crate) fn open(&self) -> Arc<dyn Driver> {
        let environment = Environment {
            endpoint: Some(self.fake.endpoint()),
            credentials: Some(user_account::Builder::new(self.fake.credentials()).build().unwrap()),
            project: Some("fake-project".to_owned()),
            region: None,
            zone: None,
            patience: Patience {
                backoff: Backoff { attempts: 12, first: Duration::from_millis(4), ceiling: Duration::from_secs(1) },
                interval: Duration::from_millis(3),
                limit: Duration::from_secs(10),
                unseen: Duration::from_millis(100),
            },
        };
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        gcp::open_in(&self.options, &self.folder.path().join(number.to_string()), environment).unwrap()
    }

    /// A cluster of three managers and two workers with the rules that swarmup asks for.
    pub(crate) fn request(&self, name: &str) -> ClusterRequest {
        ClusterRequest {
            managers: 3,
            workers: 2,
            firewall: firewall("198.51.100.7/32"),
            options: self.options.clone(),
            ..cluster_request(format!("mark-{name}"), name)
        }
    }

    /// Creates a cluster as swarmup does, but for its preflight.
    pub(crate) async fn create(
        &self,
        driver: &dyn Driver,
        request: &ClusterRequest,
    ) -> Result<Vec<Instance>, DriverError> {
        let network = driver.ensure_network(request).await?;
        driver.create(&network, &machines(request), &Silent).await
    }

    /// Destroys a cluster as swarmup does; what is left.
    pub(crate) async fn destroy(
        &self,
        driver: &dyn Driver,
        request: &ClusterRequest,
    ) -> Result<Vec<Resource>, DriverError> {
        let found = driver.find(Some(&request.id)).await?;
        let ids: Vec<_> = found.into_iter().filter_map(|resource| resource.instance).collect();
        if !ids.is_empty() {
            driver.destroy(&ids).await?;
        }
        driver.remove_network(&request.id).await?;
        driver.find(Some(&request.id)).await
    }

    /// The kinds of the requests so far.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.fake.requests().iter().map(|request| request["kind"].as_str().unwrap().to_owned()).collect()
    }

    /// The bodies that were sent to one method.
    pub(crate) fn bodies(&self, kind: &str) -> Vec<Value> {
        let requests = self.fake.requests();
        requests.iter().filter(|request| request["kind"] == kind).map(|request| request["body"].clone()).collect()
    }

    /// Has all requests judged by Google's document.
    pub(crate) async fn judge(&self) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gce-oracle");
        let wrong = fake_gcp::judge(&self.fake.requests(), &folder).await.unwrap();
        assert_eq!(wrong, None, "requests that Google's document does not allow");
    }
}

impl conformance::Bench for Bench {
    fn driver(&self) -> Arc<dyn Driver> {
        self.open()
    }

    fn cluster(&self, name: &str) -> ClusterRequest {
        ClusterRequest { options: self.options.clone(), ..cluster_request(format!("mark-{name}"), name) }
    }
}

/// The cluster's machines.
pub(crate) fn machines(request: &ClusterRequest) -> Vec<MachineRequest> {
    let machine = |number| MachineRequest {
        is_manager: number <= request.managers,
        group: if number <= request.managers { "managers" } else { "workers" }.to_owned(),
        user_data: Some(USER_DATA.to_owned()),
        host_key: Some(HOST_KEY.to_owned()),
        authorized_key: Some(AUTHORIZED_KEY.to_owned()),
        ..machine_request(request, number)
    };
    (1..=request.managers + request.workers).map(machine).collect()
}

/// The rules that swarmup asks for.
pub(crate) fn firewall(operator: &str) -> Vec<FirewallRule> {
    let members = [(Protocol::Tcp, 2377), (Protocol::Tcp, 7946), (Protocol::Udp, 7946), (Protocol::Udp, 4789)];
    let members = members.map(|(protocol, port)| (protocol, port, RuleSource::Members));
    let operator = [22, 2376].map(|port| (Protocol::Tcp, port, RuleSource::Prefix(operator.to_owned())));
    let rule = |(protocol, port, source)| FirewallRule { protocol, port: Some(port), source };
    members.into_iter().chain(operator).map(rule).collect()
}

/// The ids of instances.
pub(crate) fn ids(instances: &[Instance]) -> Vec<InstanceId> {
    instances.iter().map(|instance| instance.id.clone()).collect()
}

/// Notes which machines have appeared.
#[derive(Default)]
pub(crate) struct Appeared(pub(crate) Mutex<Vec<String>>);

impl Progress for Appeared {
    fn machine(&self, _name: &str, _what: &str) {}

    fn appeared(&self, instance: &Instance, at: Option<std::net::IpAddr>) {
        self.0.lock().unwrap().push(format!("{} {}", instance.name, at.unwrap()));
    }
}
