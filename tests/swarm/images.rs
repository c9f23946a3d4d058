//! Images without a registry: one node has them, all others take them from it.

use std::fs::File;
use std::process::Command;

use serde_json::Value;
use tests::run::{Run, eventually};
use tests::{Host, Hosts, isolated};

use crate::bare::{docker, docker_reading, nodes, start_agent};
use crate::services::{PROGRAM, runs};
use crate::workstation::Workstation;

/// Makes the files of an image below a folder: busybox, a program that runs until it is asked to end, and noise that
/// nothing makes small.
fn image_files(folder: &str, megabytes: u32) -> String {
    format!(
        "mkdir -p {folder}/bin {folder}/tmp && cp /usr/bin/busybox {folder}/bin/busybox && \
         printf 'trap \"exit 0\" TERM\\nwhile :; do /bin/busybox sleep 0.05; done\\n' > {folder}/program && \
         head -c {megabytes}M /dev/urandom > {folder}/noise"
    )
}

/// Hosts whose nodes are one swarm, of which the first one is the manager and has an image `app:1`.
fn swarm_with_an_image(hosts: &Hosts, megabytes: u32) -> &Host {
    for host in hosts.all() {
        // The host's root is an overlay, and containers' roots are overlays upon what lies here.
        host.shell("mkdir -p /var/lib/swarmd && mount -t tmpfs tmpfs /var/lib/swarmd").unwrap();
        start_agent(host);
    }
    let manager = hosts.host(1);
    docker(manager, "swarm init --advertise-addr eth0").answer();
    let token = docker(manager, "swarm join-token -q worker").answer();
    let workers = hosts.all().iter().filter(|host| host.number() != manager.number());
    for worker in workers {
        docker(worker, &format!("swarm join --token {token} {}:2377", manager.address())).answer();
    }
    load(manager, "app:1", megabytes);
    manager
}

/// Makes an image on a host.
fn load(host: &Host, name: &str, megabytes: u32) {
    host.shell("rm -rf /run/root /run/image.tar").unwrap();
    host.shell(&image_files("/run/root", megabytes)).unwrap();
    host.shell("tar -C /run/root -cf /run/image.tar .").unwrap();
    let archive = File::open(host.path("/run/image.tar").unwrap()).unwrap();
    docker_reading(host, &format!("import - {name}"), archive).answer();
}

fn create(manager: &Host, options: &str, image: &str) {
    docker(manager, &format!("service create -d --network host {options} {image} {PROGRAM}")).answer();
}

/// What `docker service ps` says is wrong, of all tasks.
fn errors(manager: &Host, service: &str) -> String {
    docker(manager, &format!("service ps {service} --no-trunc --format {{{{.CurrentState}}}}|{{{{.Error}}}}")).answer()
}

fn id(host: &Host, name: &str) -> String {
    docker(host, &format!("image inspect --format {{{{.Id}}}} {name}")).answer()
}

#[test]
fn an_image_that_one_node_has_runs_on_every_node_without_a_registry() {
    let hosts = Hosts::start(3).unwrap();
    let manager = swarm_with_an_image(&hosts, 1);

    create(manager, "--mode global --name pinned", "app:1");
    runs(manager, "pinned", 3);
    create(manager, "--mode global --name unpinned --no-resolve-image", "app:1");
    runs(manager, "unpinned", 3);

    // Where no registry says what the name means, it is what it means on the manager that was asked.
    let image = "service inspect --format {{.Spec.TaskTemplate.ContainerSpec.Image}}";
    let pinned = docker(manager, &format!("{image} pinned")).answer();
    assert!(pinned.starts_with("app:1@sha256:"), "{pinned}");
    assert_eq!(docker(manager, &format!("{image} unpinned")).answer(), "app:1");
    for worker in [hosts.host(2), hosts.host(3)] {
        assert_eq!(id(worker, "app:1"), id(manager, "app:1"));
    }
}

#[test]
fn a_name_means_on_every_node_what_it_means_where_the_service_was_made() {
    let hosts = Hosts::start(3).unwrap();
    let manager = swarm_with_an_image(&hosts, 1);
    let other = hosts.host(2);
    load(other, "app:1", 1);
    let (meant, others) = (id(manager, "app:1"), id(other, "app:1"));
    assert_ne!(meant, others);

    create(manager, "--mode global --name web", "app:1");
    runs(manager, "web", 3);

    for host in hosts.all() {
        let ids = docker(host, "image ls --no-trunc --quiet").answer();
        assert!(ids.contains(&meant), "{ids}");
    }
    // What the name means on the other node for itself is its own affair.
    assert_eq!(id(other, "app:1"), others);
}

#[test]
fn a_task_whose_image_cannot_be_had_waits_says_why_and_goes_on_once_it_can() {
    let hosts = Hosts::start(2).unwrap();
    let manager = swarm_with_an_image(&hosts, 1);

    create(manager, "--name late --no-resolve-image --constraint node.role==worker", "late:1");
    let waits = eventually("the task says what it waits for", || {
        let errors = errors(manager, "late");
        errors.contains("no other node has it").then_some(errors)
    });
    assert!(waits.starts_with("Preparing") && waits.contains("image late:1 cannot be had now"), "{waits}");
    load(manager, "late:1", 1);

    runs(manager, "late", 1);
    assert!(!errors(manager, "late").contains("Rejected"));
}

#[test]
fn a_node_that_is_killed_while_an_image_comes_takes_it_when_it_is_back() {
    let hosts = Hosts::start(2).unwrap();
    let manager = swarm_with_an_image(&hosts, 60);
    let worker = hosts.host(2);

    create(manager, "--name web --constraint node.role==worker", "app:1");
    eventually("a part of the image is there", || {
        let found = worker.try_shell("find /var/lib/swarmd -path '*/images/work/*' -size +1M | grep .").unwrap();
        found.status.success().then_some(())
    });
    worker.shell("kill -KILL $(pgrep -of 'swarmd run --hostname')").unwrap();
    let left = worker.shell("find /var/lib/swarmd -path '*/images/blobs/*' -type f -size +1M").unwrap();
    start_agent(worker);
    eventually("the worker is back", || {
        let nodes = nodes(manager)?;
        nodes.iter().all(|node| node.status == "Ready").then_some(())
    });

    runs(manager, "web", 1);
    assert!(left.is_empty(), "nothing of it was in its place yet: {left:?}");
    let leftover = worker.try_shell("find /var/lib/swarmd -path '*/images/work/*' | grep .").unwrap();
    assert!(!leftover.status.success(), "nothing is left of the first try");
}

/// Writes archives of two images with one layer in common, as old versions of `docker save` do.
fn write_archives(folder: &std::path::Path) {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let script = format!(
        r#"set -e; cd {folder}; {files}; tar -C root -cf layer.tar .
        diff=$(sha256sum layer.tar | cut -d' ' -f1)
        for tag in 1 2; do
            printf '{{"architecture":"{architecture}","os":"linux","config":{{"Env":["TAG=%s"]}},' $tag > config.json
            printf '"rootfs":{{"type":"layers","diff_ids":["sha256:%s"]}}}}' $diff >> config.json
            printf '[{{"Config":"config.json","RepoTags":["app:%s"],"Layers":["layer.tar"]}}]' $tag > manifest.json
            tar -cf app-$tag.tar layer.tar config.json manifest.json
        done
        gzip app-2.tar"#,
        folder = folder.display(),
        files = image_files("root", 3),
    );
    Run::of(Command::new("sh").args(["-c", &script])).answer();
}

#[test]
fn swarmup_load_sends_a_cluster_what_it_lacks_and_nothing_twice() {
    isolated("images::swarmup_load_sends_a_cluster_what_it_lacks_and_nothing_twice", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab --managers 1 --workers 2");
        write_archives(workstation.scratch());
        let file = |name: &str| workstation.scratch().join(name).display().to_string();

        let first = workstation.swarmup(&format!("load --input {} --output json", file("app-1.tar"))).answer();
        let second = workstation.swarmup(&format!("load --input {} --node node-1 --output json", file("app-2.tar.gz")));
        let worker = workstation.swarmup(&format!("load --input {} --node node-2", file("app-1.tar"))).refusal();
        let nothing = workstation.swarmup(&format!("load --input {}", file("config.json"))).refusal();
        let here = lab.docker("image ls --format {{.Repository}}:{{.Tag}}").answer();

        let (first, second): (Value, Value) =
            (serde_json::from_str(&first).unwrap(), serde_json::from_str(&second.answer()).unwrap());
        assert_eq!(
            (&first["images"][0], &first["layers_sent"], &first["layers_skipped"]),
            (&"app:1".into(), &1.into(), &0.into())
        );
        assert!(first["bytes_sent"].as_u64().unwrap() > 3 << 20, "{first}");
        assert_eq!(
            (&second["images"][0], &second["layers_sent"], &second["layers_skipped"]),
            (&"app:2".into(), &0.into(), &1.into())
        );
        assert!(second["bytes_sent"].as_u64().unwrap() < 10_000, "{second}");
        assert_eq!(second["node"], "node-1");
        assert!(worker.contains("`node-2` is no manager"), "{worker}");
        assert!(nothing.contains("the archive holds no images"), "{nothing}");
        assert!(here.contains("app:1") && here.contains("app:2"), "{here}");
        lab.destroy();
    });
}
