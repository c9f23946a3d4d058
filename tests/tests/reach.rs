//! Sessions with real hosts: OpenSSH's sshd, sudo, a shell, and files.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use driver::{Access, SshAccess};
use reach::{
    Command, CommandLine, CopyOptions, Dialer, ForwardTarget, Interaction, ReachError, Session, Upload, Uploaded,
    sha256_hex,
};
use tests::{Host, Hosts, Signal};

#[cfg(test)]
mod reach_over_ssh {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn access(hosts: &Hosts, host: &Host, user: &str) -> SshAccess {
        SshAccess {
            host: host.address().to_string(),
            port: 22,
            user: user.to_owned(),
            key_file: Some(hosts.key_file()),
            host_key: Some(host.host_key().unwrap()),
        }
    }

    async fn dial(access: SshAccess) -> Result<Arc<dyn Session>, ReachError> {
        Dialer::default().dial("machine", &Access::Ssh(access)).await
    }

    /// One host, this thread on its network, and a session with it.
    async fn session(user: &str) -> (Hosts, Arc<dyn Session>) {
        let hosts = Hosts::start(1).unwrap();
        hosts.enter_operator().unwrap();
        let session = dial(access(&hosts, hosts.host(1), user)).await.unwrap();
        (hosts, session)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Bytes that do not compress to nothing, some of them not text.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(next).collect()
    }

    #[tokio::test]
    async fn commands_return_their_exit_code_and_both_streams() {
        let (_hosts, session) = session("root").await;

        let output = session.run(&Command::shell("cat; echo oops >&2; exit 7").stdin("hello")).await.unwrap();
        let killed = session.run(&Command::shell("kill -9 $$")).await.unwrap();

        assert_eq!((output.status, &output.stdout[..], &output.stderr[..]), (7, &b"hello"[..], &b"oops\n"[..]));
        assert_eq!(killed.status, 137);
    }

    #[tokio::test]
    async fn arguments_arrive_as_they_are() {
        let (_hosts, session) = session("root").await;
        let odd = ["it's", "a  b", "$HOME", "`id`", "*", "", "new\nline", "\\", "-x"];

        let output = session.run(&Command::argv([&["printf", "%s|"], &odd[..]].concat())).await.unwrap();

        assert_eq!(String::from_utf8_lossy(&output.stdout), odd.map(|word| format!("{word}|")).concat());
    }

    #[tokio::test]
    async fn large_input_goes_through_and_large_output_is_bounded() {
        let (_hosts, session) = session("root").await;
        let input = noise(3_000_000);
        let count = Command::shell("wc -c").stdin(input.clone());
        let flood = Command::shell("head -c 20000000 /dev/zero").output_limit(1000);

        let counted = session.run(&count).await.unwrap();
        let flooded = session.run(&flood).await.unwrap();

        assert_eq!(counted.text(), input.len().to_string());
        assert_eq!((flooded.status, flooded.stdout.len(), flooded.is_truncated), (0, 1000, true));
    }

    #[tokio::test]
    async fn a_command_that_does_not_read_its_input_is_not_waited_for() {
        let (_hosts, session) = session("root").await;

        let output = session.run(&Command::argv(["true"]).stdin(noise(10_000_000))).await.unwrap();

        assert_eq!(output.status, 0);
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_ended() {
        let (hosts, session) = session("root").await;
        let command = Command::shell("exec sleep 1000").timeout(Duration::from_millis(500));

        let error = session.run(&command).await.unwrap_err();

        assert!(matches!(error, ReachError::CommandTimedOut { .. }), "{error}");
        eventually(|| hosts.host(1).processes("sleep").unwrap().is_empty()).await;
    }

    #[tokio::test]
    async fn many_commands_share_one_connection() {
        let (hosts, session) = session("root").await;
        let mut running = tokio::task::JoinSet::new();

        for number in 0..30 {
            let session = Arc::clone(&session);
            running.spawn(async move { session.run(&Command::shell(format!("sleep 0.1; echo {number}"))).await });
        }
        let mut answers: Vec<u32> =
            running.join_all().await.into_iter().map(|output| output.unwrap().text().parse().unwrap()).collect();
        answers.sort_unstable();

        assert_eq!(answers, (0..30).collect::<Vec<_>>());
        let connections = hosts.host(1).shell("ss -Htn state established sport = :22 | wc -l").unwrap();
        assert_eq!(connections.trim(), "1");
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_does_not_hold_it_up() {
        let (_hosts, session) = session("root").await;
        let started = Instant::now();

        let output = session.run(&Command::shell("sleep 1000 & echo left")).await.unwrap();

        assert_eq!(output.text(), "left");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_sudo_user_becomes_root_where_asked() {
        let (hosts, session) = session("ops").await;

        let plain = session.run(&Command::argv(["id", "-un"])).await.unwrap();
        let root = session.run(&Command::shell("id -un; cat").stdin("in").as_root()).await.unwrap();
        session.upload(&Upload::raw("/usr/local/bin/tool", 0o755, "#!/bin/sh\necho works\n")).await.unwrap();

        assert_eq!((plain.text().as_str(), root.text().as_str()), ("ops", "root\nin"));
        assert_eq!(hosts.host(1).shell("tool; stat -c '%U %a' /usr/local/bin/tool").unwrap(), "works\nroot 755\n");
    }

    #[tokio::test]
    async fn a_sudo_that_asks_for_a_password_is_told_clearly() {
        let (_hosts, session) = session("asked").await;

        let error = session.run(&Command::argv(["id"]).as_root()).await.unwrap_err();

        assert!(matches!(error, ReachError::SudoWantsPassword { .. }), "{error}");
        assert!(error.hint().unwrap().contains("NOPASSWD"));
    }

    #[tokio::test]
    async fn a_user_without_sudo_is_told_clearly() {
        let (hosts, session) = session("ops").await;
        hosts.host(1).shell("mv /usr/bin/sudo /usr/bin/sudo.away").unwrap();

        let error = session.run(&Command::argv(["id"]).as_root()).await.unwrap_err();

        assert!(matches!(error, ReachError::NotRoot { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_upload_is_compressed_on_the_way_and_verified_there() {
        let (hosts, session) = session("root").await;
        let bytes = noise(2_000_000);
        let upload = Upload::gzip("/opt/new folder/agent", 0o750, gzip(&bytes), sha256_hex(&bytes));

        let first = session.upload(&upload).await.unwrap();
        let second = session.upload(&upload).await.unwrap();

        assert_eq!((first, second), (Uploaded::SentCompressed, Uploaded::AlreadyThere));
        let listed = hosts.host(1).shell("cd '/opt/new folder'; ls -A; sha256sum <agent; stat -c %a agent").unwrap();
        assert_eq!(listed, format!("agent\n{}  -\n750\n", sha256_hex(&bytes)));
    }

    #[tokio::test]
    async fn a_host_without_gzip_gets_the_bytes_as_they_are() {
        let (hosts, session) = session("root").await;
        hosts.host(1).shell("rm $(command -v gzip)").unwrap();
        let bytes = noise(500_000);

        let sent =
            session.upload(&Upload::gzip("/opt/new/agent", 0o755, gzip(&bytes), sha256_hex(&bytes))).await.unwrap();

        assert_eq!(sent, Uploaded::SentRaw);
        assert_eq!(fs::read(hosts.host(1).path("/opt/new/agent").unwrap()).unwrap(), bytes);
    }

    #[tokio::test]
    async fn an_upload_that_arrives_damaged_leaves_the_old_file_and_nothing_else() {
        let (hosts, session) = session("root").await;
        session.upload(&Upload::raw("/opt/new/agent", 0o755, "old")).await.unwrap();
        let mut raw = Upload::raw("/opt/new/agent", 0o755, "new");
        raw.sha256 = sha256_hex(b"something else");
        let truncated = gzip(&noise(100_000));
        let truncated = Upload::gzip("/opt/new/agent", 0o755, truncated[..50_000].to_vec(), sha256_hex(b"x"));

        let differs = session.upload(&raw).await.unwrap_err();
        let broken = session.upload(&truncated).await.unwrap_err();

        assert!(matches!(differs, ReachError::Corrupted { .. }), "{differs}");
        assert!(matches!(broken, ReachError::Failed { .. }), "{broken}");
        assert_eq!(hosts.host(1).shell("ls -A /opt/new; cat /opt/new/agent").unwrap(), "agent\nold");
    }

    #[tokio::test]
    async fn a_running_program_can_be_replaced() {
        let (hosts, session) = session("root").await;
        hosts
            .host(1)
            .shell("mkdir -p /opt/new; cp /bin/sleep /opt/new/agent; setsid /opt/new/agent 1000 >/dev/null 2>&1 &")
            .unwrap();

        let sent = session.upload(&Upload::raw("/opt/new/agent", 0o755, "new")).await.unwrap();

        assert_eq!(sent, Uploaded::SentRaw);
        assert_eq!(hosts.host(1).processes("agent").unwrap().len(), 1);
    }

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
    async fn a_session_that_breaks_says_so() {
        let (hosts, session) = session("root").await;
        let command = Command::shell("sleep 1000");

        let (outcome, killed) = tokio::join!(session.run(&command), async {
            eventually(|| !hosts.host(1).processes("sleep").unwrap().is_empty()).await;
            hosts.host(1).signal("sshd", Signal::Kill).unwrap()
        });

        assert!(killed > 1);
        assert!(matches!(outcome, Err(ReachError::Disconnected { .. })), "{outcome:?}");
        eventually(|| !session.is_open()).await;
    }

    #[tokio::test]
    async fn files_and_folders_are_copied_both_ways() {
        let (hosts, session) = session("ops").await;
        let local = hosts.scratch().join("mine");
        fs::create_dir_all(local.join("deep/er")).unwrap();
        fs::write(local.join("deep/er/file"), noise(300_000)).unwrap();
        fs::write(local.join("script"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(local.join("script"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("script", local.join("link")).unwrap();
        let back = hosts.scratch().join("back");
        let all = CopyOptions { is_recursive: true, is_as_root: false };

        session.send(&local, "copy", all).await.unwrap();
        session.send(&local, "copy", all).await.unwrap();
        session.fetch("copy/mine", &back, all).await.unwrap();

        assert_eq!(
            hosts.host(1).shell("ls -A /home/ops/copy; stat -c %U /home/ops/copy/script").unwrap(),
            "deep\nlink\nmine\nscript\nops\n"
        );
        assert_eq!(fs::read(back.join("deep/er/file")).unwrap(), noise(300_000));
        assert_eq!(fs::read_link(back.join("link")).unwrap(), Path::new("script"));
        assert_eq!(mode_of(&back.join("script")), 0o755);
    }

    #[tokio::test]
    async fn single_files_go_under_a_name_or_into_a_folder() {
        let (hosts, session) = session("ops").await;
        let local = hosts.scratch().join("a file");
        fs::write(&local, noise(100_000)).unwrap();
        let back = hosts.scratch().join("back");
        fs::create_dir(&back).unwrap();
        let plain = CopyOptions::default();
        let as_root = CopyOptions { is_as_root: true, ..plain };

        session.send(&local, "/tmp/named", plain).await.unwrap();
        session.send(&local, "/srv", as_root).await.unwrap();
        session.fetch("/srv/a file", &back, plain).await.unwrap();
        let denied = session.send(&local, "/srv/denied", plain).await.unwrap_err();
        let missing = session.fetch("/srv/missing", &back, plain).await.unwrap_err();
        let folder = session.fetch("/srv", &back, plain).await.unwrap_err();

        assert!(hosts.host(1).has("/tmp/named").unwrap());
        assert_eq!(fs::read(back.join("a file")).unwrap(), noise(100_000));
        assert!(denied.to_string().contains("Permission denied"), "{denied}");
        assert!(missing.to_string().contains("there is no /srv/missing"), "{missing}");
        assert!(folder.to_string().contains("-r"), "{folder}");
        assert_eq!(fs::read_dir(&back).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn sockets_of_the_host_are_reached_through_the_session() {
        let (_hosts, session) = session("root").await;

        let target = ForwardTarget::Tcp { host: "127.0.0.1".into(), port: 22 };
        let mut stream = session.forward(&target).await.unwrap();
        let mut banner = [0; 8];
        stream.read_exact(&mut banner).await.unwrap();
        stream.shutdown().await.unwrap();
        let nobody = session.forward(&ForwardTarget::Unix { path: "/run/nobody.sock".into() }).await;

        assert_eq!(&banner, b"SSH-2.0-");
        assert!(nobody.is_err());
    }

    #[tokio::test]
    async fn a_users_command_returns_its_exit_code_and_has_a_terminal_where_asked() {
        let (_hosts, session) = session("ops").await;
        let interaction = |script: &str, has_terminal, is_as_root| Interaction {
            command: Some(CommandLine::Shell(script.to_owned())),
            has_terminal,
            is_as_root,
        };

        let code = session.interact(&interaction("exit 5", false, false)).await.unwrap();
        let without = session.interact(&interaction("test -t 1", false, false)).await.unwrap();
        let with = session.interact(&interaction("test -t 1", true, false)).await.unwrap();
        let as_root = session.interact(&interaction("exit $(id -u)", true, true)).await.unwrap();
        let after = session.run(&Command::argv(["true"])).await.unwrap();

        assert_eq!((code, without, with, as_root), (5, 1, 0, 0));
        assert!(after.is_success());
    }

    #[tokio::test]
    async fn a_login_shell_ends_with_its_input() {
        let (_hosts, session) = session("root").await;
        let shell = Interaction { command: None, has_terminal: false, is_as_root: false };

        let shell = tokio::time::timeout(Duration::from_secs(20), session.interact(&shell)).await;

        assert_eq!(shell.expect("standard input of a test is empty").unwrap(), 0);
    }

    #[tokio::test]
    async fn hosts_are_reached_by_ipv6() {
        let (hosts, _session) = session("root").await;
        let mut access = access(&hosts, hosts.host(1), "root");
        access.host = hosts.host(1).address_v6().to_string();

        let session = dial(access).await.unwrap();

        assert_eq!(session.peer(), "root@[fd77::1]:22");
    }

    #[tokio::test]
    async fn a_machine_of_this_workstation_is_entered_by_its_namespaces() {
        let hosts = Hosts::start(1).unwrap();
        let pid = hosts.host(1).pid().unwrap();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        let bytes = noise(1_000_000);
        let session = Dialer::default().dial("m", &Access::Namespace { pid, started }).await.unwrap();

        let name = session.run(&Command::shell("hostname; cat; exit 3").stdin("in").as_root()).await.unwrap();
        let sent = session.upload(&Upload::gzip("/opt/a", 0o755, gzip(&bytes), sha256_hex(&bytes))).await.unwrap();
        let late = Command::shell("sleep 1000; true").timeout(Duration::from_millis(300));
        let late = session.run(&late).await.unwrap_err();

        assert_eq!((name.status, name.text().as_str()), (3, "host-1\nin"));
        assert_eq!(sent, Uploaded::SentCompressed);
        assert!(matches!(late, ReachError::CommandTimedOut { .. }), "{late}");
        eventually(|| hosts.host(1).processes("sleep").unwrap().is_empty()).await;
    }

    #[tokio::test]
    async fn a_machine_that_was_started_anew_is_not_entered() {
        let mut hosts = Hosts::start(1).unwrap();
        let pid = hosts.host(1).pid().unwrap();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        let session = Dialer::default().dial("m", &Access::Namespace { pid, started }).await.unwrap();

        hosts.host_mut(1).reboot().unwrap();
        let error = session.run(&Command::argv(["true"])).await.unwrap_err();

        assert!(matches!(error, ReachError::Gone { .. }), "{error}");
        assert!(!session.is_open());
    }

    /// Waits until something holds, within a bound that only a bug exceeds.
    async fn eventually(mut holds: impl FnMut() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it came true in time");
    }

    fn mode_of(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;

        fs::metadata(path).unwrap().permissions().mode() & 0o777
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
}
