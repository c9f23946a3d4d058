//! What creating makes, and what it takes.

use std::time::Duration;

use driver::cloud::{ARCH, DISK, NETWORK, PRIVATE, REGION, SPOT, TYPE, ZONE};
use driver::{Access, Silent};
use fake_azure::{MachineState, Settings};

use crate::lab::{Heard, Lab, PATIENCE, cluster, create, destroy, gone, machines, with_option};

#[tokio::test]
async fn machines_are_made_as_they_were_asked_for() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let heard = Heard::default();
    let driver = lab.open();

    let network = driver.ensure_network(&cluster).await.unwrap();
    let made = driver.create(&network, &machines(&cluster), &heard).await.unwrap();

    assert_eq!(network.prefix.as_deref(), Some("10.77.1.0/24"));
    let at_azure = lab.fake.machines();
    assert_eq!(at_azure.len(), 5);
    for (instance, machine) in made.iter().zip(&at_azure) {
        assert_eq!((&instance.name, &instance.id.0), (&machine.name, &machine.id));
        assert_eq!(instance.private_address, machine.private_address);
        assert_eq!(instance.public_address, machine.public_address);
        assert_eq!(instance.arch.as_deref(), Some("x86_64"));
        assert_eq!(machine.custom_data.as_deref(), Some("#cloud-config\n"));
        assert_eq!((machine.size.as_str(), machine.is_spot), ("Standard_B2als_v2", false));
        assert_eq!(machine.tags["swarmup-id"], cluster.id.0);
        assert_eq!(machine.tags["swarmup-machine"], machine.name);
        let Some(Access::Ssh(access)) = &instance.access else { panic!("no way in: {instance:?}") };
        assert_eq!(
            (access.host.clone(), access.user.as_str()),
            (machine.public_address.unwrap().to_string(), "azureuser")
        );
        assert_eq!(access.host_key.as_deref(), Some("ssh-ed25519 AAAAhost"));
    }
    assert_eq!(heard.appeared.lock().unwrap().len(), 5);
    lab.judge().await;
}

#[tokio::test]
async fn creating_in_peace_is_refused_nothing_and_keeps_its_budget() {
    // Networks and machines take a while, and Azure says how long to wait between two looks.
    let lab = Lab::with(Settings {
        network_provisioning: Duration::from_millis(300),
        addresses_after: Duration::from_millis(300),
        boot: Duration::from_mins(1),
        retry_after_seconds: 1,
        ..Settings::default()
    });
    let cluster = cluster("lab");
    let driver = lab.open();

    driver.find(Some(&cluster.id)).await.unwrap();
    driver.preflight(&cluster).await.unwrap();
    create(&*driver, &cluster).await.unwrap();

    let requests = lab.fake.requests();
    let refused: Vec<_> = requests.iter().filter(|entry| entry.status >= 400).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let last = requests.iter().rposition(|entry| entry.method == "PUT").unwrap();
    let counted: Vec<_> = requests[..=last]
        .iter()
        .filter(|entry| entry.is_resource_manager() && entry.kind != "operations")
        .map(|entry| format!("{} {}", entry.method, entry.kind))
        .collect();
    assert!(counted.len() <= 16, "{counted:#?}");
    assert!(
        lab.fake.machines().iter().all(|machine| machine.state == MachineState::Booting),
        "nobody waits for a boot"
    );
    lab.judge().await;
}

#[tokio::test]
async fn destroying_keeps_its_budget() {
    let lab = Lab::with(Settings { group_deletion: Duration::from_secs(1), ..Settings::default() });
    let cluster = cluster("lab");
    create(&*lab.open(), &cluster).await.unwrap();
    lab.fake.forget_requests();
    let driver = lab.open();

    let found = driver.find(Some(&cluster.id)).await.unwrap();
    driver.remove_network(&cluster.id).await.unwrap();
    let going = driver.find(Some(&cluster.id)).await.unwrap();

    let requests = lab.fake.requests();
    let counted = requests.iter().filter(|entry| entry.is_resource_manager()).count();
    assert!(counted <= 4, "{counted}");
    let forced = "forceDeletionTypes=Microsoft.Compute%2FvirtualMachines";
    assert!(requests.iter().any(|entry| entry.method == "DELETE" && entry.url.contains(forced)), "it takes longer");
    assert_eq!(found.iter().filter(|resource| resource.instance.is_some()).count(), 5);
    assert!(!going.is_empty() && going.iter().all(|resource| resource.is_vanishing));
    gone(&*driver, &cluster).await.unwrap();
    assert_eq!(lab.fake.resources(), Vec::<String>::new());
    lab.judge().await;
}

#[tokio::test]
async fn machines_take_the_zones_in_turn() {
    let lab = Lab::start();
    let cluster = with_option(cluster("lab"), ZONE, &["1", "2", "3"]);

    create(&*lab.open(), &cluster).await.unwrap();

    let zones: Vec<_> = lab.fake.machines().into_iter().filter_map(|machine| machine.zone).collect();
    assert_eq!(zones, ["1", "2", "3", "1", "2"]);
    lab.judge().await;
}

#[tokio::test]
async fn options_choose_the_machine() {
    let lab = Lab::start();
    let cluster = [(ARCH, "aarch64"), (DISK, "64"), (SPOT, "true"), (PRIVATE, "true"), (REGION, "westeurope")]
        .into_iter()
        .fold(cluster("lab"), |cluster, (name, value)| with_option(cluster, name, &[value]));

    let made = create(&*lab.open(), &cluster).await.unwrap();

    let machines = lab.fake.machines();
    assert!(machines.iter().all(|machine| machine.size == "Standard_B2pls_v2" && machine.is_spot));
    assert!(machines.iter().all(|machine| machine.public_address.is_none()));
    assert_eq!(made[0].arch.as_deref(), Some("aarch64"));
    let Some(Access::Ssh(access)) = &made[0].access else { panic!("no way in") };
    assert_eq!(access.host, made[0].private_address.unwrap().to_string());
    assert_eq!(lab.count("GET", "publicIPAddresses"), lab.count("GET", "networkInterfaces"));
    lab.judge().await;
}

#[tokio::test]
async fn machines_stand_in_a_subnet_that_exists_and_leave_it_as_it_was() {
    let lab = Lab::start();
    let host = with_option(cluster("host"), TYPE, &["Standard_B2s"]);
    let network = lab.open().ensure_network(&host).await.unwrap();
    let subnet = network.handles.one("subnet").unwrap().to_owned();
    let before = lab.fake.resources().len();
    let guest = with_option(cluster("guest"), NETWORK, &[&subnet]);
    let driver = lab.open();

    let made = create(&*driver, &guest).await.unwrap();
    assert_eq!(made.len(), 5);
    let inside = lab.fake.machines()[0].clone();
    let member = made[1].private_address.unwrap();
    assert!(lab.fake.lets_in(&inside, member, "Tcp", Some(2377)));
    assert!(!lab.fake.lets_in(&inside, "10.77.1.200".parse().unwrap(), "Tcp", Some(2377)), "no member of the group");
    assert_eq!(lab.count("PUT", "virtualNetworks"), 1, "only the host's own");

    destroy(&*driver, &guest).await.unwrap();
    assert_eq!(lab.fake.resources().len(), before);
    lab.judge().await;
}

#[tokio::test]
async fn what_exists_is_not_asked_for_again_even_with_other_user_data() {
    let lab = Lab::start();
    let cluster = cluster("lab");
    let driver = lab.open();
    let made = create(&*driver, &cluster).await.unwrap();
    let network = driver.ensure_network(&cluster).await.unwrap();
    let mut wanted = machines(&cluster);
    for request in &mut wanted {
        request.user_data = Some("#cloud-config\n# rendered anew\n".to_owned());
    }
    lab.fake.take_machine_away("lab-node-4");

    let again = lab.open().create(&network, &wanted, &Silent).await.unwrap();

    assert_eq!(
        again.iter().map(|instance| &instance.id).collect::<Vec<_>>(),
        made.iter().map(|instance| &instance.id).collect::<Vec<_>>()
    );
    assert_eq!(lab.count("PUT", "virtualMachines"), 6);
}

#[tokio::test]
async fn a_cluster_that_comes_back_waits_for_its_group_to_go() {
    let lab = Lab::with(Settings { group_deletion: Duration::from_millis(200), ..Settings::default() });
    let cluster = cluster("lab");
    let driver = lab.open();
    create(&*driver, &cluster).await.unwrap();
    driver.remove_network(&cluster.id).await.unwrap();

    create(&*driver, &cluster).await.unwrap();

    assert_eq!(lab.machine_names().len(), 5);
}

#[tokio::test]
async fn several_creates_at_once_stay_below_the_published_rate() {
    let lab = Lab::with(Settings { rates: Some(fake_azure::Rates::PUBLISHED), ..Settings::default() });
    let clusters: Vec<_> = ["a", "b", "c", "d"].into_iter().map(cluster).collect();
    let patient = azure::Patience { pause: Duration::from_millis(50), ..PATIENCE };

    let creates = clusters.iter().map(|cluster| {
        let driver = lab.open_with(&[], patient);
        async move { create(&*driver, cluster).await }
    });
    futures_util::future::try_join_all(creates).await.unwrap();

    assert_eq!(lab.machine_names().len(), 20);
    assert_eq!(lab.fake.requests().iter().filter(|entry| entry.status == 429).count(), 0);
    let network = lab.open().ensure_network(&clusters[0]).await.unwrap();
    assert_eq!(lab.open().create(&network, &[], &Silent).await.unwrap(), []);
}
