//! Clusters come up, are operated with the stock `docker` command, and go without a trace.

use tests::isolated;

use crate::workstation::Workstation;

#[test]
fn a_swarm_of_five_is_what_docker_expects_and_leaves_nothing() {
    isolated("life::a_swarm_of_five_is_what_docker_expects_and_leaves_nothing", || {
        let workstation = Workstation::new();
        let before = workstation.snapshot();

        let lab = workstation.create("lab");

        let nodes = lab.nodes();
        let rows: Vec<_> =
            nodes.iter().map(|node| format!("{} {} {}", node.hostname, node.status, node.availability)).collect();
        let all_ready = ["node-1", "node-2", "node-3", "node-4", "node-5"].map(|name| format!("{name} Ready Active"));
        assert_eq!(rows, all_ready);
        let statuses = |wanted: &str| nodes.iter().filter(|node| node.manager_status == wanted).count();
        assert_eq!((statuses("Leader"), statuses("Reachable"), statuses("")), (1, 2, 2));
        let myself =
            lab.docker("node inspect self --format {{.Description.Hostname}}|{{.Spec.Role}}|{{.Status.State}}");
        assert!(["node-1", "node-2", "node-3"].map(|name| format!("{name}|manager|ready")).contains(&myself.answer()));
        assert!(lab.docker("node inspect self --pretty").answer().contains("Raft Status:"));
        let info = lab.docker(
            "info --format {{.Swarm.LocalNodeState}}|{{.Swarm.Managers}}|{{.Swarm.Nodes}}|{{.Swarm.ControlAvailable}}",
        );
        assert_eq!(info.answer(), "active|3|5|true");
        let join = lab.docker("swarm join-token worker").answer();
        assert!(join.contains("docker swarm join --token SWMTKN-1-") && join.ends_with(":2377"), "{join}");

        let again = workstation.swarmup("create lab");
        assert!(again.is_done(), "{again}");
        assert!(workstation.swarmup("create lab --workers 1").refusal().contains("workers"));
        assert_eq!(lab.nodes().len(), 5);

        lab.destroy();
        assert_eq!(before.changes(&workstation.snapshot()), Vec::<String>::new());
        assert!(!workstation.cluster_folder("lab").exists());
    });
}

#[test]
fn nodes_change_their_roles_and_their_number() {
    isolated("life::nodes_change_their_roles_and_their_number", || {
        let workstation = Workstation::new();
        let before = workstation.snapshot();
        let lab = workstation.create("lab");
        let worker_token = || lab.docker("swarm join-token -q worker").answer();

        lab.docker("node promote node-4").answer();
        lab.wait_until_well("node-4", 4, 1);
        lab.docker("node demote node-4").answer();
        let leader = lab.wait_until_well("node-1", 3, 2);
        lab.docker("node update --availability drain --label-add rack=7 node-5").answer();
        let drained =
            lab.docker("node inspect node-5 --format {{.Spec.Availability}}|{{.Spec.Labels.rack}}|{{.Status.State}}");
        assert_eq!(drained.answer(), "drain|7|ready");
        let former = worker_token();
        let rotated = lab.docker("swarm join-token -q --rotate worker").answer();
        assert_ne!(former, rotated);
        assert_eq!(worker_token(), rotated);

        // A leader that is demoted hands over; whoever asks any other manager notices nothing.
        let other = if leader == "node-1" { "node-2" } else { "node-1" };
        lab.docker_on(other, tests::run::PATIENCE, &format!("node demote {leader}")).answer();
        lab.wait_until_well(other, 2, 3);
        lab.docker_on(other, tests::run::PATIENCE, &format!("node promote {leader}")).answer();
        lab.wait_until_well(other, 3, 2);

        workstation.swarmup("scale lab --workers 4").answer();
        lab.wait_until_well("node-2", 3, 4);
        workstation.swarmup("scale lab --workers 2").answer();
        lab.wait_until_well("node-2", 3, 2);
        assert!(workstation.swarmup("scale lab --managers 2").refusal().contains("even"));

        lab.destroy();
        assert_eq!(before.changes(&workstation.snapshot()), Vec::<String>::new());
    });
}

#[test]
fn two_clusters_side_by_side_do_not_notice_each_other() {
    isolated("life::two_clusters_side_by_side_do_not_notice_each_other", || {
        let workstation = Workstation::new();
        let first = workstation.create("first --managers 1 --workers 1");
        let nodes = first.nodes();
        let alone = workstation.snapshot();

        let second = workstation.create("second --managers 1 --workers 1");
        second.docker("node update --label-add mine=yes node-2").answer();
        assert!(nodes.iter().all(|node| second.nodes().iter().all(|other| other.id != node.id)));
        assert_eq!(first.nodes(), nodes);
        let addresses = [("first", first.address("node-1")), ("second", second.address("node-1"))];
        assert_ne!(addresses[0].1, addresses[1].1);
        second.destroy();

        assert_eq!(alone.changes(&workstation.snapshot()), Vec::<String>::new());
        assert_eq!(first.nodes(), nodes);
        assert_eq!(first.docker("node inspect node-2 --format {{.Spec.Labels}}").answer(), "map[]");
        first.docker("node update --label-add mine=too node-2").answer();
        assert_eq!(first.docker("node inspect node-2 --format {{.Spec.Labels}}").answer(), "map[mine:too]");
        first.destroy();
    });
}
