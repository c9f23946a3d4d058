//! A swarmup that is killed while it makes machines: what it began is finished or removed by the next one.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use driver::conformance::Bench;
use driver::{ClusterId, ClusterRequest, Silent};
use rustix::process::{WaitOptions, wait};
use tests::{HostSnapshot, isolated};

use crate::workstation::{Workstation, run, tear_down};

const NAME: &str = "killed::a_maker_killed_at_any_moment_leaves_nothing_that_destroy_misses";
/// Tell the process that it is the maker, of which cluster, with which agent.
const MARK: &str = "SWARMUP_TEST_MARK";
const AGENT: &str = "SWARMUP_TEST_MAKER_AGENT";
/// How often a maker is killed, each time a little later.
const ROUNDS: u32 = 24;
const STEP: Duration = Duration::from_millis(6);
const SCRIPT: &str = "#!/bin/sh\necho ready >&0\nread -r line || exit 1\nexec sleep 100000\n";

async fn make(workstation: &Workstation, request: &ClusterRequest) {
    let driver = workstation.driver();
    let network = driver.ensure_network(request).await.unwrap();
    driver.create(&network, &workstation.machines(request, 3), &Silent).await.unwrap();
}

/// Whoever held a process is gone, so that this one, the first of its PID namespace, collects it.
fn collect_orphans() {
    while wait(WaitOptions::NOHANG).is_ok_and(|collected| collected.is_some()) {}
}

#[test]
fn a_maker_killed_at_any_moment_leaves_nothing_that_destroy_misses() {
    if let (Some(mark), Some(agent)) = (std::env::var_os(MARK), std::env::var_os(AGENT)) {
        let workstation = Workstation::with_agent(PathBuf::from(agent));
        let id = ClusterId(mark.into_string().unwrap());
        return run(make(&workstation, &ClusterRequest { id, ..workstation.cluster("lab") }));
    }
    isolated(NAME, || {
        let workstation = Workstation::with_script(SCRIPT);
        let driver = workstation.driver();
        let request = workstation.cluster("lab");
        let is_others = |item: &str| item.starts_with("cgroup") && !item.contains(&request.id.0);
        let before = HostSnapshot::take().unwrap().without(is_others);

        for round in 1..=ROUNDS {
            let mut maker = Command::new(std::env::current_exe().unwrap())
                .args([NAME, "--exact"])
                .envs([(MARK, request.id.0.as_str()), (AGENT, workstation.agent().to_str().unwrap())])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            run(async { tokio::time::sleep(STEP * round).await });
            maker.kill().unwrap();
            maker.wait().unwrap();

            run(tear_down(&*driver, &request));
            collect_orphans();

            let after = HostSnapshot::take().unwrap().without(is_others);
            assert_eq!(before.changes(&after), Vec::<String>::new(), "killed after {:?}", STEP * round);
        }
    });
}
