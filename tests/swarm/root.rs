//! The swarm's root changes under the stock `docker` command, and everybody goes on: nodes, clients, `swarmup`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Host, Hosts, Signal, isolated};

use crate::bare::{docker, nodes, start_agent};
use crate::cluster::Cluster;
use crate::workstation::Workstation;
use tests::run::{Run, eventually};

/// What `docker swarm ca` works with, of every node.
const NODE_TRUST: &str = "{{.Description.TLSInfo.CertIssuerPublicKey}}|{{.Description.TLSInfo.TrustRoot}}";
/// Whether a change is under way.
const IN_PROGRESS: &str = "info --format {{.Swarm.Cluster.RootRotationInProgress}}";

/// An authority as operators make them, and a key that is not its own.
struct Example {
    certificate: PathBuf,
    key: PathBuf,
    other_key: PathBuf,
}

fn example_root(folder: &Path) -> Example {
    let path = |name: &str| folder.join(name);
    let example = Example { certificate: path("ca.crt"), key: path("ca.key"), other_key: path("other.key") };
    for key in [&example.key, &example.other_key] {
        Run::of(Command::new("openssl").args(["ecparam", "-name", "prime256v1", "-genkey", "-out"]).arg(key)).answer();
    }
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-days", "3650", "-subj", "/O=Example/CN=Example swarm root", "-key"]);
    Run::of(openssl.arg(&example.key).arg("-out").arg(&example.certificate)).answer();
    example
}

/// The last certificate that a command printed.
fn last_certificate(text: &str) -> String {
    let begin = text.rfind("-----BEGIN CERTIFICATE-----").expect("a certificate is printed");
    text[begin..].trim_end().to_owned()
}

/// The tokens of workers and managers.
fn tokens(ask: impl Fn(&str) -> Run) -> [String; 2] {
    ["worker", "manager"].map(|role| ask(&format!("swarm join-token -q {role}")).answer())
}

fn client_root(lab: &Cluster<'_>) -> String {
    fs::read_to_string(lab.client_file("ca.pem")).unwrap().trim_end().to_owned()
}

#[test]
fn a_clusters_root_is_changed_by_docker_and_swarmup_follows() {
    isolated("root::a_clusters_root_is_changed_by_docker_and_swarmup_follows", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab");
        let (first, old_tokens) = (client_root(&lab), tokens(|ask| lab.docker(ask)));
        assert_eq!(lab.docker("swarm ca").answer(), first);

        // The client knows the old root only, before, during and after.
        let shown = lab.docker("swarm ca --rotate").answer();
        let second = last_certificate(&shown);
        assert!(shown.contains("desired root digest: sha256:"), "{shown}");
        assert_ne!(second, first);
        assert_eq!(lab.docker("swarm ca").answer(), second);
        assert_eq!(client_root(&lab), first);
        for manager in ["node-1", "node-2", "node-3"] {
            assert!(lab.nodes_on(manager).unwrap().iter().all(|node| node.status == "Ready"));
        }
        let new_tokens = tokens(|ask| lab.docker(ask));
        assert!(old_tokens.iter().zip(&new_tokens).all(|(old, new)| old != new), "{new_tokens:?}");

        // Its next command learns the new one, and by the new token another node joins.
        workstation.swarmup("env lab").answer();
        assert_eq!(client_root(&lab), second);
        workstation.swarmup("scale lab --workers 3").answer();
        lab.wait_until_well("node-2", 3, 3);

        // A root of the operator's own, and what is wrong with others.
        let example = example_root(workstation.scratch());
        let rotate = |key: &Path, more: &str| {
            let (certificate, key) = (example.certificate.display(), key.display());
            lab.docker(&format!("swarm ca --rotate {more} --ca-cert {certificate} --ca-key {key}"))
        };
        let refused = rotate(&example.other_key, "").refusal();
        assert!(refused.contains("rpc error: code = InvalidArgument desc = certificate key mismatch"), "{refused}");
        assert_eq!(lab.docker(IN_PROGRESS).answer(), "false");
        assert_eq!(rotate(&example.key, "--quiet --cert-expiry 48h").answer(), "");
        let third = fs::read_to_string(&example.certificate).unwrap().trim_end().to_owned();
        assert_eq!(lab.docker("swarm ca").answer(), third);
        assert!(!lab.docker("info --format json").answer().contains("PRIVATE KEY"));
        assert_eq!(lab.docker("info --format {{.Swarm.Cluster.Spec.CAConfig.NodeCertExpiry}}").answer(), "48h0m0s");
        lab.wait_until_well("node-3", 3, 3);
        workstation.swarmup("scale lab --workers 2").answer();
        assert_eq!(client_root(&lab), third);

        lab.destroy();
    });
}

/// Issuer and roots of every node.
fn trust(host: &Host) -> Vec<String> {
    let ids: Vec<_> = eventually("the manager answers", || nodes(host)).into_iter().map(|node| node.id).collect();
    ids.iter().map(|id| docker(host, &format!("node inspect {id} --format {NODE_TRUST}")).answer()).collect()
}

#[track_caller]
fn wait_until_all_are_ready(host: &Host, count: usize) {
    eventually(&format!("{count} nodes are ready"), || {
        let nodes = nodes(host)?;
        (nodes.len() == count && nodes.iter().all(|node| node.status == "Ready")).then_some(())
    });
}

#[test]
fn a_manager_that_is_down_is_waited_for_and_only_then_are_tokens_new() {
    let hosts = Hosts::start(6).unwrap();
    hosts.all().iter().for_each(start_agent);
    let [first, second, third, newcomer] = [1, 2, 3, 6].map(|number| hosts.host(number));
    docker(first, "swarm init --advertise-addr eth0").answer();
    let [worker, manager] = tokens(|ask| docker(first, ask));
    let join = |host: &Host, token: &str| docker(host, &format!("swarm join --token {token} {}:2377", first.address()));
    for (number, token) in [(2, &manager), (3, &manager), (4, &worker), (5, &worker)] {
        join(hosts.host(number), token).answer();
    }
    wait_until_all_are_ready(first, 5);
    let before = trust(first);
    assert!(before.iter().all(|trust| *trust == before[0]), "{before:?}");

    third.signal("swarmd", Signal::Kill).unwrap();
    eventually("the manager is down", || {
        nodes(first)?.iter().any(|node| node.hostname == "node-3" && node.status == "Down").then_some(())
    });
    docker(second, "swarm ca --rotate --detach").answer();
    eventually("all others have changed over", || {
        let left = trust(first).iter().filter(|trust| **trust == before[0]).count();
        (left == 1).then_some(())
    });
    assert_eq!(docker(first, IN_PROGRESS).answer(), "true");
    assert_eq!(tokens(|ask| docker(first, ask)), [worker.clone(), manager]);

    start_agent(third);
    eventually("the change is complete", || (docker(first, IN_PROGRESS).answer() == "false").then_some(()));
    let root = docker(first, "swarm ca").answer();
    eventually("every node trusts the new root alone", || {
        let after = trust(first);
        (after.iter().all(|trust| *trust == after[0]) && after[0].trim_end().ends_with(&root)).then_some(())
    });
    wait_until_all_are_ready(third, 5);

    let refused = join(newcomer, &worker).refusal();
    assert!(refused.contains("remote CA does not match fingerprint"), "{refused}");
    let [renewed, _] = tokens(|ask| docker(third, ask));
    join(newcomer, &renewed).answer();
    wait_until_all_are_ready(second, 6);
}
