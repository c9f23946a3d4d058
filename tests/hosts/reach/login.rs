//! Keys, host keys, and addresses that do not answer.

use std::path::PathBuf;

use super::*;

#[tokio::test]
async fn a_key_that_the_host_does_not_know_is_told_clearly() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    access.key_file = Some(hosts.generate_key("stranger", &["-t", "ed25519"]).unwrap());

    let error = dial(access).await.unwrap_err();

    assert!(matches!(&error, ReachError::Unauthorized { tried, .. } if tried.ends_with("/stranger")), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_changed_host_key_is_refused_with_both_fingerprints() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    let pinned = fs::read_to_string(hosts.scratch().join("key.pub")).unwrap();
    access.host_key = Some(pinned.clone());

    let error = dial(access).await.unwrap_err();

    let ReachError::HostKeyChanged { expected, offered, .. } = &error else { panic!("{error}") };
    assert_eq!(Some(expected), reach::fingerprint(&pinned).as_ref());
    assert_eq!(Some(offered), reach::fingerprint(&hosts.host(1).host_key().unwrap()).as_ref());
}

#[tokio::test]
async fn a_host_whose_key_of_the_pinned_kind_is_gone_is_refused() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    let pinned = hosts.generate_key("old-host-key", &["-t", "rsa", "-b", "2048"]).unwrap();
    access.host_key = Some(fs::read_to_string(pinned.with_extension("pub")).unwrap());

    let error = dial(access).await.unwrap_err();

    assert!(matches!(error, ReachError::HostKeyChanged { .. }), "{error}");
}

#[tokio::test]
async fn a_pin_of_another_kind_than_the_favorite_is_honored() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    access.host_key = Some(hosts.host(1).read_file("/etc/ssh/ssh_host_ecdsa_key.pub").unwrap());

    let session = dial(access).await.unwrap();

    assert!(session.host_key().unwrap().starts_with("ecdsa-sha2-nistp256 "));
}

#[tokio::test]
async fn the_first_key_is_accepted_and_handed_back_to_be_pinned() {
    let (hosts, _session) = session("root").await;
    let mut first = access(&hosts, hosts.host(1), "root");
    first.host_key = None;

    let session = dial(first.clone()).await.unwrap();
    first.host_key = session.host_key().map(str::to_owned);
    let again = dial(first.clone()).await;

    let fingerprint = |key: &str| reach::fingerprint(key).unwrap();
    assert_eq!(fingerprint(first.host_key.as_deref().unwrap()), fingerprint(&hosts.host(1).host_key().unwrap()));
    assert!(again.is_ok());
}

#[tokio::test]
async fn a_silent_address_is_given_up_in_time() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    access.host = hosts.silent_address().to_string();
    let dialer = Dialer { connect_timeout: Duration::from_millis(700), ..Dialer::default() };
    let started = Instant::now();

    let error = dialer.dial("machine", &Access::Ssh(access)).await.unwrap_err();

    assert!(matches!(error, ReachError::TimedOut { action: "connect", .. }), "{error}");
    assert!(error.is_transient());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_port_without_a_server_is_told_from_a_silent_address() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    access.port = 2222;

    let error = dial(access).await.unwrap_err();

    assert!(matches!(error, ReachError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let (hosts, _session) = session("root").await;
    hosts.host(1).signal("sshd", Signal::Freeze).unwrap();
    let dialer = Dialer { connect_timeout: Duration::from_millis(700), ..Dialer::default() };

    let error = dialer.dial("m", &Access::Ssh(access(&hosts, hosts.host(1), "root"))).await;
    hosts.host(1).signal("sshd", Signal::Thaw).unwrap();

    assert!(matches!(error, Err(ReachError::TimedOut { .. })), "{error:?}");
}

#[tokio::test]
async fn a_protected_key_is_told_with_the_way_out() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    let key = hosts.generate_key("protected", &["-t", "ed25519"]).unwrap();
    let protect = ["-q", "-p", "-P", "", "-N", "secret", "-f"];
    assert!(std::process::Command::new("ssh-keygen").args(protect).arg(&key).status().unwrap().success());
    access.key_file = Some(key);

    let error = dial(access).await.unwrap_err();

    assert!(matches!(error, ReachError::KeyEncrypted { .. }), "{error}");
    assert!(error.hint().unwrap().contains("ssh-add"));
}

#[tokio::test]
async fn a_file_that_is_no_key_is_told_clearly() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    access.key_file = Some(hosts.scratch().join("key.pub"));

    let error = dial(access).await.unwrap_err();

    assert!(matches!(error, ReachError::KeyUnreadable { .. }), "{error}");
}

#[tokio::test]
async fn rsa_keys_log_in_with_a_hash_that_the_host_takes() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    let key = hosts.generate_key("rsa", &["-t", "rsa", "-b", "2048"]).unwrap();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    hosts.host(1).shell(&format!("echo '{}' >>/root/.ssh/authorized_keys", public.trim())).unwrap();
    access.key_file = Some(key);

    let output = dial(access).await.unwrap().run(&Command::argv(["id", "-un"])).await.unwrap();

    assert_eq!(output.text(), "root");
}

#[tokio::test]
async fn the_agents_keys_are_tried_one_after_another() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    access.key_file = None;
    let stranger = hosts.generate_key("stranger", &["-t", "ed25519"]).unwrap();
    let agent = SshAgent::start(hosts.scratch());
    let dialer = Dialer { agent_socket: Some(agent.socket.clone()), ..Dialer::default() };

    let empty = dialer.dial("m", &Access::Ssh(access.clone())).await.unwrap_err();
    agent.add(&stranger);
    let unknown = dialer.dial("m", &Access::Ssh(access.clone())).await.unwrap_err();
    agent.add(&hosts.key_file());
    let session = dialer.dial("m", &Access::Ssh(access.clone())).await.unwrap();
    let none = dial(access).await.unwrap_err();

    assert!(matches!(empty, ReachError::NoKey { .. }), "{empty}");
    assert!(matches!(unknown, ReachError::Unauthorized { .. }), "{unknown}");
    assert!(session.run(&Command::argv(["true"])).await.unwrap().is_success());
    assert!(matches!(none, ReachError::NoKey { .. }), "{none}");
}

#[tokio::test]
async fn hosts_are_reached_by_ipv6() {
    let (hosts, _session) = session("root").await;
    let mut access = access(&hosts, hosts.host(1), "root");
    access.host = hosts.host(1).address_v6().to_string();

    let session = dial(access).await.unwrap();

    assert_eq!(session.peer(), "root@[fd77::1]:22");
}

/// An `ssh-agent` of the test's own.
struct SshAgent {
    process: std::process::Child,
    socket: PathBuf,
}

impl SshAgent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent.sock");
        let process = std::process::Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !socket.exists() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Self { process, socket }
    }

    fn add(&self, key: &Path) {
        let mut command = std::process::Command::new("ssh-add");
        let status = command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
