//! AWS: moto keeps the books.

use tests::cloud::Ec2;

use crate::story::{Call, Holding, Side, Teller, Worst};

#[test]
fn a_swarm_at_aws_is_made_of_real_hosts_and_leaves_nothing() {
    let (cloud, ec2, options) = Ec2::start();

    Teller { cloud: &cloud, options: &options, ends_by_itself: true, is_extensible: true, left: &|| ec2.left() }.tell();
}

#[test]
fn a_swarmup_that_is_killed_at_aws_goes_on_or_leaves_nothing() {
    let (cloud, ec2, options) = Ec2::start();
    let teller =
        Teller { cloud: &cloud, options: &options, ends_by_itself: true, is_extensible: true, left: &|| ec2.left() };
    let hold = |call: Call, side: Side| {
        let kind = if side == Side::Before { "hold-before" } else { "hold-after" };
        ec2.control("_faults", &format!(r#"[{{"action": "{}", "nth": {}, "kind": "{kind}"}}]"#, call.name, call.nth));
    };
    let release = || {
        ec2.control("_faults", "[]");
        ec2.control("_release", "null");
    };
    let wait = || assert_ne!(ec2.ask("_held"), "null", "nobody calls it");

    teller.tell_of_kills(
        &Holding { hold: &hold, wait: &wait, release: &release },
        Worst {
            network: Call { name: "CreateSecurityGroup", nth: 1 },
            // The first launch is a dry run.
            machines: Call { name: "RunInstances", nth: 2 },
            destroy: Call { name: "TerminateInstances", nth: 1 },
        },
    );
}
