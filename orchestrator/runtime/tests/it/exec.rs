//! Programs that are added to a running container.

use std::time::Duration;

use runtime::{Container, ExecRequest, Program, RuntimeError, StartFailure, Streams, TtySize};

use crate::lab::{LIMIT, Lab, finish, read_until, wait};

async fn sleeper(lab: &Lab) -> Container {
    let container = lab.runtime.create(&lab.bundle("a", &["sleep", "600"])).await.unwrap();
    container.start().await.unwrap();
    container
}

fn request(name: &str, argv: &[&str]) -> ExecRequest {
    let program = Program {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned()],
        ..Program::default()
    };
    ExecRequest { name: name.to_owned(), program, privileged: false, streams: Streams { stdin: false, ..Streams::ALL } }
}

async fn output(container: &Container, request: ExecRequest) -> (i32, String) {
    let session = container.exec(request).await.unwrap();
    let (exit, text) = finish(session.into_attachment()).await;
    (exit.code, text)
}

#[tokio::test]
async fn a_program_joins_the_container_and_its_status_is_kept() {
    let lab = Lab::new();
    let container = sleeper(&lab).await;

    let script = "ps | grep -c 'sleep 600'; grep Seccomp: /proc/self/status; grep CapEff /proc/self/status; exit 9";
    let (code, text) = output(&container, request("one", &["sh", "-c", script])).await;
    let kept = container.exec_exit("one").unwrap().unwrap();
    container.forget_exec("one").unwrap();
    let forgotten = container.exec_exit("one").unwrap();
    let joined = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let (_, groups) = output(&container, request("two", &["cat", "/proc/self/cgroup"])).await;
    container.delete(true).await.unwrap();

    assert_eq!((code, kept.code), (9, 9));
    assert_eq!(forgotten, None);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].parse::<u32>().unwrap() >= 1, "{text}");
    assert!(text.contains("Seccomp:\t2") && text.contains("00000000a80425fb"), "{text}");
    assert_ne!(joined, groups);
    assert_eq!(lab.left(), (vec![], 0));
}

#[tokio::test]
async fn user_folder_and_environment_are_its_own() {
    let lab = Lab::new();
    let container = sleeper(&lab).await;
    let mut wanted = request("one", &["sh", "-c", "id -u; id -G; pwd; echo $X $HOME"]);
    wanted.program.user = Some("web".to_owned());
    wanted.program.cwd = Some("/tmp".into());
    wanted.program.env.push("X=7".to_owned());

    let (code, text) = output(&container, wanted).await;
    container.delete(true).await.unwrap();

    assert_eq!(code, 0);
    assert_eq!(text, "33\n44 50\n/tmp\n7 /home\n");
}

#[tokio::test]
async fn a_privileged_program_holds_every_capability() {
    let lab = Lab::new();
    let container = sleeper(&lab).await;
    let script = ["sh", "-c", "mount -t tmpfs x /tmp && echo mounted"];

    let (refused, _) = output(&container, request("plain", &script)).await;
    let (code, text) = output(&container, ExecRequest { privileged: true, ..request("more", &script) }).await;
    container.delete(true).await.unwrap();

    assert_ne!(refused, 0);
    assert_eq!((code, text.as_str()), (0, "mounted\n"));
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_told_and_kept() {
    let lab = Lab::new();
    let container = sleeper(&lab).await;

    let error = container.exec(request("one", &["nothing"])).await.unwrap_err();
    let kept = container.exec_exit("one").unwrap().unwrap();
    let still = container.exec(request("two", &["true"])).await.unwrap().wait().await.unwrap();
    container.delete(true).await.unwrap();

    let RuntimeError::Start { failure, reason, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*failure, StartFailure::NotFound);
    assert_eq!(reason, "exec: \"nothing\": executable file not found in $PATH");
    assert_eq!((kept.code, still.code), (127, 0));
}

#[tokio::test]
async fn input_and_a_terminal_can_be_had() {
    let lab = Lab::new();
    let container = sleeper(&lab).await;
    let mut plain = request("plain", &["cat"]);
    plain.streams = Streams::ALL;
    let mut terminal = request("terminal", &["sh", "-c", "stty size; read -r w; stty size; echo $w; exit 6"]);
    terminal.streams = Streams::ALL;
    terminal.program.tty = true;
    terminal.program.tty_size = Some(TtySize { columns: 50, rows: 10 });

    let mut session = container.exec(plain).await.unwrap();
    session.attachment().input().send(b"through\n").await.unwrap();
    session.attachment().input().end().await.unwrap();
    let (_, echoed) = finish(session.into_attachment()).await;
    let mut attachment = container.exec(terminal).await.unwrap().into_attachment();
    read_until(&mut attachment, "10 50").await;
    attachment.input().resize(TtySize { columns: 60, rows: 11 }).await.unwrap();
    attachment.input().send(b"word\n").await.unwrap();
    let (exit, rest) = finish(attachment).await;
    container.delete(true).await.unwrap();

    assert_eq!(echoed, "through\n");
    assert!(rest.contains("11 60") && rest.contains("word"), "{rest}");
    assert_eq!(exit.code, 6);
}

#[tokio::test]
async fn a_program_whose_agent_leaves_runs_on() {
    let lab = Lab::new();
    let container = sleeper(&lab).await;

    let session = container.exec(request("one", &["sh", "-c", "sleep 0.2; touch /tmp/done; exit 8"])).await.unwrap();
    drop(session);
    let kept = tokio::time::timeout(LIMIT, async {
        loop {
            if let Some(exit) = container.exec_exit("one").unwrap() {
                break exit;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    container.delete(true).await.unwrap();

    assert_eq!(kept.code, 8);
    assert!(lab.path("rootfs/tmp/done").exists());
}

#[tokio::test]
async fn programs_end_with_their_container_and_none_is_added_after() {
    let lab = Lab::new();
    let container = sleeper(&lab).await;
    let session = container.exec(request("one", &["sleep", "600"])).await.unwrap();

    container.signal(9).await.unwrap();
    wait(&container).await;
    let exit = session.wait().await.unwrap();
    let refused = container.exec(request("two", &["true"])).await.unwrap_err();
    container.delete(false).await.unwrap();

    assert_eq!(exit.code, 137);
    assert_eq!(refused.to_string(), "container `a` is not running");
}

#[tokio::test]
async fn a_paused_container_takes_no_program() {
    let lab = Lab::new();
    let container = sleeper(&lab).await;
    container.pause().await.unwrap();

    let refused = container.exec(request("one", &["true"])).await.unwrap_err();
    container.delete(true).await.unwrap();

    assert!(refused.to_string().contains("is paused"), "{refused}");
}
