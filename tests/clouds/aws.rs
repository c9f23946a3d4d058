//! AWS: moto keeps the books.

use rustix::process::{Pid, Signal, kill_process};
use tests::cloud::{Ec2, OPERATOR};
use tests::processes::{has_variable, running};
use tests::run::eventually;

use crate::books::{Refusal, Why};
use crate::kill_points::{self, Call, Command, Emulator, Side};
use crate::scene::Scene;
use crate::story::Teller;

#[test]
fn a_swarm_at_aws_is_made_of_real_hosts_and_leaves_nothing() {
    let (cloud, ec2, options) = Ec2::start();

    Teller { cloud: &cloud, options: &options, ends_by_itself: true, is_extensible: true, left: &|| ec2.left() }.tell();
}

#[test]
fn nothing_is_left_at_aws_that_costs_once_the_workstation_is_gone() {
    let (cloud, ec2, options) = Ec2::start();
    let mut owner = cloud.operator("sleep").arg("600").spawn().unwrap();
    let create = format!("create lab {options} --managers 1 --workers 1 --ssh-from {OPERATOR}");
    cloud.swarmup(&format!("{create} --reap-with {} --reap-after 10s", owner.id())).answer();
    assert_eq!(ec2.instances().len(), 2);

    // The workstation dies, and whoever held the lease there with it.
    let of_this_home = |pid: &Pid| has_variable(*pid, "SWARMUP_HOME", cloud.home());
    let [holder] = running(&["swarmup", "hold", "lab"]).into_iter().filter(of_this_home).collect::<Vec<_>>()[..] else {
        panic!("there is one holder")
    };
    kill_process(holder, Signal::KILL).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();

    eventually("the machines have ended themselves", || ec2.instances().is_empty().then_some(()));
    let nobodys = cloud.swarmup("gc --provider aws --older-than 1s --yes --quiet").answer();
    assert_eq!(nobodys, "lab");
}

#[test]
fn an_account_that_may_not_list_its_regions_is_looked_at_in_its_own() {
    let scene = Scene::aws();
    let create = format!("create lab {} --managers 1 --workers 0 --ssh-from {OPERATOR}", scene.options);
    scene.cloud.swarmup(&create).answer();
    let call = "DescribeRegions".to_owned();
    scene.books.refuse(&[Refusal { call, nth: 1, times: 100, why: Why::Forbidden }]);

    let listed = scene.cloud.swarmup("ls --cloud --provider aws --quiet");
    let said = listed.stderr.clone();
    assert_eq!(listed.answer(), "lab");
    assert!(said.contains("only the configured region of provider `aws` is looked at"), "{said}");

    let collected = scene.cloud.swarmup("gc --provider aws --older-than 1s --yes --quiet").answer();
    assert_eq!(collected, "lab");
    assert!(scene.cloud.swarmup("ls --cloud --provider aws --quiet").answer().is_empty());
}

#[test]
fn a_swarmup_that_is_killed_at_any_call_to_aws_goes_on_or_leaves_nothing() {
    let (cloud, ec2, options) = Ec2::start();

    kill_points::walk(&cloud, &ec2, &options);
}

impl Emulator for Ec2 {
    fn provider(&self) -> &'static str {
        "aws"
    }

    fn calls(&self) -> Vec<String> {
        self.take_calls()
    }

    fn hold(&self, call: &Call, side: Side) {
        let kind = match side {
            Side::Before => "hold-before",
            Side::After => "hold-after",
        };
        self.control("_faults", &format!(r#"[{{"action": "{}", "nth": {}, "kind": "{kind}"}}]"#, call.name, call.nth));
    }

    fn is_held(&self) -> bool {
        self.ask("_held?now") != "null"
    }

    fn release(&self) {
        self.control("_faults", "[]");
        self.control("_release", "null");
    }

    fn books(&self) -> Vec<(String, String)> {
        self.books()
    }

    fn fewest(&self, command: Command, name: &str) -> Option<u32> {
        match (command, name) {
            // It looks for machines that are there already, and then until those that it launched run.
            (Command::Create, "DescribeInstances") => Some(1),
            // It looks for what is to go, makes sure that the machines are going, and that nothing is left.
            (Command::Destroy, "DescribeInstances" | "DescribeTags") => Some(3),
            _ => None,
        }
    }
}
