//! What goes wrong at a provider, as whoever runs `swarmup` sees it: each ends in success or in an error that names the
//! thing, and never in a leak.

use std::collections::BTreeSet;
use std::time::Duration;

use fake_azure::{Shortage, ShortageHow};
use fake_gcp::{Fault, FaultKind};
use tests::cloud::{Azure, Cloud, Ec2, Gcp, OPERATOR};
use tests::run::eventually;

use crate::books::{Refusal, Why};
use crate::scene::Scene;

/// More calls than any command makes.
const ALL: u32 = 1000;

#[test]
fn what_goes_wrong_at_aws_is_told_and_leaves_nothing() {
    tell(&Scene::aws(), "t3");
}

#[test]
fn what_goes_wrong_at_azure_is_told_and_leaves_nothing() {
    tell(&Scene::azure(), "Standard_B2");
}

#[test]
fn what_goes_wrong_at_google_cloud_is_told_and_leaves_nothing() {
    tell(&Scene::gcp(), "e2-");
}

#[test]
fn a_clock_that_is_off_at_aws_is_told_of_as_the_cause() {
    let (cloud, ec2, options) = Ec2::start();
    let before = ec2.left();

    for (seconds, expected) in [(600, "behind aws's"), (-600, "ahead of aws's")] {
        ec2.control("_set", &format!(r#"{{"clock": {seconds}}}"#));
        a_clock_is_blamed(&cloud, &options, expected);
    }

    assert_eq!(ec2.left(), before);
}

#[test]
fn a_clock_that_is_off_at_google_cloud_is_told_of_as_the_cause() {
    let (cloud, gcp, options) = Gcp::start(fake_gcp::Settings::default());
    gcp.fake().advance(Duration::from_mins(20));
    let unsigned = FaultKind::Fail { status: 401, reason: "authError", retry_after: None };
    gcp.fake().fault(Fault::nth(1, unsigned).times(1000));

    a_clock_is_blamed(&cloud, &options, "behind Google's");

    assert_eq!(gcp.fake().holdings(), [""; 0]);
}

fn a_clock_is_blamed(cloud: &Cloud, options: &str, expected: &str) {
    let said = cloud.swarmup(&format!("create lab {options} --ssh-from {OPERATOR}")).ends_with(1);

    assert!(said.contains(&format!("m {expected}")) || said.contains(&format!("s {expected}")), "{said}");
    assert!(said.contains("hint: set this workstation's clock"), "{said}");
    assert!(!cloud.home().join("clusters/lab").exists());
}

#[test]
fn a_machine_that_azure_gives_up_once_its_address_is_known_is_told_of_and_leaves_nothing() {
    let settings = fake_azure::Settings { boot: Duration::from_secs(3), ..fake_azure::Settings::default() };
    let (cloud, azure, options) = Azure::start(settings);
    let size = "Standard_B2als_v2".to_owned();
    azure.fake().set_shortage(Shortage { size, zone: None, how: ShortageHow::Later });

    let create = format!("create lab {options} --managers 1 --workers 0 --ssh-from {OPERATOR} --boot-timeout 4s");
    let said = cloud.swarmup(&create).ends_with(1);

    assert!(said.contains("failed to set up machine `lab-node-1`"), "{said}");
    assert_eq!(azure.fake().resources(), [""; 0]);
}

/// All of it, with how the names of the types begin that are tried.
fn tell(scene: &Scene, machine_type: &str) {
    let before = scene.books.left();
    let create = format!("create lab {} --managers 1 --workers 1 --ssh-from {OPERATOR}", scene.options);
    let small = create.replace("--workers 1", "--workers 0");

    credentials_expire_midway(scene, &create);
    scene.assert_left(&before);
    every_kind_of_call_is_throttled(scene, &create);
    scene.assert_left(&before);
    one_zone_has_no_capacity_and_the_machines_are_gone_before_they_are_destroyed(scene, &small);
    scene.assert_left(&before);
    no_zone_has_any_capacity(scene, &small, machine_type);
    scene.assert_left(&before);
    a_machine_never_answers(scene, &small);
    scene.assert_left(&before);
    a_machine_vanishes(scene, &small);
    scene.assert_left(&before);
}

/// Neither what was begun nor what was to undo it gets through; with other credentials it does.
fn credentials_expire_midway(scene: &Scene, create: &str) {
    let expired = |call: &str, nth| Refusal { call: call.to_owned(), nth, times: ALL, why: Why::Expired };
    let calls = scene.calls;
    scene.books.refuse(&[expired(calls.machines, calls.first + 1), expired(calls.destroy, 1)]);

    let said = scene.cloud.swarmup(create).ends_with(3);

    assert!(said.contains("error: failed to create the machines") && said.contains("credentials"), "{said}");
    assert!(said.contains("log in with `"), "{said}");
    assert!(said.contains("failed to undo what was made") && said.contains("run `swarmup destroy lab`"), "{said}");
    scene.books.refuse(&[]);
    scene.cloud.swarmup("destroy lab --yes").answer();
}

/// Every call that was ever made is refused once before it is granted.
fn every_kind_of_call_is_throttled(scene: &Scene, create: &str) {
    let seen = scene.books.calls();
    let kinds: BTreeSet<_> = seen.iter().map(|call| call.name.clone()).collect();
    let throttled = |(index, call): (usize, &String)| {
        let why = Why::Throttled((index == 0).then_some(1));
        Refusal { call: call.clone(), nth: 1, times: 1, why }
    };
    scene.books.refuse(&kinds.iter().enumerate().map(throttled).collect::<Vec<_>>());

    scene.cloud.swarmup(create).answer();
    scene.cloud.swarmup("destroy lab --yes").answer();

    let calls = scene.books.calls().split_off(seen.len());
    let refused: BTreeSet<_> = calls.iter().filter(|call| !call.is_granted).map(|call| call.name.clone()).collect();
    assert_eq!(refused, kinds);
    scene.books.refuse(&[]);
}

fn one_zone_has_no_capacity_and_the_machines_are_gone_before_they_are_destroyed(scene: &Scene, create: &str) {
    let none =
        Refusal { call: scene.calls.machines.to_owned(), nth: scene.calls.first, times: 1, why: Why::NoCapacity };
    scene.books.refuse(&[none]);

    scene.cloud.swarmup(create).answer();

    assert_eq!(scene.cloud.docker("node ls --format {{.Status}}").answer(), "Ready");
    scene.books.refuse(&[]);
    scene.books.take_machines_away();
    scene.cloud.swarmup("destroy lab --yes").answer();
}

fn no_zone_has_any_capacity(scene: &Scene, create: &str, machine_type: &str) {
    let none =
        Refusal { call: scene.calls.machines.to_owned(), nth: scene.calls.first, times: ALL, why: Why::NoCapacity };
    scene.books.refuse(&[none]);

    let said = scene.cloud.swarmup(create).ends_with(1);

    assert!(said.contains("capacity") && said.contains(machine_type), "{said}");
    assert!(said.contains("hint: "), "{said}");
    scene.books.refuse(&[]);
}

fn a_machine_never_answers(scene: &Scene, create: &str) {
    scene.cloud.keep_dark(true);

    let said = scene.cloud.swarmup(&format!("{create} --boot-timeout 2s")).ends_with(1);

    assert!(said.contains("failed to set up machine `lab-node-1`"), "{said}");
    assert!(said.contains("it has not answered within 2 s") && said.contains("--boot-timeout"), "{said}");
    assert!(said.contains("  console of `lab-node-1`:\n  | "), "{said}");
    scene.cloud.keep_dark(false);
}

fn a_machine_vanishes(scene: &Scene, create: &str) {
    scene.cloud.keep_dark(true);
    let waiting = format!("{create} --boot-timeout 6s");
    let cloud = &scene.cloud;

    let said = std::thread::scope(|scope| {
        let creating = scope.spawn(|| cloud.swarmup(&waiting).ends_with(1));
        eventually("there is a machine", || (scene.books.machines() > 0).then_some(()));
        scene.books.take_machines_away();
        creating.join().unwrap()
    });

    assert!(said.contains("`lab-node-1`"), "{said}");
    let is_told =
        ["its provider has it no more", "vanished", "there is no machine"].iter().any(|text| said.contains(text));
    assert!(is_told, "{said}");
    scene.cloud.keep_dark(false);
}
