//! Programs on terminals and behind pipes, by the stock `docker` CLI and Debian's, as people use them.

use super::lab::{Lab, interactive, sleeper, terminal};
use crate::busybox::BUSYBOX;
use crate::clients::{DockerCli, docker_clis};
use crate::served::PATIENCE;
use crate::terminal::Terminal;

/// What the CLI says where its keys leave a program.
const LEFT: &str = "read escape sequence";

/// Waits until the terminal inside has the size of the one before the CLI, which old ones tell only once it runs.
const SIZED: &str = "until [ \"$(busybox stty size)\" = '40 120' ]; do :; done 2> /dev/null; echo si''zed\r";

/// Waits until the program has been told of another size, and has it. A signal may come before the size: Debian's client
/// passes its own on.
const RESIZED: &str = "until [ \"$told $(busybox stty size)\" = 'yes 50 90' ]; do :; done 2> /dev/null; echo re''sized";

async fn each() -> Vec<(Lab, DockerCli)> {
    let mut clients = Vec::new();
    for (_, program) in docker_clis().await {
        let lab = Lab::start().await;
        let docker = DockerCli::new(&program, &lab.socket());
        clients.push((lab, docker));
    }
    clients
}

#[tokio::test]
async fn a_shell_on_a_terminal_is_used_resized_interrupted_and_ended() {
    for (lab, docker) in each().await {
        let arguments = ["run", "-it", "--rm", "--name", "one", "--network", "none", BUSYBOX, "sh"];
        let mut shell = Terminal::start(&docker, &arguments);
        shell.see("# ").await;

        shell.press(SIZED);
        shell.see("sized\r\n").await;
        shell.press(&format!("trap told=yes WINCH; echo re''ady; {RESIZED}\r"));
        shell.see("ready\r\n").await;
        shell.resize(50, 90);
        shell.see("resized\r\n").await;
        shell.press("echo be''gun; busybox cat\r");
        shell.see("begun\r\n").await;
        shell.press("words\r");
        shell.see("words\r\nwords\r\n").await;
        shell.press("\x03");
        shell.see("# ").await;
        shell.press("exit 7\r");
        let (code, _) = shell.end().await;

        assert_eq!(code, Some(7));
        assert!(lab.engine.containers().find("one").is_err(), "it removes itself");
    }
}

#[tokio::test]
async fn a_program_is_added_on_a_terminal_and_left_or_ended() {
    for (lab, docker) in each().await {
        lab.run("one", sleeper()).await;

        let mut shell = Terminal::start(&docker, &["exec", "-it", "one", "sh"]);
        shell.press(SIZED);
        shell.see("sized\r\n").await;
        shell.press("exit 3\r");
        let (ended, _) = shell.end().await;
        let mut left = Terminal::start(&docker, &["exec", "-it", "one", "sh"]);
        left.press("echo $((6*7))x\r");
        left.see("42x\r\n").await;
        left.press("\x10\x11");
        let (_, words) = left.end().await;

        assert_eq!(ended, Some(3));
        assert!(words.contains(LEFT), "{words}");
        assert!(lab.engine.containers().find("one").unwrap().state.status.has_process());
    }
}

#[tokio::test]
async fn a_container_is_left_by_keys_attached_to_again_and_started_again() {
    for (lab, docker) in each().await {
        lab.run("one", terminal("while read line; do echo got $line; [ $line = end ] && exit 5; done")).await;

        let mut first = Terminal::start(&docker, &["attach", "one"]);
        first.press("words\r");
        first.see("got words\r\n").await;
        first.press("\x10\x11");
        let (_, first) = first.end().await;
        let mut second = Terminal::start(&docker, &["attach", "--detach-keys", "ctrl-x,q", "one"]);
        second.press("others\r");
        second.see("got others\r\n").await;
        second.press("\x18q");
        let (_, second) = second.end().await;
        let mut third = Terminal::start(&docker, &["attach", "one"]);
        third.press("end\r");
        third.see("got end\r\n").await;
        let (attached, _) = third.end().await;
        let mut fourth = Terminal::start(&docker, &["start", "-ai", "one"]);
        fourth.press("end\r");
        fourth.see("got end\r\n").await;
        let (started, _) = fourth.end().await;

        assert!(first.contains(LEFT) && second.contains(LEFT), "{first} {second}");
        assert_eq!((attached, started), (Some(5), Some(5)));
    }
}

#[tokio::test]
async fn what_is_piped_in_comes_out_and_its_end_is_the_programs_end_of_input() {
    for (lab, docker) in each().await {
        let run = ["run", "-i", "--rm", "--network", "none", BUSYBOX];
        lab.create("one", interactive("cat; exit 4")).await;
        lab.run("two", sleeper()).await;
        let large = "0123456789abcde\n".repeat(1 << 17);

        let whole = docker.answer(&[&run[..], &["cat"]].concat(), &large).await;
        let started = docker.command(&["start", "-ai", "one"]).output().await.unwrap();
        let added = docker.answer(&["exec", "-i", "two", "cat"], "words\n").await;
        let script = "echo out; echo err >&2; exit 7";
        let both = docker.command(&["exec", "two", "sh", "-c", script]).output().await.unwrap();

        assert!(whole.success && whole.stdout == large, "{} of {}: {}", whole.stdout.len(), large.len(), whole.stderr);
        assert_eq!(started.status.code(), Some(4));
        assert_eq!((added.success, added.stdout.as_str()), (true, "words\n"), "{added:?}");
        assert_eq!((both.status.code(), &both.stdout[..], &both.stderr[..]), (Some(7), &b"out\n"[..], &b"err\n"[..]));
    }
}

#[tokio::test]
async fn a_program_that_leaves_input_unread_ends_as_it_ended() {
    for (_lab, docker) in each().await {
        let large = "0123456789abcde\n".repeat(1 << 18);
        let run = |script| ["run", "-i", "--rm", "--network", "none", BUSYBOX, "sh", "-c", script];

        let first_line = docker.answer(&run("read line; echo $line"), &large).await;
        let nothing = docker.answer(&run("exit 0"), &large).await;

        assert_eq!((first_line.success, first_line.stdout.as_str()), (true, "0123456789abcde\n"), "{first_line:?}");
        assert_eq!((nothing.success, nothing.stdout.as_str()), (true, ""), "{nothing:?}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_begin_is_told_of_and_removes_itself_all_the_same() {
    for (lab, docker) in each().await {
        let check = async |options: &[&str], program: &str, code: i32, words: &str| {
            let run = ["run", "--rm", "--network", "none"];
            let output = docker.command(&[&run[..], options, &[BUSYBOX, program]].concat()).output();
            let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends").unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(code) && said.contains(words), "{program} {options:?}: {said}");
            assert!(!said.contains("Error waiting"), "{program} {options:?}: {said}");
            assert!(lab.engine.containers().list().is_empty(), "{program} {options:?} stays");
        };

        check(&[], "nothing", 127, "executable file not found").await;
        check(&["-i"], "/tmp", 126, "ermission denied").await;
        check(&["--user", "nobody-here"], "id", 125, "unable to find user nobody-here").await;
    }
}
