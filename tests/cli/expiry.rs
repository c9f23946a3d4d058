//! Clusters that end: by their time, and by `gc`, which knows them by their marks alone.

use jiff::Timestamp;
use serde_json::Value;

use crate::sandbox::{Run, Sandbox};

/// The JSON that a command answers with.
fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"))
}

fn names(run: &Run) -> Vec<String> {
    run.stdout.lines().map(ToOwned::to_owned).collect()
}

fn expires(sandbox: &Sandbox) -> Timestamp {
    sandbox.journal("lab").unwrap()["expires"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_cluster_with_an_end_says_so_and_can_be_extended() {
    let sandbox = Sandbox::new();

    let created = sandbox.run("create lab --provider fake --ttl 3h").ended(0);

    assert!(created.stderr.contains("swarmup extend lab --by 1h"), "{created}");
    let begun: Timestamp = sandbox.journal("lab").unwrap()["created_at"].as_str().unwrap().parse().unwrap();
    let end = expires(&sandbox);
    assert_eq!(end.duration_since(begun).as_secs(), 3 * 3600);

    sandbox.run("extend lab --by 90m").ended(0);

    assert_eq!(expires(&sandbox).duration_since(end).as_secs(), 90 * 60);
    let seen = json(&sandbox.run("ls --cloud --provider fake --output json").ended(0));
    assert_eq!(seen[0]["expires"].as_str().unwrap().parse::<Timestamp>().unwrap(), expires(&sandbox));
    assert_eq!((seen[0]["name"].as_str(), seen[0]["machines"].as_array().map(Vec::len)), (Some("lab"), Some(5)));
}

#[test]
fn a_cluster_without_an_end_cannot_be_extended() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    let before = sandbox.journal("lab");

    let refused = sandbox.run("extend lab --by 1h").ended(1);

    assert!(refused.stderr.contains("has no end that could be moved"), "{refused}");
    assert_eq!(sandbox.journal("lab"), before);
}

#[test]
fn what_is_overdue_is_collected_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake --managers 1 --workers 1 --ttl 1s").ended(0);
    sandbox.run("create keep --provider fake --managers 1 --workers 1").ended(0);
    sandbox.wait_until("one is overdue", |sandbox| {
        names(&sandbox.run("gc --provider fake --dry-run --quiet").ended(0)) == ["lab"]
    });

    let refused = sandbox.run("gc --provider fake").ended(2);
    assert!(refused.stderr.contains("destroying `lab` needs a yes"), "{refused}");
    sandbox.run("gc --provider fake --yes").ended(0);

    assert_eq!(names(&sandbox.run("ls --cloud --provider fake -q").ended(0)), ["keep"]);
    assert_eq!(names(&sandbox.run("ls -q").ended(0)), ["keep"], "the folder of the other is gone too");
    sandbox.run("status keep").ended(0);
    assert_eq!(sandbox.run("gc --provider fake --yes").ended(0).stdout, "No cluster is due\n");
}

#[test]
fn a_workstation_that_knows_nothing_collects_what_is_old() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake --managers 1 --workers 1").ended(0);
    std::fs::remove_dir_all(sandbox.home().join("clusters")).unwrap();

    sandbox.run("gc --provider fake --older-than 1h --yes").ended(0);
    assert!(sandbox.provider_holds() > 0, "it is not that old");
    sandbox.wait_until("it is old enough", |sandbox| {
        names(&sandbox.run("gc --provider fake --older-than 1s --dry-run --quiet").ended(0)) == ["lab"]
    });
    let collected = json(&sandbox.run("gc --provider fake --older-than 1s --yes --output json").ended(0));

    assert_eq!(collected[0]["destroyed"], true);
    assert_eq!(sandbox.provider_holds(), 0);
}

#[test]
fn a_cluster_that_cannot_be_destroyed_is_told_and_the_others_go() {
    let sandbox = Sandbox::new();
    sandbox.run("create bad --provider fake --managers 1 --workers 0").ended(0);
    sandbox.run("create good --provider fake --managers 1 --workers 0").ended(0);
    sandbox.wait_until("both are old enough", |sandbox| {
        names(&sandbox.run("gc --provider fake --older-than 1s --dry-run --quiet").ended(0)).len() == 2
    });

    let run = sandbox.run("gc --provider fake --older-than 1s --yes --fault destroy:1=fail").ended(3);

    assert!(run.stderr.contains("error: failed to destroy `"), "{run}");
    assert_eq!(names(&sandbox.run("ls --cloud --provider fake -q").ended(0)).len(), 1);
}
