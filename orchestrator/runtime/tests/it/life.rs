//! From "prepared" to "gone".

use std::time::{Duration, Instant};

use runtime::{ExecRequest, Phase, Program, RuntimeError, StartFailure, Streams};

use crate::lab::{LIMIT, Lab, finish, log_of, read_until, wait, wait_for_line};

#[tokio::test]
async fn a_container_runs_logs_and_leaves_nothing() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.script("a", "echo out; echo err >&2; exit 7")).await.unwrap();
    let prepared = container.state().unwrap();

    let pid = container.start().await.unwrap();
    let exit = wait(&container).await;
    let log = log_of(&container).await;
    let ended = container.state().unwrap();
    container.delete(false).await.unwrap();

    assert_eq!((prepared.phase, prepared.init.pid), (Phase::Created, pid));
    assert_eq!((exit.code, exit.signal, exit.oom_killed, exit.error), (7, None, false, None));
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out"]);
    assert_eq!(ended.phase, Phase::Exited);
    assert!(ended.started_at.unwrap() >= ended.created_at);
    assert_eq!(lab.left(), (vec![], 0));
    assert!(!ended.shim.pid.eq(&0) && !std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn a_program_that_does_not_exist_says_so_as_docker_does() {
    let lab = Lab::new();
    let cases = [
        (vec!["nothing"], StartFailure::NotFound, 127, "exec: \"nothing\": executable file not found in $PATH"),
        (
            vec!["/no/where"],
            StartFailure::NotFound,
            127,
            "exec: \"/no/where\": stat /no/where: no such file or directory",
        ),
        (vec!["/etc/passwd"], StartFailure::NotExecutable, 126, "exec: \"/etc/passwd\": permission denied"),
    ];

    for (number, (argv, failure, code, reason)) in cases.into_iter().enumerate() {
        let container = lab.runtime.create(&lab.bundle(&format!("c{number}"), &argv)).await.unwrap();
        let error = container.start().await.unwrap_err();
        let exit = wait(&container).await;
        container.delete(false).await.unwrap();

        let RuntimeError::Start { failure: found, reason: said, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*found, said.as_str()), (failure, reason));
        assert_eq!((exit.code, exit.error.as_deref()), (code, Some(reason)));
    }
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn a_container_that_cannot_be_made_leaves_nothing() {
    let lab = Lab::new();
    let mut nobody = lab.bundle("a", &["true"]);
    nobody.process.user = Some("nobody".to_owned());
    let mut rootless = lab.bundle("b", &["true"]);
    rootless.rootfs = lab.path("no-such-folder");

    let first = lab.runtime.create(&nobody).await.unwrap_err();
    let second = lab.runtime.create(&rootless).await.unwrap_err();

    let expected = "failed to create container `a`: unable to find user nobody: no matching entries in passwd file";
    assert_eq!(first.to_string(), expected);
    assert!(second.to_string().contains("no-such-folder"), "{second}");
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn an_id_is_used_once_at_a_time() {
    let lab = Lab::new();
    let bundle = lab.bundle("a", &["true"]);
    let container = lab.runtime.create(&bundle).await.unwrap();

    let refused = lab.runtime.create(&bundle).await.unwrap_err();
    container.delete(false).await.unwrap();
    let again = lab.runtime.create(&bundle).await.unwrap();
    again.delete(false).await.unwrap();

    assert!(matches!(refused, RuntimeError::Exists { .. }), "{refused}");
    assert!(lab.runtime.find("a").unwrap().is_none());
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn a_program_that_ends_on_sigterm_is_not_killed() {
    let lab = Lab::new();
    let container =
        lab.runtime.create(&lab.script("a", "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done")).await.unwrap();
    container.start().await.unwrap();
    wait_for_line(&container, "up").await;

    let exit = container.stop(15, LIMIT).await.unwrap();
    container.delete(false).await.unwrap();

    assert_eq!((exit.code, exit.signal), (3, None));
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_is_killed_after_its_grace() {
    let lab = Lab::new();
    let container =
        lab.runtime.create(&lab.script("a", "trap '' TERM; echo up; while :; do sleep 0.1; done")).await.unwrap();
    container.start().await.unwrap();
    wait_for_line(&container, "up").await;
    let grace = Duration::from_millis(300);

    let begun = Instant::now();
    let exit = container.stop(15, grace).await.unwrap();
    let took = begun.elapsed();
    container.delete(false).await.unwrap();

    assert_eq!((exit.code, exit.signal), (137, Some(9)));
    assert!(took >= grace && took < grace + Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_container_that_runs_is_deleted_only_by_force() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.bundle("a", &["sleep", "600"])).await.unwrap();
    container.start().await.unwrap();

    let refused = container.delete(false).await.unwrap_err();
    container.delete(true).await.unwrap();
    container.delete(true).await.unwrap();

    assert_eq!(refused.to_string(), "container `a` is running");
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn a_paused_container_stands_still_and_can_be_killed() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.script("a", "while :; do echo tick; sleep 0.02; done")).await.unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();
    read_until(&mut attachment, "tick").await;

    container.pause().await.unwrap();
    let was_paused = container.is_paused();
    // What it wrote before may still come.
    while tokio::time::timeout(Duration::from_millis(200), attachment.next()).await.is_ok() {}
    container.resume().await.unwrap();
    read_until(&mut attachment, "tick").await;
    container.pause().await.unwrap();
    container.signal(9).await.unwrap();
    let exit = wait(&container).await;
    container.delete(false).await.unwrap();

    assert!(was_paused && !container.is_paused());
    assert_eq!(exit.code, 137);
}

#[tokio::test]
async fn our_first_process_hands_signals_on_and_collects_orphans() {
    let lab = Lab::new();
    let script = "trap 'exit 5' USR1; (sleep 0.05 &) ; sleep 0.3; \
                  for stat in /proc/[0-9]*/stat; do read -r line < $stat; echo \"$line\"; done; \
                  echo $$ up; while :; do sleep 0.05; done";
    lab.add_libraries();
    let mut bundle = lab.script("a", script);
    bundle.init = true;
    let container = lab.runtime.create(&bundle).await.unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();

    let text = read_until(&mut attachment, "up").await;
    container.signal(10).await.unwrap();
    let (exit, _) = finish(attachment).await;
    container.delete(false).await.unwrap();

    assert!(text.contains("1 (docker-init)") || text.contains("1 (exe)"), "{text}");
    assert!(!text.contains(") Z "), "{text}");
    assert!(!text.contains("\n1 up"), "{text}");
    assert_eq!(exit.code, 5);
}

#[tokio::test]
async fn a_container_that_starts_at_once_is_as_any_other() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "read -r word; echo $word; exit 3");
    bundle.stdin_open = true;
    bundle.starts_at_once = true;
    let container = lab.runtime.create(&bundle).await.unwrap();
    let state = container.state().unwrap();

    let pid = container.start().await.unwrap();
    let program = Program { argv: vec!["/bin/true".to_owned()], ..Program::default() };
    let request = ExecRequest { name: "one".to_owned(), program, privileged: false, streams: Streams::NONE };
    let added = container.exec(request).await.unwrap().wait().await.unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    attachment.input().send(b"word\n").await.unwrap();
    let (exit, text) = finish(attachment).await;
    container.delete(false).await.unwrap();

    assert_eq!((state.phase, state.init.pid), (Phase::Running, pid));
    assert!(state.started_at.is_some());
    assert_eq!((added.code, exit.code, text.as_str()), (0, 3, "word\n"));
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn nothing_is_left_of_a_container_that_could_not_start_at_once() {
    let lab = Lab::new();
    let mut bundle = lab.bundle("a", &["nothing"]);
    bundle.starts_at_once = true;

    let error = lab.runtime.create(&bundle).await.unwrap_err();

    assert!(matches!(error, RuntimeError::Start { failure: StartFailure::NotFound, .. }), "{error:?}");
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn fifty_containers_eight_at_a_time_all_end_as_they_should() {
    let lab = Lab::new();
    let mut running = tokio::task::JoinSet::new();
    let mut codes = Vec::new();

    for number in 0..50 {
        let (runtime, bundle) = (lab.runtime.clone(), lab.script(&format!("c{number}"), &format!("exit {number}")));
        if running.len() == 8 {
            codes.push(running.join_next().await.unwrap().unwrap());
        }
        running.spawn(async move {
            let container = runtime.create(&bundle).await.unwrap();
            container.start().await.unwrap();
            let exit = wait(&container).await;
            container.delete(false).await.unwrap();
            exit.code
        });
    }
    while let Some(code) = running.join_next().await {
        codes.push(code.unwrap());
    }

    codes.sort_unstable();
    assert_eq!(codes, (0..50).collect::<Vec<_>>());
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn a_program_gets_its_environment_folder_and_names() {
    let lab = Lab::new();
    let mut bundle = lab
        .script("a", "pwd; hostname; echo $B-$A; echo $HOME; hostname -d 2>/dev/null; cat /proc/sys/kernel/domainname");
    bundle.process = Program {
        env: vec!["PATH=/bin".to_owned(), "A=1".to_owned(), "B=2".to_owned()],
        cwd: Some("/srv/deep".into()),
        ..bundle.process
    };
    bundle.hostname = Some("web-1".to_owned());
    bundle.domainname = Some("example".to_owned());

    let text = lab.output(&bundle).await;

    assert_eq!(text.lines().take(4).collect::<Vec<_>>(), ["/srv/deep", "web-1", "2-1", "/root"]);
    assert_eq!(text.lines().last(), Some("example"));
}
