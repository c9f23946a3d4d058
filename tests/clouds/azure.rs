//! Azure: a fake of our own keeps the books.

use std::time::Duration;

use fake_azure::{Fault, How, Settings};
use tests::cloud::{Azure, OPERATOR};
use tests::run::eventually;

use crate::kill_points::{self, Call, Command, Emulator, Side};
use crate::story::Teller;

/// The certificate of the fake, on a host.
const CERTIFICATES: &str = "/root/certificates.pem";

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
fn a_manager_at_azure_ends_the_whole_swarm_and_a_worker_only_itself() {
    let (cloud, azure, options) = Azure::start(settings());
    let fake = azure.fake();
    let certificates = std::fs::read_to_string(fake.certificate_file()).unwrap();
    let address = |name: &str| {
        let machine = fake.machines().into_iter().find(|machine| machine.name == name).unwrap();
        machine.private_address.unwrap()
    };
    let timers = || {
        cloud.with_hosts(|hosts| {
            let read = |host: &tests::Host| host.read_file("/etc/systemd/system/swarmup-expiry.timer").unwrap();
            hosts.hosts().all().iter().map(read).collect::<Vec<_>>()
        })
    };
    let create = format!("create lab {options} --managers 1 --workers 1 --ssh-from {OPERATOR} --self-delete --ttl 3h");

    let created = cloud.swarmup(&create);
    assert!(created.stderr.contains("It ends at"), "{created}");
    created.answer();
    eventually("there are as many hosts as machines", || (timers().len() == 2).then_some(()));
    let before = timers();
    cloud.swarmup("extend lab --by 1h").answer();
    assert!(timers().iter().zip(&before).all(|(now, then)| now != then), "{before:?}");

    let trusting = cloud.with_hosts(|hosts| {
        for host in hosts.hosts().all() {
            std::fs::write(host.path(CERTIFICATES).unwrap(), &certificates).unwrap();
        }
        [("SSL_CERT_FILE", CERTIFICATES)]
    });
    let by_timer = [trusting[0], ("SWARMUP_END", "expiry")];
    let deletions = || fake.requests().into_iter().filter(|entry| entry.method == "DELETE").collect::<Vec<_>>();
    assert!(cloud.end_machine(address("lab-node-2"), &trusting), "a worker powers off");
    assert_eq!(deletions(), [], "and changes nothing else");
    assert!(cloud.end_machine(address("lab-node-1"), &by_timer), "a manager whose timer was not moved powers off");
    assert_eq!(deletions(), [], "and the group stays until the moment that its tag names");
    assert!(cloud.end_machine(address("lab-node-1"), &trusting), "a manager powers off");

    eventually("the group is gone with all that was in it", || fake.resources().is_empty().then_some(()));
    eventually("no host is left", || cloud.with_hosts(|hosts| hosts.booted().is_empty().then_some(())));
    let deleted: Vec<_> = deletions().into_iter().map(|entry| (entry.kind, entry.status)).collect();
    assert_eq!(deleted, [("resourceGroups".to_owned(), 202)]);
    cloud.swarmup("destroy lab --yes").answer();
}

#[test]
fn a_swarmup_that_is_killed_at_any_call_to_azure_goes_on_or_leaves_nothing() {
    // What takes no time at all is not looked at twice: each second look costs a second.
    let settings = Settings {
        boot: Duration::ZERO,
        addresses_after: Duration::ZERO,
        group_deletion: Duration::ZERO,
        ..Settings::default()
    };
    let (cloud, azure, options) = Azure::start(settings);

    kill_points::walk(&cloud, &azure, &options);
}

impl Emulator for Azure {
    fn provider(&self) -> &'static str {
        "azure"
    }

    fn calls(&self) -> Vec<String> {
        let calls = self.fake().requests().iter().map(|call| format!("{} {}", call.method, call.kind)).collect();
        self.fake().forget_requests();
        calls
    }

    fn hold(&self, call: &Call, side: Side) {
        let how = match side {
            Side::Before => How::HoldBefore,
            Side::After => How::HoldAfter,
        };
        // A fault's names stay for good; there are as many as calls.
        let (method, kind) = call.name.clone().leak().split_once(' ').unwrap();
        self.fake().set_fault(Fault::new(method, kind, call.nth, how));
    }

    fn is_held(&self) -> bool {
        self.fake().is_holding()
    }

    fn release(&self) {
        self.fake().clear_faults();
        self.fake().forget_held();
    }

    fn books(&self) -> Vec<(String, String)> {
        let id = |id: String| (id.rsplit('/').nth(1).unwrap().to_owned(), id.clone());
        self.fake().resources().into_iter().map(id).collect()
    }

    fn fewest(&self, command: Command, name: &str) -> Option<u32> {
        match (command, name) {
            // It looks at the addresses until they are there.
            (Command::Create, "GET networkInterfaces" | "GET publicIPAddresses") => Some(1),
            // It looks once at each of two operations; the first look at machines is for those that are there already, the
            // first one at groups for what is to go.
            (Command::Create, "GET operations" | "GET virtualMachines") | (Command::Destroy, "GET resourceGroups") => {
                Some(2)
            }
            _ => None,
        }
    }
}
