//! What can be known beforehand: credentials, the project, quotas, permissions. Changes nothing.

use std::collections::BTreeMap;

use driver::{ClusterRequest, DriverError, Preflight};
use google_cloud_compute_v1::model::{Project, Quota, Region, TestPermissionsRequest};

use crate::cloud::{Cloud, READS};
use crate::create::zones_of;
use crate::failure::{Meaning, meaning};
use crate::settings::{Settings, invalid};
use crate::sizes::core_quota;

/// What a machine's network interface needs.
const OF_SUBNETWORKS: [&str; 2] = ["compute.subnetworks.use", "compute.subnetworks.useExternalIp"];
/// The cores of a machine, of every type that a size stands for.
const CORES: u32 = 2;

impl Cloud {
    pub(crate) async fn preflight(&self, request: &ClusterRequest) -> Result<Preflight, DriverError> {
        let settings = self.settings.with(&request.options, &self.environment)?;
        let project = &self.clients().await?.project;
        let mut seen = Preflight::default();
        seen.checked.push("Google accepts the credentials".to_owned());
        let (of_project, of_region, of_subnetwork) =
            tokio::join!(self.project(), self.region(&settings), self.subnetwork_permissions(&settings));

        seen.checked.push(format!("project `{project}` can be read"));
        let of_project = of_project?;
        check_service_account(&of_project, &settings, &mut seen)?;
        if has_os_login(&of_project) {
            seen.checked.push("the project asks for OS Login; it is off for the cluster's machines".to_owned());
        }
        let region = of_region?;
        let zones = zones_of(&region);
        if let Some(zone) = settings.zones.iter().find(|zone| !zones.contains(zone)) {
            return Err(invalid("zone", format!("there is no zone `{zone}`: {}", zones.join(", "))));
        }
        // A later create in this process need not ask again.
        if self.settings.region == settings.region {
            drop(self.zones.set(zones));
        }
        let machines = request.managers + request.workers;
        match check_quotas(&region, &settings, machines) {
            Ok(told) => add(&mut seen, told),
            // What stands of the cluster is counted already.
            Err(exhausted) => {
                let standing = u32::try_from(self.machines(Some(&request.id)).await?.len()).unwrap_or(u32::MAX);
                if standing == 0 {
                    return Err(exhausted);
                }
                add(&mut seen, check_quotas(&region, &settings, machines.saturating_sub(standing))?);
            }
        }
        check_permissions(of_subnetwork, &mut seen)?;
        seen.unchecked.push(
            "whether machines and firewall rules may be made: Compute Engine tells it of things that exist only"
                .to_owned(),
        );
        Ok(seen)
    }

    async fn project(&self) -> Result<Project, DriverError> {
        self.call(READS, "read the project", |clients| clients.projects.get().set_project(&clients.project).send())
            .await
    }

    async fn region(&self, settings: &Settings) -> Result<Region, DriverError> {
        let name = &settings.region;
        let action = format!("look at region `{name}`");
        let found = self.call(READS, &action, |clients| {
            clients.regions.get().set_project(&clients.project).set_region(name).send()
        });
        match found.await {
            Err(failure) if meaning(&failure) == Meaning::Absent => {
                Err(invalid("region", format!("there is no region `{name}`")))
            }
            found => found,
        }
    }

    /// Those of the permissions that the caller has.
    async fn subnetwork_permissions(&self, settings: &Settings) -> Result<Vec<String>, DriverError> {
        let name = settings.subnetwork.as_deref().or(settings.network.as_deref()).unwrap_or("default");
        let asked = TestPermissionsRequest::new().set_permissions(OF_SUBNETWORKS);
        let action = format!("ask for permissions on subnetwork `{name}`");
        let allowed = self.call(READS, &action, |clients| {
            let call = clients.subnetworks.test_iam_permissions().set_project(&clients.project);
            call.set_region(&settings.region).set_resource(name).set_body(asked.clone()).send()
        });
        Ok(allowed.await?.permissions)
    }
}

fn add(seen: &mut Preflight, told: Preflight) {
    seen.checked.extend(told.checked);
    seen.unchecked.extend(told.unchecked);
}

fn has_os_login(project: &Project) -> bool {
    let items = project.common_instance_metadata.as_ref().map(|metadata| metadata.items.as_slice()).unwrap_or_default();
    items.iter().any(|item| {
        item.key.as_deref() == Some("enable-oslogin")
            && item.value.as_deref().is_some_and(|on| on.eq_ignore_ascii_case("true"))
    })
}

/// What the region's quotas say of so many more machines.
fn check_quotas(region: &Region, settings: &Settings, machines: u32) -> Result<Preflight, DriverError> {
    let mut seen = Preflight::default();
    let first = settings.types.first().map(String::as_str).unwrap_or_default();
    let addresses = if settings.is_private { 0 } else { machines };
    let needs = BTreeMap::from([
        ("CPUS", machines * CORES),
        (core_quota(first), machines * CORES),
        ("INSTANCES", machines),
        ("IN_USE_ADDRESSES", addresses),
        ("SSD_TOTAL_GB", machines * settings.disk_gb),
    ]);
    for (name, need) in needs {
        let is_it = |quota: &&Quota| quota.metric.as_ref().and_then(|metric| metric.name()) == Some(name);
        let known = region.quotas.iter().find(is_it).and_then(|quota| quota.limit.zip(quota.usage));
        match known {
            None => seen.unchecked.push(format!("quota `{name}`: Compute Engine does not tell")),
            Some((limit, usage)) if usage + f64::from(need) > limit => {
                return Err(DriverError::QuotaExhausted { quota: name.to_owned(), region: settings.region.clone() });
            }
            Some((limit, usage)) => {
                let region = &settings.region;
                seen.checked.push(format!("quota `{name}` in {region}: {usage} of {limit} used, {need} needed"));
            }
        }
    }
    Ok(seen)
}

/// Who may act as an account is known to IAM, which is not asked.
fn check_service_account(project: &Project, settings: &Settings, seen: &mut Preflight) -> Result<(), DriverError> {
    let Some(account) = &settings.service_account else { return Ok(()) };
    if account == "default" && project.default_service_account.as_deref().is_none_or(str::is_empty) {
        return Err(DriverError::Unmet {
            what: "the project has no default service account".to_owned(),
            hint: "name another by --service-account, or leave it out".to_owned(),
        });
    }
    seen.unchecked.push(format!(
        "whether you may act as service account `{account}` (`iam.serviceAccounts.actAs`), and whether it may delete machines"
    ));
    Ok(())
}

fn check_permissions(allowed: Result<Vec<String>, DriverError>, seen: &mut Preflight) -> Result<(), DriverError> {
    let allowed = match allowed {
        Ok(allowed) => allowed,
        Err(failure) => {
            seen.unchecked.push(format!("permissions: {failure}"));
            return Ok(());
        }
    };
    match OF_SUBNETWORKS.iter().find(|wanted| !allowed.iter().any(|known| known == *wanted)) {
        None => seen.checked.push("machines may be put into the subnetwork".to_owned()),
        Some(missing) => {
            return Err(DriverError::Unmet {
                what: format!("the account lacks the permission `{missing}`"),
                hint: "give it the role `roles/compute.instanceAdmin.v1` in the project".to_owned(),
            });
        }
    }
    Ok(())
}
