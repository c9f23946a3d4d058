//! `docker service logs` by the stock CLI and Debian's: they read whose each line is from the line itself.

use std::sync::Arc;

use model::{LogStream, TaskId, TaskState};
use node::SwarmNode;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::clients::{DockerCli, docker_clis};
use crate::memory::MemoryNode;
use crate::served::{PATIENCE, Served};

/// A CLI, its API, and a service `web` with two tasks that have written.
struct Bench {
    _served: Served,
    docker: DockerCli,
    node: Arc<MemoryNode>,
    tasks: [TaskId; 2],
}

impl Bench {
    async fn each() -> Vec<Self> {
        let mut benches = Vec::new();
        for (_, program) in docker_clis().await {
            let node = MemoryNode::manager();
            let served = Served::start(Arc::clone(&node) as Arc<dyn SwarmNode>).await;
            let docker = DockerCli::new(&program, &served.socket());
            docker.expect(&["service", "create", "--detach", "--no-resolve-image", "--name", "web", "busybox:1"]).await;
            let tasks = [
                node.add_task("web", 1, 2, TaskState::Running).await,
                node.add_task("web", 2, 3, TaskState::Failed).await,
            ];
            for (task, second, stream, text) in [
                (0, 1, LogStream::Stdout, "one\n"),
                (1, 2, LogStream::Stdout, "two\n"),
                (0, 3, LogStream::Stderr, "three\n"),
                (1, 4, LogStream::Stdout, "four, a longer one\n"),
            ] {
                node.write(&tasks[task], second, stream, text);
            }
            benches.push(Self { _served: served, docker, node, tasks });
        }
        benches
    }

    /// The name of a task as the CLI shows it.
    fn name(&self, task: usize) -> String {
        format!("web.{}.{}@node-{}", task + 1, &self.tasks[task].as_str()[..12], task + 2)
    }
}

#[tokio::test]
async fn each_line_is_shown_with_its_task_and_node_on_its_stream() {
    for bench in Bench::each().await {
        let (first, second) = (bench.name(0), bench.name(1));

        let shown = bench.docker.run(&["service", "logs", "web"]).await;

        assert!(shown.success, "{shown:#?}");
        let expected = format!("{first}    | one\n{second}    | two\n{second}    | four, a longer one\n");
        assert_eq!(shown.stdout, expected);
        assert_eq!(shown.stderr, format!("{first}    | three\n"));
    }
}

#[tokio::test]
async fn options_of_the_cli_select_and_shape_what_is_shown() {
    for bench in Bench::each().await {
        let logs = async |options: &[&str]| {
            let shown = bench.docker.run(&[&["service", "logs"], options].concat()).await;
            assert!(shown.success, "{shown:#?}");
            shown.stdout
        };

        assert_eq!(logs(&["--raw", "web"]).await, "one\ntwo\nfour, a longer one\n");
        assert_eq!(logs(&["--raw", "--tail", "1", "web"]).await, "four, a longer one\n");
        assert_eq!(logs(&["--raw", "--since", "1970-01-01T00:00:02Z", "web"]).await, "two\nfour, a longer one\n");
        let raw = logs(&["--raw", "--timestamps", "--tail", "1", "web"]).await;
        assert_eq!(raw, "1970-01-01T00:00:04.000000000Z four, a longer one\n");
        let timed = logs(&["--timestamps", "--tail", "1", "web"]).await;
        let second = bench.name(1);
        assert_eq!(timed, format!("1970-01-01T00:00:04.000000000Z {second}    | four, a longer one\n"));
        let short = logs(&["--no-task-ids", "--tail", "1", "web"]).await;
        assert_eq!(short, "web.2@node-3    | four, a longer one\n");
        let detailed = logs(&["--details", "--tail", "1", "web"]).await;
        assert!(detailed.ends_with(" four, a longer one\n") && detailed.starts_with(&second), "{detailed}");
        assert_eq!(logs(&[bench.tasks[0].as_str()]).await, format!("{}    | one\n", bench.name(0)));
    }
}

#[tokio::test]
async fn new_lines_are_shown_as_they_come_and_the_command_ends_with_the_service() {
    for bench in Bench::each().await {
        let mut command = bench.docker.command(&["service", "logs", "--follow", "--tail", "0", "--raw", "web"]);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The CLI has asked once the caller is known.
        while bench.node.callers().is_empty() {
            tokio::task::yield_now().await;
        }

        for (second, text) in [(5, "five"), (6, "six")] {
            bench.node.write(&bench.tasks[0], second, LogStream::Stdout, &format!("{text}\n"));
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("no line comes").unwrap();
            assert_eq!(line.as_deref(), Some(text));
        }
        bench.node.end_logs();

        let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("the command hangs").unwrap();
        assert!(status.success(), "{status:?}");
    }
}

#[tokio::test]
async fn what_was_missed_is_told_behind_all_lines() {
    for bench in Bench::each().await {
        bench.node.miss("warning: incomplete log stream. some logs could not be retrieved");

        let shown = bench.docker.run(&["service", "logs", "web"]).await;

        assert_eq!(shown.stdout.lines().count(), 3, "{shown:#?}");
        let told = shown.stderr.trim_end().lines().last().unwrap_or_default();
        let words = "Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream. some logs \
                     could not be retrieved";
        assert!(told.ends_with(words), "{shown:#?}");
    }
}

#[tokio::test]
async fn a_terminals_output_is_shown_raw() {
    for bench in Bench::each().await {
        let create = ["service", "create", "--detach", "--no-resolve-image", "--tty", "--name", "shell", "busybox:1"];
        bench.docker.expect(&create).await;
        let task = bench.node.add_task("shell", 3, 2, TaskState::Running).await;
        bench.node.write(&task, 1, LogStream::Stdout, "$ ls\r\n");

        assert_eq!(bench.docker.expect(&["service", "logs", "--raw", "shell"]).await, "$ ls\r\n");
        let refused = bench.docker.expect_error(&["service", "logs", "shell"]).await;
        assert!(refused.contains("tty service logs only supported with --raw"), "{refused}");
    }
}
