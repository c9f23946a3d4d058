//! What becomes of containers when their node is switched off, or its agent stopped for good: they are asked to end, and what
//! they were is known afterwards.

use std::collections::BTreeSet;
use std::time::Instant;

use tests::run::{PATIENCE, eventually};
use tests::{Host, Hosts, isolated};

use crate::bare::docker;
use crate::services::{PROGRAM, image_archive, import, programs};
use crate::workstation::Workstation;

/// A program that does not end when it is asked to, as it is PID 1 and takes no signal.
const STUBBORN: &str = "/bin/busybox sleep 1000";
/// A program that takes a second to end.
const SLOW: &str = "/bin/busybox sh /slow";
/// How a container stands, and how it has ended.
const STANDS: &str = "inspect --format {{.State.Status}}|{{.State.ExitCode}}";

/// A host with the agent installed as a service, and the image.
fn serving(hosts: &Hosts) -> &Host {
    let host = hosts.host(1);
    host.shell("mkdir -p /var/lib/swarmd && mount -t tmpfs tmpfs /var/lib/swarmd").unwrap();
    std::fs::copy(tests::agent().unwrap(), host.path("/usr/local/bin/swarmd").unwrap()).unwrap();
    let request = r#"{"mark":"k3v9","cluster_name":"lab","hostname":"node-1","labels":{}}"#;
    host.shell(&format!("echo '{request}' | swarmd service install")).unwrap();
    import(host);
    host
}

#[test]
fn a_stop_asks_containers_to_end_and_a_restart_leaves_them() {
    let hosts = Hosts::start(1).unwrap();
    let host = serving(&hosts);
    docker(host, &format!("run -d --name polite --network host app:1 {PROGRAM}")).answer();
    docker(host, &format!("run -d --name always --restart always --network host app:1 {PROGRAM}")).answer();
    docker(host, &format!("run -d --name stubborn --stop-timeout 1 --network host app:1 {STUBBORN}")).answer();
    docker(host, &format!("run -d --name paused --network host app:1 {PROGRAM}")).answer();
    docker(host, "pause paused").answer();
    let before = programs(host);

    host.shell("swarmd service restart").unwrap();
    assert_eq!(programs(host), before);
    let begun = Instant::now();
    host.shell("swarmd service stop").unwrap();
    let took = begun.elapsed();
    assert_eq!(programs(host), BTreeSet::new());
    eventually("nothing of them is left", || {
        let processes = host.shell("ps -eo args").unwrap();
        let is_left = |line: &str| [STUBBORN, "swarmd shim"].iter().any(|program| line.starts_with(program));
        (!processes.lines().any(is_left)).then_some(())
    });
    host.shell("swarmd service start").unwrap();

    assert!(took < PATIENCE / 2, "{took:?}");
    let stands = |name| docker(host, &format!("{STANDS} {name}")).answer();
    assert_eq!(["polite", "stubborn", "paused"].map(stands), ["exited|0", "exited|137", "exited|0"]);
    eventually("what is to run always does", || (stands("always") == "running|0").then_some(()));
    docker(host, "rm -f always").answer();
}

#[test]
fn a_machine_that_is_switched_off_asks_its_containers_to_end_and_knows_how_they_did() {
    isolated("ending::a_machine_that_is_switched_off_asks_its_containers_to_end_and_knows_how_they_did", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab --managers 1 --workers 1");
        let image = image_archive(&workstation);
        lab.docker_inside("node-2", &format!("import {} app:1", image.display())).answer();
        lab.docker_inside("node-2", &format!("run -d --name polite --network host app:1 {PROGRAM}")).answer();
        lab.docker_inside("node-2", &format!("run -d --name stubborn --stop-timeout 1 app:1 {STUBBORN}")).answer();

        workstation.swarmup("node stop -c lab node-2").answer();
        workstation.swarmup("node start -c lab node-2").answer();

        let stands = |name| lab.docker_inside("node-2", &format!("{STANDS} {name}")).answer();
        assert_eq!(["polite", "stubborn"].map(stands), ["exited|0", "exited|137"]);
        lab.destroy();
    });
}

#[test]
fn a_node_that_is_removed_has_its_tasks_replaced_and_ended_in_order_first() {
    isolated("ending::a_node_that_is_removed_has_its_tasks_replaced_and_ended_in_order_first", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab --managers 1 --workers 2");
        let image = image_archive(&workstation);
        for node in ["node-1", "node-2", "node-3"] {
            lab.docker_inside(node, &format!("import {} app:1", image.display())).answer();
        }
        let create = "service create -d --name app --replicas 4 --constraint node.role==worker --network host";
        lab.docker(&format!("{create} --no-resolve-image app:1 {SLOW}")).answer();
        let on = |node: &str| {
            let tasks =
                lab.docker(&format!("node ps {node} --filter desired-state=running --format {{{{.CurrentState}}}}"));
            tasks.answer().lines().filter(|state| state.starts_with("Running")).count()
        };
        eventually("both workers have tasks", || (on("node-2") == 2 && on("node-3") == 2).then_some(()));

        workstation.swarmup("scale lab --workers 1").answer();

        eventually("all tasks run on the worker that is left", || (on("node-2") == 4).then_some(()));
        let ended = lab.docker("service ps app --filter desired-state=shutdown --format {{.CurrentState}}|{{.Error}}");
        let in_order = |line: &&str| line.starts_with("Shutdown ") && line.ends_with('|');
        let ended = ended.answer();
        assert_eq!(ended.lines().filter(in_order).count(), 2, "{ended}");
        lab.destroy();
    });
}
