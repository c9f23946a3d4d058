//! `swarmd run` started by hand, and spoken to by `swarmd api`.

use crate::host::Host;
use crate::wait::eventually;

/// The address that the host advertises.
const ADDRESS: &str = "192.0.2.1";

/// A host on which somebody has started the agent.
fn host_with_an_agent() -> Host {
    let host = Host::new();
    host.shell(&format!("ip address add {ADDRESS}/24 dev lo"));
    start(&host);
    host
}

pub(crate) fn start(host: &Host) {
    host.shell(&format!("{} run >/run/agent.log 2>&1 & echo $! > /run/agent", env!("CARGO_BIN_EXE_swarmd")));
    eventually(|| host.uploaded(&["api", "GET", "/_ping"], b"").status.success());
}

/// The body of a call that must succeed.
pub(crate) fn call(host: &Host, method: &str, path: &str, body: &str) -> serde_json::Value {
    let output = host.uploaded(&["api", method, path], body.as_bytes());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{method} {path}: {text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap()
}

fn found_a_swarm(host: &Host) -> String {
    let body = format!("{{\"ListenAddr\":\"0.0.0.0:2377\",\"AdvertiseAddr\":\"{ADDRESS}\"}}");
    call(host, "POST", "/swarm/init", &body).as_str().unwrap().to_owned()
}

#[test]
fn a_bare_agent_founds_a_swarm() {
    let host = host_with_an_agent();

    let id = found_a_swarm(&host);

    eventually(|| call(&host, "GET", "/nodes", "")[0]["Status"]["State"] == "ready");
    let node = &call(&host, "GET", "/nodes", "")[0];
    assert_eq!(node["ID"], id);
    assert_eq!(node["Description"]["Hostname"], "node-host");
    assert_eq!(node["ManagerStatus"]["Addr"], format!("{ADDRESS}:2377"));
}

#[test]
fn an_agent_that_is_started_again_is_the_same_node() {
    let host = host_with_an_agent();
    let id = found_a_swarm(&host);

    host.shell("kill -TERM $(cat /run/agent); while [ -e /run/swarmd/swarmd.sock ]; do :; done");
    start(&host);

    assert_eq!(call(&host, "GET", "/nodes", "")[0]["ID"], id);
}

#[test]
fn an_agent_that_is_started_in_the_moment_another_is_killed_is_the_same_manager_at_once() {
    let host = host_with_an_agent();
    let id = found_a_swarm(&host);

    for _ in 0..10 {
        host.shell("kill -KILL $(cat /run/agent)");
        start(&host);
        assert_eq!(call(&host, "GET", "/nodes", "")[0]["ID"], id);
    }
}

#[test]
fn an_agent_beside_another_one_names_it_and_touches_nothing() {
    let host = host_with_an_agent();
    let id = found_a_swarm(&host);

    let second = host.uploaded(&["run"], b"");

    let words = String::from_utf8_lossy(&second.stderr);
    let holder = host.shell("cat /run/agent");
    assert!(!second.status.success());
    assert!(words.contains(&format!("another agent (process {holder}) has the state in `/var/lib/swarmd`")), "{words}");
    assert_eq!(call(&host, "GET", "/nodes", "")[0]["ID"], id);
}

#[test]
fn sockets_are_for_root_alone_and_go_with_the_agent() {
    let host = host_with_an_agent();
    let modes = host.shell("stat -c %a /run/swarmd/swarmd.sock /var/run/docker.sock");

    host.shell("kill -TERM $(cat /run/agent); while [ -e /run/swarmd/swarmd.sock ]; do :; done");

    assert_eq!(modes, "600\n600");
    eventually(|| host.shell("ls /var/run/docker.sock 2>/dev/null").is_empty());
}

#[test]
fn the_port_of_the_tls_api_is_left_alone_while_there_is_no_certificate_for_it() {
    let host = host_with_an_agent();

    found_a_swarm(&host);

    // 2376 in hexadecimal digits, in the kernel's tables of sockets.
    assert_eq!(host.shell("grep -c ':0948 ' /proc/net/tcp /proc/net/tcp6 | cut -d: -f2 | sort -u"), "0");
}

#[test]
fn a_call_that_the_api_refuses_ends_with_an_error_and_its_words() {
    let host = host_with_an_agent();

    let output = host.uploaded(&["api", "GET", "/nodes"], b"");

    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("This node is not a swarm manager."));
}
