//! The project, its regions with their quotas, and what the caller may do.

use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::catalog;
use crate::metadata::DEFAULT_ACCOUNT;
use crate::routes::Request;
use crate::shapes::PERMISSIONS;
use crate::state::{Power, State};

/// The quotas of a region and their limits where the settings name no other.
const QUOTAS: [(&str, u32); 4] = [("CPUS", 24), ("IN_USE_ADDRESSES", 64), ("INSTANCES", 240), ("SSD_TOTAL_GB", 2000)];

impl State {
    /// The limit of a quota in a region.
    pub(crate) fn quota(&self, metric: &str) -> u32 {
        let usual = QUOTAS.iter().find(|(known, _)| *known == metric).map_or(0, |(_, limit)| *limit);
        self.settings.quotas.get(metric).copied().unwrap_or(usual)
    }

    pub(crate) fn get_project(&self) -> Value {
        let items: Vec<_> =
            self.settings.metadata.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        json!({
            "kind": "compute#project",
            "name": self.settings.project,
            "id": "1234567890",
            "commonInstanceMetadata": { "kind": "compute#metadata", "items": items },
            "defaultServiceAccount": DEFAULT_ACCOUNT,
        })
    }

    pub(crate) fn get_region(&self, region: &str) -> Answer {
        let zones = catalog::zones(region);
        if zones.is_empty() {
            return Err(Refusal::not_found(&self.named(&format!("regions/{region}"))));
        }
        let quotas: Vec<_> = QUOTAS
            .iter()
            .map(|(metric, _)| {
                json!({ "metric": metric, "limit": f64::from(self.quota(metric)), "usage": f64::from(self.usage(metric, region)) })
            })
            .collect();
        let zones: Vec<_> = zones.iter().map(|zone| self.link(&format!("zones/{zone}"))).collect();
        Ok(json!({ "kind": "compute#region", "name": region, "status": "UP", "quotas": quotas, "zones": zones }))
    }

    /// What may be done with an instance: everything, where there is one.
    pub(crate) fn test_permissions(&self, zone: &str, name: &str, request: &Request) -> Answer {
        let body = request.body(&PERMISSIONS)?;
        self.get_instance(zone, name)?;
        Ok(json!({ "permissions": body.get("permissions").cloned().unwrap_or_default() }))
    }

    /// What may be done with a subnetwork: everything, where there is one.
    pub(crate) fn test_subnetwork_permissions(&self, region: &str, name: &str, request: &Request) -> Answer {
        let body = request.body(&PERMISSIONS)?;
        self.get_subnetwork(region, name)?;
        Ok(json!({ "permissions": body.get("permissions").cloned().unwrap_or_default() }))
    }

    fn usage(&self, metric: &str, region: &str) -> u32 {
        let here = self.instances.values().filter(|instance| catalog::region_of(&instance.zone) == Some(region));
        match metric {
            "CPUS" => self.used_cores(region),
            "IN_USE_ADDRESSES" => {
                let addressed = here.filter(|instance| instance.wants_public && instance.power != Power::Off);
                u32::try_from(addressed.count()).unwrap_or(u32::MAX)
            }
            "INSTANCES" => u32::try_from(here.count()).unwrap_or(u32::MAX),
            _ => 0,
        }
    }
}
