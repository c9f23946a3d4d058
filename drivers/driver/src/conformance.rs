//! The suite that every driver must pass.
//!
//! A driver's crate implements [`Bench`] and calls [`run`] from a test. Each check has clusters of its own, opens the
//! driver anew where another process would, and leaves nothing behind when it passes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};

use crate::{
    ClusterId, ClusterRequest, Driver, DriverError, Instance, InstanceId, InstanceState, MachineRequest, Network,
    Options, Progress, Resource, Silent, Wait, wait_until,
};

/// How long a provider may take to remove what is vanishing.
const VANISHING: Duration = Duration::from_mins(1);

/// What the suite needs of a driver under test.
pub trait Bench: Send + Sync {
    /// Opens the driver as a new process would: state that is not at the provider must be found again.
    fn driver(&self) -> Arc<dyn Driver>;

    /// A request for a cluster that is the only one of that name on this bench.
    fn cluster(&self, name: &str) -> ClusterRequest;

    /// A request for machine `number` (from 1) of a cluster; there are at most three.
    fn machine(&self, cluster: &ClusterRequest, number: u32) -> MachineRequest {
        machine_request(cluster, number)
    }
}

/// A request for a cluster of one manager and two workers that asks for nothing of its provider's own.
pub fn cluster_request(mark: impl Into<String>, name: &str) -> ClusterRequest {
    ClusterRequest {
        id: ClusterId(mark.into()),
        name: name.to_owned(),
        owner: "somebody@somewhere".to_owned(),
        created_at: Timestamp::UNIX_EPOCH + 1_700_000_000.seconds(),
        expires: None,
        managers: 1,
        workers: 2,
        firewall: Vec::new(),
        options: Options::default(),
    }
}

/// A request for one machine of a cluster, with the names that `swarmup` gives machines and no agent.
pub fn machine_request(cluster: &ClusterRequest, number: u32) -> MachineRequest {
    MachineRequest {
        mark: cluster.mark(),
        name: format!("{}-node-{number}", cluster.name),
        hostname: format!("node-{number}"),
        number,
        group: "workers".to_owned(),
        is_manager: false,
        user_data: None,
        host_key: None,
        authorized_key: None,
        agent: None,
        options: cluster.options.clone(),
    }
}

/// Runs every check, one after the other.
///
/// # Panics
/// Where the driver breaks the contract.
pub async fn run(bench: &dyn Bench) {
    looking_changes_nothing(bench).await;
    a_network_is_made_once(bench).await;
    machines_are_returned_in_the_order_asked_for(bench).await;
    creating_twice_returns_the_same_machines(bench).await;
    a_create_cut_short_is_resumed(bench).await;
    everything_carries_the_mark(bench).await;
    destroying_twice_is_fine(bench).await;
    machines_that_do_not_exist_are_named(bench).await;
    a_machine_keeps_its_identity_while_it_is_stopped(bench).await;
    a_stopped_machine_is_destroyed_like_any_other(bench).await;
    clusters_do_not_touch_each_other(bench).await;
    a_network_with_machines_in_it_stays(bench).await;
    a_console_is_shown_or_refused(bench).await;
}

/// One cluster under test.
struct Case<'a> {
    bench: &'a dyn Bench,
    request: ClusterRequest,
    network: Network,
}

impl<'a> Case<'a> {
    async fn open(bench: &'a dyn Bench, name: &str) -> Self {
        let request = bench.cluster(name);
        let network = bench.driver().ensure_network(&request).await.expect("the network is made");
        Self { bench, request, network }
    }

    fn driver(&self) -> Arc<dyn Driver> {
        self.bench.driver()
    }

    async fn create(&self, numbers: &[u32]) -> Vec<Instance> {
        let machines: Vec<_> = numbers.iter().map(|number| self.bench.machine(&self.request, *number)).collect();
        self.driver().create(&self.network, &machines, &Silent).await.expect("the machines are created")
    }

    async fn marked(&self) -> Vec<Resource> {
        self.driver().find(Some(&self.request.id)).await.expect("the provider lists what is marked")
    }

    async fn machines(&self) -> BTreeSet<InstanceId> {
        let staying = self.marked().await.into_iter().filter(|resource| !resource.is_vanishing);
        staying.filter_map(|resource| resource.instance).collect()
    }

    /// Waits until nothing carries the mark; what is not vanishing fails the test at once.
    async fn gone(&self) {
        let wait = Wait { limit: VANISHING, interval: Duration::from_millis(100) };
        let left = wait_until(&wait, "see everything vanish", || async {
            let left = self.marked().await;
            let stays = left.iter().any(|resource| !resource.is_vanishing);
            Ok((stays || left.is_empty()).then_some(left))
        });
        assert_eq!(left.await.expect("what is vanishing is gone in time"), [], "something carries the mark still");
    }

    async fn close(self) {
        let ids: Vec<_> = self.machines().await.into_iter().collect();
        self.driver().destroy(&ids).await.expect("the machines are destroyed");
        self.driver().remove_network(&self.request.id).await.expect("the network is removed");
        self.gone().await;
    }
}

fn ids(instances: &[Instance]) -> Vec<InstanceId> {
    instances.iter().map(|instance| instance.id.clone()).collect()
}

/// Preflight and estimate leave no trace.
pub async fn looking_changes_nothing(bench: &dyn Bench) {
    let request = bench.cluster("looking");
    let driver = bench.driver();

    driver.preflight(&request).await.expect("the bench can run this driver");
    driver.estimate(&request).await.expect("the driver can say what it would do");

    assert_eq!(driver.find(Some(&request.id)).await.expect("find answers"), []);
}

/// Ensuring a network that exists returns it.
pub async fn a_network_is_made_once(bench: &dyn Bench) {
    let case = Case::open(bench, "network").await;

    let again = case.driver().ensure_network(&case.request).await.expect("the network is found");

    assert_eq!(again, case.network);
    case.driver().remove_network(&case.request.id).await.expect("the network is removed");
    case.driver().remove_network(&case.request.id).await.expect("a network that is gone counts as removed");
    case.gone().await;
}

/// Answers stand in the order of the request, and each machine was announced.
pub async fn machines_are_returned_in_the_order_asked_for(bench: &dyn Bench) {
    let case = Case::open(bench, "order").await;
    let machines: Vec<_> = [3, 1, 2].map(|number| case.bench.machine(&case.request, number)).into();
    let announced = Announced::default();

    let created = case.driver().create(&case.network, &machines, &announced).await.expect("they are created");

    let wanted: Vec<_> = machines.iter().map(|machine| machine.name.clone()).collect();
    assert_eq!(created.iter().map(|instance| instance.name.clone()).collect::<Vec<_>>(), wanted);
    assert_eq!(announced.names(), wanted.into_iter().collect::<BTreeSet<_>>());
    assert!(created.iter().all(|instance| instance.access.is_some()), "a machine that exists can be reached");
    case.close().await;
}

/// Creating what exists returns it.
pub async fn creating_twice_returns_the_same_machines(bench: &dyn Bench) {
    let case = Case::open(bench, "twice").await;

    let first = case.create(&[1, 2]).await;
    let second = case.create(&[1, 2]).await;

    assert_eq!(first, second);
    assert_eq!(case.machines().await.len(), 2);
    case.close().await;
}

/// Creating more than exists creates only what is missing.
pub async fn a_create_cut_short_is_resumed(bench: &dyn Bench) {
    let case = Case::open(bench, "resumed").await;

    let before = case.create(&[2]).await;
    let all = case.create(&[1, 2, 3]).await;

    assert_eq!(all[1], before[0]);
    assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(case.machines().await.len(), 3);
    case.close().await;
}

/// What is found carries the mark and, where it is a machine, its id.
pub async fn everything_carries_the_mark(bench: &dyn Bench) {
    let case = Case::open(bench, "marked").await;
    let created = case.create(&[1, 2]).await;

    let marked = case.marked().await;
    let everything = case.driver().find(None).await.expect("find answers");

    assert!(marked.iter().all(|resource| resource.cluster == case.request.id));
    assert!(marked.iter().all(|resource| everything.contains(resource)));
    assert_eq!(case.machines().await, ids(&created).into_iter().collect());
    case.close().await;
}

/// What is gone already counts as destroyed; what was never there, too.
pub async fn destroying_twice_is_fine(bench: &dyn Bench) {
    let case = Case::open(bench, "gone").await;
    let created = ids(&case.create(&[1, 2]).await);

    case.driver().destroy(&created[..1]).await.expect("one is destroyed");
    case.driver().destroy(&created).await.expect("one that is gone is no obstacle");
    case.driver().destroy(&created).await.expect("two that are gone neither");

    assert_eq!(case.machines().await, BTreeSet::new());
    case.close().await;
}

/// Calls on machines that do not exist say so, and touch no others.
pub async fn machines_that_do_not_exist_are_named(bench: &dyn Bench) {
    let case = Case::open(bench, "unknown").await;
    let existing = case.create(&[1, 2]).await;
    let unknown = existing[1].id.clone();
    case.driver().destroy(std::slice::from_ref(&unknown)).await.expect("it is destroyed");

    let driver = case.driver();
    let refusals = [
        driver.stop(std::slice::from_ref(&unknown)).await.err(),
        driver.start(std::slice::from_ref(&unknown)).await.err(),
        driver.console(&unknown).await.err(),
    ];

    for refusal in refusals {
        let refusal = refusal.expect("a machine that does not exist cannot be acted on");
        assert!(
            matches!(refusal, DriverError::NoSuchMachine { .. } | DriverError::Unsupported { .. }),
            "unexpected: {refusal:?}"
        );
    }
    assert_eq!(case.machines().await, BTreeSet::from([existing[0].id.clone()]));
    case.close().await;
}

/// A machine that is stopped and started has the same id, name and private address.
pub async fn a_machine_keeps_its_identity_while_it_is_stopped(bench: &dyn Bench) {
    let case = Case::open(bench, "stopped").await;
    let before = case.create(&[1, 2]).await.swap_remove(0);
    let id = std::slice::from_ref(&before.id);
    if !case.driver().capabilities().has_stop_start {
        let refusal = case.driver().stop(id).await.expect_err("it cannot be stopped");
        assert!(matches!(refusal, DriverError::Unsupported { .. }), "unexpected: {refusal:?}");
        return case.close().await;
    }

    case.driver().stop(id).await.expect("it stops");
    case.driver().stop(id).await.expect("a stopped machine may be stopped");
    assert!(case.machines().await.contains(&before.id), "a stopped machine is still found");
    let after = case.driver().start(id).await.expect("it starts").swap_remove(0);
    let again = case.driver().start(id).await.expect("a running machine may be started").swap_remove(0);

    assert_eq!((&after.id, &after.name, after.private_address), (&before.id, &before.name, before.private_address));
    assert_eq!(after.state, InstanceState::Running);
    assert_eq!(again, after);
    case.close().await;
}

/// A machine need not run to be destroyed.
pub async fn a_stopped_machine_is_destroyed_like_any_other(bench: &dyn Bench) {
    let case = Case::open(bench, "stopped-gone").await;
    let created = ids(&case.create(&[1]).await);
    if case.driver().capabilities().has_stop_start {
        case.driver().stop(&created).await.expect("it stops");
    }

    case.driver().destroy(&created).await.expect("it is destroyed");

    assert_eq!(case.machines().await, BTreeSet::new());
    case.close().await;
}

/// Two clusters live side by side; what happens to one leaves the other alone.
pub async fn clusters_do_not_touch_each_other(bench: &dyn Bench) {
    let one = Case::open(bench, "one").await;
    let other = Case::open(bench, "other").await;
    let in_one = one.create(&[1]).await;
    let in_other = other.create(&[2]).await;

    assert_ne!(in_one[0].id, in_other[0].id);
    one.close().await;

    assert_eq!(other.create(&[2]).await, in_other, "the other cluster's machine is as it was");
    assert_eq!(other.driver().ensure_network(&other.request).await.expect("it stands"), other.network);
    other.close().await;
}

/// A network is not taken from under its machines.
pub async fn a_network_with_machines_in_it_stays(bench: &dyn Bench) {
    let case = Case::open(bench, "in-use").await;
    let capabilities = case.driver().capabilities();
    if !capabilities.machines_are_given && !capabilities.removes_machines_with_network {
        let created = case.create(&[1]).await;

        case.driver().remove_network(&case.request.id).await.expect_err("a machine is in it");

        assert_eq!(case.create(&[1]).await, created);
    }
    case.close().await;
}

/// A driver without consoles says so.
pub async fn a_console_is_shown_or_refused(bench: &dyn Bench) {
    let case = Case::open(bench, "console").await;
    let created = case.create(&[1]).await;

    match case.driver().console(&created[0].id).await {
        Ok(_) | Err(DriverError::Unsupported { .. }) => {}
        Err(other) => panic!("unexpected: {other:?}"),
    }
    case.close().await;
}

/// The names of the machines that were announced.
#[derive(Default)]
struct Announced(Mutex<BTreeSet<String>>);

impl Announced {
    fn names(&self) -> BTreeSet<String> {
        self.0.lock().expect("no announcement panics").clone()
    }
}

impl Progress for Announced {
    fn machine(&self, _name: &str, _what: &str) {}

    fn appeared(&self, instance: &Instance, _at: Option<IpAddr>) {
        self.0.lock().expect("no announcement panics").insert(instance.name.clone());
    }
}
