//! The hosts that other tests rely on keep their promises.

use std::net::TcpStream;
use std::time::Duration;

use tests::{Hosts, Signal};

#[test]
fn hosts_share_neither_files_nor_names_nor_cgroups_nor_processes() {
    let hosts = Hosts::start(2).unwrap();
    let (one, two) = (hosts.host(1), hosts.host(2));

    one.shell("echo mine >/etc/mine; mkdir /sys/fs/cgroup/*/mine 2>/dev/null || true").unwrap();

    assert!(one.has("/etc/mine").unwrap() && !two.has("/etc/mine").unwrap());
    assert!(!std::path::Path::new("/etc/mine").exists());
    assert_eq!(two.shell("hostname").unwrap().trim(), "host-2");
    assert_ne!(one.host_key().unwrap(), two.host_key().unwrap());
    assert_eq!(two.shell("ls -d /sys/fs/cgroup/*/mine 2>/dev/null | wc -l").unwrap().trim(), "0");
    assert_eq!(two.shell("ps -e -o comm= | grep -c sshd").unwrap().trim(), "1");
}

#[test]
fn hosts_see_each_other_and_nothing_else() {
    let hosts = Hosts::start(2).unwrap();
    let address = hosts.host(2).address();

    let seen = hosts.host(1).try_shell(&format!("ssh-keyscan -T 5 -t ed25519 {address}")).unwrap();
    let out = hosts.host(1).try_shell("ip route get 192.0.2.1").unwrap();

    assert!(String::from_utf8_lossy(&seen.stdout).contains("ssh-ed25519"));
    assert!(!out.status.success());
}

#[test]
fn the_operator_reaches_hosts_by_both_families() {
    let hosts = Hosts::start(1).unwrap();
    hosts.enter_operator().unwrap();
    let host = hosts.host(1);

    let by_v4 = TcpStream::connect_timeout(&(host.address(), 22).into(), Duration::from_secs(5));
    let by_v6 = TcpStream::connect_timeout(&(host.address_v6(), 22).into(), Duration::from_secs(5));
    let silent = TcpStream::connect_timeout(&(hosts.silent_address(), 22).into(), Duration::from_millis(300));

    assert!(by_v4.is_ok() && by_v6.is_ok(), "{by_v4:?} {by_v6:?}");
    assert_eq!(silent.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_reboot_keeps_files_and_ends_processes() {
    let mut hosts = Hosts::start(1).unwrap();
    let key = hosts.host(1).host_key().unwrap();
    hosts.host(1).shell("echo kept >/var/lib/kept; echo gone >/run/gone; setsid sleep 1000 >/dev/null 2>&1 &").unwrap();
    hosts.host(1).shell("printf '#!/bin/sh\\n[ \"$1\" = start ] && touch /run/started\\n' >/etc/rc2.d/S50mine; chmod +x /etc/rc2.d/S50mine").unwrap();

    hosts.host_mut(1).reboot().unwrap();

    let host = hosts.host(1);
    assert!(host.has("/var/lib/kept").unwrap() && !host.has("/run/gone").unwrap());
    assert!(host.has("/run/started").unwrap());
    assert_eq!(host.processes("sleep").unwrap(), Vec::<u32>::new());
    assert_eq!(host.host_key().unwrap(), key);
}

#[test]
fn signals_reach_the_processes_of_one_host_only() {
    let hosts = Hosts::start(2).unwrap();
    for host in hosts.all() {
        // It is called `sleep` once it runs that.
        let is_called = "for try in $(seq 1000); do grep -qx sleep /proc/$!/comm && exit 0; done; exit 1";
        host.shell(&format!("setsid sleep 1000 >/dev/null 2>&1 & {is_called}")).unwrap();
    }

    let hit = hosts.host(1).signal("sleep", Signal::Kill).unwrap();

    assert_eq!(hit, 1);
    assert_eq!(hosts.host(2).processes("sleep").unwrap().len(), 1);
}

#[test]
fn nothing_is_left_when_hosts_go() {
    let hosts = Hosts::start(1).unwrap();
    let (pid, folder) = (hosts.host(1).pid().unwrap(), hosts.scratch().to_owned());
    hosts.host(1).shell("setsid sleep 1000 >/dev/null 2>&1 &").unwrap();

    drop(hosts);

    let name = format!("swarmup-test-{}-", std::process::id());
    let cgroups: Vec<_> = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"]
        .iter()
        .filter_map(|root| std::fs::read_dir(root).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&name))
        .collect();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!folder.exists());
    assert!(cgroups.is_empty(), "{cgroups:?}");
}
