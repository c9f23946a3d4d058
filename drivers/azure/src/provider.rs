//! The driver: what it holds, and which part of it does what.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use driver::{
    Capabilities, ClusterId, ClusterRequest, Console, Driver, DriverError, Estimate, Expiry, Instance, InstanceId,
    MachineRequest, Mark, Network, Options, Pace, Preflight, Progress, Resource,
};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::answers::SubscriptionAnswer;
use crate::choice::{self, Choice};
use crate::client::{Call, Client};
use crate::environment::Environment;
use crate::farewell;
use crate::names::{Group, SUBSCRIPTIONS};
use crate::patience::Patience;

/// Azure, by the credentials and options of one command.
pub(crate) struct Azure {
    environment: Environment,
    options: Options,
    patience: Patience,
    folder: PathBuf,
    /// The subscription that was named.
    named: Option<String>,
    region: String,
    /// Managers delete the cluster's resource group when its time is up.
    deletes_itself: bool,
    client: OnceCell<Client>,
    subscription: OnceCell<String>,
    /// The groups of clusters that this command has seen: a name is not asked for twice.
    known: Mutex<BTreeMap<ClusterId, Known>>,
}

/// The resource group of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) group: Group,
    /// What somebody else put into it, where that was looked at.
    pub(crate) strangers: Option<Vec<String>>,
}

impl Azure {
    pub(crate) fn new(
        environment: Environment,
        options: &Options,
        folder: PathBuf,
        patience: Patience,
    ) -> Result<Self, DriverError> {
        let choice = Choice::read(&environment, options, &Options::default())?;
        let named = choice::subscription(options)?.or_else(|| environment.subscription.clone());
        Ok(Self {
            environment,
            options: options.clone(),
            patience,
            folder,
            named,
            region: choice.region,
            deletes_itself: choice.deletes_itself,
            client: OnceCell::new(),
            subscription: OnceCell::new(),
            known: Mutex::default(),
        })
    }

    /// What a request's options ask for.
    pub(crate) fn choice(&self, asked: &Options) -> Result<Choice, DriverError> {
        Choice::read(&self.environment, &self.options, asked)
    }

    /// The client, made on first use: it reads the system's certificates.
    pub(crate) async fn client(&self) -> Result<&Client, DriverError> {
        let make = || async {
            let (environment, region, patience) = (self.environment.clone(), self.region.clone(), self.patience);
            let pace = Pace::new(&self.folder);
            let making = tokio::task::spawn_blocking(move || Client::new(&environment, &region, patience, pace));
            making.await.map_err(|panic| DriverError::provider("prepare TLS for Azure", panic))?
        };
        self.client.get_or_try_init(make).await
    }

    /// The subscription: the one that was named, else the only one that the credentials reach.
    pub(crate) async fn subscription(&self, client: &Client) -> Result<&str, DriverError> {
        let find = || async {
            if let Some(named) = &self.named {
                return Ok(named.clone());
            }
            let call = Call::get("/subscriptions", SUBSCRIPTIONS, "list the subscriptions");
            let mut found: Vec<SubscriptionAnswer> = client.list(&call).await?.unwrap_or_default();
            found.retain(|subscription| subscription.state == "Enabled");
            if let [only] = found.as_slice() {
                return Ok(only.subscription_id.clone());
            }
            let names: Vec<_> =
                found.iter().map(|one| format!("{} ({})", one.subscription_id, one.display_name)).collect();
            Err(DriverError::Unmet {
                what: format!("these credentials reach {} subscriptions: [{}]", names.len(), names.join(", ")),
                hint: "name one by --subscription or AZURE_SUBSCRIPTION_ID".to_owned(),
            })
        };
        self.subscription.get_or_try_init(find).await.map(String::as_str)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClusterId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group of a cluster, where it was seen.
    pub(crate) fn known(&self, cluster: &ClusterId) -> Option<Known> {
        self.lock().get(cluster).cloned()
    }

    /// Remembers the group of a cluster.
    pub(crate) fn remember(&self, cluster: &ClusterId, group: &Group) {
        self.remember_all(cluster, Known { group: group.clone(), strangers: None });
    }

    pub(crate) fn remember_all(&self, cluster: &ClusterId, known: Known) {
        self.lock().insert(cluster.clone(), known);
    }

    pub(crate) fn forget(&self, cluster: &ClusterId) {
        self.lock().remove(cluster);
    }
}

impl fmt::Debug for Azure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Azure").field("region", &self.region).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for Azure {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            has_batch_create: false,
            has_stop_start: true,
            expiry: if self.deletes_itself { Expiry::Machine } else { Expiry::Nobody },
            has_movable_expiry: true,
            has_pinned_host_keys: true,
            has_spot: true,
            machines_are_given: false,
            has_firewall: true,
            has_user_data: true,
            removes_machines_with_network: true,
        }
    }

    async fn preflight(&self, request: &ClusterRequest) -> Result<Preflight, DriverError> {
        self.check_all(request).await
    }

    async fn estimate(&self, request: &ClusterRequest) -> Result<Estimate, DriverError> {
        self.reckon(request)
    }

    async fn ensure_network(&self, request: &ClusterRequest) -> Result<Network, DriverError> {
        self.make_network(request).await
    }

    async fn create(
        &self,
        network: &Network,
        machines: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        self.make_machines(network, machines, progress).await
    }

    async fn start(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
        self.start_machines(ids).await
    }

    async fn stop(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        self.stop_machines(ids).await
    }

    async fn extend(&self, cluster: &ClusterId, expires: Timestamp) -> Result<(), DriverError> {
        self.move_expiry(cluster, expires).await
    }

    fn farewell(&self, mark: &Mark) -> Option<String> {
        self.deletes_itself.then(|| farewell::script(self.environment.endpoint(), mark))
    }

    async fn console(&self, id: &InstanceId) -> Result<Console, DriverError> {
        self.read_console(id).await
    }

    async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        self.destroy_machines(ids).await
    }

    async fn remove_network(&self, cluster: &ClusterId) -> Result<(), DriverError> {
        self.delete_group(cluster).await
    }

    async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
        self.find_marked(cluster).await
    }
}
