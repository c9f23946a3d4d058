//! Google Cloud: a fake of our own keeps the books.

use std::time::Duration;

use fake_gcp::{Fault, FaultKind, Settings};
use tests::cloud::Gcp;
use tests::run::eventually;

use crate::story::{Call, Holding, Side, Teller, Worst};

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
fn a_swarmup_that_is_killed_at_google_cloud_goes_on_or_leaves_nothing() {
    let (cloud, gcp, options) = Gcp::start(settings());
    let fake = gcp.fake();
    let teller = Teller {
        cloud: &cloud,
        options: &options,
        ends_by_itself: true,
        is_extensible: false,
        left: &|| fake.holdings(),
    };
    let hold = |call: Call, side: Side| {
        let what = if side == Side::Before { FaultKind::Hold } else { FaultKind::HoldAfter };
        let skip = usize::try_from(call.nth).unwrap() - 1;
        fake.fault(Fault { skip, ..Fault::first(call.name, what) });
    };
    let wait = || eventually("the call is held", || (fake.held() > 0).then_some(()));
    let release = || {
        fake.forget_faults();
        eventually("the caller is gone", || (fake.held() == 0).then_some(()));
    };

    teller.tell_of_kills(
        &Holding { hold: &hold, wait: &wait, release: &release },
        Worst {
            network: Call { name: "firewalls.insert", nth: 1 },
            machines: Call { name: "instances.bulkInsert", nth: 1 },
            destroy: Call { name: "instances.delete", nth: 3 },
        },
    );
}
