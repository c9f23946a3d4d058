//! Networks that operators make, by the stock `docker` CLI, Debian's, and Debian's `docker-compose`. The test's own network
//! namespace is the host.

use std::fs;

use links::route::Connection;
use tests::isolated;

use crate::busybox::BUSYBOX;
use crate::clients::{DockerCli, compose, docker_clis};
use crate::containers::lab::Lab;

/// Answers each connection to port 80 with a word.
const SERVER: &str = "echo ready; exec busybox nc -ll -p 80 -e echo hello";

/// Two services, of which one asks the other by its name.
const PROJECT: &str = r#"
version: "3.7"
services:
  web:
    image: busybox:test
    command: ["busybox", "nc", "-ll", "-p", "80", "-e", "echo", "hello"]
    ports: ["127.0.0.1:8080:80"]
    stop_grace_period: 0s
  client:
    image: busybox:test
    depends_on: [web]
    networks: {default: {aliases: [asker]}, back: {}}
    command: ["sh", "-c", "until busybox nc web 80 < /dev/null; do sleep 0.1; done; exec sleep 1000"]
    stop_grace_period: 0s
networks:
  back: {internal: true}
"#;

/// Runs a test on a host of its own. What clients there are is found first, with the machine's own folders.
fn on_a_host(name: &str, test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(docker_clis());
    isolated(&format!("local_networks::{name}"), || {
        let mut connection = Connection::open().unwrap();
        let loopback = connection.link("lo").unwrap().unwrap();
        connection.set_up(loopback.index).unwrap();
        runtime.block_on(test());
    });
}

/// The bridges of networks that the host has.
fn bridges() -> usize {
    let links = Connection::open().unwrap().links().unwrap();
    links.iter().filter(|link| link.name.starts_with("sw-")).count()
}

#[test]
fn networks_are_made_joined_left_and_removed_by_the_cli() {
    on_a_host("networks_are_made_joined_left_and_removed_by_the_cli", async || {
        for (_, program) in docker_clis().await {
            let lab = Lab::start().await;
            let docker = DockerCli::new(&program, &lab.socket());
            let run = async |options: &[&str], script: &str| {
                let arguments = [&["run", "--detach"][..], options, &[BUSYBOX, "sh", "-c", script]].concat();
                docker.expect(&arguments).await
            };
            let range = ["--subnet", "10.9.0.0/24", "--gateway", "10.9.0.254", "--ip-range", "10.9.0.64/26"];
            let make = ["network", "create", "--driver", "bridge", "--label", "tier=front"];

            let id = docker.expect(&[&make[..], &range, &["front"]].concat()).await;
            assert_eq!(id.trim().len(), 64, "{id}");
            docker.expect(&["network", "create", "--internal", "back"]).await;
            let refused = docker.expect_refusal(&["network", "create", "front"]).await;
            assert_eq!(refused, "network with name front already exists");
            let list = ["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"];
            let listed = docker.expect(&[&list[..], &["--filter", "type=custom"]].concat()).await;
            assert_eq!(listed, "back bridge local\nfront bridge local\n");
            let listed = docker.expect(&[&list[..], &["--filter", "label=tier=front"]].concat()).await;
            assert_eq!(listed, "front bridge local\n");

            run(&["--network", "front", "--network-alias", "app", "--ip", "10.9.0.9", "--name", "web"], SERVER).await;
            run(&["--network", "front", "--name", "other"], "exec sleep 1000").await;
            docker.expect(&["network", "connect", "--alias", "inner", "back", "web"]).await;
            let ask = ["exec", "other", "sh", "-c", "until busybox nc app 80 < /dev/null; do sleep 0.1; done"];
            assert_eq!(docker.expect(&ask).await, "hello\n");
            let format = "{{range .IPAM.Config}}{{.Subnet}} {{.IPRange}} {{.Gateway}}{{end}} {{len .Containers}} \
                          {{range .Containers}}{{.Name}} {{.IPv4Address}},{{end}}";
            let shown = docker.expect(&["network", "inspect", "--format", format, "front"]).await;
            assert!(shown.starts_with("10.9.0.0/24 10.9.0.64/26 10.9.0.254 2 "), "{shown}");
            assert!(shown.contains("web 10.9.0.9/24,") && shown.contains("other 10.9.0.64/24,"), "{shown}");
            let format = "{{.HostConfig.NetworkMode}} {{range $name, $place := .NetworkSettings.Networks}}{{$name}} \
                          {{$place.Aliases}} {{end}}";
            let shown = docker.expect(&["inspect", "--format", format, "web"]).await;
            assert_eq!(shown, "front back [inner] front [app] \n");
            let in_back = docker.expect(&["ps", "--filter", "network=back", "--format", "{{.Names}}"]).await;
            assert_eq!(in_back, "web\n");

            docker.expect(&["network", "disconnect", "back", "web"]).await;
            let again = docker.expect_refusal(&["network", "disconnect", "back", "web"]).await;
            assert!(again.ends_with("is not connected to network back"), "{again}");
            let in_use = docker.expect_refusal(&["network", "rm", "front"]).await;
            assert!(in_use.contains("error while removing network: network front id "), "{in_use}");
            assert_eq!(docker.expect(&["network", "prune", "--force"]).await, "Deleted Networks:\nback\n\n");
            docker.expect(&["rm", "--force", "web", "other"]).await;
            assert_eq!(docker.expect(&["network", "rm", "front"]).await, "front\n");

            assert_eq!(bridges(), 0);
        }
    });
}

#[test]
fn a_project_comes_up_and_goes_down_by_compose() {
    on_a_host("a_project_comes_up_and_goes_down_by_compose", async || {
        let Some((_, program)) = docker_clis().await.into_iter().next_back() else { return };
        let lab = Lab::start().await;
        let docker = DockerCli::new(&program, &lab.socket());
        let folder = tempfile::Builder::new().prefix("shop-").tempdir().unwrap();
        fs::write(folder.path().join("docker-compose.yml"), PROJECT).unwrap();
        let run = async |arguments: &[&str]| {
            let arguments = [&["--project-name", "shop", "--ansi", "never"][..], arguments].concat();
            let outcome = compose(&program, &lab.socket(), folder.path(), &arguments).await;
            let outcome = outcome.expect("clients are there, so compose is");
            assert!(outcome.success, "docker-compose {arguments:?}: {outcome:#?}");
            format!("{}{}", outcome.stdout, outcome.stderr)
        };

        let up = run(&["up", "--detach"]).await;
        assert!(up.contains("Creating network \"shop_default\"") && up.contains("Creating shop_client_1"), "{up}");
        let listed = run(&["ps"]).await;
        assert!(listed.contains("shop_web_1") && listed.contains("127.0.0.1:8080->80/tcp"), "{listed}");
        assert_eq!(listed.matches(" Up ").count(), 2, "{listed}");
        let asked = run(&["exec", "-T", "client", "sh", "-c", "busybox nc web 80 < /dev/null"]).await;
        assert_eq!(asked, "hello\n");
        let asked = run(&["exec", "-T", "web", "sh", "-c", "busybox nslookup asker 127.0.0.11"]).await;
        assert!(asked.contains("Name:\tasker\nAddress: 172."), "{asked}");
        let networks = docker.expect(&["network", "ls", "--filter", "name=shop_", "--format", "{{.Name}}"]).await;
        assert_eq!(networks, "shop_back\nshop_default\n");
        let again = run(&["up", "--detach"]).await;
        assert!(again.contains("shop_web_1 is up-to-date"), "{again}");
        let log = run(&["logs", "client"]).await;
        assert!(log.contains("client_1  | hello"), "{log}");
        let down = run(&["down"]).await;

        assert!(down.contains("Removing network shop_default"), "{down}");
        assert_eq!((docker.expect(&["ps", "--all", "--quiet"]).await.as_str(), bridges()), ("", 0));
    });
}
