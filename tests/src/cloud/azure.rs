//! Azure for whole clusters: a fake of our own keeps the books (`tests/fake-azure`).

#![expect(clippy::unwrap_used, reason = "for tests: what fails here fails the test")]

use std::sync::Arc;

use fake_azure::{FakeAzure, MachineState, Settings};

use super::{Cloud, CloudInstance, METADATA, OPERATOR_ADDRESS, USER};

/// Azure on the hosts' network, where machines reach it too.
#[derive(Debug)]
pub struct Azure {
    fake: Arc<FakeAzure>,
}

impl Azure {
    /// A cloud whose books the fake keeps, and the options with which `swarmup` uses it.
    ///
    /// # Panics
    /// Where the hosts cannot be had.
    pub fn start(settings: Settings) -> (Cloud, Self, String) {
        let mut cloud = Cloud::new();
        cloud.take_metadata_address();
        let settings =
            Settings { is_one_link: true, address: OPERATOR_ADDRESS.into(), metadata: Some(METADATA), ..settings };
        // A socket belongs to the namespace of the thread that made it.
        let fake = cloud.at_operator(move || FakeAzure::start(settings).unwrap());
        for (name, value) in fake.environment() {
            cloud.set(name, value);
        }
        let fake = Arc::new(fake);
        let books = Arc::clone(&fake);
        // Azure would show the machine as stopped, and charge it all the same; nothing here asks for that.
        cloud.follow(Box::new(move || Some(instances(&books))), Box::new(|_| {}));
        (cloud, Self { fake }, format!("--provider azure --private-address --ssh-user {USER}"))
    }

    /// The fake, for its faults and its log.
    pub fn fake(&self) -> &FakeAzure {
        &self.fake
    }
}

fn instances(fake: &FakeAzure) -> Vec<CloudInstance> {
    let machines = fake.machines().into_iter();
    let existing = machines.filter(|machine| !matches!(machine.state, MachineState::Deleting | MachineState::Failed));
    let instance = |machine: fake_azure::Machine| {
        Some(CloudInstance {
            address: machine.private_address?,
            public_address: machine.public_address,
            user_data: machine.custom_data?,
            is_running: machine.state == MachineState::Running,
            id: machine.id,
        })
    };
    existing.filter_map(instance).collect()
}
