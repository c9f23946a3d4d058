//! Services that are asked for at any manager, also while the leader dies.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engine::EventKind;
    use model::{
        ContainerSpec, ControlRequest, RegistryAuth, ReplicatedMode, Secret, ServiceId, ServiceSpec, SwarmError,
    };
    use node::SwarmRead;
    use node::testing::{Lab, LabNode};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn id(number: u64) -> ServiceId {
        ServiceId::generate(&mut StdRng::seed_from_u64(number))
    }

    fn spec(number: u64, image: &str) -> Box<ServiceSpec> {
        let mut spec = ServiceSpec { name: format!("web-{number}"), ..ServiceSpec::default() };
        let container = ContainerSpec { image: image.to_owned(), ..ContainerSpec::default() };
        spec.task_template.container_spec = Some(container);
        spec.mode.replicated = Some(ReplicatedMode { replicas: Some(1) });
        Box::new(spec)
    }

    fn create(number: u64) -> ControlRequest {
        let registry_auth = Some(Secret::new("auth"));
        ControlRequest::CreateService { id: id(number), spec: spec(number, "a:1"), registry_auth }
    }

    fn image(read: &SwarmRead, number: u64) -> Option<String> {
        let service = read.snapshot.service(&id(number)).filter(|service| !service.state.is_removed)?;
        service.spec.task_template.container_spec.as_ref().map(|container| container.image.clone())
    }

    async fn update(node: &LabNode, number: u64, image: &str) -> Result<(), SwarmError> {
        let version = node.read().await?.snapshot.service(&id(number)).unwrap().meta.version;
        let request = ControlRequest::UpdateService {
            id: id(number),
            version,
            spec: spec(number, image),
            rollback: false,
            registry_auth: RegistryAuth::FromSpec,
        };
        node.control(request).await.map(|_| ())
    }

    /// What a manager has told of services: action and name.
    fn told(node: &LabNode) -> Vec<(String, String)> {
        let (past, _) = node.engine().events().subscribe();
        let services = past.iter().filter(|event| event.kind == EventKind::Service);
        services.map(|event| (event.action.clone(), event.actor.attributes["name"].clone())).collect()
    }

    #[tokio::test]
    async fn what_one_manager_is_asked_for_is_seen_and_told_on_all() {
        let lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let (leader, follower) = {
            let leader = lab.leader(0).await;
            (leader, (leader + 1) % 3)
        };

        lab.nodes[follower].control(create(1)).await.unwrap();
        for node in &lab.nodes {
            assert_eq!(image(&node.read().await.unwrap(), 1).as_deref(), Some("a:1"));
        }
        update(&lab.nodes[follower], 1, "a:2").await.unwrap();
        let read = lab.nodes[leader].read().await.unwrap();
        assert_eq!(read.snapshot.service(&id(1)).unwrap().state.registry_auth, Some(Secret::new("auth")));
        lab.nodes[leader].control(ControlRequest::RemoveService { id: id(1) }).await.unwrap();

        for (number, node) in lab.nodes.iter().enumerate() {
            lab.until(number, "the removal", |read| image(read, 1).is_none()).await;
            let expected = ["create", "update", "remove"].map(|action| (action.to_owned(), "web-1".to_owned()));
            lab.until(number, "the events", |_| told(node).last() == expected.last()).await;
            // How the update fares is told as updates, too.
            let mut told = told(node);
            assert_eq!(told.iter().filter(|event| **event == expected[2]).count(), 1);
            told.dedup();
            assert_eq!(told, expected);
        }
    }

    #[tokio::test]
    async fn services_that_are_asked_for_while_the_leader_dies_are_created_once_and_none_is_lost() {
        const NUMBER: u64 = 20;
        let mut lab = Lab::swarm(3, 0);
        lab.settled(0, 3, 0).await;
        let leader = lab.leader(0).await;
        let other = (leader + 1) % 3;
        let [dying, asked] = lab.nodes.get_disjoint_mut([leader, other]).unwrap();
        let (half, reached) = tokio::sync::oneshot::channel();
        let mut half = Some(half);

        let creation = async {
            for number in 0..NUMBER {
                if number == NUMBER / 2 {
                    half.take().unwrap().send(()).unwrap();
                }
                let outcome = asked.control(create(number)).await;
                assert!(outcome.is_ok(), "service {number}: {outcome:?}");
            }
        };
        let death = async {
            reached.await.unwrap();
            dying.kill();
        };
        tokio::join!(creation, death);

        let read = lab.nodes[other].read().await.unwrap();
        let names: BTreeSet<_> = read.snapshot.services().map(|service| service.spec.name.clone()).collect();
        assert_eq!(names.len() as u64, NUMBER);
        assert_eq!(read.snapshot.services().count() as u64, NUMBER);
        let again = lab.nodes[other].control(create(0)).await.unwrap_err();
        assert_eq!(again.kind, model::ErrorKind::AlreadyExists);
    }
}
