//! The real agent on given hosts: installed, stopped, started, killed, rebooted, taken away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driver::conformance::{cluster_request, machine_request};
use driver::{Access, ClusterId, ClusterRequest, Driver, Instance, MachineRequest, OptionValue, Options, Silent};
use model::{InstallRequest, ServiceReport};
use reach::{AGENT_PATH, Dialer, ServiceError, Session, Upload, service};
use tests::{Hosts, Signal};

const MARK: &str = "mark-of-lab";

struct Lab {
    hosts: Hosts,
    instance: Instance,
}

impl Lab {
    /// One host with the agent on it, which belongs to no swarm.
    async fn new(hosts: Hosts, user: &str) -> Self {
        hosts.enter_operator().unwrap();
        let driver = open(&hosts, user);
        let request = request();
        driver.preflight(&request).await.unwrap();
        let network = driver.ensure_network(&request).await.unwrap();
        let instance = driver.create(&network, &[machine()], &Silent).await.unwrap().swap_remove(0);
        let lab = Self { hosts, instance };
        let session = lab.session().await;
        let agent = std::fs::read(tests::agent().unwrap()).unwrap();
        session.upload(&Upload::raw(AGENT_PATH, 0o755, agent)).await.unwrap();
        let report = service::install(&*session, &install(MARK)).await.unwrap();
        assert!(report.is_running);
        session.close().await;
        lab
    }

    async fn session(&self) -> Arc<dyn Session> {
        let access = self.instance.access.clone().unwrap();
        assert!(matches!(access, Access::Ssh(_)));
        Dialer::default().dial("lab-node-1", &access).await.unwrap()
    }

    /// Waits until the agent's service says what is expected, and returns what it says.
    async fn wait_for(&self, expected: impl Fn(&ServiceReport) -> bool) -> ServiceReport {
        let session = self.session().await;
        let waiting = async {
            loop {
                match service::status(&*session).await {
                    Ok(report) if expected(&report) => return report,
                    Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let report = tokio::time::timeout(Duration::from_secs(40), waiting).await;
        session.close().await;
        report.expect("the agent does what is expected in time")
    }
}

fn open(hosts: &Hosts, user: &str) -> Arc<dyn Driver> {
    let host = format!("{user}@{}", hosts.host(1).address());
    let key = hosts.key_file().display().to_string();
    let options = [("host".to_owned(), OptionValue::Many(vec![host])), ("ssh-key".to_owned(), OptionValue::One(key))];
    generic::open(&Options(options.into()), &hosts.scratch().join("state"), &Dialer::default()).unwrap()
}

fn request() -> ClusterRequest {
    ClusterRequest { managers: 1, workers: 0, ..cluster_request(MARK, "lab") }
}

fn machine() -> MachineRequest {
    MachineRequest { group: "managers".into(), ..machine_request(&request(), 1) }
}

fn install(mark: &str) -> InstallRequest {
    InstallRequest {
        mark: mark.into(),
        cluster_name: "lab".into(),
        hostname: "node-1".into(),
        unit: None,
        labels: BTreeMap::new(),
        bootstrap: None,
        lease: None,
    }
}

async fn leaves_no_trace(user: &str) {
    let hosts = Hosts::start(1).unwrap();
    let before = hosts.host(1).snapshot().unwrap();
    let lab = Lab::new(hosts, user).await;
    let driver = open(&lab.hosts, user);
    let id = lab.instance.id.clone();

    driver.stop(std::slice::from_ref(&id)).await.unwrap();
    let stopped = lab.wait_for(|report| !report.is_running).await;
    driver.start(std::slice::from_ref(&id)).await.unwrap();
    let started = lab.wait_for(|report| report.is_running).await;
    let found = driver.find(Some(&ClusterId(MARK.into()))).await.unwrap();
    driver.destroy(&[id]).await.unwrap();

    assert_eq!((stopped.mark.as_deref(), started.mark.as_deref()), (Some(MARK), Some(MARK)));
    assert_eq!(found.len(), 1);
    assert_eq!(driver.find(None).await.unwrap(), []);
    assert_eq!(before.changes(&lab.hosts.host(1).snapshot().unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn an_agent_goes_without_a_trace_as_root() {
    leaves_no_trace("root").await;
}

#[tokio::test]
async fn an_agent_goes_without_a_trace_as_a_sudo_user() {
    leaves_no_trace("ops").await;
}

#[tokio::test]
async fn an_agent_that_is_killed_comes_back() {
    let lab = Lab::new(Hosts::start(1).unwrap(), "root").await;
    let host = lab.hosts.host(1);
    let agent_of = |report: &str| report.trim().parse::<u32>().unwrap();
    let before = agent_of(&host.read_file("/run/swarmd/agent.pid").map(|text| first_number(&text)).unwrap());

    host.shell(&format!("kill -KILL {before}")).unwrap();

    let came_back = async {
        loop {
            let text = host.read_file("/run/swarmd/agent.pid").unwrap_or_default();
            if first_number(&text).parse::<u32>().is_ok_and(|pid| pid != before) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), came_back).await.expect("a new agent runs in time");
    lab.wait_for(|report| report.is_running).await;
    open(&lab.hosts, "root").destroy(std::slice::from_ref(&lab.instance.id)).await.unwrap();
}

#[tokio::test]
async fn an_agent_and_its_supervisor_that_are_killed_come_back_with_the_host() {
    let mut lab = Lab::new(Hosts::start(1).unwrap(), "root").await;
    lab.hosts.host(1).signal("swarmd", Signal::Kill).unwrap();

    lab.hosts.host_mut(1).reboot().unwrap();

    let report = lab.wait_for(|report| report.is_running).await;
    assert_eq!(report.starts_at_boot.as_deref(), Some("sysv"));
    open(&lab.hosts, "root").destroy(std::slice::from_ref(&lab.instance.id)).await.unwrap();
    assert!(!lab.hosts.host(1).has(AGENT_PATH).unwrap());
}

#[tokio::test]
async fn an_agent_of_another_mark_is_neither_replaced_nor_removed() {
    let lab = Lab::new(Hosts::start(1).unwrap(), "root").await;
    let session = lab.session().await;

    let installed = service::install(&*session, &install("another")).await;
    let removed = service::remove(&*session, "another").await;

    assert!(matches!(installed, Err(ServiceError::Refused { .. })), "{installed:?}");
    assert!(matches!(removed, Err(ServiceError::Refused { .. })), "{removed:?}");
    assert!(lab.wait_for(|report| report.is_running).await.mark.as_deref() == Some(MARK));
    open(&lab.hosts, "root").destroy(std::slice::from_ref(&lab.instance.id)).await.unwrap();
}

fn first_number(text: &str) -> String {
    text.split(|character: char| !character.is_ascii_digit()).find(|part| !part.is_empty()).unwrap_or("").to_owned()
}
