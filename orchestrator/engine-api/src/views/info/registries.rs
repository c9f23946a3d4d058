//! Which registries need neither a valid certificate nor https, as `docker info` lists them.

use std::collections::BTreeMap;

use image::DEFAULT_DOMAIN;
use serde::Serialize;

/// Where registries always count so, as in Docker: this machine itself.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Docker's `ServiceConfig`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RegistryView {
    #[serde(rename = "InsecureRegistryCIDRs")]
    insecure_cidrs: Vec<String>,
    #[serde(rename = "IndexConfigs")]
    index_configs: BTreeMap<String, IndexView>,
    #[serde(rename = "Mirrors")]
    mirrors: Option<Vec<String>>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct IndexView {
    name: String,
    mirrors: Vec<String>,
    secure: bool,
    official: bool,
}

impl RegistryView {
    /// Shows Docker's own registry, and what the operator has listed.
    pub(super) fn new(insecure: &[String]) -> Self {
        let (prefixes, hosts): (Vec<_>, Vec<_>) = insecure.iter().partition(|entry| entry.contains('/'));
        let index = |name: &str| {
            let is_official = name == DEFAULT_DOMAIN;
            let view =
                IndexView { name: name.to_owned(), mirrors: Vec::new(), secure: is_official, official: is_official };
            (name.to_owned(), view)
        };
        let index_configs = hosts.into_iter().map(String::as_str).chain([DEFAULT_DOMAIN]).map(index).collect();
        let prefixes = prefixes.into_iter().map(String::as_str);
        let insecure_cidrs = prefixes.chain(LOOPBACK).map(str::to_owned).collect();
        Self { insecure_cidrs, index_configs, mirrors: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_listed_is_insecure_and_dockers_own_is_not() {
        let view = RegistryView::new(&["reg:5000".to_owned(), "10.0.0.0/8".to_owned()]);

        let view = serde_json::to_value(&view).unwrap();

        assert_eq!(view["InsecureRegistryCIDRs"], json!(["10.0.0.0/8", "127.0.0.0/8", "::1/128"]));
        assert_eq!(view["IndexConfigs"]["reg:5000"]["Secure"], false);
        assert_eq!(view["IndexConfigs"]["docker.io"]["Secure"], true);
    }
}
