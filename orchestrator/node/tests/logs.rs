//! Output of tasks on real nodes, read through any manager: gathered, followed over the death of the leader, and whole
//! but for the nodes that are lost.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use futures_util::StreamExt;
    use model::{
        ContainerSpec, ControlRequest, LogMessage, LogRequest, LogSelection, LogTarget, NodeHealth, ReplicatedMode,
        ServiceId, ServiceSpec, TaskState,
    };
    use node::testing::{Lab, PATIENCE, WritingTasks};
    use node::{LogMessages, SwarmRead};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn id() -> ServiceId {
        ServiceId::generate(&mut StdRng::seed_from_u64(1))
    }

    fn create(replicas: u64) -> ControlRequest {
        let mut spec = ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() };
        spec.task_template.container_spec = Some(ContainerSpec { image: "a:1".to_owned(), ..ContainerSpec::default() });
        spec.mode.replicated = Some(ReplicatedMode { replicas: Some(replicas) });
        ControlRequest::CreateService { id: id(), spec: Box::new(spec), registry_auth: None }
    }

    fn request(follow: bool) -> LogRequest {
        let selection = LogSelection { follow, stdout: true, stderr: true, ..LogSelection::default() };
        LogRequest { target: LogTarget::Service(id()), selection, seen: BTreeMap::new() }
    }

    fn are_running(read: &SwarmRead, tasks: usize) -> bool {
        let service = id();
        let wanted = read.snapshot.tasks_of_service(&service).filter(|task| task.state.desired == TaskState::Running);
        wanted.filter(|task| task.state.status.state == TaskState::Running).count() == tasks
    }

    /// All tasks of these nodes write a line; returns the texts.
    fn write<'n>(nodes: impl IntoIterator<Item = &'n WritingTasks>, word: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for node in nodes {
            for task in node.running() {
                let text = format!("{word} {task}\n");
                node.write(&task, &text);
                texts.push(text);
            }
        }
        texts.sort();
        texts
    }

    async fn next(messages: &mut LogMessages) -> Option<LogMessage> {
        let next = tokio::time::timeout(PATIENCE, messages.next()).await.expect("no more output comes");
        next.map(|message| message.expect("it goes on"))
    }

    /// So many lines, sorted.
    async fn lines(messages: &mut LogMessages, number: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < number {
            match next(messages).await {
                Some(LogMessage::Lines(lines)) => texts.extend(lines.into_iter().map(|line| line.entry.text)),
                other => panic!("after {texts:?}: {other:?}"),
            }
        }
        texts.sort();
        texts
    }

    #[tokio::test]
    async fn output_of_all_nodes_is_followed_through_any_manager_and_over_the_death_of_the_leader() {
        let (mut lab, tasks) = Lab::writing(3, 1);
        lab.settled(0, 3, 1).await;
        let leader = lab.leader(0).await;
        let (asked, other) = ((leader + 1) % 3, (leader + 2) % 3);
        lab.nodes[asked].control(create(4)).await.unwrap();
        lab.until(asked, "four tasks", |read| are_running(read, 4)).await;

        let mut through_leader = lab.nodes[leader].logs(request(true)).await.unwrap();
        let mut messages = lab.nodes[asked].logs(request(true)).await.unwrap();
        let first = write(&tasks, "first");
        assert_eq!(first.len(), 4);
        assert_eq!(lines(&mut messages, 4).await, first);
        assert_eq!(lines(&mut through_leader, 4).await, first);
        drop(through_leader);
        let lost = lab.nodes[leader].id();
        lab.nodes[leader].kill();
        // What is written while nobody leads is not lost, and what was read does not come again.
        let survivors = [&tasks[asked], &tasks[other], &tasks[3]];
        let second = write(survivors, "second");
        assert_eq!(lines(&mut messages, second.len()).await, second);

        // The lost node's task runs elsewhere, and joins.
        lab.health(asked, &lost, NodeHealth::Down).await;
        let is_moved = |read: &SwarmRead| {
            let service = id();
            let mut wanted =
                read.snapshot.tasks_of_service(&service).filter(|task| task.state.desired == TaskState::Running);
            are_running(read, 4) && wanted.all(|task| task.state.node_id.as_ref() != Some(&lost))
        };
        lab.until(asked, "four tasks on three nodes", is_moved).await;
        let third = write(survivors, "third");
        assert_eq!(third.len(), 4);
        assert_eq!(lines(&mut messages, 4).await, third);
        lab.nodes[other].control(ControlRequest::RemoveService { id: id() }).await.unwrap();
        let mut final_word = None;
        while let Some(message) = next(&mut messages).await {
            final_word = Some(message);
        }
        let words = format!("reasons: node {lost} is not available");
        assert!(matches!(&final_word, Some(LogMessage::Incomplete(told)) if told.ends_with(&words)), "{final_word:?}");
    }

    #[tokio::test]
    async fn a_node_that_is_lost_while_it_is_read_costs_a_warning_and_no_line_of_others() {
        let (mut lab, tasks) = Lab::writing(1, 2);
        let read = lab.settled(0, 1, 2).await;
        lab.nodes[0].control(create(3)).await.unwrap();
        lab.until(0, "three tasks", |read| are_running(read, 3)).await;
        let mut written = write(&tasks[..2], "kept");
        let lost = lab.nodes[2].id();
        assert!(read.nodes.contains_key(&lost));

        lab.nodes[2].freeze();
        let mut messages = lab.nodes[0].logs(request(false)).await.unwrap();
        let began = tokio::time::Instant::now();
        let texts = lines(&mut messages, 2).await;
        let end = next(&mut messages).await;
        let elapsed = began.elapsed();
        lab.nodes[2].thaw();

        written.sort();
        assert_eq!(texts, written);
        let words = format!("reasons: node {lost} is not available");
        assert!(matches!(&end, Some(LogMessage::Incomplete(told)) if told.ends_with(&words)), "{end:?}");
        assert!(next(&mut messages).await.is_none());
        assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
    }
}
