//! Services by the stock `docker` CLI and Debian's, used as an operator uses them; tasks come to run by themselves.

use std::sync::Arc;

use model::TaskState;
use node::SwarmNode;
use serde_json::Value;

use crate::clients::{DockerCli, docker_clis};
use crate::memory::MemoryNode;
use crate::served::Served;

/// Every CLI there is, each with an API of its own.
async fn each() -> Vec<(Served, DockerCli, Arc<MemoryNode>)> {
    let mut clients = Vec::new();
    for (_, program) in docker_clis().await {
        let node = MemoryNode::manager();
        let served = Served::start(Arc::clone(&node) as Arc<dyn SwarmNode>).await;
        let cli = DockerCli::new(&program, &served.socket());
        clients.push((served, cli, node));
    }
    clients
}

/// Options of `service create` that need no registry, and no patience.
const QUICK: [&str; 4] = ["--no-resolve-image", "--update-monitor", "1ms", "--quiet"];

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[tokio::test]
async fn a_service_is_created_followed_until_it_runs_scaled_updated_rolled_back_and_removed() {
    for (_served, docker, node) in each().await {
        let _running = node.run_services();
        let create = ["service", "create", "--name", "web", "--replicas", "3"];
        let id = docker.expect(&[&create[..], &QUICK, &["busybox:1", "sleep", "1d"]].concat()).await;
        assert_eq!(id.trim(), node.service("web").id.as_str());

        let listed = docker.expect(&["service", "ls"]).await;
        let id = &id.trim()[..12];
        assert_eq!(words(listed.lines().nth(1).unwrap()), [id, "web", "replicated", "3/3", "busybox:1"], "{listed}");
        let format = "{{.Name}} {{.Image}} {{.Node}} {{.DesiredState}}";
        let tasks = docker.expect(&["service", "ps", "web", "--format", format]).await;
        let mut lines: Vec<_> = tasks.lines().collect();
        lines.sort_unstable();
        let expected =
            ["web.1 busybox:1 node-2 Running", "web.2 busybox:1 node-3 Running", "web.3 busybox:1 node-4 Running"];
        assert_eq!(lines, expected);

        let scaled = docker.run(&["service", "scale", "web=2"]).await;
        assert!(scaled.success && scaled.stdout.contains("web scaled to 2"), "{scaled:#?}");
        assert!(scaled.stdout.contains("onverged"), "{scaled:#?}");
        let update = ["service", "update", "--no-resolve-image", "--quiet", "--image", "busybox:2", "web"];
        assert_eq!(docker.expect(&update).await, "web\n");
        assert_eq!(docker.expect(&["service", "ls", "--format", "{{.Replicas}} {{.Image}}"]).await, "2/2 busybox:2\n");
        let rolled = docker.expect(&["service", "rollback", "--detach", "web"]).await;
        assert_eq!(rolled, "web\n");
        assert_eq!(docker.expect(&["service", "ls", "--format", "{{.Image}}"]).await, "busybox:1\n");

        assert_eq!(docker.expect(&["service", "rm", "web"]).await, "web\n");
        assert_eq!(docker.expect(&["service", "ls", "--quiet"]).await, "");
        let gone = docker.run(&["service", "ps", "web"]).await;
        assert!(!gone.success && gone.stderr.contains("no such service: web"), "{gone:#?}");
    }
}

#[tokio::test]
async fn a_scale_changes_no_task_that_runs() {
    for (_served, docker, node) in each().await {
        let create = ["service", "create", "--detach", "--name", "web", "--mount", "type=bind,src=/a,dst=/b"];
        docker.expect(&[&create[..], &QUICK, &["--restart-condition", "on-failure", "busybox:1"]].concat()).await;
        let before = node.service("web").spec.clone();

        docker.expect(&["service", "scale", "--detach", "web=5"]).await;

        let after = node.service("web").spec.clone();
        assert_eq!(after.replicas(), Some(5));
        assert_eq!(after.task_template, before.task_template);
        assert_eq!(after.endpoint_spec, before.endpoint_spec);
    }
}

#[tokio::test]
async fn a_service_is_inspected_in_words_and_in_json() {
    for (_served, docker, node) in each().await {
        let create = [
            "service",
            "create",
            "--detach",
            "--no-resolve-image",
            "--name",
            "web",
            "--replicas",
            "2",
            "--label",
            "a=b",
            "--env",
            "A=b",
            "--limit-memory",
            "64m",
            "--reserve-cpu",
            "0.5",
            "--constraint",
            "node.role==worker",
            "--publish",
            "mode=host,target=80,published=8080",
            "--stop-grace-period",
            "3s",
            "busybox:1",
            "sleep",
            "1d",
        ];
        docker.expect(&create).await;

        let pretty = docker.expect(&["service", "inspect", "--pretty", "web"]).await;
        for line in [
            &["ID:", node.service("web").id.as_str()][..],
            &["Name:", "web"],
            &["a=b"],
            &["Service", "Mode:", "Replicated"],
            &["Replicas:", "2"],
            &["Parallelism:", "1"],
            &["On", "failure:", "pause"],
            &["Monitoring", "Period:", "5s"],
            &["Image:", "busybox:1"],
            &["Args:", "sleep", "1d"],
            &["Env:", "A=b"],
            &["Memory:", "64MiB"],
            &["CPU:", "0.5"],
            &["PublishedPort", "=", "8080"],
            &["PublishMode", "=", "host"],
            &["Endpoint", "Mode:", "vip"],
        ] {
            assert!(pretty.lines().any(|shown| words(shown) == line), "{line:?} in {pretty}");
        }
        assert!(pretty.contains("node.role==worker"), "{pretty}");
        let shown: Value = serde_json::from_str(&docker.expect(&["service", "inspect", "web"]).await).unwrap();
        assert_eq!(shown[0]["Spec"]["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"], 3_000_000_000_i64);
        assert_eq!(shown[0]["Endpoint"]["Ports"][0]["PublishedPort"], 8080);
    }
}

#[tokio::test]
async fn other_modes_and_failed_tasks_are_shown() {
    for (_served, docker, node) in each().await {
        let create = |mode: &'static str| ["service", "create", "--detach", "--no-resolve-image", "--mode", mode];
        docker.expect(&[&create("global")[..], &["--name", "agent", "busybox:1"]].concat()).await;
        docker
            .expect(&[&create("replicated-job")[..], &["--name", "job", "--replicas", "4", "busybox:1"]].concat())
            .await;
        docker.expect(&[&create("global-job")[..], &["--name", "sweep", "busybox:1"]].concat()).await;
        node.add_task("agent", 1, 4, TaskState::Failed).await;
        node.add_task("agent", 1, 5, TaskState::Running).await;

        let listed = docker.expect(&["service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}}"]).await;
        let mut lines: Vec<_> = listed.lines().collect();
        lines.sort_unstable();
        let expected =
            ["agent global 1/1", "job replicated job 0/4 (0/4 completed)", "sweep global job 0/0 (0/0 completed)"];
        assert_eq!(lines, expected);
        let tasks = docker.expect(&["service", "ps", "agent", "--format", "{{.Node}} {{.DesiredState}}"]).await;
        let mut lines: Vec<_> = tasks.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["node-4 Shutdown", "node-5 Running"]);
        let on_node = docker.expect(&["node", "ps", "node-5", "--format", "{{.Name}}"]).await;
        assert_eq!(on_node, "agent.1\n");
        let inspected = docker.expect(&["service", "ps", "--quiet", "--no-trunc", "agent"]).await;
        let task = inspected.lines().next().unwrap();
        let shown: Value = serde_json::from_str(&docker.expect(&["inspect", "--type", "task", task]).await).unwrap();
        assert_eq!(shown[0]["ID"], task);
    }
}

#[tokio::test]
async fn refusals_reach_the_operator_in_dockers_words() {
    for (_served, docker, _) in each().await {
        let create = |options: &[&'static str]| {
            let mut words = vec!["service", "create", "--detach", "--no-resolve-image"];
            words.extend(options);
            words.push("busybox:1");
            words
        };
        docker.expect(&create(&["--name", "web"])).await;

        let twice = docker.expect_refusal(&create(&["--name", "web"])).await;
        assert!(twice.ends_with("name conflicts with an existing object: service web already exists"), "{twice}");
        let memory = docker.expect_refusal(&create(&["--limit-memory", "1m"])).await;
        assert!(memory.ends_with("invalid memory value 1048576: Must be at least 4MiB"), "{memory}");
        let mesh = docker.expect_refusal(&create(&["--publish", "8080:80"])).await;
        assert!(mesh.starts_with("this engine does not publish ports through a routing mesh yet"), "{mesh}");
        let back = docker.expect_refusal(&["service", "rollback", "--detach", "web"]).await;
        assert!(back.ends_with("does not have a previous spec"), "{back}");
    }
}
