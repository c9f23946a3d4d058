//! What containers do to a node, and what befalls it under them: neither costs more than the container.

use std::collections::BTreeSet;

use tests::run::eventually;
use tests::{Host, Hosts};

use crate::bare::{docker, nodes, start_agent};
use crate::services::{create, import, programs, running, runs, swarm_of_one};

/// What containers that run hold: shims, mounts, control groups.
fn held(host: &Host) -> String {
    host.shell(
        "pgrep -fc '^swarmd shim '; grep -c ' /var/lib/swarmd/.*/merged ' /proc/mounts; \
         ls -d /sys/fs/cgroup/*/swarmup/*/* /sys/fs/cgroup/swarmup/*/* 2>/dev/null | grep -cE '/[0-9a-f]{64}$' || true",
    )
    .unwrap()
}

fn errors(host: &Host, service: &str) -> String {
    docker(host, &format!("service ps {service} --no-trunc --format {{{{.CurrentState}}}}|{{{{.Error}}}}")).answer()
}

#[test]
fn a_container_whose_shim_is_killed_is_replaced_and_nothing_of_it_is_left() {
    let hosts = Hosts::start(1).unwrap();
    let host = swarm_of_one(&hosts);
    create(host, "--name web --restart-delay 0s");
    let (task, program) = (runs(host, "web", 1), programs(host));
    let before = held(host);

    host.shell("kill -KILL $(pgrep -f '^swarmd shim ')").unwrap();

    eventually("another task runs", || {
        let now = running(host, "web");
        (now.len() == 1 && now.is_disjoint(&task)).then_some(())
    });
    assert!(errors(host, "web").contains("its shim was lost"), "{}", errors(host, "web"));
    assert!(programs(host).is_disjoint(&program));
    eventually("as much is held as before", || (held(host) == before).then_some(()));
    docker(host, "service rm web").answer();
    eventually("nothing is held, nor known", || {
        let known = host.shell("ls /run/swarmd/containers | wc -l").unwrap();
        (held(host).split_whitespace().all(|count| count == "0") && known.trim() == "0").then_some(())
    });
}

/// The agent's memory in KiB.
fn agent_memory(host: &Host) -> u64 {
    let script = "grep VmRSS /proc/$(pgrep -of 'swarmd run --hostname')/status | tr -dc 0-9";
    host.shell(script).unwrap().trim().parse().unwrap()
}

#[test]
fn a_flood_of_output_stays_within_its_bounds_and_costs_the_agent_nothing() {
    const LOGS: &str = "/var/lib/swarmd/engine/containers/*/logs";
    let hosts = Hosts::start(1).unwrap();
    let host = swarm_of_one(&hosts);
    let options =
        "--name flood --log-driver json-file --log-opt max-size=1m --log-opt max-file=2 --stop-grace-period 0s";
    create(host, "--name web");
    runs(host, "web", 1);
    let before = agent_memory(host);

    let flood = format!("service create -d --no-resolve-image --network host {options} app:1 /bin/busybox yes flood");
    docker(host, &flood).answer();
    eventually("thirty files have been filled", || {
        let last = host.shell(&format!("ls {LOGS} | grep -oE '[0-9]+' | sort -n | tail -1")).unwrap();
        (last.trim().parse::<u32>().ok()? > 30).then_some(())
    });

    let kept: u64 = host.shell(&format!("cat {LOGS}/* | wc -c")).unwrap().trim().parse().unwrap();
    assert!(kept <= 3 << 20, "{kept} bytes are kept");
    let grown = agent_memory(host).saturating_sub(before);
    assert!(grown < 16 << 10, "the agent has grown by {grown} KiB");
    assert_eq!(runs(host, "flood", 1).len(), 1);
    docker(host, "service rm flood").answer();
    eventually("the flood is over", || {
        host.try_shell("pgrep -f '^/bin/busybox yes'").unwrap().stdout.is_empty().then_some(())
    });
}

#[test]
fn a_node_whose_disk_is_full_says_so_and_goes_on_once_there_is_room() {
    let hosts = Hosts::start(2).unwrap();
    let (manager, worker) = (swarm_of_one(&hosts), hosts.host(2));
    worker.shell("mkdir -p /var/lib/swarmd && mount -t tmpfs -o size=24m tmpfs /var/lib/swarmd").unwrap();
    start_agent(worker);
    import(worker);
    let token = docker(manager, "swarm join-token -q worker").answer();
    docker(worker, &format!("swarm join --token {token} {}:2377", manager.address())).answer();
    // Room that is left below the size of a page counts as none.
    worker.shell("cat /dev/zero > /var/lib/swarmd/ballast 2>/dev/null || true").unwrap();

    create(manager, "--name web --constraint node.hostname==node-2 --restart-delay 200ms");
    eventually("a task is rejected for want of room", || {
        let errors = errors(manager, "web");
        errors.lines().any(|line| line.starts_with("Rejected") && line.contains("No space left")).then_some(())
    });
    let is_ready =
        |name: &str| nodes(manager)?.iter().find(|node| node.hostname == name).map(|node| node.status == "Ready");
    assert_eq!(is_ready("node-2"), Some(true));
    worker.shell("rm /var/lib/swarmd/ballast").unwrap();

    runs(manager, "web", 1);
    let left: BTreeSet<String> = programs(worker);
    assert_eq!(left.len(), 1);
}
