//! Services whose leader is killed in the middle of a change, whose containers never stay, whose nodes are lost and come
//! back, and that many clients change at once: what was acknowledged stands, once, and no container tells otherwise.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use futures_util::future::join_all;
    use model::{
        Availability, ContainerSpec, ControlRequest, NodeHealth, RegistryAuth, ReplicatedMode, RestartPolicy,
        ServiceId, ServiceSpec, SwarmError, TaskState, UpdateConfig,
    };
    use node::SwarmRead;
    use node::testing::{Happening, Lab, LabNode};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use tokio::time::{Instant, sleep};

    /// How often a client looks again before it gives up.
    const ATTEMPTS: usize = 100;

    fn id(number: u64) -> ServiceId {
        ServiceId::generate(&mut StdRng::seed_from_u64(number))
    }

    fn spec(number: u64, image: &str, replicas: u64) -> ServiceSpec {
        let mut spec = ServiceSpec { name: format!("web-{number}"), ..ServiceSpec::default() };
        let container = ContainerSpec { image: image.to_owned(), ..ContainerSpec::default() };
        spec.task_template.container_spec = Some(container);
        spec.mode.replicated = Some(ReplicatedMode { replicas: Some(replicas) });
        let config = UpdateConfig { parallelism: 2, monitor: 1_000_000, ..UpdateConfig::default() };
        (spec.update_config, spec.rollback_config) = (Some(config.clone()), Some(config));
        spec
    }

    async fn create(node: &LabNode, number: u64, spec: &ServiceSpec) -> Result<(), SwarmError> {
        let request =
            ControlRequest::CreateService { id: id(number), spec: Box::new(spec.clone()), registry_auth: None };
        node.control(request).await.map(|_| ())
    }

    /// Changes a service as a client does: on what it reads, again where somebody else was first.
    async fn change(
        node: &LabNode,
        number: u64,
        rollback: bool,
        change: impl Fn(&mut ServiceSpec),
    ) -> Result<ServiceSpec, SwarmError> {
        let mut outcome = Err(SwarmError::out_of_sequence());
        for _ in 0..ATTEMPTS {
            let read = node.read().await?;
            let service = read.snapshot.service(&id(number)).expect("the service was created");
            let mut spec = service.spec.clone();
            change(&mut spec);
            let request = ControlRequest::UpdateService {
                id: id(number),
                version: service.meta.version,
                spec: Box::new(spec.clone()),
                rollback,
                registry_auth: RegistryAuth::FromSpec,
            };
            outcome = node.control(request).await.map(|_| spec);
            if outcome.as_ref().err() != Some(&SwarmError::out_of_sequence()) {
                break;
            }
        }
        outcome
    }

    fn set_image(spec: &mut ServiceSpec, image: &str) {
        image.clone_into(&mut spec.task_template.container_spec.as_mut().unwrap().image);
    }

    fn set_replicas(spec: &mut ServiceSpec, replicas: u64) {
        spec.mode.replicated = Some(ReplicatedMode { replicas: Some(replicas) });
    }

    /// Whether a service has exactly the tasks that it wants, all of them run, and nothing of it is on its way.
    fn is_kept(read: &SwarmRead, number: u64, spec: &ServiceSpec) -> bool {
        let tasks: Vec<_> = read.snapshot.tasks_of_service(&id(number)).collect();
        let is_wanted = |task: &&&std::sync::Arc<model::Task>| task.state.desired < TaskState::Shutdown;
        let wanted: Vec<_> = tasks.iter().filter(is_wanted).collect();
        let is_well = |task: &&&std::sync::Arc<model::Task>| {
            task.state.status.state == TaskState::Running
                && task.spec.container_spec == spec.task_template.container_spec
        };
        wanted.len() as u64 == spec.replicas().unwrap()
            && wanted.iter().all(is_well)
            && tasks.iter().filter(|task| !is_wanted(task)).all(|task| task.state.status.state.is_terminal())
    }

    /// Three managers that take no tasks, and workers that do.
    async fn swarm(workers: usize) -> Lab {
        let lab = Lab::swarm(3, workers);
        lab.settled(0, 3, workers).await;
        for manager in 0..3 {
            lab.nodes[manager]
                .update_node(&lab.nodes[manager].id(), |spec| spec.availability = Availability::Drain)
                .await
                .unwrap();
        }
        lab
    }

    /// Waits until every service is kept, and compares the containers that run with what the swarm says of them.
    async fn assert_kept(lab: &Lab, seen_by: usize, services: &BTreeMap<u64, ServiceSpec>) {
        let all = |read: &SwarmRead| services.iter().all(|(number, spec)| is_kept(read, *number, spec));
        let read = lab.until(seen_by, "every service to be kept", all).await;
        for (number, spec) in services {
            assert_eq!(read.snapshot.service(&id(*number)).unwrap().spec.task_template, spec.task_template);
            let slots: std::collections::BTreeSet<_> = read
                .snapshot
                .tasks_of_service(&id(*number))
                .filter(|task| task.state.desired < TaskState::Shutdown)
                .map(|task| task.state.slot)
                .collect();
            // Which of them stay where there are fewer than before depends on which run, and where.
            assert_eq!(slots.len() as u64, spec.replicas().unwrap(), "no slot is taken twice: {slots:?}");
        }
        let expected: u64 = services.values().map(|spec| spec.replicas().unwrap()).sum();
        let running = lab.history.running();
        assert_eq!(running.len() as u64, expected, "{running:?}");
        for container in running {
            let task = read.snapshot.task(&container.task).expect("what runs is known");
            assert_eq!(task.state.status.state, TaskState::Running);
        }
    }

    /// Runs an operation on all services through one manager while the leader is killed in the middle; starts it again.
    async fn through_the_leaders_death(
        lab: &mut Lab,
        services: u64,
        operation: impl AsyncFn(&LabNode, u64) -> Result<(), SwarmError>,
    ) {
        let leader = lab.leader(0).await;
        let other = (leader + 1) % 3;
        let [dying, asked] = lab.nodes.get_disjoint_mut([leader, other]).unwrap();
        let (half, reached) = tokio::sync::oneshot::channel();
        let mut half = Some(half);
        let asking = async {
            for number in 0..services {
                if number == services / 2 {
                    half.take().unwrap().send(()).unwrap();
                }
                operation(&*asked, number).await.unwrap_or_else(|error| panic!("service {number}: {error}"));
            }
        };
        let death = async {
            reached.await.unwrap();
            dying.kill();
        };
        tokio::join!(asking, death);
        lab.nodes[leader].start();
        lab.settled(other, 3, lab.nodes.len() - 3).await;
    }

    #[tokio::test]
    async fn a_leader_that_is_killed_in_the_middle_of_any_change_loses_and_doubles_nothing() {
        const SERVICES: u64 = 6;
        let mut lab = swarm(2).await;
        let mut wanted: BTreeMap<u64, ServiceSpec> =
            (0..SERVICES).map(|number| (number, spec(number, "a:1", 4))).collect();

        let specs = wanted.clone();
        through_the_leaders_death(&mut lab, SERVICES, async |node, number| create(node, number, &specs[&number]).await)
            .await;
        assert_kept(&lab, 0, &wanted).await;

        let replicas = |number: u64| if number.is_multiple_of(2) { 7 } else { 2 };
        through_the_leaders_death(&mut lab, SERVICES, async |node, number| {
            change(node, number, false, |spec| set_replicas(spec, replicas(number))).await.map(drop)
        })
        .await;
        for (number, spec) in &mut wanted {
            set_replicas(spec, replicas(*number));
        }
        assert_kept(&lab, 0, &wanted).await;

        through_the_leaders_death(&mut lab, SERVICES, async |node, number| {
            change(node, number, false, |spec| set_image(spec, "a:2")).await.map(drop)
        })
        .await;
        let former = wanted.clone();
        for spec in wanted.values_mut() {
            set_image(spec, "a:2");
        }
        assert_kept(&lab, 0, &wanted).await;

        through_the_leaders_death(&mut lab, SERVICES, async |node, number| {
            change(node, number, true, |_| {}).await.map(drop)
        })
        .await;
        assert_kept(&lab, 0, &former).await;

        assert_eq!(lab.history.breaches(false), Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_sixteen_clients_have_acknowledged_of_a_hundred_services_is_what_there_is() {
        const CLIENTS: u64 = 16;
        const SERVICES: u64 = 100;
        let lab = swarm(2).await;

        let client = async |client: u64| {
            let mut rng = StdRng::seed_from_u64(client);
            let mut acknowledged = BTreeMap::new();
            for number in (0..SERVICES).filter(|number| number % CLIENTS == client) {
                let node = |rng: &mut StdRng| &lab.nodes[rng.random_range(0..3)];
                let mut wanted = spec(number, "a:1", rng.random_range(1..4));
                create(node(&mut rng), number, &wanted).await.unwrap();
                for _ in 0..rng.random_range(0..3) {
                    let (image, replicas) = (format!("a:{}", rng.random_range(2..9)), rng.random_range(0..4));
                    let changed = change(node(&mut rng), number, false, |spec| {
                        set_image(spec, &image);
                        set_replicas(spec, replicas);
                    });
                    wanted = changed.await.unwrap();
                }
                if rng.random_bool(0.4) {
                    let request = ControlRequest::RemoveService { id: id(number) };
                    node(&mut rng).control(request).await.unwrap();
                } else {
                    acknowledged.insert(number, wanted);
                }
            }
            acknowledged
        };
        let acknowledged: BTreeMap<u64, ServiceSpec> =
            join_all((0..CLIENTS).map(client)).await.into_iter().flatten().collect();

        let removed = |number: &u64| !acknowledged.contains_key(number);
        lab.until(0, "the removed services to be gone", |read| {
            (0..SERVICES).filter(removed).all(|number| read.snapshot.service(&id(number)).is_none())
        })
        .await;
        assert_kept(&lab, 1, &acknowledged).await;
        let read = lab.nodes[2].read().await.unwrap();
        let there: BTreeMap<_, _> = read.snapshot.services().map(|service| (&service.id, &service.spec)).collect();
        let ids: Vec<ServiceId> = acknowledged.keys().map(|number| id(*number)).collect();
        assert_eq!(there, ids.iter().zip(acknowledged.values()).collect());
        assert_eq!(lab.history.breaches(false), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_container_that_always_ends_at_once_is_started_once_a_delay_and_costs_nothing_between() {
        const DELAY: Duration = Duration::from_millis(500);
        const WATCHED: Duration = Duration::from_secs(6);
        let lab = swarm(1).await;
        let mut failing = spec(1, "exit", 1);
        let delay = i64::try_from(DELAY.as_nanos()).unwrap();
        failing.task_template.restart_policy = Some(RestartPolicy { delay: Some(delay), ..RestartPolicy::default() });
        let starts = || {
            let all = lab.history.all().into_iter().filter(|happened| happened.what == Happening::Started);
            all.map(|happened| happened.at).collect::<Vec<Instant>>()
        };

        create(&lab.nodes[0], 1, &failing).await.unwrap();
        lab.until(0, "the first end", |_| !starts().is_empty()).await;
        let (before, written) = (starts().len(), lab.nodes[0].read().await.unwrap().snapshot.index());
        sleep(WATCHED).await;

        let (starts, read) = (starts(), lab.nodes[0].read().await.unwrap());
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= DELAY), "{starts:?}");
        let restarts = starts.len() - before;
        assert!((4..=12).contains(&restarts), "{restarts} restarts");
        // A restart: replaced, allocated, assigned, five states, started, forgotten.
        let entries = read.snapshot.index() - written;
        assert!(entries <= 16 * (restarts as u64 + 1), "{entries} entries for {restarts} restarts");
        assert!(read.snapshot.tasks().count() <= 7, "{} tasks", read.snapshot.tasks().count());
        assert_eq!(lab.history.breaches(false), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_node_that_comes_back_ends_what_it_should_not_have_and_gets_no_tasks_by_itself() {
        let check = async |lose: fn(&mut LabNode), restore: fn(&mut LabNode)| {
            let mut lab = swarm(2).await;
            let wanted = BTreeMap::from([(1, spec(1, "a:1", 6))]);
            create(&lab.nodes[0], 1, &wanted[&1]).await.unwrap();
            assert_kept(&lab, 0, &wanted).await;
            let (lost, host) = (lab.nodes[3].id(), lab.nodes[3].hostname.clone());
            let on_lost = |lab: &Lab| lab.history.running().iter().filter(|container| container.host == host).count();
            assert_eq!(on_lost(&lab), 3);

            lose(&mut lab.nodes[3]);
            lab.health(0, &lost, NodeHealth::Down).await;
            let elsewhere = |read: &SwarmRead| {
                let service = id(1);
                let tasks =
                    read.snapshot.tasks_of_service(&service).filter(|task| task.state.desired < TaskState::Shutdown);
                tasks
                    .filter(|task| {
                        task.state.status.state == TaskState::Running && task.state.node_id.as_ref() != Some(&lost)
                    })
                    .count()
                    == 6
            };
            lab.until(0, "six tasks elsewhere", elsewhere).await;
            assert_eq!(on_lost(&lab), 3, "containers outlive their agent");
            let starts = lab.history.all().iter().filter(|happened| happened.what == Happening::Started).count();

            restore(&mut lab.nodes[3]);
            lab.health(0, &lost, NodeHealth::Ready).await;
            lab.until(0, "the former containers to end", |_| on_lost(&lab) == 0).await;
            assert_kept(&lab, 0, &wanted).await;
            sleep(Duration::from_secs(2)).await;

            let later = lab.history.all().iter().filter(|happened| happened.what == Happening::Started).count();
            assert_eq!((later, on_lost(&lab)), (starts, 0));
            assert_eq!(lab.history.breaches(true), Vec::<String>::new());
        };

        check(LabNode::kill, LabNode::start).await;
        check(LabNode::freeze, LabNode::thaw).await;
    }
}
