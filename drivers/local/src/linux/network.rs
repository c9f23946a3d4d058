//! The bridge of a cluster with its way out.

use driver::{ClusterId, ClusterRequest, DriverError, Network, OptionValue, Options};
use links::cgroup::ControlGroup;
use links::nft::{self, Family};
use links::route::Connection;
use links::{Prefix, sysctl};

use super::failure::Failed;
use super::forwarding;
use super::record::{ClusterRecord, bridge_name, hardware_address, is_safe, nth_address};
use super::state::State;
use super::subnet;

/// How many names for a bridge are tried: only a clash of hashes takes more than one.
const BRIDGE_NAMES: u32 = 16;

/// Makes what is missing of a cluster's network, and keeps the cluster first: it is found from then on.
pub(super) fn ensure(state: &State, request: &ClusterRequest) -> Result<Network, DriverError> {
    if !is_safe(&request.id.0) {
        return Err(DriverError::provider("make a network", format!("`{}` cannot be a mark here", request.id)));
    }
    let _turn = state.take_turn()?;
    let mut connection = Connection::open().failed(|| "make a network")?;
    let asked = request.options.one("subnet").map(subnet::parse).transpose()?;
    let record = if let Some(record) = state.cluster_record(&request.id)? {
        refuse_change(&record, asked)?;
        record
    } else {
        let record = plan(state, &mut connection, request, asked)?;
        state.keep_cluster(&request.id, &record)?;
        record
    };
    build(state, &mut connection, &request.id, &record)?;
    Ok(describe(&request.id, &record))
}

/// Makes the network of a cluster that is known, as after a reboot of the host.
pub(super) fn rebuild(state: &State, cluster: &ClusterId, record: &ClusterRecord) -> Result<(), DriverError> {
    let _turn = state.take_turn()?;
    let mut connection = Connection::open().failed(|| "make a network")?;
    build(state, &mut connection, cluster, record)
}

/// Whether the option of a request could be granted; changes nothing.
pub(super) fn check(state: &State, request: &ClusterRequest) -> Result<Prefix, DriverError> {
    let mut connection = Connection::open().failed(|| "look at the host's network")?;
    let asked = request.options.one("subnet").map(subnet::parse).transpose()?;
    if let Some(record) = state.cluster_record(&request.id)? {
        refuse_change(&record, asked)?;
        return prefix_of(&record);
    }
    choose_prefix(state, &mut connection, asked)
}

/// Removes what [`ensure`] made. Machines must be gone.
pub(super) fn remove(state: &State, cluster: &ClusterId) -> Result<(), DriverError> {
    if !is_safe(&cluster.0) {
        return Ok(());
    }
    let _cluster_turn = state.take_cluster_turn(cluster)?;
    let _turn = state.take_turn()?;
    if !state.machines(cluster)?.is_empty() {
        return Err(DriverError::provider("remove the network", "machines are still in it"));
    }
    let action = || "remove the network";
    nft::retract(&table(cluster)).failed(action)?;
    nft::remove(Family::Ip, &table(cluster)).failed(action)?;
    let mut connection = Connection::open().failed(action)?;
    // A bridge has no alias for a moment; a record that cannot be read leaves only the alias.
    let recorded = state.cluster_record(cluster).ok().flatten().map(|record| record.bridge);
    for bridge in bridges_of(&mut connection, cluster)?.into_iter().chain(recorded) {
        connection.remove_link(&bridge).failed(action)?;
    }
    ControlGroup::new(format!("swarmup/{cluster}")).and_then(|group| group.remove()).failed(action)?;
    ControlGroup::new("swarmup").failed(action)?.remove_if_empty();
    if state.clusters()?.iter().all(|other| other == cluster) {
        forwarding::put_back(state)?;
    }
    state.forget_cluster(cluster)
}

/// The bridges that carry a mark, of which cluster each.
pub(super) fn bridges() -> Result<Vec<(ClusterId, String)>, DriverError> {
    let action = || "list bridges";
    let links = Connection::open().and_then(|mut connection| connection.links()).failed(action)?;
    let marked = links.into_iter().filter_map(|link| {
        let mark = link.alias?.strip_prefix("swarmup ")?.to_owned();
        Some((ClusterId(mark), link.name))
    });
    Ok(marked.collect())
}

/// The prefix of a cluster.
pub(super) fn prefix_of(record: &ClusterRecord) -> Result<Prefix, DriverError> {
    record.subnet.parse().failed(|| format!("read the prefix of cluster `{}`", record.name))
}

/// The address of the bridge, by which machines leave.
pub(super) fn gateway(prefix: &Prefix) -> Result<Prefix, DriverError> {
    nth_address(prefix, 1)
        .and_then(|address| Prefix::new(address, prefix.length))
        .ok_or_else(|| DriverError::provider("address the bridge", format!("{prefix} has no room")))
}

fn refuse_change(record: &ClusterRecord, asked: Option<Prefix>) -> Result<(), DriverError> {
    match asked {
        Some(asked) if asked != prefix_of(record)? => Err(DriverError::InvalidOption {
            option: "subnet".to_owned(),
            reason: format!("the cluster has {} already", record.subnet),
        }),
        Some(_) | None => Ok(()),
    }
}

fn plan(
    state: &State,
    connection: &mut Connection,
    request: &ClusterRequest,
    asked: Option<Prefix>,
) -> Result<ClusterRecord, DriverError> {
    let prefix = choose_prefix(state, connection, asked)?;
    let taken = connection.links().failed(|| "list links")?;
    let bridge = (0..BRIDGE_NAMES)
        .map(|attempt| bridge_name(&request.id.0, attempt))
        .find(|name| taken.iter().all(|link| link.name != *name))
        .ok_or_else(|| DriverError::provider("name a bridge", "every name is taken"))?;
    Ok(ClusterRecord { name: request.name.clone(), subnet: prefix.to_string(), bridge })
}

fn choose_prefix(state: &State, connection: &mut Connection, asked: Option<Prefix>) -> Result<Prefix, DriverError> {
    let action = || "look at the host's network";
    let mut in_use = connection.routes().failed(action)?;
    in_use.extend(connection.addresses().failed(action)?.iter().map(|address| address.prefix.network()));
    // Networks that are not up now (a reboot) have a prefix too.
    for cluster in state.clusters()? {
        in_use.extend(state.cluster_record(&cluster)?.map(|record| prefix_of(&record)).transpose()?);
    }
    match asked {
        Some(prefix) => subnet::check(prefix, &in_use),
        None => subnet::choose(&in_use),
    }
}

fn build(
    state: &State,
    connection: &mut Connection,
    cluster: &ClusterId,
    record: &ClusterRecord,
) -> Result<(), DriverError> {
    let action = || format!("make the network of cluster `{}`", record.name);
    let prefix = prefix_of(record)?;
    let gateway = gateway(&prefix)?;
    let index = match connection.link(&record.bridge).failed(action)? {
        Some(bridge) => bridge.index,
        None => {
            connection.add_bridge(&record.bridge, &alias(cluster), hardware_address(gateway.address)).failed(action)?
        }
    };
    connection.ensure_address(index, gateway).failed(action)?;
    nft::replace(&nft::masquerade(&table(cluster), prefix, &record.bridge)).failed(action)?;
    nft::admit(&table(cluster), &record.bridge).failed(action)?;
    forwarding::turn_on(state)
}

fn bridges_of(connection: &mut Connection, cluster: &ClusterId) -> Result<Vec<String>, DriverError> {
    let alias = alias(cluster);
    let links = connection.links().failed(|| "list links")?;
    Ok(links.into_iter().filter(|link| link.alias.as_ref() == Some(&alias)).map(|link| link.name).collect())
}

fn describe(cluster: &ClusterId, record: &ClusterRecord) -> Network {
    let handles = [("bridge".to_owned(), OptionValue::One(record.bridge.clone()))];
    Network { cluster: cluster.clone(), prefix: Some(record.subnet.clone()), handles: Options(handles.into()) }
}

fn alias(cluster: &ClusterId) -> String {
    format!("swarmup {cluster}")
}

fn table(cluster: &ClusterId) -> String {
    format!("swarmup-{cluster}")
}

/// Whether the host can pass packets on at all.
pub(super) fn can_forward() -> bool {
    sysctl::read(sysctl::IPV4_FORWARDING).is_ok()
}
