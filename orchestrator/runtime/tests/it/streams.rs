//! Input, output, terminals.

use std::fs;
use std::time::Duration;

use runtime::{Attachment, LogReader, Streams, TtySize};
use tokio::task::JoinSet;

use crate::lab::{LIMIT, Lab, finish, log_of, read_until, wait};

#[tokio::test]
async fn input_reaches_the_program_and_ends_while_output_goes_on() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "cat | md5sum; echo after");
    bundle.stdin_open = true;
    let container = lab.runtime.create(&bundle).await.unwrap();
    let attachment = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();
    let (mut output, mut input) = attachment.split();
    let content = vec![b'x'; 3 << 20];

    input.send(&content).await.unwrap();
    input.end().await.unwrap();
    let mut text = String::new();
    let exit = loop {
        match output.next().await.unwrap().unwrap() {
            runtime::Output::Bytes(_, piece) => text.push_str(&String::from_utf8_lossy(&piece)),
            runtime::Output::Exited(exit) => break exit,
        }
    };
    container.delete(false).await.unwrap();

    assert_eq!(text, format!("{}  -\nafter\n", sum(&content)));
    assert_eq!(exit.code, 0);
}

/// The sum as this host makes it.
fn sum(content: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = std::process::Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn input_that_is_not_open_is_empty() {
    let lab = Lab::new();

    let text = lab.output(&lab.script("a", "cat; echo end")).await;

    assert_eq!(text, "end\n");
}

#[tokio::test]
async fn input_stays_open_when_one_leaves_and_ends_where_it_is_for_one() {
    let lab = Lab::new();
    let mut open = lab.script("a", "read -r a; read -r b; echo $a $b");
    open.stdin_open = true;
    let mut once = lab.script("b", "cat; echo end");
    (once.stdin_open, once.stdin_once) = (true, true);
    let stays = lab.runtime.create(&open).await.unwrap();
    let ends = lab.runtime.create(&once).await.unwrap();
    stays.start().await.unwrap();
    ends.start().await.unwrap();

    let mut first = stays.attach(Streams::ALL).await.unwrap();
    first.input().send(b"one\n").await.unwrap();
    drop(first);
    let mut second = stays.attach(Streams::ALL).await.unwrap();
    second.input().send(b"two\n").await.unwrap();
    let (_, text) = finish(second).await;
    let mut only = ends.attach(Streams::ALL).await.unwrap();
    only.input().send(b"word\n").await.unwrap();
    drop(only);
    wait(&ends).await;
    let log = log_of(&ends).await;
    stays.delete(false).await.unwrap();
    ends.delete(false).await.unwrap();

    assert_eq!(text, "one two\n");
    assert_eq!(log, "word\nend\n");
}

#[tokio::test]
async fn everyone_who_is_attached_gets_all_of_a_large_output() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.script("a", "seq 1 200000; echo last >&2")).await.unwrap();
    let first = container.attach(Streams { stderr: false, ..Streams::ALL }).await.unwrap();
    let second = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();

    let ((_, one), (_, both)) = tokio::join!(finish(first), finish(second));
    let log = log_of(&container).await;
    container.delete(false).await.unwrap();

    let numbers = (1..=200_000).fold(String::new(), |text, number| text + &number.to_string() + "\n");
    assert!(one == numbers, "{} of {} bytes", one.len(), numbers.len());
    assert_eq!(both.len(), numbers.len() + "last\n".len());
    assert_eq!(log.len(), both.len());
}

#[tokio::test]
async fn an_attached_reader_that_stands_still_holds_the_program_and_loses_nothing() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.script("a", "head -c 8000000 /dev/zero; echo done >&2")).await.unwrap();
    let attachment = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();

    let early = tokio::time::timeout(Duration::from_millis(300), container.wait()).await;
    let (exit, text) = finish(attachment).await;
    container.delete(false).await.unwrap();

    assert!(early.is_err(), "it did not wait for its reader");
    assert_eq!((exit.code, text.len()), (0, 8_000_000 + "done\n".len()));
}

#[tokio::test]
async fn a_terminal_echoes_and_has_the_size_it_was_given() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "tty; stty size; read -r word; stty size; echo got $word; exit 4");
    bundle.process.tty = true;
    bundle.process.tty_size = Some(TtySize { columns: 90, rows: 20 });
    bundle.stdin_open = true;
    let container = lab.runtime.create(&bundle).await.unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();

    let first = read_until(&mut attachment, "20 90").await;
    container.resize(TtySize { columns: 111, rows: 33 }).await.unwrap();
    attachment.input().send(b"hello\n").await.unwrap();
    let (exit, rest) = finish(attachment).await;
    container.delete(false).await.unwrap();

    assert!(first.contains("/dev/pts/0"), "{first}");
    assert!(rest.contains("hello\r\n") && rest.contains("33 111\r\n") && rest.contains("got hello\r\n"), "{rest}");
    assert_eq!(exit.code, 4);
}

#[tokio::test]
async fn an_interrupt_on_the_terminal_reaches_the_program() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "trap 'echo stopped; exit 9' INT; echo up; while :; do sleep 0.05; done");
    bundle.process.tty = true;
    let container = lab.runtime.create(&bundle).await.unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();
    read_until(&mut attachment, "up").await;

    attachment.input().send(&[3]).await.unwrap();
    let (exit, text) = finish(attachment).await;
    container.delete(false).await.unwrap();

    assert!(text.contains("stopped"), "{text}");
    assert_eq!(exit.code, 9);
}

#[tokio::test]
async fn more_who_wait_than_a_shim_serves_at_once_are_all_answered() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "read -r word; exit 2");
    bundle.stdin_open = true;
    let container = lab.runtime.create(&bundle).await.unwrap();
    let mut attachment = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..300 {
        let container = container.clone();
        waiting.spawn(async move { wait(&container).await.code });
    }
    // Each has asked once it has been polled twice: there is one thread.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }

    attachment.input().send(b"go\n").await.unwrap();
    let codes = waiting.join_all().await;
    container.delete(false).await.unwrap();

    assert_eq!(codes, [2; 300]);
}

#[tokio::test]
async fn who_is_connected_behind_the_log_gets_each_line_once() {
    let lab = Lab::new();
    let script = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; done; printf 'no more'";
    let container = lab.runtime.create(&lab.script("a", script)).await.unwrap();
    container.start().await.unwrap();

    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (attachment, log) = container.attach_behind_log(Streams::ALL).await.unwrap();
        clients.spawn(async move { all_of(attachment, log).await });
    }
    fs::write(lab.path("rootfs/stop"), "").unwrap();
    let texts = clients.join_all().await;
    let whole = log_of(&container).await;
    container.delete(false).await.unwrap();

    assert!(whole.starts_with("1\n2\n3\n") && whole.ends_with("no more"), "{} bytes", whole.len());
    assert!(texts.iter().any(|(logged, streamed)| !logged.is_empty() && streamed.len() > "no more".len()));
    for (logged, streamed) in texts {
        let seam = logged.len();
        assert!(whole == logged + &streamed, "lines are missing or come twice about byte {seam}");
    }
}

#[tokio::test]
async fn a_line_that_has_begun_is_whole_for_who_is_connected_behind_the_log() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "echo first; printf begun; read word; echo ' and ended'");
    bundle.stdin_open = true;
    let container = lab.runtime.create(&bundle).await.unwrap();
    let mut before = container.attach(Streams::ALL).await.unwrap();
    container.start().await.unwrap();
    read_until(&mut before, "begun").await;

    let (attachment, log) = container.attach_behind_log(Streams::ALL).await.unwrap();
    before.input().send(b"go\n").await.unwrap();
    drop(before);
    let (logged, streamed) = all_of(attachment, log).await;
    container.delete(false).await.unwrap();

    assert_eq!((logged.as_str(), streamed.as_str()), ("first\n", "begun and ended\n"));
}

/// What the log holds, and what comes behind it until the program has ended.
async fn all_of(attachment: Attachment, log: Option<LogReader>) -> (String, String) {
    let mut logged = String::new();
    if let Some(mut log) = log {
        while let Some(entry) = tokio::time::timeout(LIMIT, log.next()).await.unwrap() {
            logged.push_str(&entry.unwrap().text);
        }
    }
    (logged, finish(attachment).await.1)
}
