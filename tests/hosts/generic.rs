//! The driver over given hosts, on real ones.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use driver::conformance::{self, Bench, cluster_request};
use driver::{
    Access, ClusterRequest, Driver, DriverError, FirewallRule, OptionValue, Options, Protocol, RuleSource, Silent,
};
use reach::Dialer;
use tests::{Host, Hosts, Signal};

/// Hosts as a user gives them, with a workstation's folder.
struct Desk {
    hosts: Hosts,
    user: &'static str,
    folder: PathBuf,
    more: Vec<(String, String)>,
}

impl Desk {
    fn new(count: u32, user: &'static str) -> Self {
        let hosts = Hosts::start(count).unwrap();
        hosts.enter_operator().unwrap();
        let folder = hosts.scratch().join("state");
        Self { hosts, user, folder, more: Vec::new() }
    }

    fn given(&self) -> Vec<String> {
        self.hosts.all().iter().map(|host| format!("{}@{}", self.user, host.address())).collect()
    }

    fn options_for(&self, hosts: Vec<String>) -> Options {
        let mut options = Options::default();
        let key = self.hosts.key_file().display().to_string();
        options.0.insert("host".into(), OptionValue::Many(hosts));
        options.0.insert("ssh-key".into(), OptionValue::One(key));
        for (name, value) in &self.more {
            options.0.insert(name.clone(), OptionValue::One(value.clone()));
        }
        options
    }

    fn open_with(&self, hosts: Vec<String>) -> Arc<dyn Driver> {
        generic::open(&self.options_for(hosts), &self.folder, &Dialer::default()).unwrap()
    }

    fn request(&self, name: &str, managers: u32, workers: u32) -> ClusterRequest {
        static SERIAL: AtomicU32 = AtomicU32::new(0);

        let members = |protocol, port| FirewallRule { protocol, port: Some(port), source: RuleSource::Members };
        let mark = format!("mark-of-{name}-{}", SERIAL.fetch_add(1, Ordering::Relaxed));
        ClusterRequest {
            managers,
            workers,
            firewall: vec![
                FirewallRule { protocol: Protocol::Tcp, port: Some(2376), source: RuleSource::Operator },
                members(Protocol::Tcp, 2377),
                members(Protocol::Tcp, 7946),
                members(Protocol::Udp, 7946),
                members(Protocol::Udp, 4789),
            ],
            options: self.options_for(self.given()),
            ..cluster_request(mark, name)
        }
    }

    /// Runs the whole of a create and returns the names of the machines by host.
    async fn create(&self, driver: &dyn Driver, request: &ClusterRequest) -> Result<Vec<String>, DriverError> {
        driver.preflight(request).await?;
        let network = driver.ensure_network(request).await?;
        let count = request.managers + request.workers;
        let machines: Vec<_> = (1..=count).map(|number| self.machine(request, number)).collect();
        let instances = driver.create(&network, &machines, &Silent).await?;
        Ok(instances.into_iter().map(|instance| format!("{} {}", instance.name, instance.id)).collect())
    }

    async fn destroy(&self, driver: &dyn Driver, request: &ClusterRequest) {
        let found = driver.find(Some(&request.id)).await.unwrap();
        let ids: Vec<_> = found.into_iter().filter_map(|resource| resource.instance).collect();
        driver.destroy(&ids).await.unwrap();
        assert_eq!(driver.find(Some(&request.id)).await.unwrap(), []);
    }
}

impl Bench for Desk {
    fn driver(&self) -> Arc<dyn Driver> {
        self.open_with(self.given())
    }

    fn cluster(&self, name: &str) -> ClusterRequest {
        self.request(name, 2, 1)
    }
}

fn traces(host: &Host) -> String {
    host.shell(
        "ls -d /var/lib/swarmup-host /var/lib/swarmd /usr/local/bin/swarmd /usr/local/bin/.swarmup* 2>/dev/null || true",
    )
    .unwrap()
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, DriverError>) -> String {
    outcome.unwrap_err().to_string()
}

#[tokio::test]
async fn the_conformance_suite_passes_as_root() {
    let desk = Desk::new(3, "root");

    conformance::run(&desk).await;

    assert!(desk.hosts.all().iter().all(|host| traces(host).is_empty()));
}

#[tokio::test]
async fn the_conformance_suite_passes_as_a_sudo_user() {
    let desk = Desk::new(3, "ops");

    conformance::run(&desk).await;

    assert!(desk.hosts.all().iter().all(|host| traces(host).is_empty()));
}

#[tokio::test]
async fn hosts_become_machines_in_the_order_given() {
    let desk = Desk::new(3, "root");
    let mut given = desk.given();
    given.reverse();
    let driver = desk.open_with(given);
    let request = desk.request("lab", 1, 2);

    let machines = desk.create(&*driver, &request).await.unwrap();

    assert_eq!(
        machines,
        ["lab-node-1 root@10.77.1.3:22", "lab-node-2 root@10.77.1.2:22", "lab-node-3 root@10.77.1.1:22"]
    );
    desk.destroy(&*driver, &request).await;
}

#[tokio::test]
async fn machines_carry_their_address_and_the_key_that_was_pinned() {
    let desk = Desk::new(2, "ops");
    let given: Vec<_> = desk.hosts.all().iter().map(|host| format!("ops@[{}]:22", host.address_v6())).collect();
    let driver = desk.open_with(given);
    let request = desk.request("six", 1, 1);
    let network = driver.ensure_network(&request).await.unwrap();

    let made = driver.create(&network, &[desk.machine(&request, 1)], &Silent).await.unwrap();

    let Some(Access::Ssh(access)) = &made[0].access else { panic!("a way in by SSH") };
    let shown = reach::fingerprint(access.host_key.as_deref().unwrap());
    assert_eq!(shown, reach::fingerprint(&desk.hosts.host(1).host_key().unwrap()));
    assert_eq!((access.user.as_str(), access.host.as_str()), ("ops", "fd77::1"));
    assert_eq!(made[0].private_address, Some(desk.hosts.host(1).address_v6()));
    desk.destroy(&*driver, &request).await;
}

#[tokio::test]
async fn the_address_of_a_named_interface_is_taken() {
    let mut desk = Desk::new(1, "root");
    desk.hosts.host(1).shell("ip link add other0 type bridge; ip address add 192.0.2.7/24 dev other0").unwrap();
    desk.more.push(("address-interface".into(), "other0".into()));
    let driver = desk.driver();
    let request = desk.request("named", 1, 0);
    let network = driver.ensure_network(&request).await.unwrap();

    let made = driver.create(&network, &[desk.machine(&request, 1)], &Silent).await.unwrap();

    assert_eq!(made[0].private_address, "192.0.2.7".parse().ok());
    assert_eq!(made[0].public_address, Some(desk.hosts.host(1).address()));
    desk.destroy(&*driver, &request).await;
    desk.more[0].1 = "nothing0".into();
    let missing = refusal(desk.driver().preflight(&request).await);
    assert!(missing.contains("no interface `nothing0`"), "{missing}");
}

#[tokio::test]
async fn too_few_hosts_are_refused_with_the_counts() {
    let desk = Desk::new(1, "root");

    let refused = refusal(desk.driver().preflight(&desk.request("lab", 3, 2)).await);

    assert_eq!(refused, "option `host` is wrong: 5 machines are asked for (3 managers, 2 workers), 1 hosts are given");
}

#[tokio::test]
async fn one_host_under_two_addresses_is_refused() {
    let desk = Desk::new(2, "root");
    let host = desk.hosts.host(1);
    let given = vec![format!("root@{}", host.address()), format!("root@{}", host.address_v6())];

    let refused = refusal(desk.open_with(given).preflight(&desk.request("lab", 1, 1)).await);

    assert!(refused.ends_with("`root@10.77.1.1:22` and `root@[fd77::1]:22` are the same host"), "{refused}");
}

#[tokio::test]
async fn a_taken_port_is_refused_with_its_holder() {
    let desk = Desk::new(2, "ops");
    desk.hosts.host(2).shell("setsid python3 -c 'import socket, time\ns = socket.socket(); s.bind((\"\", 2377)); s.listen(); time.sleep(1000)' >/dev/null 2>&1 &").unwrap();
    desk.hosts.host(1).shell("setsid python3 -c 'import socket, time\ns = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind((\"\", 4789)); time.sleep(1000)' >/dev/null 2>&1 &").unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let is_bound = |host: &Host| {
        !host.shell("cat /proc/net/tcp /proc/net/udp6 | grep -iE ':(0949|12B5) ' || true").unwrap().is_empty()
    };
    while !desk.hosts.all().iter().all(is_bound) && std::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let holder = |number: u32| desk.hosts.host(number).shell("pgrep -of time.sleep").unwrap().trim().to_owned();

    let refused = refusal(desk.driver().preflight(&desk.request("lab", 1, 1)).await);

    let udp = format!("port 4789/udp of ops@10.77.1.1:22 is taken by `python3` (pid {})", holder(1));
    let tcp = format!("port 2377/tcp of ops@10.77.1.2:22 is taken by `python3` (pid {})", holder(2));
    assert_eq!(refused, format!("{udp}; {tcp}"));
    assert!(desk.hosts.all().iter().all(|host| traces(host).is_empty()));
}

#[tokio::test]
async fn a_port_that_the_kernel_holds_is_refused() {
    let desk = Desk::new(1, "root");
    desk.hosts
        .host(1)
        .shell("ip link add vxlan9 type vxlan id 9 dstport 4789 dev eth0; ip link set vxlan9 up")
        .unwrap();

    let refused = refusal(desk.driver().preflight(&desk.request("lab", 1, 0)).await);

    assert!(refused.starts_with("port 4789/udp of root@10.77.1.1:22 is taken by the kernel"), "{refused}");
}

#[tokio::test]
async fn a_host_of_another_cluster_is_never_touched() {
    let desk = Desk::new(2, "root");
    let driver = desk.driver();
    let theirs = desk.request("theirs", 2, 0);
    desk.create(&*driver, &theirs).await.unwrap();
    let before = desk.hosts.host(1).read_file("/var/lib/swarmup-host/host.json").unwrap();
    let ours = desk.request("ours", 1, 1);
    let elsewhere =
        generic::open(&desk.options_for(desk.given()), &desk.hosts.scratch().join("elsewhere"), &Dialer::default())
            .unwrap();
    let ids: Vec<_> = driver.find(None).await.unwrap().into_iter().filter_map(|found| found.instance).collect();

    let checked = refusal(elsewhere.preflight(&ours).await);
    let network = elsewhere.ensure_network(&ours).await.unwrap();
    let made = refusal(elsewhere.create(&network, &[desk.machine(&ours, 1)], &Silent).await);
    let destroyed = refusal(elsewhere.destroy(&ids).await);
    let stopped = elsewhere.stop(&ids).await;

    assert!(checked.starts_with("root@10.77.1.1:22 belongs to the cluster `theirs`; root@10.77.1.2:22"), "{checked}");
    assert!(made.contains("no free host"), "{made}");
    assert!(destroyed.contains("belongs to the cluster `theirs`"), "{destroyed}");
    assert!(matches!(stopped, Err(DriverError::NoSuchMachine { .. })), "{stopped:?}");
    assert_eq!(desk.hosts.host(1).read_file("/var/lib/swarmup-host/host.json").unwrap(), before);
    desk.destroy(&*driver, &theirs).await;
}

#[tokio::test]
async fn state_of_an_agent_that_nobody_marked_is_refused() {
    let desk = Desk::new(1, "root");
    desk.hosts.host(1).shell("mkdir /var/lib/swarmd; echo x >/var/lib/swarmd/node.json").unwrap();

    let refused = refusal(desk.driver().preflight(&desk.request("lab", 1, 0)).await);

    assert!(refused.contains("no cluster of ours"), "{refused}");
}

#[tokio::test]
async fn two_who_claim_at_the_same_moment_do_not_both_get_the_host() {
    let desk = Desk::new(1, "root");
    let [one, other] = ["one", "other"].map(|name| desk.request(name, 1, 0));
    let drivers = ["one", "other"].map(|name| {
        generic::open(&desk.options_for(desk.given()), &desk.hosts.scratch().join(name), &Dialer::default()).unwrap()
    });
    let network = drivers[0].ensure_network(&one).await.unwrap();
    let other_network = drivers[1].ensure_network(&other).await.unwrap();
    let [machine, other_machine] = [desk.machine(&one, 1), desk.machine(&other, 1)];

    let both = tokio::join!(
        drivers[0].create(&network, std::slice::from_ref(&machine), &Silent),
        drivers[1].create(&other_network, std::slice::from_ref(&other_machine), &Silent),
    );

    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    assert_eq!(drivers[0].find(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn hosts_are_found_though_the_options_no_longer_name_them() {
    let desk = Desk::new(2, "root");
    let request = desk.request("lab", 2, 0);
    desk.create(&*desk.driver(), &request).await.unwrap();
    let fewer = generic::open(&desk.options_for(desk.given()[..1].to_vec()), &desk.folder, &Dialer::default()).unwrap();

    let found = fewer.find(Some(&request.id)).await.unwrap();

    assert_eq!(found.len(), 2);
    desk.destroy(&*fewer, &request).await;
    assert!(desk.hosts.all().iter().all(|host| traces(host).is_empty()));
}

#[tokio::test]
async fn a_host_that_shows_another_key_than_it_did_is_refused() {
    let desk = Desk::new(1, "root");
    let request = desk.request("lab", 1, 0);
    desk.create(&*desk.driver(), &request).await.unwrap();
    let host = desk.hosts.host(1);
    host.shell("rm /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; kill -HUP $(cat /run/sshd.pid)").unwrap();

    let mut error: Box<dyn std::error::Error> = desk.driver().find(Some(&request.id)).await.unwrap_err().into();
    for _ in 0..50 {
        let is_restarting = error.source().is_some_and(|source| source.to_string().contains("refuses connections"));
        if !is_restarting {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        error = desk.driver().find(Some(&request.id)).await.unwrap_err().into();
    }

    assert!(error.source().unwrap().to_string().contains("has changed"), "{error:?}");
}

#[tokio::test]
async fn unreachable_hosts_are_told_with_their_address() {
    let desk = Desk::new(1, "root");
    desk.hosts.host(1).signal("sshd", Signal::Kill).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !desk.hosts.host(1).processes("sshd").unwrap().is_empty() && std::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

    let error = desk.driver().preflight(&desk.request("lab", 1, 0)).await.unwrap_err();

    assert_eq!(error.to_string(), "failed to use root@10.77.1.1:22");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("refuses connections"));
}

#[tokio::test]
async fn a_real_ufw_is_opened_for_the_members_and_closed_exactly() {
    let desk = Desk::new(2, "ops");
    for host in desk.hosts.all() {
        host.shell("sed -i 's/^IPV6=.*/IPV6=no/' /etc/default/ufw; ufw allow 22/tcp; ufw allow proto tcp from 10.77.1.2 to any port 2377; ufw --force enable").unwrap();
    }
    let added = |number: u32| desk.hosts.host(number).shell("ufw show added").unwrap();
    let before = (added(1), added(2));
    let driver = desk.driver();
    let request = desk.request("walled", 1, 1);

    desk.create(&*driver, &request).await.unwrap();
    desk.create(&*driver, &request).await.unwrap();
    let open = added(1);
    let two = driver.find(Some(&request.id)).await.unwrap().swap_remove(1).instance.unwrap();
    driver.destroy(std::slice::from_ref(&two)).await.unwrap();
    let without_two = added(1);
    desk.destroy(&*driver, &request).await;

    for hole in [
        "10.77.1.2 to any port 7946 proto tcp",
        "10.77.1.2 to any port 7946 proto udp",
        "10.77.1.2 to any port 4789 proto udp",
        "10.77.1.254 to any port 2376 proto tcp",
    ] {
        assert!(open.contains(&format!("ufw allow from {hole}")), "{hole} is missing in {open}");
    }
    assert!(!open.contains("from 10.77.1.1 "), "a host needs no hole for itself: {open}");
    assert!(without_two.contains("10.77.1.254 to any port 2376") && !without_two.contains("7946"), "{without_two}");
    assert_eq!((added(1), added(2)), before);
}
