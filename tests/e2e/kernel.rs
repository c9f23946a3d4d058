//! What the kernel alone can show of a container under control groups of version 2: its devices, its standstill, its use.

use crate::containers::{SERVICE, eventually, group_of};
use crate::operator::Operator;

/// The disk of the guest, which no container is to see unasked.
const DISK: &str = "/dev/nvme0n1";

/// A container opens no device by a file that it made itself; one that is given, as it was given.
pub(crate) fn devices_are_those_that_were_given(operator: &Operator<'_>) {
    let numbers = operator.guest().run(&format!("stat -c '%Hr %Lr' {DISK}")).unwrap();
    let made = format!("busybox mknod /disk b {} && busybox dd if=/disk of=/dev/null count=1", numbers.trim_end());
    let run = |options: &str, script: &str| {
        operator.docker(&format!("run --rm --network none {options} app:1 /bin/busybox sh -c '{script}'"))
    };

    let refused = run("", &made).unwrap_err();
    run("--device-cgroup-rule 'b *:* rm'", &made).unwrap();
    let given = format!("--device {DISK}:/dev/given:r");
    run(&given, "busybox dd if=/dev/given of=/dev/null count=1").unwrap();
    let written = run(&given, "busybox dd if=/dev/zero of=/dev/given count=0 conv=notrunc").unwrap_err();

    assert!(refused.contains("can't open '/disk': Operation not permitted"), "{refused}");
    assert!(written.contains("can't open '/dev/given': Operation not permitted"), "{written}");
}

/// A container that is paused stands still, all of it, and goes on where it was.
pub(crate) fn a_pause_stops_all_processes(operator: &Operator<'_>) {
    let program = "'busybox sh -c \"while :; do :; done\" & while :; do :; done'";
    operator.docker(&format!("run -d --name busy --network none app:1 /bin/busybox sh -c {program}")).unwrap();
    let folder = group_of(operator, "busy");
    let read = |file: &str| operator.guest().run(&format!("cat {folder}/{file}")).unwrap();
    let used = || read("cpu.stat").lines().next().unwrap().to_owned();

    operator.docker("pause busy").unwrap();
    let (events, first) = (read("cgroup.events"), used());
    let again = used();
    let refused = operator.docker("exec busy /bin/busybox true").unwrap_err();
    operator.docker("unpause busy").unwrap();

    assert!(events.contains("frozen 1"), "{events}");
    assert!(first.starts_with("usage_usec ") && first == again, "{first}, then {again}");
    assert!(refused.contains("is paused"), "{refused}");
    eventually("it goes on", || (used() != first).then_some(()));
    operator.docker("exec busy /bin/busybox true").unwrap();
    operator.docker("rm -f busy").unwrap();
}

/// `docker stats` tells what the group holds: within its limits, and as the kernel counts.
pub(crate) fn use_is_told(operator: &Operator<'_>) {
    let program = "'busybox sleep 600 & while :; do :; done'";
    let limits = "--memory 32m --cpus 0.2 --pids-limit 9";
    operator.docker(&format!("run -d --name used --network none {limits} app:1 /bin/busybox sh -c {program}")).unwrap();
    let folder = group_of(operator, "used");
    let throttled = || operator.guest().run(&format!("grep nr_throttled {folder}/cpu.stat")).unwrap();
    eventually("its processor time has run out", || (throttled().trim_end() != "nr_throttled 0").then_some(()));

    let format = "'{{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.PIDs}}'";
    let told = operator.docker(&format!("stats --no-stream --format {format} used")).unwrap();
    let current = operator.guest().run(&format!("cat {folder}/memory.current")).unwrap();

    let fields: Vec<_> = told.split(' ').collect();
    let [processor, memory, "/", "32MiB", share, "2"] = fields[..] else { panic!("{told}") };
    let percent = |text: &str| text.strip_suffix('%').unwrap().parse::<f64>().unwrap();
    // A fifth of a processor, measured over a second in which the guest's clock and the host's load both have a say.
    assert!((5.0..40.0).contains(&percent(processor)), "{told}");
    assert!(percent(share) > 0.0 && percent(share) < 50.0, "{told}");
    assert!(memory.ends_with("iB") && current.trim_end().parse::<u64>().unwrap() < 32 << 20, "{told}; {current}");
    operator.docker("rm -f used").unwrap();
}

/// A container of nobody's service whose memory runs out: it says so, and so does its group's kernel.
pub(crate) fn a_lack_of_memory_is_told_of_any_container(operator: &Operator<'_>) {
    let run = "run --name lean --network none --memory 16m app:1 /bin/busybox tail /dev/zero";

    let ended = operator.docker(run).unwrap_err();
    let state = operator.docker("inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' lean").unwrap();

    assert!(ended.contains("exit status: 137"), "{ended}");
    assert_eq!(state, "true 137");
    operator.docker("rm lean").unwrap();
}

/// A service and a container of nobody's that are there until the end, through all that comes: their processes.
pub(crate) fn lasting(operator: &Operator<'_>) {
    operator.docker(&format!("{SERVICE} --name lasting app:1 /bin/busybox sleep 200000")).unwrap();
    operator
        .docker("run -d --name alone --restart always --network none app:1 /bin/busybox sleep 300000")
        .map(drop)
        .unwrap();
    operator
        .docker("run -d --name once --stop-timeout 2 --network none app:1 /bin/busybox sleep 400000")
        .map(drop)
        .unwrap();
    eventually("both run", || processes(operator));
}

/// The processes of what lasts, where both run.
pub(crate) fn processes(operator: &Operator<'_>) -> Option<[String; 2]> {
    let find = |seconds: &str| operator.guest().run(&format!("pgrep -f '^/bin/busybox sleep {seconds}'")).ok();
    let shown = operator.docker("service ls --filter name=lasting --format {{.Replicas}}").ok()?;
    let alone = operator.docker("inspect --format {{.State.Running}} alone").ok()?;
    if shown == "1/1" && alone == "true" { Some([find("200000")?, find("300000")?]) } else { None }
}

/// What lasts runs again, as other processes: a reboot ends them all, by the agent, which knows how.
pub(crate) fn it_lasts_beyond_a_reboot(operator: &Operator<'_>) {
    eventually("the service and the container run again", || processes(operator));
    let once = operator.docker("inspect --format '{{.State.Status}} {{.State.ExitCode}}' once").unwrap();
    assert_eq!(once, "exited 137", "it hears no signal, and its grace was two seconds");
    operator.docker("rm once").unwrap();
}
