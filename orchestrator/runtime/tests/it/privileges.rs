//! What the programs of a container may do, and who they are.

use runtime::{Bundle, Namespace, Profile, Ulimit};

use crate::lab::Lab;

/// The line of a container's own status file.
fn status(lab: &Lab, id: &str) -> Bundle {
    lab.bundle(id, &["grep", "-E", "^(Seccomp|NoNewPrivs|Cap...|Uid|Gid|Groups):", "/proc/self/status"])
}

fn field<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    line.split_ascii_whitespace().skip(1).collect()
}

#[tokio::test]
async fn the_default_is_dockers_filter_and_capabilities() {
    let lab = Lab::new();

    let text = lab.output(&status(&lab, "a")).await;
    let refused = lab.output(&lab.script("b", "unshare -m true 2>&1; mount -t tmpfs x /tmp 2>&1; true")).await;

    assert_eq!(field(&text, "Seccomp"), ["2"]);
    assert_eq!(field(&text, "NoNewPrivs"), ["0"]);
    assert_eq!(field(&text, "CapEff"), ["00000000a80425fb"]);
    assert_eq!(field(&text, "CapBnd"), ["00000000a80425fb"]);
    assert_eq!(field(&text, "CapInh"), ["0000000000000000"]);
    assert_eq!(field(&text, "CapAmb"), ["0000000000000000"]);
    assert_eq!(refused.matches("not permitted").count() + refused.matches("permission denied").count(), 2, "{refused}");
}

#[tokio::test]
async fn the_filter_refuses_what_capabilities_alone_would_allow() {
    let lab = Lab::new();
    let script = "mkdir /tmp/x && echo made; chmod 700 /tmp/x 2>&1 || true";
    let mut filtered = lab.script("a", script);
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chmod","fchmodat","fchmodat2"],
        "action":"SCMP_ACT_ERRNO","errnoRet":95}]}"#;
    filtered.seccomp = Profile::Custom(profile.to_owned());
    let mut free = lab.script("b", "rm -r /tmp/x; mkdir /tmp/x; chmod 700 /tmp/x; grep Seccomp: /proc/self/status");
    free.seccomp = Profile::Unconfined;

    let refused = lab.output(&filtered).await;
    let allowed = lab.output(&free).await;

    assert!(refused.contains("made") && refused.contains("not supported"), "{refused}");
    assert_eq!(field(&allowed, "Seccomp"), ["0"]);
}

#[tokio::test]
async fn a_filter_comes_with_no_new_privileges_too() {
    let lab = Lab::new();
    let mut bundle = status(&lab, "a");
    bundle.no_new_privileges = true;

    let text = lab.output(&bundle).await;

    assert_eq!((field(&text, "Seccomp"), field(&text, "NoNewPrivs")), (vec!["2"], vec!["1"]));
}

#[tokio::test]
async fn a_user_by_name_has_its_groups_and_no_capability() {
    let lab = Lab::new();
    let mut bundle = status(&lab, "a");
    bundle.process.user = Some("web".to_owned());
    bundle.process.groups = vec!["60".to_owned()];

    let text = lab.output(&bundle).await;

    assert_eq!(field(&text, "Uid"), ["33"; 4]);
    assert_eq!(field(&text, "Gid"), ["44"; 4]);
    assert_eq!(field(&text, "Groups"), ["50", "60"]);
    assert_eq!(field(&text, "CapEff"), ["0000000000000000"]);
    assert_eq!(field(&text, "CapPrm"), ["0000000000000000"]);
    assert_eq!(field(&text, "CapBnd"), ["00000000a80425fb"]);
    assert_eq!(field(&text, "Seccomp"), ["2"]);
}

#[tokio::test]
async fn root_in_a_container_keeps_no_group_of_ours() {
    let lab = Lab::new();

    let text = lab.output(&status(&lab, "a")).await;

    assert_eq!(field(&text, "Groups"), Vec::<&str>::new());
}

#[tokio::test]
async fn capabilities_are_added_and_dropped() {
    let lab = Lab::new();
    let mut dropped = status(&lab, "a");
    dropped.capabilities_drop = vec!["ALL".to_owned()];
    dropped.capabilities_add = vec!["net_admin".to_owned()];
    let mut privileged =
        lab.script("b", "grep -E '^(Seccomp|CapEff):' /proc/self/status; mount -t tmpfs x /tmp && ls -d /dev/kmsg");
    privileged.privileged = true;

    let few = lab.output(&dropped).await;
    let many = lab.output(&privileged).await;

    assert_eq!(field(&few, "CapEff"), ["0000000000001000"]);
    assert_eq!(field(&many, "Seccomp"), ["0"]);
    assert!(u64::from_str_radix(field(&many, "CapEff")[0], 16).unwrap() & (1 << 21) != 0, "CAP_SYS_ADMIN: {many}");
    assert!(many.contains("/dev/kmsg"), "{many}");
}

#[tokio::test]
async fn a_device_that_was_not_given_cannot_be_opened() {
    let lab = Lab::new();
    // A node can be made, but the controller does not let it be opened: /dev/kmsg.
    let script = "mknod /tmp/k c 1 11 || exit 1; head -c 1 /tmp/k; head -c 1 /dev/zero | wc -c; ls /dev";

    let (_, text) = lab.run(&lab.script("a", script)).await;

    assert!(text.contains("not permitted"), "{text}");
    assert!(text.lines().any(|line| line == "1"), "{text}");
    for name in ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "stdin", "fd"] {
        assert!(text.lines().any(|line| line == name), "/dev/{name}: {text}");
    }
}

#[tokio::test]
async fn parts_of_proc_are_hidden_or_read_only() {
    let lab = Lab::new();
    let script = "wc -c < /proc/keys; (echo 1 > /proc/sys/kernel/hostname) 2>&1; (mkdir /sys/x) 2>&1; true";

    let text = lab.output(&lab.script("a", script)).await;

    assert!(text.starts_with("0\n"), "{text}");
    assert_eq!(text.to_lowercase().matches("read-only file system").count(), 2, "{text}");
}

#[tokio::test]
async fn each_container_sees_itself_alone() {
    let lab = Lab::new();
    let script = "echo $$; ls -d /proc/[0-9]* | wc -l; ip link | grep -c '^[0-9]'; ip link | grep -c 'lo: .*UP'; \
                  readlink /proc/self/ns/ipc";
    let mut own = lab.script("a", script);
    own.hostname = Some("a".to_owned());
    let mut shared =
        lab.script("b", "readlink /proc/self/ns/net; readlink /proc/self/ns/uts; readlink /proc/self/ns/pid");
    shared.namespaces.network = Namespace::Host;
    shared.namespaces.uts = Namespace::Host;
    shared.namespaces.pid = Namespace::Host;

    let alone = lab.output(&own).await;
    let together = lab.output(&shared).await;

    let lines: Vec<&str> = alone.lines().collect();
    assert_eq!(lines[0], "1");
    assert!(lines[1].parse::<u32>().unwrap() <= 3, "{alone}");
    assert_eq!(lines[3], "1", "loopback is up: {alone}");
    let here = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
    assert_ne!(lines[4], here("ipc"));
    assert_eq!(together.lines().collect::<Vec<_>>(), [here("net"), here("uts"), here("pid")]);
}

#[tokio::test]
async fn settings_of_own_namespaces_and_limits_of_processes_hold() {
    let lab = Lab::new();
    let mut bundle = lab.script(
        "a",
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj",
    );
    bundle.sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "80".to_owned());
    bundle.ulimits = vec![Ulimit { name: "nofile".to_owned(), soft: 100, hard: 200 }];
    bundle.oom_score_adj = Some(500);

    let text = lab.output(&bundle).await;

    assert_eq!(text.lines().collect::<Vec<_>>(), ["80", "100", "200", "500"]);
}

#[tokio::test]
async fn a_program_begins_with_every_signal_as_usual() {
    let lab = Lab::new();

    let text = lab.output(&lab.bundle("a", &["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])).await;

    assert_eq!(text.lines().map(|line| line.split_once('\t').unwrap().1).collect::<Vec<_>>(), ["0000000000000000"; 2]);
}
