//! Numbers out of files as kernels wrote them.

use super::super::Hierarchies;
use super::*;

/// A group whose one folder holds these files, in a hierarchy of version 2, or of version 1 for every controller.
fn group(files: &[(&str, &str)], is_unified: bool) -> (tempfile::TempDir, Group) {
    let mount = tempfile::tempdir().unwrap();
    let folder = mount.path().join("t/a");
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
    let controllers = ["cpu", "cpuacct", "memory", "pids", "blkio"];
    let version_1 = controllers.map(|name| (name.to_owned(), mount.path().to_owned()));
    let hierarchies = if is_unified {
        Hierarchies { unified: Some(mount.path().to_owned()), ..Hierarchies::default() }
    } else {
        Hierarchies { version_1: version_1.into(), unified: None }
    };
    (mount, Group { hierarchies, path: "/t/a".into() })
}

fn transfer(operation: &str, value: u64) -> BlockTransfer {
    BlockTransfer { major: 8, minor: 0, operation: operation.to_owned(), value }
}

#[test]
fn version_2_files_are_read() {
    let files = [
        (
            "cpu.stat",
            "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 7\nnr_throttled 2\nthrottled_usec 9\n",
        ),
        ("memory.current", "4096\n"),
        ("memory.peak", "8192\n"),
        ("memory.max", "67108864\n"),
        ("memory.events", "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\n"),
        ("memory.stat", "anon 1024\nfile 2048\ninactive_file 512\n"),
        ("pids.current", "3\n"),
        ("pids.max", "max\n"),
        ("io.stat", "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"),
    ];
    let (_mount, group) = group(&files, true);

    let stats = group.stats(std::process::id());

    assert_eq!((stats.cpu.total, stats.cpu.user, stats.cpu.kernel), (1_500_000, 1_000_000, 500_000));
    let throttling = Throttling { periods: 7, throttled_periods: 2, throttled_time: 9000 };
    assert_eq!(stats.cpu.throttling, throttling);
    assert_eq!((stats.memory.usage, stats.memory.max_usage), (4096, Some(8192)));
    assert_eq!((stats.memory.limit, stats.memory.failures, stats.memory.oom_kills), (Some(64 << 20), 4, 1));
    assert_eq!(stats.memory.details["inactive_file"], 512);
    assert_eq!(stats.pids, PidsStats { current: 3, limit: None });
    assert_eq!(stats.block_bytes, [transfer("read", 4096), transfer("write", 8192)]);
    assert_eq!(stats.block_operations, [transfer("read", 1), transfer("write", 2)]);
    assert!(stats.cpu.system > 0 && stats.cpu.online > 0);
}

#[test]
fn version_1_files_are_read() {
    let files = [
        ("cpuacct.usage", "1500000\n"),
        ("cpuacct.usage_percpu", "1000000 500000 \n"),
        ("cpuacct.stat", "user 3\nsystem 2\n"),
        ("cpu.stat", "nr_periods 7\nnr_throttled 2\nthrottled_time 9\n"),
        ("memory.usage_in_bytes", "4096\n"),
        ("memory.max_usage_in_bytes", "8192\n"),
        ("memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory.failcnt", "4\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ("memory.stat", "cache 2048\ntotal_inactive_file 512\n"),
        ("pids.current", "3\n"),
        ("pids.max", "64\n"),
        ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 4096\n8:0 Write 8192\nTotal 12288\n"),
    ];
    let (_mount, group) = group(&files, false);

    let stats = group.stats(std::process::id());

    assert_eq!((stats.cpu.total, stats.cpu.user, stats.cpu.kernel), (1_500_000, 30_000_000, 20_000_000));
    assert_eq!(stats.cpu.per_processor, [1_000_000, 500_000]);
    assert_eq!((stats.memory.limit, stats.memory.failures, stats.memory.oom_kills), (None, 4, 1));
    assert_eq!(stats.pids, PidsStats { current: 3, limit: Some(64) });
    assert_eq!(stats.block_bytes, [transfer("read", 4096), transfer("write", 8192)]);
    assert!(stats.block_operations.is_empty());
}

#[test]
fn links_are_read_without_loopback() {
    let text = "Inter-|   Receive                                                |  Transmit\n face |bytes\n\
                    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n\
                  eth0: 12345678      90    1    2    0     0          0         0     4321      21    3    4    0     0       0          0\n";

    let links = interfaces(text);

    let expected = InterfaceStats {
        rx_bytes: 12_345_678,
        rx_packets: 90,
        rx_errors: 1,
        rx_dropped: 2,
        tx_bytes: 4321,
        tx_packets: 21,
        tx_errors: 3,
        tx_dropped: 4,
    };
    assert_eq!(links, BTreeMap::from([("eth0".to_owned(), expected)]));
}
