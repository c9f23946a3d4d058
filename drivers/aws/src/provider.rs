//! The contract, over EC2.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_config::SdkConfig;
use driver::{
    Capabilities, ClusterId, ClusterRequest, Console, Driver, DriverError, Estimate, Expiry, Instance, InstanceId,
    MachineRequest, Network, Pace, Preflight, Progress, Resource, TAG_EXPIRES,
};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::api::{Api, Call};
use crate::image::{self, Image};
use crate::launch::Launch;
use crate::place::Site;
use crate::rates::CREATE_TAGS;
use crate::settings::Settings;
use crate::{Patience, connect, destroy, machine, network, plan, power, region, survey, tags};

/// Things that one call tags at most.
const TAGGED: usize = 1000;

/// Amazon EC2 in one region.
#[derive(Debug)]
pub(crate) struct Aws {
    settings: Settings,
    pace: Pace,
    patience: Patience,
    /// The configuration, given or found by the provider's own chain once it is needed.
    configuration: OnceCell<SdkConfig>,
    api: OnceCell<Api>,
    image: OnceCell<Image>,
    /// Machines that were seen with a mark, so that they need not be looked at again before they are terminated.
    marked: Mutex<BTreeSet<InstanceId>>,
}

impl Aws {
    pub(crate) fn new(settings: Settings, folder: &Path, configuration: Option<SdkConfig>, patience: Patience) -> Self {
        Self::configured(settings, Pace::new(folder), OnceCell::new_with(configuration), patience)
    }

    fn configured(settings: Settings, pace: Pace, configuration: OnceCell<SdkConfig>, patience: Patience) -> Self {
        Self {
            settings,
            pace,
            patience,
            configuration,
            api: OnceCell::new(),
            image: OnceCell::new(),
            marked: Mutex::default(),
        }
    }

    async fn configuration(&self) -> &SdkConfig {
        self.configuration.get_or_init(|| connect::load(self.settings.region.as_deref())).await
    }

    async fn api(&self) -> Result<&Api, DriverError> {
        let connect = || async {
            let (client, region) = connect::client(self.configuration().await, self.settings.region.as_deref())?;
            Ok(Api::new(client, region, self.pace.clone(), self.patience))
        };
        self.api.get_or_try_init(connect).await
    }

    async fn image(&self, api: &Api) -> Result<&Image, DriverError> {
        self.image.get_or_try_init(|| image::find(api, &self.settings)).await
    }

    fn remember<'a>(&self, ids: impl IntoIterator<Item = &'a InstanceId>) {
        self.marked.lock().expect("nobody panics with it").extend(ids.into_iter().cloned());
    }

    fn are_marked(&self, ids: &[InstanceId]) -> bool {
        let marked = self.marked.lock().expect("nobody panics with it");
        ids.iter().all(|id| marked.contains(id))
    }
}

#[async_trait]
impl Driver for Aws {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            has_batch_create: true,
            has_stop_start: !self.settings.is_spot,
            expiry: Expiry::Machine,
            has_movable_expiry: true,
            has_pinned_host_keys: true,
            has_spot: true,
            machines_are_given: false,
            has_firewall: true,
            has_user_data: true,
            removes_machines_with_network: false,
        }
    }

    async fn preflight(&self, request: &ClusterRequest) -> Result<Preflight, DriverError> {
        let api = self.api().await?;
        let image = self.image(api).await?;
        plan::preflight(api, &self.settings, image, request).await
    }

    async fn estimate(&self, request: &ClusterRequest) -> Result<Estimate, DriverError> {
        Ok(plan::estimate(&self.settings, &self.api().await?.region, request))
    }

    async fn ensure_network(&self, request: &ClusterRequest) -> Result<Network, DriverError> {
        network::ensure(self.api().await?, &self.settings, request).await
    }

    async fn create(
        &self,
        network: &Network,
        machines: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        if machines.is_empty() {
            return Ok(Vec::new());
        }
        let api = self.api().await?;
        let site = Site::read(network)?;
        let there = machine::of_cluster(api, Some(&network.cluster));
        let (image, there) = futures_util::try_join!(self.image(api), there)?;
        let launch = Launch { api, settings: &self.settings, cluster: &network.cluster, site: &site, image };
        let launched = launch.missing(machines, &there, progress).await?;
        self.remember(launched.values());
        launch.appear(machines, &launched, progress).await
    }

    async fn start(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
        power::start(self.api().await?, &self.settings, ids).await
    }

    async fn stop(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        power::stop(self.api().await?, &self.settings, ids).await
    }

    async fn regions(&self) -> Result<BTreeMap<String, Arc<dyn Driver>>, DriverError> {
        let regions = region::enabled(self.api().await?).await?;
        let configuration = self.configuration().await;
        let open = |region: String| {
            let settings = Settings { region: Some(region.clone()), ..self.settings.clone() };
            let configuration = OnceCell::new_with(Some(configuration.clone()));
            let driver = Self::configured(settings, self.pace.clone(), configuration, self.patience);
            (region, Arc::new(driver) as Arc<dyn Driver>)
        };
        Ok(regions.into_iter().map(open).collect())
    }

    async fn extend(&self, cluster: &ClusterId, expires: Timestamp) -> Result<(), DriverError> {
        let api = self.api().await?;
        let survey = survey::of(api, Some(cluster)).await?;
        let machines = survey.machines.iter().filter(|machine| machine.life.is_staying());
        let parts = survey.parts.iter().filter(|part| !part.is_vanishing).map(|part| part.id.clone());
        let ids: Vec<_> = machines.map(|machine| machine.id.0.clone()).chain(parts).collect();
        if ids.is_empty() {
            let action = format!("extend the time of cluster `{cluster}`");
            return Err(DriverError::provider(action, "nothing carries its mark"));
        }
        for some in ids.chunks(TAGGED) {
            let call = Call::new(CREATE_TAGS, format!("tag what belongs to cluster `{cluster}`"));
            let tag = tags::tag(TAG_EXPIRES, expires.as_second().to_string());
            let tagged =
                api.call(call, || api.client.create_tags().set_resources(Some(some.to_vec())).tags(tag.clone()).send());
            tagged.await?;
        }
        Ok(())
    }

    async fn console(&self, id: &InstanceId) -> Result<Console, DriverError> {
        power::console(self.api().await?, id).await
    }

    async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        let api = self.api().await?;
        if self.are_marked(ids) {
            return destroy::terminate(api, ids).await;
        }
        // Ids that come from elsewhere may be of anything.
        let ids = destroy::staying(api, ids).await?;
        destroy::terminate(api, &ids).await
    }

    async fn remove_network(&self, cluster: &ClusterId) -> Result<(), DriverError> {
        destroy::remove_network(self.api().await?, cluster).await
    }

    async fn find(&self, cluster: Option<&ClusterId>) -> Result<Vec<Resource>, DriverError> {
        let api = self.api().await?;
        let survey = survey::of(api, cluster).await?;
        self.remember(survey.machines.iter().map(|machine| &machine.id));
        Ok(survey.resources(&self.settings, &api.region))
    }
}
