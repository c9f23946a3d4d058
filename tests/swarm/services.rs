//! Services whose tasks are real containers, made and watched with the stock `docker`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tests::run::{Run, eventually};
use tests::{Host, Hosts};

use crate::bare::{docker, docker_command, docker_reading, start_agent};
use crate::workstation::Workstation;

/// A program that ends when it is asked to.
pub(crate) const PROGRAM: &str = "/bin/busybox sh /program";

/// A host whose only node is a swarm, with an image of busybox and of a program that runs until it is asked to end.
pub(crate) fn swarm_of_one(hosts: &Hosts) -> &Host {
    let host = hosts.host(1);
    // The host's root is an overlay, and containers' roots are overlays upon what lies here.
    host.shell("mkdir -p /var/lib/swarmd && mount -t tmpfs tmpfs /var/lib/swarmd").unwrap();
    start_agent(host);
    import(host);
    docker(host, "swarm init --advertise-addr eth0").answer();
    host
}

/// Gives a host the image.
pub(crate) fn import(host: &Host) {
    host.shell(
        "mkdir -p /run/root/bin /run/root/tmp && cp /usr/bin/busybox /run/root/bin/busybox && \
         printf 'trap \"exit 0\" TERM\\nwhile :; do /bin/busybox sleep 0.05; done\\n' > /run/root/program && \
         tar -C /run/root -cf /run/image.tar .",
    )
    .unwrap();
    let archive = File::open(host.path("/run/image.tar").unwrap()).unwrap();
    docker_reading(host, "import - app:1", archive).answer();
}

/// An archive of the same image and one program more, for `docker import` on a local machine.
pub(crate) fn image_archive(workstation: &Workstation) -> PathBuf {
    let root = workstation.scratch().join("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    for (name, seconds) in [("program", 0), ("slow", 1)] {
        let text =
            format!("trap '/bin/busybox sleep {seconds}; exit 0' TERM\nwhile :; do /bin/busybox sleep 0.05; done\n");
        std::fs::write(root.join(name), text).unwrap();
    }
    let image = workstation.scratch().join("image.tar");
    Run::of(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&image).arg(".")).answer();
    image
}

/// The ids of a service's tasks that run.
pub(crate) fn running(host: &Host, service: &str) -> BTreeSet<String> {
    let command = format!("service ps {service} -q --no-trunc --filter desired-state=running");
    let tasks = docker(host, &command).answer();
    let is_running = |task: &&str| {
        docker(host, &format!("inspect --type task --format {{{{.Status.State}}}} {task}")).answer() == "running"
    };
    tasks.lines().filter(is_running).map(ToOwned::to_owned).collect()
}

#[track_caller]
pub(crate) fn runs(host: &Host, service: &str, replicas: usize) -> BTreeSet<String> {
    eventually(&format!("{replicas} tasks of {service} run"), || {
        let tasks = running(host, service);
        (tasks.len() == replicas).then_some(tasks)
    })
}

/// The first processes of containers, as the host counts.
pub(crate) fn programs(host: &Host) -> BTreeSet<String> {
    first_processes(&host.shell("ps -eo pid,ppid,args").unwrap())
}

/// The processes that run the program, by what `ps` lists: without what they have just forked, which looks like them.
pub(crate) fn first_processes(list: &str) -> BTreeSet<String> {
    let process = |line: &str| {
        let mut words = line.split_ascii_whitespace().map(ToOwned::to_owned);
        let (pid, parent) = (words.next()?, words.next()?);
        (words.collect::<Vec<_>>().join(" ") == PROGRAM).then_some((pid, parent))
    };
    let found: Vec<_> = list.lines().filter_map(process).collect();
    let is_forked = |parent: &String| found.iter().any(|(pid, _)| pid == parent);
    found.iter().filter(|(_, parent)| !is_forked(parent)).map(|(pid, _)| pid.clone()).collect()
}

pub(crate) fn create(host: &Host, options: &str) {
    docker(host, &format!("service create -d --no-resolve-image --network host {options} app:1 {PROGRAM}")).answer();
}

#[test]
fn a_service_runs_scales_changes_and_goes() {
    let hosts = Hosts::start(1).unwrap();
    let host = swarm_of_one(&hosts);

    create(host, "--name web --replicas 2");
    runs(host, "web", 2);
    docker(host, "service scale -d web=4").answer();
    runs(host, "web", 4);
    docker(host, "service scale -d web=1").answer();
    let before = runs(host, "web", 1);
    docker(host, "service update -d --no-resolve-image --env-add X=1 --update-monitor 1ms web").answer();
    eventually("the task is another one", || (running(host, "web").is_disjoint(&before)).then_some(()));
    runs(host, "web", 1);
    docker(host, "service rm web").answer();

    eventually("no container is left", || programs(host).is_empty().then_some(()));
}

#[test]
fn the_client_waits_for_a_job_until_all_of_it_is_complete() {
    let hosts = Hosts::start(1).unwrap();
    let host = swarm_of_one(&hosts);

    let options = "--detach=false --no-resolve-image --network host --mode replicated-job --restart-condition none";
    let job = format!("service create {options} --name job --replicas 5 --max-concurrent 2 app:1 /bin/busybox true");
    let seen = docker(host, &job).answer();

    assert!(seen.contains("job complete"), "{seen}");
    assert!(docker(host, "service ls --format {{.Replicas}}").answer().contains("5/5 completed"));
}

#[test]
fn a_container_that_is_killed_is_replaced_and_its_task_says_how_it_ended() {
    let hosts = Hosts::start(1).unwrap();
    let host = swarm_of_one(&hosts);
    create(host, "--name web --restart-delay 0s");
    let before = runs(host, "web", 1);

    let program = programs(host).pop_first().unwrap();
    host.shell(&format!("kill -KILL {program}")).unwrap();

    eventually("another task runs", || {
        let now = running(host, "web");
        (now.len() == 1 && now.is_disjoint(&before)).then_some(())
    });
    let errors = docker(host, "service ps web --no-trunc --format {{.Error}}").answer();
    assert!(errors.contains("task: non-zero exit (137)"), "{errors}");
}

#[test]
fn containers_live_on_when_the_agent_is_killed_and_the_next_one_has_them() {
    let hosts = Hosts::start(1).unwrap();
    let host = swarm_of_one(&hosts);
    create(host, "--name web --replicas 2");
    let (tasks, before) = (runs(host, "web", 2), programs(host));
    assert_eq!(before.len(), 2);

    host.shell("kill -KILL $(pgrep -of 'swarmd run --hostname')").unwrap();
    start_agent(host);

    assert_eq!(runs(host, "web", 2), tasks);
    assert_eq!(programs(host), before);
    docker(host, "service rm web").answer();
    eventually("no container is left", || programs(host).is_empty().then_some(()));
}

#[test]
fn a_port_that_a_service_publishes_on_its_nodes_is_reached_shown_and_free_afterwards() {
    let hosts = Hosts::start(2).unwrap();
    let (host, outside) = (swarm_of_one(&hosts), hosts.host(2));
    let server = "/bin/busybox nc -ll -p 80 -e /bin/busybox echo hello";
    let publish = "--publish mode=host,target=80,published=8080";
    docker(host, &format!("service create -d --no-resolve-image --name web {publish} app:1 {server}")).answer();
    let tasks = runs(host, "web", 1);
    let address = host.address().to_string();
    let ask = |from: &Host, at: &str| from.shell(&format!("busybox nc -w 2 {at} 8080 < /dev/null")).map(drop);

    eventually("it is reached from outside", || ask(outside, &address).ok());
    ask(host, "127.0.0.1").unwrap();
    let ports = docker(host, "service ps web --format {{.Ports}}").answer();
    assert_eq!(ports, "*:8080->80/tcp");
    let bridge = docker(host, "network inspect bridge --format {{.IPAM.Config}}").answer();
    assert!(bridge.contains("172.17.0.0/16"), "{bridge}");
    host.shell("kill -KILL $(pgrep -of 'swarmd run --hostname')").unwrap();
    ask(outside, &address).unwrap();
    start_agent(host);
    assert_eq!(runs(host, "web", 1), tasks);
    ask(outside, &address).unwrap();
    docker(host, "service rm web").answer();

    eventually("nothing is left at the bridge", || host.shell("test -z \"$(ip -o link show master swarmd0)\"").ok());
    eventually("the port is free", || ask(outside, &address).is_err().then_some(()));
}

#[test]
fn what_tasks_write_is_shown_after_their_end_too_and_followed_to_the_end_of_the_service() {
    let hosts = Hosts::start(1).unwrap();
    let host = swarm_of_one(&hosts);
    let service = "service create -d --no-resolve-image --network host";
    docker(host, &format!("{service} --name count --restart-condition none app:1 /bin/busybox seq 1 2000")).answer();
    let counted: Vec<_> = (1..=2000).map(|number| number.to_string()).collect();

    eventually("what the task wrote is shown", || {
        let shown = docker(host, "service logs --raw count").answer();
        shown.lines().eq(&counted).then_some(())
    });
    let last = docker(host, "service logs --tail 1 count").answer();
    assert!(last.starts_with("count.1.") && last.ends_with("    | 2000"), "{last}");

    docker(
        host,
        &format!("{service} --name ping --replicas 2 --stop-grace-period 1s app:1 /bin/busybox ping 127.0.0.1"),
    )
    .answer();
    let tasks = runs(host, "ping", 2);
    let mut following = docker_command(host, "service logs --follow ping").stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(following.stdout.take().unwrap());
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended before both tasks were seen: {seen:?}");
        seen.extend(tasks.iter().filter(|task| line.contains(&task[..12])));
    }
    docker(host, "service rm ping").answer();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();

    assert!(following.wait().unwrap().success(), "{rest}");
}
