//! What is told of every cloud: a swarm is made there, used, and taken away, and nothing is left.

use serde_json::Value;
use tests::cloud::{Cloud, OPERATOR};
use tests::run::eventually;

/// What a provider's test adds to the story.
pub(crate) struct Teller<'a> {
    pub(crate) cloud: &'a Cloud,
    /// The provider, and the options that it needs here.
    pub(crate) options: &'a str,
    /// Whether somebody ends the machines when their time is up.
    pub(crate) ends_by_itself: bool,
    /// Whether the end of machines that run can be moved.
    pub(crate) is_extensible: bool,
    /// What the provider's books hold that is not gone, in its own words.
    pub(crate) left: &'a dyn Fn() -> Vec<String>,
}

impl Teller<'_> {
    /// The cluster stands: five nodes, five machines, no more.
    fn assert_complete(&self) {
        let nodes = self.cloud.docker("node ls --format {{.Hostname}}|{{.Status}}").answer();
        assert_eq!(nodes.lines().filter(|line| line.ends_with("|Ready")).count(), 5, "{nodes}");
        eventually("there are as many hosts as nodes", || {
            self.cloud.with_hosts(|hosts| (hosts.booted().len() == 5).then_some(()))
        });
    }

    /// The two headline commands, with all that a user sees between them.
    pub(crate) fn tell(&self) {
        let (cloud, options) = (self.cloud, self.options);
        let before = (self.left)();

        let created = cloud.swarmup(&format!(
            "create lab {options} --managers 3 --workers 2 --ssh-from {OPERATOR} --open 80 --ttl 3h"
        ));

        assert!(created.stderr.contains("Create machines     5/5"), "{created}");
        assert_eq!(created.stderr.contains("It ends at"), self.ends_by_itself, "{created}");
        assert_eq!(created.stderr.contains("swarmup extend"), self.ends_by_itself && self.is_extensible, "{created}");
        created.answer();
        let nodes = cloud.docker("node ls --format {{.Hostname}}|{{.Status}}|{{.ManagerStatus}}").answer();
        let count = |words: &str| nodes.lines().filter(|line| line.ends_with(words)).count();
        assert_eq!((count("|Ready|Leader"), count("|Ready|Reachable"), count("|Ready|")), (1, 2, 2), "{nodes}");
        self.assert_complete();
        self.assert_own_host_keys();
        assert!(!cloud.home().join("clusters/lab/first-host-key").exists());

        assert_eq!(cloud.swarmup("ssh node-4 -- cat /etc/hostname").answer(), self.host_name(4));
        let listed: Value =
            serde_json::from_str(&cloud.swarmup(&format!("ls --cloud {options} --output json")).answer()).unwrap();
        assert_eq!(
            (listed[0]["name"].as_str(), listed[0]["machines"].as_array().map(Vec::len)),
            (Some("lab"), Some(5))
        );
        assert!(listed[0]["price"]["per_hour"].as_f64().is_some_and(|price| price > 0.0), "{listed}");

        cloud.swarmup("scale lab --workers 3").answer();
        cloud.swarmup("scale lab --workers 2").answer();
        assert_eq!(cloud.docker("node ls -q").answer().lines().count(), 5);
        let extended = cloud.swarmup("extend lab --by 1h");
        assert_eq!(extended.is_done(), self.is_extensible, "{extended}");
        cloud.swarmup("node stop node-5").answer();
        let down = cloud.docker("node ls --filter name=node-5 --format {{.Status}}").answer();
        assert_eq!(down, "Down");
        cloud.swarmup("node start node-5").answer();
        self.assert_complete();

        cloud.swarmup("destroy lab --yes").answer();

        assert_eq!((self.left)(), before);
        eventually("no host is left", || cloud.with_hosts(|hosts| hosts.booted().is_empty().then_some(())));
        assert!(!cloud.home().join("clusters/lab").exists());
    }

    /// The name that a node's host gave itself.
    fn host_name(&self, number: u32) -> String {
        let ip = self.cloud.swarmup(&format!("ip node-{number}")).answer();
        format!("host-{}", ip.rsplit('.').next().unwrap())
    }

    /// Each machine shows a key of its own, and none the one that every process there can read in its user-data.
    fn assert_own_host_keys(&self) {
        let journal = std::fs::read(self.cloud.home().join("clusters/lab/journal.json")).unwrap();
        let journal: Value = serde_json::from_slice(&journal).unwrap();
        let shown = self.cloud.with_hosts(|hosts| {
            let hosts = hosts.hosts().all().iter();
            hosts.map(|host| (host.address().to_string(), host.host_key().unwrap())).collect::<Vec<_>>()
        });
        let mut keys: Vec<_> = shown.iter().map(|(_, key)| key.clone()).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 5, "five machines show five keys");
        for machine in journal["machines"].as_object().unwrap().values() {
            let access = &machine["instance"]["access"];
            let (_, key) = shown.iter().find(|(address, _)| access["host"] == address.as_str()).unwrap();
            assert_eq!(access["host_key"].as_str().unwrap().trim(), key.trim());
        }
    }
}
