//! The stock `docker` CLI and Debian's, used as an operator uses them.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use engine::{Actor, Event, EventKind, EventScope};
use jiff::{SignedDuration, Timestamp};
use node::SwarmNode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::clients::{DockerCli, docker_clis};
use crate::memory::{MemoryNode, id};
use crate::served::Served;

/// Every CLI there is, each with an API of its own.
async fn each(node: impl Fn() -> Arc<MemoryNode>) -> Vec<(Served, DockerCli, Arc<MemoryNode>)> {
    let mut clients = Vec::new();
    for (_, program) in docker_clis().await {
        let node = node();
        let served = Served::start(Arc::clone(&node) as Arc<dyn SwarmNode>).await;
        let cli = DockerCli::new(&program, &served.socket());
        clients.push((served, cli, node));
    }
    clients
}

fn has_line(text: &str, words: &[&str]) -> bool {
    text.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == words)
}

#[tokio::test]
async fn version_shows_both_sides() {
    for (_served, docker, _) in each(MemoryNode::inactive).await {
        let shown = docker.expect(&["version"]).await;

        assert!(shown.contains("Server: swarmd\n Engine:\n"), "{shown}");
        assert!(has_line(&shown, &["Version:", engine::VERSION]), "{shown}");
        assert!(has_line(&shown, &["API", "version:", "1.51", "(minimum", "version", "1.24)"]), "{shown}");
    }
}

#[tokio::test]
async fn info_shows_the_node_and_its_swarm() {
    for (_served, docker, _) in each(MemoryNode::manager).await {
        let outcome = docker.run(&["info"]).await;
        assert!(outcome.success, "{outcome:#?}");
        let shown = outcome.stdout;

        for line in [
            " Swarm: active",
            "  Is Manager: true",
            "  ClusterID: 70ilmkj2f6sp2137c753w2nmt",
            "  Managers: 3",
            "  Nodes: 5",
            "  Default Address Pool: 10.0.0.0/8  ",
            "  SubnetSize: 24",
            "  Data Path Port: 4789",
            "   Task History Retention Limit: 5",
            "   Snapshot Interval: 10000",
            "   Expiry Duration: 3 months",
            "   Heartbeat Period: 5 seconds",
            "  Autolock Managers: false",
            "  Root Rotation In Progress: false",
            "  Node Address: 10.0.0.1",
            "   10.0.0.2:2377",
            " Name: node-1",
            "  rack=r1",
            " Containers: 0",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} in {shown}");
        }
        assert!(shown.contains(&format!("  NodeID: {}\n", id(1))), "{shown}");
    }
}

#[tokio::test]
async fn info_warns_of_nothing_but_what_the_kernel_lacks() {
    for (served, docker, _) in each(MemoryNode::inactive).await {
        let outcome = docker.run(&["info"]).await;
        let facts = served.engine.facts();

        let lacks = |text: &str, there: bool| if there { None } else { Some(format!("WARNING: {text}")) };
        let has = |controller| facts.cgroups.has(controller);
        let allowed: Vec<String> = [
            lacks("No memory limit support", has("memory")),
            lacks("No swap limit support", facts.cgroups.has_swap_limit),
            lacks("No oom kill disable support", has("memory") && !facts.cgroups.is_unified),
            lacks("No cpu cfs quota support", has("cpu")),
            lacks("No cpu cfs period support", has("cpu")),
            lacks("No cpu shares support", has("cpu")),
            lacks("No cpuset support", has("cpuset")),
            lacks("IPv4 forwarding is disabled", facts.is_forwarding_ipv4),
        ]
        .into_iter()
        .flatten()
        .collect();
        for line in outcome.stderr.lines() {
            assert!(allowed.iter().any(|warning| warning == line), "{line}");
        }
        assert!(outcome.success && outcome.stdout.contains(" Swarm: inactive\n"), "{outcome:#?}");
    }
}

#[tokio::test]
async fn nodes_are_listed_and_inspected() {
    for (_served, docker, node) in each(MemoryNode::manager).await {
        node.set_down(3);
        let listed = docker.expect(&["node", "ls"]).await;
        let first = id(1);
        assert!(
            has_line(&listed, &[first.as_str(), "*", "node-1", "Ready", "Active", "Leader", engine::VERSION]),
            "{listed}"
        );
        assert!(
            has_line(&listed, &[id(2).as_str(), "node-2", "Ready", "Active", "Reachable", engine::VERSION]),
            "{listed}"
        );
        assert!(
            has_line(&listed, &[id(3).as_str(), "node-3", "Down", "Active", "Unreachable", engine::VERSION]),
            "{listed}"
        );
        assert!(has_line(&listed, &[id(4).as_str(), "node-4", "Ready", "Active", engine::VERSION]), "{listed}");

        let workers = docker.expect(&["node", "ls", "--quiet", "--filter", "role=worker"]).await;
        assert_eq!(workers, format!("{}\n{}\n", id(4), id(5)));

        let pretty = docker.expect(&["node", "inspect", "self", "--pretty"]).await;
        for words in [
            &["ID:", first.as_str()][..],
            &["Hostname:", "node-1"],
            &["State:", "Ready"],
            &["Availability:", "Active"],
            &["Address:", "10.0.0.1"],
            &["Address:", "10.0.0.1:2377"],
            &["Raft", "Status:", "Reachable"],
            &["Leader:", "Yes"],
            &["Architecture:", "x86_64"],
            &["CPUs:", "2"],
            &["Memory:", "2GiB"],
            &["Engine", "Version:", engine::VERSION],
            &["-", "rack=r1"],
        ] {
            assert!(has_line(&pretty, words), "{words:?} in {pretty}");
        }

        let inspected: Value = serde_json::from_str(&docker.expect(&["node", "inspect", "00004"]).await).unwrap();
        assert_eq!(inspected[0]["Description"]["Hostname"], "node-4");
    }
}

#[tokio::test]
async fn nodes_are_changed_promoted_demoted_and_removed() {
    for (_served, docker, node) in each(MemoryNode::manager).await {
        docker.expect(&["node", "update", "--availability", "drain", "--label-add", "disk=ssd", "node-5"]).await;
        let labeled = docker.expect(&["node", "ls", "--quiet", "--filter", "node.label=disk=ssd"]).await;
        assert_eq!(labeled, format!("{}\n", id(5)));
        let format = "{{.Spec.Availability}} {{.Spec.Role}}";
        assert_eq!(docker.expect(&["node", "inspect", "node-5", "--format", format]).await, "drain worker\n");

        let promoted = docker.expect(&["node", "promote", "node-4"]).await;
        assert_eq!(promoted, "Node node-4 promoted to a manager in the swarm.\n");
        assert_eq!(
            docker.expect(&["node", "inspect", "node-4", "--format", "{{.ManagerStatus.Addr}}"]).await,
            "10.0.0.4:2377\n"
        );
        for name in ["node-2", "node-3", "node-4"] {
            let demoted = docker.expect(&["node", "demote", name]).await;
            assert_eq!(demoted, format!("Manager {name} demoted in the swarm.\n"));
        }
        let last = docker.expect_refusal(&["node", "demote", "node-1"]).await;
        assert!(last.ends_with("attempting to demote the last manager of the swarm"), "{last}");

        let refused = docker.expect_refusal(&["node", "rm", "node-4"]).await;
        assert!(refused.ends_with(&format!("node {} is not down and can't be removed", id(4))), "{refused}");
        assert_eq!(docker.expect(&["node", "rm", "--force", "node-4"]).await, "node-4\n");
        node.set_down(5);
        assert_eq!(docker.expect(&["node", "rm", "node-5"]).await, "node-5\n");
    }
}

#[tokio::test]
async fn a_swarm_is_made_by_hand_and_left() {
    for (_served, docker, _) in each(MemoryNode::inactive).await {
        let wrong = docker.expect_refusal(&["swarm", "init", "--advertise-addr", "nowhere"]).await;
        assert_eq!(wrong, "could not find a system network interface named \"nowhere\"");

        let init = docker.expect(&["swarm", "init", "--advertise-addr", "10.0.0.1"]).await;
        assert!(init.contains(&format!("Swarm initialized: current node ({}) is now a manager.", id(1))), "{init}");
        assert!(init.contains("docker swarm join --token SWMTKN-1-") && init.contains("10.0.0.1:2377"), "{init}");

        let worker = docker.expect(&["swarm", "join-token", "--quiet", "worker"]).await;
        let rotated = docker.expect(&["swarm", "join-token", "--rotate", "--quiet", "worker"]).await;
        let manager = docker.expect(&["swarm", "join-token", "manager"]).await;
        assert!(worker.starts_with("SWMTKN-1-") && rotated.starts_with("SWMTKN-1-") && worker != rotated);
        assert!(manager.starts_with("To add a manager to this swarm, run the following command:"), "{manager}");

        let updated = docker.expect(&["swarm", "update", "--cert-expiry", "30h", "--task-history-limit", "3"]).await;
        assert_eq!(updated, "Swarm updated.\n");
        let spec = docker.expect(&["info", "--format", "{{json .Swarm.Cluster.Spec}}"]).await;
        let spec: Value = serde_json::from_str(&spec).unwrap();
        assert_eq!(spec["CAConfig"]["NodeCertExpiry"], 108_000_000_000_000_i64);
        assert_eq!(spec["Orchestration"]["TaskHistoryRetentionLimit"], 3);
        let short = docker.expect_refusal(&["swarm", "update", "--cert-expiry", "15m"]).await;
        assert!(short.ends_with("minimum certificate expiry time is: 1h0m0s"), "{short}");

        assert!(docker.run(&["swarm", "unlock-key"]).await.stderr.contains("no unlock key is set"));

        let refused = docker.expect_refusal(&["swarm", "leave"]).await;
        assert!(
            refused.starts_with("You are attempting to leave the swarm on a node that is participating as a manager."),
            "{refused}"
        );
        assert_eq!(docker.expect(&["swarm", "leave", "--force"]).await, "Node left the swarm.\n");
        assert!(docker.expect(&["info", "--format", "{{.Swarm.LocalNodeState}}"]).await == "inactive\n");
    }
}

#[tokio::test]
async fn the_root_is_shown_and_changed_once_every_node_has_followed() {
    for (served, docker, _) in each(MemoryNode::manager).await {
        let token = docker.expect(&["swarm", "join-token", "--quiet", "worker"]).await;
        let first = docker.expect(&["swarm", "ca"]).await;
        let shown = docker.expect(&["swarm", "ca", "--rotate"]).await;
        let second = docker.expect(&["swarm", "ca"]).await;

        assert!(first.starts_with("-----BEGIN CERTIFICATE-----") && first != second, "{first}");
        assert!(shown.contains("desired root digest: sha256:"), "{shown}");
        assert!(shown.ends_with(&second), "{shown}");
        assert_ne!(docker.expect(&["swarm", "join-token", "--quiet", "worker"]).await, token);

        let folder = tempfile::tempdir().unwrap();
        let given = ca::Authority::generate("example", jiff::Timestamp::now()).unwrap();
        let (certificate, key) = (folder.path().join("ca.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, given.certificate_pem()).unwrap();
        std::fs::write(&key, given.key_pem().expose()).unwrap();
        let files = ["--ca-cert", certificate.to_str().unwrap(), "--ca-key", key.to_str().unwrap()];
        let rotate = ["swarm", "ca", "--rotate", "--quiet", "--cert-expiry", "30h"];
        assert_eq!(docker.expect(&[&rotate[..], &files].concat()).await, "");
        assert_eq!(docker.expect(&["swarm", "ca"]).await, given.certificate_pem());
        let spec = served.send("GET", "/swarm").await.json()["Spec"]["CAConfig"].clone();
        assert_eq!(spec, serde_json::json!({"NodeCertExpiry": 108_000_000_000_000_i64, "ForceRotate": 1}));

        assert_eq!(docker.expect(&["swarm", "ca", "--rotate", "--detach"]).await, "");
        assert_eq!(served.send("GET", "/swarm").await.json()["RootRotationInProgress"], true);
        let outside =
            docker.expect_refusal(&["swarm", "update", "--external-ca", "protocol=cfssl,url=https://x"]).await;
        assert_eq!(outside, "this engine does not work with external certificate authorities yet");
    }
}

#[tokio::test]
async fn managers_are_locked_and_unlocked() {
    for (_served, docker, node) in each(MemoryNode::inactive).await {
        let init = docker.expect(&["swarm", "init", "--autolock", "--advertise-addr", "10.0.0.1"]).await;
        let key = docker.expect(&["swarm", "unlock-key", "--quiet"]).await.trim().to_owned();
        assert!(key.starts_with("SWMKEY-1-") && init.contains(&format!("    {key}\n")), "{key}: {init}");
        assert!(docker.run(&["info"]).await.stdout.contains("  Autolock Managers: true"));
        let text = docker.expect(&["swarm", "unlock-key", "--rotate"]).await;
        assert!(text.starts_with("Successfully rotated manager unlock key.") && !text.contains(&key), "{text}");
        let key = docker.expect(&["swarm", "unlock-key", "-q"]).await;
        assert!(docker.expect_error(&["swarm", "unlock"]).await.contains("swarm is not locked"));

        node.restart();

        assert!(docker.run(&["info"]).await.stdout.contains(" Swarm: locked\n"));
        assert!(
            docker.expect_refusal(&["node", "ls"]).await.starts_with("Swarm is encrypted and needs to be unlocked")
        );
        assert!(docker.expect_refusal(&["swarm", "leave"]).await.starts_with("Swarm is encrypted and locked."));
        let wrong = docker.answer(&["swarm", "unlock"], &format!("SWMKEY-1-{}\n", "A".repeat(43))).await;
        assert!(wrong.stderr.contains("swarm could not be unlocked: invalid key provided"), "{}", wrong.stderr);
        let unlocked = docker.answer(&["swarm", "unlock"], &key).await;
        assert!(unlocked.success, "{}", unlocked.stderr);

        let off = docker.expect(&["swarm", "update", "--autolock=false"]).await;
        assert_eq!(off, "Swarm updated.\n");
        assert!(docker.expect_error(&["swarm", "unlock-key"]).await.contains("no unlock key is set"));
        let rotation = docker.expect_error(&["swarm", "unlock-key", "--rotate"]).await;
        assert!(rotation.contains("cannot rotate because autolock is not turned on"), "{rotation}");
        let on = docker.expect(&["swarm", "update", "--autolock=true"]).await;
        assert!(on.starts_with("Swarm updated.\nTo unlock a swarm manager after it restarts"), "{on}");
    }
}

#[tokio::test]
async fn joining_fails_and_succeeds_in_dockers_words() {
    for (_served, docker, _) in each(MemoryNode::inactive).await {
        let refused = docker.expect_refusal(&["swarm", "join", "--token", "SWMTKN-1-x", "10.0.0.9:2377"]).await;
        assert!(refused.ends_with("A valid join token is necessary to join this cluster"), "{refused}");

        let token = format!("SWMTKN-1-{}-{}", "a".repeat(50), "b".repeat(25));
        let joined = docker.expect(&["swarm", "join", "--token", &token, "10.0.0.9:2377"]).await;
        assert_eq!(joined, "This node joined a swarm as a worker.\n");

        let worker = docker.expect_refusal(&["node", "ls"]).await;
        assert!(worker.starts_with("This node is not a swarm manager. Worker nodes can't be used"), "{worker}");
        let again = docker.expect_refusal(&["swarm", "join", "--token", &token, "10.0.0.9:2377"]).await;
        assert!(again.starts_with("This node is already part of a swarm."), "{again}");
        assert_eq!(docker.expect(&["swarm", "leave"]).await, "Node left the swarm.\n");
    }
}

#[tokio::test]
async fn commands_that_are_not_served_yet_say_so() {
    for (_served, docker, _) in each(MemoryNode::manager).await {
        assert_eq!(docker.expect_refusal(&["config", "ls"]).await, "this engine does not serve GET /configs yet");
        assert_eq!(docker.expect_refusal(&["secret", "ls"]).await, "this engine does not serve GET /secrets yet");
    }
}

#[tokio::test]
async fn events_are_shown_as_they_come_and_from_the_past() {
    for (served, docker, _) in each(MemoryNode::manager).await {
        let publish = |action: &str, time: Timestamp| {
            let actor = Actor { id: id(4).to_string(), attributes: [("name".to_owned(), "node-4".to_owned())].into() };
            let (kind, scope) = (EventKind::Node, EventScope::Swarm);
            served.engine.events().publish(Event { kind, action: action.to_owned(), actor, scope, time });
        };
        let mut command =
            docker.command(&["events", "--filter", "type=node", "--format", "{{.Action}} {{.Actor.Attributes.name}}"]);
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reading = async {
            while served.engine.events().readers() == 0 {
                tokio::task::yield_now().await;
            }
            publish("create", Timestamp::now());
            lines.next_line().await.unwrap()
        };
        let line = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("no event comes");
        child.kill().await.unwrap();

        assert_eq!(line.as_deref(), Some("create node-4"));
        publish("remove", Timestamp::now() - SignedDuration::from_mins(5));
        let past = docker.expect(&["events", "--since", "10m", "--until", "1m"]).await;
        assert!(past.ends_with(&format!("node remove {} (name=node-4)\n", id(4))), "{past}");
    }
}
