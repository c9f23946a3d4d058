//! Google Cloud for whole clusters: a fake of our own keeps the books (`tests/fake-gcp`).

#![expect(clippy::unwrap_used, reason = "for tests: what fails here fails the test")]

use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use fake_gcp::{FakeGcp, NetworkSetting, Settings};
use tokio::sync::oneshot;

use super::{Cloud, CloudInstance, METADATA, OPERATOR_ADDRESS, USER};

/// A network of the project whose addresses are the hosts'.
const NETWORK: &str = "lab";
/// Where it is.
const REGION: &str = "us-central1";

/// Compute Engine on the hosts' network, where instances reach it too.
#[derive(Debug)]
pub struct Gcp {
    fake: Arc<FakeGcp>,
    end: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Gcp {
    /// A cloud whose books the fake keeps, and the options with which `swarmup` uses it.
    ///
    /// # Panics
    /// Where the hosts cannot be had.
    pub fn start(settings: Settings) -> (Cloud, Self, String) {
        let mut cloud = Cloud::new();
        cloud.take_metadata_address();
        let network =
            NetworkSetting { name: NETWORK.to_owned(), region: REGION.to_owned(), prefix: "10.77.1.0/24".to_owned() };
        let settings = Settings {
            address: OPERATOR_ADDRESS.into(),
            metadata_server: Some(METADATA),
            networks: vec![network],
            ..settings
        };
        let project = settings.project.clone();
        let (started, fake) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let serve = cloud.enter_operator();
        let serving = std::thread::spawn(move || {
            serve();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                started.send(Arc::new(FakeGcp::start(settings).await.unwrap())).unwrap();
                // An error means that nobody is left to end it.
                let _ = ended.await;
            });
        });
        let fake: Arc<FakeGcp> = fake.recv().unwrap();
        let credentials = fake.write_credentials(cloud.scratch()).unwrap();
        cloud.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", fake.endpoint());
        cloud.set("GOOGLE_APPLICATION_CREDENTIALS", credentials.display().to_string());
        cloud.set("GOOGLE_CLOUD_PROJECT", project);
        let books = Arc::clone(&fake);
        // Google would show the instance as terminated, and keep its disk; nothing here asks for that.
        cloud.follow(Box::new(move || Some(instances(&books))), Box::new(|_| {}));
        let options =
            format!("--provider gcp --region {REGION} --network {NETWORK} --private-address --ssh-user {USER}");
        (cloud, Self { fake, end: Some(end), serving: Some(serving) }, options)
    }

    /// The fake, for its faults and its log.
    pub fn fake(&self) -> &FakeGcp {
        &self.fake
    }
}

impl Drop for Gcp {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(serving) = self.serving.take() {
            // It has failed the test already, where it has panicked.
            let _ = serving.join();
        }
    }
}

fn instances(fake: &FakeGcp) -> Vec<CloudInstance> {
    let machines = fake.machines().into_iter();
    let instance = |machine: fake_gcp::Machine| {
        let is_running = machine.is_running();
        Some(CloudInstance {
            address: IpAddr::V4(machine.private_address),
            public_address: machine.public_address.map(IpAddr::V4),
            user_data: machine.user_data?,
            is_running,
            // A name may be used again.
            id: format!("{} {}", machine.name, machine.private_address),
        })
    };
    machines.filter_map(instance).collect()
}
