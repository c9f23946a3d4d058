//! Who may speak to whom: certificates in the wrong place are refused at every port.
//!
//! `curl` is the stranger: it has the real keys of real nodes and clients, and brings them to the wrong port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::isolated;

use crate::cluster::Cluster;
use crate::workstation::Workstation;
use tests::run::{Run, limited};

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(20);
/// A status of gRPC.
const PERMISSION_DENIED: &str = "grpc-status: 7";
const UNAUTHENTICATED: &str = "grpc-status: 16";

/// A certificate with its key, in files.
struct Credentials {
    certificate: PathBuf,
    key: PathBuf,
}

/// Those of a node, taken from its disk.
fn of_node(lab: &Cluster<'_>, hostname: &str, folder: &Path) -> Credentials {
    let identity = fs::read(lab.file(hostname, "/var/lib/swarmd/swarm/identity.json")).unwrap();
    let identity: Value = serde_json::from_slice(&identity).unwrap();
    let save = |part: &str| {
        let path = folder.join(format!("{hostname}-{part}.pem"));
        fs::write(&path, identity[part].as_str().unwrap()).unwrap();
        path
    };
    Credentials { certificate: save("certificate"), key: save("key") }
}

/// Those of the cluster's user.
fn of_client(lab: &Cluster<'_>) -> Credentials {
    Credentials { certificate: lab.client_file("cert.pem"), key: lab.client_file("key.pem") }
}

/// Those of somebody whom an authority of his own has signed, with the same names as a real one.
fn of_stranger(folder: &Path) -> Credentials {
    let stranger = Credentials { certificate: folder.join("stranger.pem"), key: folder.join("stranger-key.pem") };
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]);
    openssl.args(["-subj", "/CN=swarmup", "-addext", "extendedKeyUsage=clientAuth", "-keyout"]).arg(&stranger.key);
    Run::of(openssl.arg("-out").arg(&stranger.certificate)).answer();
    stranger
}

fn curl(lab: &Cluster<'_>, credentials: Option<&Credentials>) -> Command {
    let mut curl = limited(LIMIT, "curl");
    // The names in nodes' certificates are ids: who the server is does not matter here, the answer does.
    curl.args(["--silent", "--show-error", "--insecure", "--cacert"]).arg(lab.client_file("ca.pem"));
    if let Some(credentials) = credentials {
        curl.arg("--cert").arg(&credentials.certificate).arg("--key").arg(&credentials.key);
    }
    curl
}

/// Asks for the Engine API of `node-1`.
fn engine_api(lab: &Cluster<'_>, credentials: Option<&Credentials>) -> Run {
    Run::of(curl(lab, credentials).arg(format!("https://{}:2376/_ping", lab.address("node-1"))))
}

/// Calls a method between nodes on `node-1`, without a message: who may call is settled before one is read, and a
/// refusal that met a message under way would be a broken stream to `curl`. What comes back is the headers and trailers.
fn call(lab: &Cluster<'_>, credentials: Option<&Credentials>, method: &str) -> Run {
    let mut curl = curl(lab, credentials);
    curl.args(["--http2", "--dump-header", "-", "--output", "/dev/null", "--header", "content-type: application/grpc"]);
    curl.args(["--header", "te: trailers", "--request", "POST"]);
    Run::of(curl.arg(format!("https://{}:2377/{method}", lab.address("node-1"))))
}

/// Every call that only managers may make.
const MANAGERS_CALLS: [&str; 5] = [
    "swarmd.Raft/Call",
    "swarmd.Control/Execute",
    "swarmd.Control/ReadPoint",
    "swarmd.Membership/Join",
    "swarmd.Membership/Leave",
];

#[test]
fn a_certificate_in_the_wrong_place_is_refused() {
    isolated("trust::a_certificate_in_the_wrong_place_is_refused", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab --managers 1 --workers 1");
        let manager = of_node(&lab, "node-1", workstation.scratch());
        let worker = of_node(&lab, "node-2", workstation.scratch());
        let client = of_client(&lab);
        let stranger = of_stranger(workstation.scratch());

        // The Engine API is for the cluster's clients alone.
        assert_eq!(engine_api(&lab, Some(&client)).answer(), "OK");
        for refused in [Some(&manager), Some(&worker), Some(&stranger), None] {
            engine_api(&lab, refused).unanswered();
        }

        // Between nodes, a certificate of anybody else ends the handshake.
        for method in MANAGERS_CALLS.into_iter().chain(["swarmd.Certificates/Roots", "swarmd.Dispatcher/Heartbeat"]) {
            for refused in [&client, &stranger] {
                call(&lab, Some(refused), method).unanswered();
            }
        }

        // A worker is a node, but no manager; who brings no certificate is nobody.
        for method in MANAGERS_CALLS {
            let refused = call(&lab, Some(&worker), method).answer();
            assert!(refused.contains(PERMISSION_DENIED), "{method}: {refused}");
            let refused = call(&lab, None, method).answer();
            assert!(refused.contains(UNAUTHENTICATED) || refused.contains(PERMISSION_DENIED), "{method}: {refused}");
            let heard = call(&lab, Some(&manager), method).answer();
            assert!(!heard.contains(PERMISSION_DENIED) && !heard.contains(UNAUTHENTICATED), "{method}: {heard}");
        }
        let heard = call(&lab, Some(&worker), "swarmd.Dispatcher/Heartbeat").answer();
        assert!(!heard.contains(PERMISSION_DENIED) && !heard.contains(UNAUTHENTICATED), "{heard}");
        let refused = call(&lab, None, "swarmd.Dispatcher/Heartbeat").answer();
        assert!(refused.contains(UNAUTHENTICATED) || refused.contains(PERMISSION_DENIED), "{refused}");

        // None of it has harmed the swarm.
        lab.wait_until_well("node-1", 1, 1);
        lab.destroy();
    });
}

#[test]
fn a_client_of_another_cluster_is_refused_by_its_docker() {
    isolated("trust::a_client_of_another_cluster_is_refused_by_its_docker", || {
        let workstation = Workstation::new();
        let lab = workstation.create("lab --managers 1 --workers 0");
        let other = workstation.create("other --managers 1 --workers 0");
        for name in ["cert.pem", "key.pem"] {
            fs::copy(other.client_file(name), lab.client_file(name)).unwrap();
        }

        let refused = lab.docker("node ls").refusal();

        assert!(refused.contains("tls:") || refused.contains("certificate"), "{refused}");
        assert_eq!(other.nodes().len(), 1);
    });
}
