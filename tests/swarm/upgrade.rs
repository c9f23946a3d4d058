//! Agents are upgraded node by node: containers run on, the swarm always has its quorum, and no moment to be killed at
//! is a bad one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::isolated;
use tests::run::{PATIENCE, Run, eventually};

use crate::cluster::Cluster;
use crate::services::{PROGRAM, first_processes, image_archive};
use crate::workstation::Workstation;

/// The nodes of a cluster, in the order in which they are upgraded where the leader is `node-1`.
const NODES: [&str; 5] = ["node-1", "node-2", "node-3", "node-4", "node-5"];
/// The first of them to be upgraded: a worker.
const FIRST: &str = "node-4";
/// How long one try of a client may take.
const TRY_LIMIT: Duration = Duration::from_secs(10);
/// Where an agent that is to follow lies.
const NEXT: &str = "/usr/local/bin/swarmd.next";

/// The agent that runs, as another build of it: what comes behind a program does not count but for its digest.
fn another_build(workstation: &Workstation, name: &str) -> PathBuf {
    let path = workstation.scratch().join(name);
    fs::copy(tests::agent().unwrap(), &path).unwrap();
    // A user's agent carries no debugging symbols either, and each machine keeps it in memory.
    Run::of(Command::new("strip").arg(&path)).answer();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(name.as_bytes()).unwrap();
    path
}

fn digest(path: &Path) -> String {
    let line = Run::of(Command::new("sha256sum").arg(path)).answer();
    line.split(' ').next().unwrap().to_owned()
}

/// The digests of the agents that run, by node.
fn running(lab: &Cluster<'_>) -> BTreeMap<&'static str, String> {
    let agent = |node| PathBuf::from(format!("/proc/{}/exe", lab.agent(node).unwrap().as_raw_pid()));
    NODES.into_iter().map(|node| (node, digest(&agent(node)))).collect()
}

fn on_all(digest: &str) -> BTreeMap<&'static str, String> {
    NODES.into_iter().map(|node| (node, digest.to_owned())).collect()
}

/// Runs a service with a container on every node, and returns its tasks.
fn run_everywhere(workstation: &Workstation, lab: &Cluster<'_>) -> BTreeSet<String> {
    let image = image_archive(workstation);
    for node in NODES {
        lab.docker_inside(node, &format!("import {} app:1", image.display())).answer();
    }
    let create = "service create -d --name app --mode global --network host --no-resolve-image app:1";
    lab.docker(&format!("{create} {PROGRAM}")).answer();
    eventually("a container runs on every node", || (programs().len() == NODES.len()).then_some(()));
    tasks(lab)
}

/// The first processes of containers.
fn programs() -> BTreeSet<String> {
    first_processes(&Run::of(Command::new("ps").args(["-eo", "pid,ppid,args"])).answer())
}

/// All tasks that the service has ever had and that are remembered.
fn tasks(lab: &Cluster<'_>) -> BTreeSet<String> {
    lab.docker("service ps app -q --no-trunc").answer().lines().map(ToOwned::to_owned).collect()
}

/// What some manager shows of the nodes; nothing while none of them answers.
fn seen(lab: &Cluster<'_>) -> Option<Vec<crate::cluster::NodeLine>> {
    ["node-1", "node-2", "node-3"].into_iter().find_map(|manager| lab.nodes_on(manager))
}

/// Writes through any of the managers.
#[track_caller]
fn write(lab: &Cluster<'_>, label: &str) {
    let begun = Instant::now();
    eventually("a write succeeds", || {
        let through = |manager| lab.docker_on(manager, TRY_LIMIT, &format!("node update --label-add {label} node-5"));
        ["node-1", "node-2", "node-3"].into_iter().any(|manager| through(manager).is_done()).then_some(())
    });
    assert!(begun.elapsed() < 2 * TRY_LIMIT, "a write took {:?}", begun.elapsed());
}

#[test]
fn an_upgrade_goes_node_by_node_while_containers_and_the_swarm_run_on() {
    isolated("upgrade::an_upgrade_goes_node_by_node_while_containers_and_the_swarm_run_on", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        lab.wait_until_well("node-1", 3, 2);
        let (tasks_before, programs_before) = (run_everywhere(&workstation, &lab), programs());
        let agent = another_build(&workstation, "next");
        let upgrade = format!("upgrade lab --agent {}", agent.display());

        let mut command = workstation.start(&upgrade);
        let mut round = 0;
        let status = loop {
            if let Some(status) = command.try_wait().unwrap() {
                break status;
            }
            let nodes = seen(&lab).expect("some manager answers");
            let is_managing = |status: &str| status == "Leader" || status == "Reachable";
            assert!(nodes.iter().filter(|node| is_managing(&node.manager_status)).count() >= 2, "{nodes:?}");
            round += 1;
            write(&lab, &format!("round={round}"));
        };

        assert!(status.success(), "{status}");
        assert!(round > 1, "the upgrade was over before anything was seen of it");
        assert_eq!(running(&lab), on_all(&digest(&agent)));
        assert_eq!(programs(), programs_before);
        assert_eq!(tasks(&lab), tasks_before);
        for node in NODES {
            let known = lab.docker_inside(node, "info --format {{.Containers}}|{{.ContainersRunning}}").answer();
            assert_eq!(known, "1|1", "{node}");
        }
        let again: Value =
            serde_json::from_str(&workstation.swarmup(&format!("{upgrade} --output json")).answer()).unwrap();
        let told: Vec<_> = again["nodes"].as_array().unwrap().iter().map(|node| node["state"].as_str()).collect();
        assert_eq!(told, [Some("current"); 5], "{again:#}");

        // A machine that starts anew comes with the agent that it had.
        workstation.swarmup("node restart node-5 -c lab").answer();
        assert_eq!(running(&lab), on_all(&digest(&agent)));
        lab.wait_until_well("node-1", 3, 2);
        lab.destroy();
    });
}

#[test]
fn an_agent_that_does_not_run_takes_over_nowhere() {
    isolated("upgrade::an_agent_that_does_not_run_takes_over_nowhere", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        lab.wait_until_well("node-1", 3, 2);
        let before = running(&lab);
        let broken = workstation.scratch().join("broken");
        fs::write(&broken, "no program\n").unwrap();

        let refusal = workstation.swarmup(&format!("upgrade lab --agent {}", broken.display())).ends_with(1);

        assert!(refusal.contains("failed to upgrade the agent of `lab-node-4`"), "{refusal}");
        assert!(refusal.contains("Not upgraded: node-1, node-2, node-3, node-4, node-5"), "{refusal}");
        assert_eq!(running(&lab), before);
        assert!(NODES.iter().all(|node| !lab.file(node, NEXT).exists()));
        lab.wait_until_well("node-1", 3, 2);
        lab.destroy();
    });
}

#[test]
fn an_agent_that_does_not_come_up_stops_the_upgrade_and_the_one_before_serves_on() {
    isolated("upgrade::an_agent_that_does_not_come_up_stops_the_upgrade_and_the_one_before_serves_on", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        lab.wait_until_well("node-1", 3, 2);
        let before = running(&lab);
        let agent = another_build(&workstation, "next");
        // It does not know the option by which machines of before tell it where to log.
        Run::of(Command::new("sed").args(["-i", "s/log-dir/log-dyr/g"]).arg(&agent)).answer();

        let refusal = workstation.swarmup(&format!("upgrade lab --agent {}", agent.display())).ends_with(1);

        assert!(refusal.contains("the one before serves again"), "{refusal}");
        assert_eq!(running(&lab), before);
        assert!(!lab.file(FIRST, NEXT).exists());
        lab.wait_until_well("node-1", 3, 2);
        lab.destroy();
    });
}

#[test]
fn an_upgrade_that_would_lose_the_quorum_stops_before_it_does() {
    isolated("upgrade::an_upgrade_that_would_lose_the_quorum_stops_before_it_does", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        lab.wait_until_well("node-1", 3, 2);
        let before = running(&lab);
        let agent = another_build(&workstation, "next");
        workstation.swarmup("node stop node-3 -c lab").answer();
        let upgrade = |nodes: &str| workstation.swarmup(&format!("upgrade lab --agent {} {nodes}", agent.display()));

        let stopped = upgrade("").ends_with(1);
        let managers = upgrade("--node node-1,node-2").ends_with(1);
        upgrade("--node node-5").answer();

        assert!(stopped.contains("`node-3` is stopped"), "{stopped}");
        assert!(
            managers.contains("the swarm would lose its quorum meanwhile: of its other managers, node-3 is not well")
        );
        assert!(!lab.file("node-1", NEXT).exists() && !lab.file("node-2", NEXT).exists());
        workstation.swarmup("node start node-3 -c lab").answer();
        let mut expected = before;
        expected.insert("node-5", digest(&agent));
        assert_eq!(running(&lab), expected);
        upgrade("").answer();
        assert_eq!(running(&lab), on_all(&digest(&agent)));
        lab.destroy();
    });
}

#[test]
fn a_swarm_that_locks_itself_is_upgraded_as_far_as_it_is_unlocked() {
    isolated("upgrade::a_swarm_that_locks_itself_is_upgraded_as_far_as_it_is_unlocked", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        let leader = lab.wait_until_well("node-1", 3, 2);
        lab.docker("swarm update --autolock=true").answer();
        let key = lab.docker("swarm unlock-key -q").answer();
        let managers = ["node-1", "node-2", "node-3"];
        let lock = |node: &&str| lab.file(node, "/var/lib/swarmd/swarm/lock.json").exists();
        eventually("every manager has locked its keys", || managers.iter().all(lock).then_some(()));
        let agent = another_build(&workstation, "next");
        let upgrade = || workstation.swarmup(&format!("upgrade lab --agent {}", agent.display()));
        let state = |node| lab.docker_inside(node, "info --format {{.Swarm.LocalNodeState}}").answer();

        let mut unlocked = Vec::new();
        // The first run has upgraded the workers before it stops; the others upgrade one manager, and wait for its key.
        for (round, code) in [(1, 3), (2, 1), (3, 1)] {
            let refusal = upgrade().ends_with(code);
            let locked = *managers.iter().find(|node| state(node) == "locked").expect("a manager waits for the key");

            assert!(refusal.contains(&format!("failed to upgrade the agent of `lab-{locked}`")), "{refusal}");
            assert!(refusal.contains("its agent has taken over, and waits to be unlocked"), "{refusal}");
            assert!(refusal.contains("hint: unlock it on its node with `docker "), "{refusal}");
            assert!(refusal.contains("swarm unlock`; go on with `swarmup upgrade lab`"), "{refusal}");
            // The others have a quorum as long as one waits.
            let others = managers.into_iter().filter(|node| *node != locked);
            let mut write = others.map(|node| {
                lab.docker_on(node, TRY_LIMIT, &format!("node update --label-add round={round} node-5")).is_done()
            });
            assert!(write.any(|is_done| is_done), "nobody takes a write while {locked} is locked");
            let input = workstation.scratch().join("key");
            fs::write(&input, format!("{key}\n")).unwrap();
            let mut unlock = lab.command_inside(locked, "swarm unlock");
            Run::reading(&mut unlock, fs::File::open(&input).unwrap()).answer();
            unlocked.push(locked);
            lab.wait_until_well(locked, 3, 2);
        }
        upgrade().answer();

        assert_eq!(unlocked.iter().collect::<BTreeSet<_>>().len(), 3, "{unlocked:?}");
        assert_eq!(unlocked[2], leader, "the leader comes last");
        assert_eq!(running(&lab), on_all(&digest(&agent)));
        lab.destroy();
    });
}

/// What can be seen of an upgrade from outside.
type Sight = fn(&Cluster<'_>, &BTreeMap<&'static str, String>) -> bool;

/// Boundaries of an upgrade, by what is seen of it.
const BOUNDARIES: [(&str, Sight); 4] = [
    ("nothing has changed", |_, _| true),
    ("the first agent has arrived", |lab, _| lab.file(FIRST, NEXT).exists()),
    ("the first agent takes over", |lab, before| {
        let agent = lab.agent(FIRST);
        agent.is_none_or(|agent| digest(&PathBuf::from(format!("/proc/{}/exe", agent.as_raw_pid()))) != before[FIRST])
    }),
    ("the first manager has the agent", |lab, _| {
        ["node-1", "node-2", "node-3"].into_iter().any(|node| lab.file(node, NEXT).exists())
    }),
];

#[test]
fn an_upgrade_killed_anywhere_is_completed_by_the_next() {
    isolated("upgrade::an_upgrade_killed_anywhere_is_completed_by_the_next", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        lab.wait_until_well("node-1", 3, 2);
        let (tasks_before, programs_before) = (run_everywhere(&workstation, &lab), programs());
        for (number, (what, is_reached)) in BOUNDARIES.into_iter().enumerate() {
            let agent = another_build(&workstation, &format!("build-{number}"));
            let upgrade = format!("upgrade lab --agent {}", agent.display());
            let before = running(&lab);

            let mut command = workstation.start(&upgrade);
            let deadline = Instant::now() + PATIENCE;
            while !is_reached(&lab, &before) {
                assert!(Instant::now() < deadline, "it never came to be: {what}");
                std::thread::yield_now();
            }
            command.kill().unwrap();
            command.wait().unwrap();
            workstation.swarmup(&upgrade).answer();

            assert_eq!(running(&lab), on_all(&digest(&agent)), "killed when {what}");
            assert!(NODES.iter().all(|node| !lab.file(node, NEXT).exists()), "killed when {what}");
            assert_eq!(programs(), programs_before, "killed when {what}");
            assert_eq!(tasks(&lab), tasks_before, "killed when {what}");
            lab.wait_until_well("node-1", 3, 2);
        }
        lab.destroy();
    });
}
