//! Google Cloud: a fake of our own keeps the books.

use std::time::Duration;

use fake_gcp::{Fault, FaultKind, Settings};
use tests::cloud::{Gcp, OPERATOR};
use tests::run::eventually;

use crate::kill_points::{self, Call, Command, Emulator, Side};
use crate::story::Teller;

fn settings() -> Settings {
    Settings { boot: Duration::from_millis(300), ..Settings::default() }
}

#[test]
fn a_swarm_at_google_cloud_is_made_of_real_hosts_and_leaves_nothing() {
    let (cloud, gcp, options) = Gcp::start(settings());

    Teller {
        cloud: &cloud,
        options: &options,
        ends_by_itself: true,
        is_extensible: false,
        left: &|| gcp.fake().holdings(),
    }
    .tell();
}

#[test]
fn a_manager_at_google_cloud_ends_the_whole_swarm_and_a_worker_only_itself() {
    let (cloud, gcp, options) = Gcp::start(settings());
    let fake = gcp.fake();
    let address = |name: &str| {
        let machine = fake.machines().into_iter().find(|machine| machine.name.starts_with(name)).unwrap();
        std::net::IpAddr::V4(machine.private_address)
    };
    let instances = || fake.holdings().into_iter().filter(|id| id.starts_with("instances/")).collect::<Vec<_>>();
    cloud
        .swarmup(&format!(
            "create lab {options} --managers 1 --workers 2 --ssh-from {OPERATOR} --service-account default"
        ))
        .answer();
    // Somebody else's, which a manager must not touch.
    cloud.swarmup(&format!("create other {options} --managers 1 --workers 0 --ssh-from {OPERATOR}")).answer();

    let deletions =
        || fake.requests().into_iter().filter(|request| request["kind"] == "instances.delete").collect::<Vec<_>>();
    assert!(cloud.end_machine(address("lab-node-2"), &[]), "a worker powers off");
    assert_eq!(deletions().len(), 0, "and changes nothing else");
    assert!(cloud.end_machine(address("lab-node-1"), &[]), "a manager powers off");
    let last = deletions().pop().unwrap();
    assert!(last["url"].as_str().unwrap().contains("lab-node-1"), "its own machine comes last: {last}");

    eventually("the other cluster's instance alone is left", || {
        (instances().len() == 1 && instances()[0].starts_with("instances/other-node-1")).then_some(())
    });
    cloud.swarmup("destroy lab --yes").answer();
    cloud.swarmup("destroy other --yes").answer();
    assert_eq!(fake.holdings(), Vec::<String>::new());
}

#[test]
fn a_swarmup_that_is_killed_at_any_call_to_google_cloud_goes_on_or_leaves_nothing() {
    let (cloud, gcp, options) = Gcp::start(Settings { boot: Duration::ZERO, ..Settings::default() });

    kill_points::walk(&cloud, &gcp, &options);
}

impl Emulator for Gcp {
    fn provider(&self) -> &'static str {
        "gcp"
    }

    fn calls(&self) -> Vec<String> {
        let calls = self.fake().requests().iter().map(|call| call["kind"].as_str().unwrap().to_owned()).collect();
        self.fake().forget_requests();
        calls
    }

    fn hold(&self, call: &Call, side: Side) {
        let what = match side {
            Side::Before => FaultKind::Hold,
            Side::After => FaultKind::HoldAfter,
        };
        let skip = usize::try_from(call.nth).unwrap() - 1;
        // A fault's name stays for good; there are as many as calls.
        self.fake().fault(Fault { skip, ..Fault::first(call.name.clone().leak(), what) });
    }

    fn is_held(&self) -> bool {
        self.fake().held() > 0
    }

    fn release(&self) {
        self.fake().forget_faults();
        eventually("the caller is gone", || (self.fake().held() == 0).then_some(()));
    }

    fn books(&self) -> Vec<(String, String)> {
        let kind = |name: String| (name.split('/').next().unwrap().to_owned(), name.clone());
        self.fake().holdings().into_iter().map(kind).collect()
    }

    fn fewest(&self, command: Command, name: &str) -> Option<u32> {
        match (command, name) {
            // It looks for machines that are there already, and then until those that it made have their addresses.
            (Command::Create, "instances.aggregatedList") => Some(2),
            _ => None,
        }
    }
}
