//! Managers are lost for good: one that is left goes on alone, and the cluster grows back.

use tests::isolated;

use crate::bare::{docker, start_agent, state};
use crate::cluster::{Cluster, NODE_FORMAT, NodeLine, nodes_of};
use crate::workstation::Workstation;
use tests::run::{PATIENCE, eventually};

/// Waits until the nodes are as listed: name, state and part in raft.
#[track_caller]
fn wait_for(what: &[&str], look: impl Fn() -> Option<Vec<NodeLine>>) {
    eventually(&format!("the nodes are {what:?}"), || {
        let mut lines: Vec<_> = look()?
            .into_iter()
            .map(|node| format!("{} {} {}", node.hostname, node.status, node.manager_status).trim_end().to_owned())
            .collect();
        lines.sort();
        (lines == what).then_some(())
    });
}

/// Stops two managers, and lets the third go on alone.
fn lose_two(workstation: &Workstation, lab: &Cluster<'_>, survivor: &str, lost: [&str; 2]) {
    for manager in lost {
        workstation.swarmup(&format!("node stop {manager}")).answer();
    }
    eventually("the swarm has no leader, and `swarmup` says what to do", || {
        let status = workstation.swarmup("status lab");
        (!status.is_done() && status.stderr.contains("docker swarm init --force-new-cluster")).then_some(())
    });
    let listed = workstation.swarmup("node ls lab");
    assert!(listed.stderr.contains("docker swarm init --force-new-cluster"), "{listed}");
    let begun = lab.docker_on(survivor, PATIENCE, "swarm init --force-new-cluster").answer();
    assert!(begun.contains("is now a manager"), "{begun}");
}

#[test]
fn the_last_of_three_managers_goes_on_alone_and_the_cluster_grows_back() {
    isolated("recover::the_last_of_three_managers_goes_on_alone_and_the_cluster_grows_back", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        let before = lab.nodes();
        let token = lab.docker("swarm join-token -q worker").answer();
        for (number, manager) in ["node-1", "node-2", "node-3"].into_iter().cycle().take(6).enumerate() {
            lab.docker_on(manager, PATIENCE, &format!("node update --label-add write-{number}=1 node-5")).answer();
        }

        lose_two(&workstation, &lab, "node-3", ["node-1", "node-2"]);

        let on_survivor = || lab.nodes_on("node-3");
        let workers = ["node-4 Ready", "node-5 Ready"];
        wait_for(&[&["node-1 Down", "node-2 Down", "node-3 Ready Leader"][..], &workers].concat(), on_survivor);
        let ids = |nodes: &[NodeLine]| nodes.iter().map(|node| node.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&on_survivor().unwrap()), ids(&before));
        let ask = |question: &str| lab.docker_on("node-3", PATIENCE, question).answer();
        let labels = "map[write-0:1 write-1:1 write-2:1 write-3:1 write-4:1 write-5:1]";
        assert_eq!(ask("node inspect node-5 --format {{.Spec.Labels}}"), labels);
        assert_eq!(ask("swarm join-token -q worker"), token);

        // One comes back: it joins anew, for its node is still to be a manager.
        workstation.swarmup("node start node-1").answer();
        wait_for(
            &[&["node-1 Ready Reachable", "node-2 Down", "node-3 Ready Leader"][..], &workers].concat(),
            on_survivor,
        );
        ask("node update --label-add together=1 node-5");

        // The other does not: its machine is removed, and another one takes its place.
        workstation.swarmup("node rm node-2 --yes --allow-even-managers").answer();
        workstation.swarmup("scale lab --managers 3").answer();
        let leader = lab.wait_until_well("node-3", 3, 2);
        let other = ["node-1", "node-3"].into_iter().find(|name| *name != leader).unwrap();
        assert!(
            lab.docker_on(other, PATIENCE, "node inspect node-5 --format {{.Spec.Labels}}")
                .answer()
                .contains("together:1")
        );
        assert!(workstation.swarmup("status lab").is_done());
        lab.destroy();
    });
}

#[test]
fn two_lost_managers_are_replaced_by_two_new_ones() {
    isolated("recover::two_lost_managers_are_replaced_by_two_new_ones", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab --workers 1");
        lab.docker("node update --label-add before=1 node-4").answer();

        lose_two(&workstation, &lab, "node-1", ["node-2", "node-3"]);
        workstation.swarmup("node rm node-2 --yes --allow-even-managers").answer();
        workstation.swarmup("node rm node-3 --yes").answer();
        lab.wait_until_well("node-1", 1, 1);
        workstation.swarmup("scale lab --managers 3").answer();

        lab.wait_until_well("node-1", 3, 1);
        let label = lab.docker_on("node-1", PATIENCE, "node inspect node-4 --format {{.Spec.Labels}}").answer();
        assert_eq!(label, "map[before:1]");
        lab.destroy();
    });
}

#[test]
fn a_manager_whose_host_has_another_address_is_found_again() {
    let hosts = tests::Hosts::start(3).unwrap();
    hosts.all().iter().for_each(start_agent);
    let join = |role: &str| {
        let token = docker(hosts.host(1), &format!("swarm join-token -q {role}")).answer();
        format!("swarm join --token {token} {}:2377", hosts.host(1).address())
    };
    docker(hosts.host(1), "swarm init --advertise-addr eth0").answer();
    docker(hosts.host(2), &join("manager")).answer();
    docker(hosts.host(3), &join("worker")).answer();
    let id = state_of(&hosts, 3);
    let nodes = |host: u32| {
        let run = docker(hosts.host(host), &format!("node ls --format {NODE_FORMAT}"));
        run.is_done().then(|| nodes_of(&run.stdout))
    };
    wait_for(&["node-1 Ready Leader", "node-2 Ready Reachable", "node-3 Ready"], || nodes(1));

    // A worker is no manager, and the address of the other is gone for good.
    let refusal = docker(hosts.host(3), "swarm init --force-new-cluster").refusal();
    assert!(refusal.contains("This node is not a swarm manager. Worker nodes can't be used"), "{refusal}");
    hosts.host(2).signal("swarmd", tests::Signal::Kill).unwrap();
    let address = "ip address del 10.77.1.1/24 dev eth0 && ip address add 10.77.1.101/24 dev eth0";
    hosts.host(1).shell(address).unwrap();
    docker(hosts.host(1), "swarm init --force-new-cluster --advertise-addr 10.77.1.101").answer();

    wait_for(&["node-1 Ready Leader", "node-2 Down", "node-3 Ready"], || nodes(1));
    assert_eq!(state_of(&hosts, 3), id);
    assert_eq!(state(hosts.host(3)), "active|");
    // The agent of a former manager, too, finds where the swarm is now, though all that it knows is gone.
    start_agent(hosts.host(2));
    wait_for(&["node-1 Ready Leader", "node-2 Ready Reachable", "node-3 Ready"], || nodes(1));
    wait_for(&["node-1 Ready Leader", "node-2 Ready Reachable", "node-3 Ready"], || nodes(2));
}

fn state_of(hosts: &tests::Hosts, host: u32) -> String {
    docker(hosts.host(host), "info --format {{.Swarm.NodeID}}").answer()
}
