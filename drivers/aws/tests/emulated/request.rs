//! What the tests ask of the driver.

use driver::conformance::{cluster_request, machine_request};
use driver::{
    ClusterId, ClusterRequest, Driver, DriverError, FirewallRule, Instance, MachineRequest, Network, Protocol,
    RuleSource, Silent,
};

/// A rule between members.
pub(crate) fn among_members(protocol: Protocol, port: Option<u16>) -> FirewallRule {
    FirewallRule { protocol, port, source: RuleSource::Members }
}

/// A rule for a prefix.
pub(crate) fn from(prefix: &str, port: u16) -> FirewallRule {
    FirewallRule { protocol: Protocol::Tcp, port: Some(port), source: RuleSource::Prefix(prefix.to_owned()) }
}

/// A cluster of three managers and two workers, with the usual rules.
pub(crate) fn cluster(name: &str) -> ClusterRequest {
    ClusterRequest {
        managers: 3,
        workers: 2,
        firewall: vec![
            among_members(Protocol::Tcp, Some(2377)),
            among_members(Protocol::Tcp, Some(7946)),
            among_members(Protocol::Udp, Some(7946)),
            among_members(Protocol::Udp, Some(4789)),
            from("203.0.113.7/32", 22),
            from("203.0.113.7/32", 2376),
        ],
        ..cluster_request(format!("mark-{name}"), name)
    }
}

/// The machines of that cluster.
pub(crate) fn machines(cluster: &ClusterRequest) -> Vec<MachineRequest> {
    let machine = |number| MachineRequest {
        is_manager: number <= cluster.managers,
        group: if number <= cluster.managers { "managers" } else { "workers" }.to_owned(),
        user_data: Some("#cloud-config\n".to_owned()),
        host_key: Some("ssh-ed25519 AAAA bootstrap".to_owned()),
        ..machine_request(cluster, number)
    };
    (1..=cluster.managers + cluster.workers).map(machine).collect()
}

/// A whole create, as swarmup does it.
pub(crate) async fn create(driver: &dyn Driver, cluster: &ClusterRequest) -> Result<Vec<Instance>, DriverError> {
    let network = driver.ensure_network(cluster).await?;
    driver.create(&network, &machines(cluster), &Silent).await
}

/// The network alone.
pub(crate) async fn network(driver: &dyn Driver, cluster: &ClusterRequest) -> Network {
    driver.ensure_network(cluster).await.unwrap()
}

/// A whole destroy, as swarmup does it: nothing may be left.
pub(crate) async fn destroy(driver: &dyn Driver, cluster: &ClusterId) -> Result<(), DriverError> {
    let found = driver.find(Some(cluster)).await?;
    let ids: Vec<_> = found.into_iter().filter_map(|resource| resource.instance).collect();
    if !ids.is_empty() {
        driver.destroy(&ids).await?;
    }
    driver.remove_network(cluster).await?;
    match driver.find(Some(cluster)).await?.as_slice() {
        [] => Ok(()),
        left => Err(DriverError::provider("destroy everything", format!("left: {left:?}"))),
    }
}
