//! Azure: a fake of our own keeps the books.

use std::time::Duration;

use fake_azure::{Fault, How, Settings};
use tests::cloud::Azure;
use tests::run::PATIENCE;

use crate::story::{Call, Holding, Side, Teller, Worst};

fn settings() -> Settings {
    Settings { boot: Duration::from_millis(300), ..Settings::default() }
}

#[test]
fn a_swarm_at_azure_is_made_of_real_hosts_and_leaves_nothing() {
    let (cloud, azure, options) = Azure::start(settings());

    Teller {
        cloud: &cloud,
        options: &options,
        ends_by_itself: false,
        is_extensible: true,
        left: &|| azure.fake().resources(),
    }
    .tell();
}

#[test]
fn a_swarmup_that_is_killed_at_azure_goes_on_or_leaves_nothing() {
    let (cloud, azure, options) = Azure::start(settings());
    let fake = azure.fake();
    let teller = Teller {
        cloud: &cloud,
        options: &options,
        ends_by_itself: false,
        is_extensible: true,
        left: &|| fake.resources(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let hold = |call: Call, side: Side| {
        let (method, kind) = call.name.split_once(' ').unwrap();
        let how = if side == Side::Before { How::HoldBefore } else { How::HoldAfter };
        fake.set_fault(Fault::new(method, kind, call.nth, how));
    };
    let wait = || assert!(runtime.block_on(fake.held(PATIENCE)), "nobody calls it");
    let release = || {
        fake.clear_faults();
        fake.forget_held();
    };

    teller.tell_of_kills(
        &Holding { hold: &hold, wait: &wait, release: &release },
        Worst {
            network: Call { name: "PUT networkSecurityGroups", nth: 1 },
            machines: Call { name: "PUT virtualMachines", nth: 3 },
            destroy: Call { name: "DELETE resourceGroups", nth: 1 },
        },
    );
}
