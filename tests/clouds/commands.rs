//! The commands beside `create` and `destroy`, each against every provider: who is let in and who says so, what it costs,
//! whose clusters are collected, and when nothing is charged any more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::cloud::OPERATOR;
use tests::run::eventually;

use crate::address_service::AddressService;
use crate::scene::Scene;

/// The variable that names the services.
const SERVICES: &str = "SWARMUP_ADDRESS_SERVICES";
/// One manager and no more: what is told here needs no other.
const SMALL: &str = "--managers 1 --workers 0";
/// How long what is removed takes to go.
const VANISHING: Duration = Duration::from_secs(3);

#[test]
fn the_commands_do_at_aws_what_they_say() {
    tell(&Scene::aws());
}

#[test]
fn the_commands_do_at_azure_what_they_say() {
    tell(&Scene::azure_with_network());
}

#[test]
fn the_commands_do_at_google_cloud_what_they_say() {
    tell(&Scene::gcp());
}

fn tell(scene: &Scene) {
    let before = scene.books.left();
    let service = AddressService::start(&scene.cloud, "203.0.113.7\n");
    nobody_is_let_in_whom_nobody_knows(scene, &service);
    let price = a_plan_tells_all_and_changes_nothing(scene, &service);
    what_costs_too_much_is_not_begun(scene, &service);
    scene.assert_left(&before);

    // The first of two clusters in one account: with public addresses, for one operator.
    let public = scene.public();
    let asking = [(SERVICES, service.url())];
    let created = scene.cloud.swarmup_with(&asking, &format!("create lab {public} {SMALL}"));
    assert!(created.stderr.contains("lets in 203.0.113.7/32 for SSH and the API"), "{created}");
    created.answer();
    assert_eq!(scene.books.rules(), rules("203.0.113.7/32"));
    assert_eq!(scene.cloud.docker("node ls --format {{.Status}}").answer(), "Ready");
    assert_eq!(price_per_hour(&listed(scene, "lab")["price"]), price, "what is planned is what is charged");
    the_operator_moves(scene, &service);

    // The second: private, with encrypted networks.
    let sealed = format!("create sealed {} {SMALL} --ssh-from {OPERATOR} --encrypted-networks", scene.options);
    let plan = scene.cloud.swarmup(&format!("{} --output json", sealed.replacen("create", "plan", 1))).answer();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    scene.cloud.swarmup(&sealed).answer();
    let both: BTreeSet<_> = rules("203.0.113.9/32").into_iter().chain(rules(OPERATOR)).collect();
    let esp: Vec<_> = scene.books.rules().difference(&both).cloned().collect();
    assert_eq!(esp, ["esp members"]);
    let private = price_per_hour(&plan["estimate"]["price"]);
    assert_eq!(price_per_hour(&listed(scene, "sealed")["price"]), private);
    assert!(private < price, "a public address costs something: {private} against {price}");

    let beside = scene.books.left();
    scene.books.make_stranger();
    let strangers = scene.books.left().into_iter().filter(|what| !beside.contains(what));
    let mut after: Vec<_> = before.into_iter().chain(strangers).collect();
    after.sort();
    let moved = scene.cloud.swarmup("allow-me sealed --ssh-from 198.51.100.0/24").answer();
    assert_eq!(moved, "Cluster `sealed` lets in 198.51.100.0/24");
    let esp = BTreeSet::from(["esp members".to_owned()]);
    let moved: BTreeSet<_> = [rules("203.0.113.9/32"), rules("198.51.100.0/24"), esp].into_iter().flatten().collect();
    assert_eq!(scene.books.rules(), moved, "whoever was named is not let in any more");
    let refused = scene.cloud.swarmup("allow-me sealed --ssh-from here").ends_with(2);
    assert!(refused.contains("`here` is not a prefix such as"), "{refused}");
    what_is_not_due_is_left_alone(scene);
    nothing_is_charged_while_the_rest_vanishes(scene);
    let mut left = scene.books.left();
    left.sort();
    assert_eq!(left, after);
}

/// What a cluster lets in, and nothing else: its members, and one address.
fn rules(operator: &str) -> BTreeSet<String> {
    let members = ["tcp 2377", "tcp 7946", "udp 7946", "udp 4789"].map(|what| format!("{what} members"));
    members.into_iter().chain(["tcp 22", "tcp 2376"].map(|what| format!("{what} {operator}"))).collect()
}

/// Prices are sums of small amounts: as far as they are shown.
fn price_per_hour(price: &Value) -> String {
    format!("{:.4}", price["per_hour"].as_f64().unwrap())
}

/// A cluster as the provider shows it.
fn listed(scene: &Scene, name: &str) -> Value {
    let all = scene.cloud.swarmup(&format!("ls --cloud {} --output json", scene.options)).answer();
    let all: Vec<Value> = serde_json::from_str(&all).unwrap();
    all.into_iter().find(|cluster| cluster["name"] == name).unwrap_or(Value::Null)
}

/// Services that differ, that tell no address, that do not answer: an error with the way out, and nothing is made.
fn nobody_is_let_in_whom_nobody_knows(scene: &Scene, service: &AddressService) {
    let other = AddressService::start(&scene.cloud, "203.0.113.8");
    let create = format!("create lab {} {SMALL}", scene.public());
    let way_out = "name it: --ssh-from ADDRESS";
    let begun = scene.changes();

    let asking = format!("{},{}", service.url(), other.url());
    let said = scene.cloud.swarmup_with(&[(SERVICES, &asking)], &create).ends_with(1);
    assert!(said.contains("services differ about the address that this workstation is seen by"), "{said}");
    assert!(said.contains("203.0.113.7") && said.contains("203.0.113.8") && said.contains(way_out), "{said}");

    let nonsense = AddressService::start(&scene.cloud, "<html>sign in</html>");
    other.fall_silent();
    let nobody = "http://127.0.0.1:9";
    let asking = format!("{nobody},{},{}", nonsense.url(), other.url());
    let said = scene.cloud.swarmup_with(&[(SERVICES, &asking)], &create).ends_with(1);
    assert!(said.contains(&format!("{}: its answer is no address", nonsense.url())), "{said}");
    assert!(said.contains(&format!("{}: ", other.url())) && said.contains(nobody), "{said}");
    assert!(said.contains(way_out), "{said}");

    assert_eq!(scene.changes(), begun);
    assert!(!scene.cloud.home().join("clusters/lab").exists());
}

/// What `plan` tells of a cluster that costs something; its price by the hour.
fn a_plan_tells_all_and_changes_nothing(scene: &Scene, service: &AddressService) -> String {
    let asking = [(SERVICES, service.url())];
    let begun = scene.changes();
    let plan = format!("plan lab {} {SMALL}", scene.public());

    let text = scene.cloud.swarmup_with(&asking, &format!("{plan} --ttl 3h")).answer();
    let told = scene.cloud.swarmup_with(&asking, &format!("{plan} --output json")).answer();

    let told: Value = serde_json::from_str(&told).unwrap();
    let told_by = format!("(your address was told by {})", service.url());
    for part in [
        "Create  node-1 (manager)",
        "22/tcp from 203.0.113.7/32",
        "2376/tcp from 203.0.113.7/32",
        &told_by,
        "\nResources\n",
        "\nCalls to the provider\n",
        "\nCalls that wait for one another\n",
        "USD for 3h (prices of ",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    assert_eq!(scene.changes(), begun);
    price_per_hour(&told["estimate"]["price"])
}

fn what_costs_too_much_is_not_begun(scene: &Scene, service: &AddressService) {
    let asking = [(SERVICES, service.url())];
    let begun = scene.changes();

    for command in ["plan", "create"] {
        let limited = format!("{command} lab {} {SMALL} --ttl 100h --max-cost 0.5", scene.public());
        let said = scene.cloud.swarmup_with(&asking, &limited).ends_with(1);
        assert!(said.contains("USD for 100h, which is more than 0.50"), "{said}");
        assert!(said.contains("hint: ask for fewer or smaller machines, a shorter --ttl"), "{said}");
    }

    assert_eq!(scene.changes(), begun);
    assert!(!scene.cloud.home().join("clusters/lab").exists());
}

/// Whoever moves is let in, and the former address is not any more.
fn the_operator_moves(scene: &Scene, service: &AddressService) {
    let asking = [(SERVICES, service.url())];
    for address in ["203.0.113.8", "203.0.113.9"] {
        service.tell(address);
        let said = scene.cloud.swarmup_with(&asking, "allow-me lab").answer();
        assert_eq!(said, format!("Cluster `lab` lets in {address}/32 (told by {})", service.url()));
        assert_eq!(scene.books.rules(), rules(&format!("{address}/32")));
    }

    let held = scene.books.left();
    scene.cloud.swarmup_with(&asking, "allow-me lab").answer();
    let said = scene.cloud.swarmup_with(&[(SERVICES, "http://127.0.0.1:9")], "allow-me lab").ends_with(1);

    assert!(said.contains("no service told the address that this workstation is seen by"), "{said}");
    assert_eq!((scene.books.left(), scene.books.rules()), (held, rules("203.0.113.9/32")));
}

/// On a workstation that knows no cluster: one that is old enough is destroyed, and neither one that is younger nor what
/// nobody has marked.
fn what_is_not_due_is_left_alone(scene: &Scene) {
    let elsewhere = scene.cloud.scratch().join("elsewhere");
    let elsewhere = [("SWARMUP_HOME", elsewhere.to_str().unwrap())];
    let options = &scene.options;
    let none = scene.cloud.swarmup_with(&elsewhere, &format!("gc {options} --older-than 1h --yes")).answer();
    assert_eq!(none, "No cluster is due");
    let created: jiff::Timestamp = listed(scene, "lab")["created_at"].as_str().unwrap().parse().unwrap();
    // As old as the older one is now: the younger one will be in as much time as lies between the two, which is all that
    // came before.
    let limit = jiff::Timestamp::now().duration_since(created);

    scene.books.vanish_slowly(VANISHING);
    let begun = Instant::now();
    let collect = format!("gc {options} --older-than {}s --yes --output json", limit.as_secs());
    let collected = scene.cloud.swarmup_with(&elsewhere, &collect).answer();
    report(scene, "all of a cluster is gone after", begun);

    let collected: Vec<Value> = serde_json::from_str(&collected).unwrap();
    let told: Vec<_> = collected.iter().map(|one| (one["name"].as_str().unwrap(), one["destroyed"] == true)).collect();
    assert_eq!(told, [("lab", true)]);
    assert_eq!(listed(scene, "lab"), Value::Null);
    // What somebody else has removed counts as destroyed.
    scene.cloud.swarmup("destroy lab --yes").answer();
    assert_eq!(scene.cloud.docker("node ls --format {{.Status}}").answer(), "Ready", "`sealed` serves as before");
}

/// `destroy --wait=false` is back while the rest vanishes, which another command finds and waits for.
fn nothing_is_charged_while_the_rest_vanishes(scene: &Scene) {
    let options = &scene.options;
    let begun = Instant::now();

    let said = scene.cloud.swarmup("destroy sealed --yes --wait=false").answer();

    report(scene, "nothing is charged any more after", begun);
    assert!(said.contains("Nothing of cluster `sealed` is charged any more"), "{said}");
    assert_ne!(listed(scene, "sealed"), Value::Null, "it is back before the rest has vanished");
    assert_eq!(listed(scene, "sealed")["machines"].as_array().map(Vec::len), Some(0));

    let elsewhere = scene.cloud.scratch().join("elsewhere");
    let collect = format!("gc {options} --older-than 1s --yes");
    scene.cloud.swarmup_with(&[("SWARMUP_HOME", elsewhere.to_str().unwrap())], &collect).answer();
    scene.cloud.swarmup("destroy sealed --yes").answer();
    eventually("no host is left", || scene.cloud.with_hosts(|hosts| hosts.booted().is_empty().then_some(())));
}

#[expect(clippy::print_stderr, reason = "the time is to be seen where the test's output is shown")]
fn report(scene: &Scene, what: &str, begun: Instant) {
    let provider = scene.options.split_whitespace().nth(1).unwrap();
    eprintln!("{provider}: {what} {:.1} s", begun.elapsed().as_secs_f64());
}
