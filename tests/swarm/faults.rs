//! Agents are killed and frozen: the swarm goes on, and nothing that was acknowledged is lost.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::isolated;

use crate::cluster::{Cluster, wait_for_a_new_agent};
use crate::workstation::Workstation;
use tests::run::eventually;

/// How long the swarm may be without a leader. `scripts/bench` measures the promise (4 s at worst, on a quiet
/// machine); here it is a machine on which anything may run.
const FAILOVER_LIMIT: Duration = Duration::from_secs(15);
/// How long one try of a client may take, of which most is the client itself on a busy machine.
const TRY_LIMIT: Duration = Duration::from_secs(3);

/// Any manager but this one.
fn other_than(leader: &str) -> &'static str {
    ["node-1", "node-2"].into_iter().find(|name| *name != leader).unwrap()
}

/// Writes through one manager until that succeeds.
#[track_caller]
fn write_soon(lab: &Cluster<'_>, manager: &str, label: &str) {
    let begun = Instant::now();
    eventually(&format!("a write through {manager} succeeds"), || {
        let run = lab.docker_on(manager, TRY_LIMIT, &format!("node update --label-add {label} node-5"));
        run.is_done().then_some(())
    });
    assert!(begun.elapsed() < FAILOVER_LIMIT, "a write through {manager} took {:?}", begun.elapsed());
}

fn labels(lab: &Cluster<'_>, manager: &str) -> String {
    lab.docker_on(manager, tests::run::PATIENCE, "node inspect node-5 --format {{.Spec.Labels}}").answer()
}

#[test]
fn a_leader_that_is_killed_or_frozen_is_replaced_and_comes_back_as_a_follower() {
    isolated("faults::a_leader_that_is_killed_or_frozen_is_replaced_and_comes_back_as_a_follower", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        let killed = lab.wait_until_well("node-1", 3, 2);
        lab.docker("node update --label-add before=1 node-5").answer();

        let former = lab.signal(&killed, Signal::KILL);
        write_soon(&lab, other_than(&killed), "killed=1");
        wait_for_a_new_agent(&lab, &killed, former);
        let frozen = lab.wait_until_well(&killed, 3, 2);

        lab.signal(&frozen, Signal::STOP);
        let asked = other_than(&frozen);
        write_soon(&lab, asked, "frozen=1");
        eventually("the frozen manager is unreachable, and another one leads", || {
            let nodes = lab.nodes_on(asked)?;
            let status = &nodes.iter().find(|node| node.hostname == frozen)?.manager_status;
            (status == "Unreachable" && nodes.iter().any(|node| node.manager_status == "Leader")).then_some(())
        });
        lab.signal(&frozen, Signal::CONT);
        let leader = lab.wait_until_well(&frozen, 3, 2);

        assert_ne!(leader, frozen, "a leader that was frozen comes back as a follower");
        assert_eq!(labels(&lab, &frozen), "map[before:1 frozen:1 killed:1]");
        lab.destroy();
    });
}

#[test]
fn a_leader_that_is_stopped_is_down_by_its_own_word_and_comes_back_as_a_follower() {
    isolated("faults::a_leader_that_is_stopped_is_down_by_its_own_word_and_comes_back_as_a_follower", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        let leader = lab.wait_until_well("node-1", 3, 2);
        let asked = other_than(&leader);

        workstation.swarmup(&format!("node stop -c lab {leader}")).answer();
        let nodes = lab.nodes_on(asked).unwrap();
        let stopped = nodes.iter().find(|node| node.hostname == leader).unwrap();
        assert_eq!((stopped.status.as_str(), stopped.manager_status.as_str()), ("Down", "Unreachable"));
        let message = format!("node inspect {leader} --format {{{{.Status.Message}}}}");
        assert_eq!(lab.docker_on(asked, tests::run::PATIENCE, &message).answer(), "node was stopped");

        workstation.swarmup(&format!("node start -c lab {leader}")).answer();
        assert_ne!(lab.wait_until_well(asked, 3, 2), leader);
        lab.destroy();
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_every_agent_is_killed_at_once() {
    isolated("faults::nothing_acknowledged_is_lost_when_every_agent_is_killed_at_once", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        let nodes = lab.nodes();
        let names = ["node-1", "node-2", "node-3", "node-4", "node-5"];
        for (number, manager) in ["node-1", "node-2", "node-3"].into_iter().cycle().take(6).enumerate() {
            let write = format!("node update --label-add write-{number}={manager} node-5");
            lab.docker_on(manager, tests::run::PATIENCE, &write).answer();
        }

        let former = names.map(|name| lab.signal(name, Signal::KILL));

        names.into_iter().zip(former).for_each(|(name, agent)| wait_for_a_new_agent(&lab, name, agent));
        lab.wait_until_well("node-3", 3, 2);
        for manager in ["node-1", "node-2", "node-3"] {
            assert_eq!(
                labels(&lab, manager),
                "map[write-0:node-1 write-1:node-2 write-2:node-3 write-3:node-1 write-4:node-2 write-5:node-3]"
            );
        }
        assert_eq!(
            lab.nodes().into_iter().map(|node| node.id).collect::<Vec<_>>(),
            nodes.into_iter().map(|node| node.id).collect::<Vec<_>>()
        );
        write_soon(&lab, "node-2", "after=1");
        lab.destroy();
    });
}
