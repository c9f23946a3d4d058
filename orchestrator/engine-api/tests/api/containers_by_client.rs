//! Containers by the stock `docker` CLI, Debian's, and the Python SDK.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::busybox::BUSYBOX;
use crate::clients::{DockerCli, docker_clis, finish, sdk_python};
use crate::containers::lab::Lab;

/// Runs until it is asked to end.
const SERVER: &str = "trap 'exit 0' TERM; echo ready; echo oh >&2; while :; do sleep 1 & wait $!; done";

#[tokio::test]
async fn a_container_lives_and_ends_by_the_commands_of_the_cli() {
    for (_, program) in docker_clis().await {
        let lab = Lab::start().await;
        let docker = DockerCli::new(&program, &lab.socket());
        let make = ["create", "--network", "none", "--name", "web", "--label", "tier=front", "--memory", "64m"];

        let id = docker.expect(&[&make[..], &[BUSYBOX, "sh", "-c", SERVER]].concat()).await;
        assert_eq!(id.trim().len(), 64, "{id}");
        assert_eq!(docker.expect(&["start", "web"]).await, "web\n");
        let running = docker.expect(&["ps", "--format", "{{.Names}} {{.Image}} {{.Status}}|{{.Ports}}"]).await;
        assert!(running.starts_with(&format!("web {BUSYBOX} Up ")) && running.ends_with("|\n"), "{running}");
        let format = "{{.State.Running}} {{.Config.Image}} {{.HostConfig.Memory}} {{.NetworkSettings.IPAddress}}";
        let shown = docker.expect(&["inspect", "-f", format, "web"]).await;
        assert_eq!(shown, format!("true {BUSYBOX} 67108864 \n"));
        let top = docker.expect(&["top", "web"]).await;
        assert!(top.starts_with("UID ") && top.contains("sh -c trap"), "{top}");
        let uses = ["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}} {{.CPUPerc}}"];
        let uses = docker.expect(&[&uses[..], &["web"]].concat()).await;
        assert!(uses.starts_with("web ") && uses.contains("/ 64MiB") && uses.contains('%'), "{uses}");
        assert_eq!(docker.expect(&["pause", "web"]).await, "web\n");
        assert!(docker.expect(&["ps"]).await.contains("(Paused)"));
        assert_eq!(docker.expect(&["unpause", "web"]).await, "web\n");
        assert_eq!(
            docker.expect(&["update", "--cpu-shares", "512", "--restart", "unless-stopped", "web"]).await,
            "web\n"
        );
        let format = "{{.HostConfig.CpuShares}} {{.HostConfig.RestartPolicy.Name}}";
        assert_eq!(docker.expect(&["inspect", "-f", format, "web"]).await, "512 unless-stopped\n");
        assert_eq!(docker.expect(&["rename", "web", "shop"]).await, "");
        let refused = docker.expect_error(&["rm", "shop"]).await;
        assert!(refused.contains("container is running: stop the container before removing"), "{refused}");

        assert_eq!(docker.expect(&["restart", "shop"]).await, "shop\n");
        assert_eq!(docker.expect(&["stop", "shop"]).await, "shop\n");
        assert_eq!(docker.expect(&["wait", "shop"]).await, "0\n");
        let logs = docker.run(&["logs", "--tail", "2", "shop"]).await;
        assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("ready\n", "oh\n"));
        let stamped = docker.run(&["logs", "--timestamps", "--details", "shop"]).await.stdout;
        assert!(stamped.contains("Z  ready\n"), "{stamped}");
        assert!(docker.expect(&["ps", "--all"]).await.contains("Exited (0) "));
        assert_eq!(docker.expect(&["rm", "shop"]).await, "shop\n");
        let missing = docker.expect_error(&["container", "inspect", "shop"]).await;
        assert!(missing.contains("No such container: shop"), "{missing}");
    }
}

#[tokio::test]
async fn containers_are_run_listed_killed_and_pruned_by_the_cli() {
    for (_, program) in docker_clis().await {
        let lab = Lab::start().await;
        let docker = DockerCli::new(&program, &lab.socket());
        let run = async |options: &[&str], script: &str| {
            let id = docker.expect(&[&["run", "--detach"][..], options, &[BUSYBOX, "sh", "-c", script]].concat()).await;
            id.trim().to_owned()
        };
        let list = async |filters: &[&str]| {
            let filters = filters.iter().flat_map(|filter| ["--filter", *filter]);
            let arguments: Vec<_> = ["ps", "--all", "--format", "{{.Names}}"].into_iter().chain(filters).collect();
            docker.expect(&arguments).await
        };

        let front = run(&["--network", "none", "--name", "front", "--label", "tier=front"], SERVER).await;
        run(&["--network", "host", "--name", "back", "--env", "CODE=4"], "exit $CODE").await;
        assert_eq!(docker.expect(&["wait", "back"]).await, "4\n");
        run(&["--network", "none", "--name", "passing", "--rm"], "sleep 1000").await;

        assert_eq!(list(&["label=tier=front"]).await, "front\n");
        assert_eq!(list(&["status=exited", "exited=4"]).await, "back\n");
        assert_eq!(list(&["name=^f", "status=running"]).await, "front\n");
        assert_eq!(list(&["network=host"]).await, "back\n");
        assert_eq!(list(&["since=back"]).await, "passing\n");
        assert_eq!(list(&[&format!("ancestor={BUSYBOX}")]).await, "passing\nback\nfront\n");
        assert_eq!(docker.expect(&["ps", "--latest", "--quiet", "--no-trunc"]).await.trim().len(), 64);
        assert_eq!(docker.expect(&["kill", "passing"]).await, "passing\n");
        let mut gone = lab.engine.containers().wait("passing", engine::WaitCondition::Removed);
        if let Ok(gone) = &mut gone {
            gone.outcome().await;
        }
        assert_eq!(list(&[]).await, "back\nfront\n", "what removes itself is gone");
        let pruned = docker.expect(&["container", "prune", "--force"]).await;
        assert!(pruned.starts_with("Deleted Containers:\n") && pruned.contains("Total reclaimed space: "), "{pruned}");
        assert_eq!(list(&[]).await, "front\n");
        assert_eq!(docker.expect(&["rm", "--force", &front[..12]]).await, format!("{}\n", &front[..12]));
    }
}

#[tokio::test]
async fn the_cli_is_told_what_it_cannot_have() {
    for (_, program) in docker_clis().await {
        let lab = Lab::start().await;
        let docker = DockerCli::new(&program, &lab.socket());

        let network = docker.expect_error(&["create", "--network", "web", BUSYBOX]).await;
        let policy =
            docker.expect_error(&["create", "--network", "none", "--rm", "--restart", "always", BUSYBOX]).await;
        let missing = docker.run(&["run", "--detach", "--network", "none", BUSYBOX, "nothing-like-this"]).await;
        docker.expect(&["create", "--network", "none", "--name", "web", BUSYBOX]).await;
        let taken = docker.expect_error(&["create", "--network", "none", "--name", "web", BUSYBOX]).await;

        assert!(network.contains("network web not found"), "{network}");
        assert!(policy.contains("--restart and --rm"), "{policy}");
        assert!(!missing.success && missing.stderr.contains("executable file not found"), "{missing:?}");
        assert!(taken.contains("Conflict. The container name \"/web\" is already in use"), "{taken}");
    }
}

#[tokio::test]
async fn the_python_sdk_handles_containers() {
    let Some(python) = sdk_python().await else { return };
    let lab = Lab::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/containers_sdk.py");

    let mut command = Command::new(python);
    command.arg(script).arg(lab.socket()).arg(BUSYBOX).stdin(Stdio::null()).kill_on_drop(true);
    let outcome = finish(command, Duration::from_mins(1)).await;

    assert!(outcome.success && outcome.stdout == "done\n", "{}{}", outcome.stdout, outcome.stderr);
}
