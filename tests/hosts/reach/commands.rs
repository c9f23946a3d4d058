//! Commands, sessions and what they leave behind.

use super::*;

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
